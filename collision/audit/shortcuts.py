"""The shortcut audit: how well label and split can be told without looking at what happens.

Each probe (``collision.audit.probes``) is fitted and scored by cross-validation over groups. Its AP
is held against chance: what the same procedure reaches when the labels of whole groups are
permuted. That lies above the prevalence, for AP of scores that know nothing does in small samples.

Shapes: N examples, G groups, R resamples, P permutations.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from collision.audit.facts import VideoFacts
from collision.audit.probes import PROBES, Design, linear_model
from collision.metrics.bootstrap import Ranking, resample
from collision.metrics.estimate import MIN_GROUPS, estimate
from collision.metrics.nexar import average_precision
from collision.types import UNLABELLED, Example, VideoRecord

FOLDS = 5
SHORTCUT, LIKELY, NOT_SHOWN = "shortcut", "likely", "not shown"
# Share of permutations that may do as well. It takes 19 of them to get there.
_MAX_P_VALUE = 0.05
# Less than this share of the way from chance to 1 is called little.
_LITTLE = 0.2


def one_cut_a_video(examples: Iterable[Example]) -> list[Example]:
    """Keep the cut of each video and label whose horizon is nearest to the middle one's."""
    examples = list(examples)
    if not examples:
        return []
    middle = float(np.median([e.horizon for e in examples]))
    chosen: dict[tuple[str, int], Example] = {}
    for example in examples:
        key = example.video, example.label
        before = chosen.get(key)
        if before is None or abs(example.horizon - middle) < abs(before.horizon - middle):
            chosen[key] = example
    return list(chosen.values())


def audit(
    examples: Sequence[Example],
    records: Mapping[str, VideoRecord],
    facts: Mapping[str, VideoFacts],
    *,
    num_permutations: int,
    num_resamples: int,
    seed: int = 0,
) -> dict[str, Any]:
    """Judge every probe on the label and on the split.

    Args:
        examples: One a video and label, cut as the policy cuts its test; those without facts are
            left out.
        records: By id.
        facts: By id.
        num_permutations: Of labels, behind chance.
        num_resamples: Of groups behind the intervals.
        seed: Of both and of the folds.

    Returns:
        ``{"label", "split"}``: each with ``question`` and ``probes`` (see ``judge``), or with a
        ``reason`` why it cannot be asked.
    """
    examples = [e for e in examples if e.video in facts]
    labelled = [e for e in examples if e.label != UNLABELLED]
    splits = {records[e.video].split for e in examples}
    tested = "test" if "test" in splits else "val"
    questions = {
        "label": (
            labelled,
            np.array([e.label for e in labelled]),
            ("positives", "negatives"),
        ),
        "split": (
            examples,
            np.array([int(records[e.video].split == tested) for e in examples]),
            (f"{tested} videos", "other videos"),
        ),
    }
    settings = {
        "num_permutations": num_permutations,
        "num_resamples": num_resamples,
        "seed": seed,
    }
    report: dict[str, Any] = {}
    for target, (asked, labels, names) in questions.items():
        groups = np.unique([records[e.video].group for e in asked], return_inverse=True)[1]
        report[target] = {
            "question": f"Can {names[0]} be told from {names[1]}?",
            "examples": len(asked),
            "groups": int(groups.max(initial=-1)) + 1,
        }
        if reason := _why_not(labels, groups, names):
            report[target]["reason"] = reason
            continue
        report[target]["prevalence"] = float(labels.mean())
        report[target]["probes"] = {}
        for name, probe in PROBES.items():
            columns = Design(probe).fit(asked, records, facts).columns(asked, records, facts)
            result = judge(columns, labels, groups, **settings)
            result["sentence"] = _sentence(target, name, names, result)
            report[target]["probes"][name] = result
    return report


def judge(
    columns: NDArray[np.float64],
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    *,
    num_permutations: int,
    num_resamples: int,
    seed: int = 0,
) -> dict[str, Any]:
    """Tell how well a linear model ranks examples of groups that it has not seen.

    Args:
        columns: float64 ``[N, columns]``.
        labels: ``[N]`` of 0 and 1.
        groups: ``[N]``, from 0 to G - 1; both classes lie in two groups at least.
        num_permutations: P.
        num_resamples: R.
        seed: Of folds, permutations and resamples.

    Returns:
        ``ap`` (``value``, ``low``, ``high``, ``reason``), ``auc``, ``chance``, ``p_value`` (share
        of permutations that do as well) and ``grade``.
    """
    scores = out_of_fold(columns, labels, groups, seed)
    value = average_precision(labels, scores)
    prevalence = float(labels.mean())
    excesses = np.array(
        [
            average_precision(permuted, out_of_fold(columns, permuted, groups, seed))
            - permuted.mean()
            for permuted in label_permutations(labels, groups, num_permutations, seed)
        ]
    )
    ranking = Ranking.of(labels, scores, groups)
    num_groups = int(groups.max()) + 1
    samples = resample([ranking], num_groups, num_resamples=num_resamples, seed=seed)[:, 0]
    smaller = min(len(np.unique(groups[labels == label])) for label in (0, 1))
    result = {
        "ap": estimate([value], samples, smaller).as_json(),
        "auc": float(roc_auc_score(labels, scores)),
        "chance": prevalence + float(excesses.mean()),
        "p_value": float((np.sum(excesses >= value - prevalence) + 1) / (len(excesses) + 1)),
    }
    return {**result, "grade": _grade(result, smaller)}


def out_of_fold(
    columns: NDArray[np.float64],
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    seed: int,
) -> NDArray[np.float64]:
    """Score each example by a model that has not seen its group: log odds ``[N]``."""
    fold_of = _folds(labels, groups, seed)
    scores = np.zeros(len(labels))
    for fold in range(fold_of.max() + 1):
        train, test = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
        if len(np.unique(labels[train])) == 2:  # else there is nothing to learn, and scores stay 0
            model = linear_model().fit(columns[train], labels[train])
            scores[test] = model.decision_function(columns[test])
    return scores


def _folds(labels: NDArray[np.int64], groups: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Put whole groups into folds, those with like shares of positives evenly: folds ``[N]``.

    scikit-learn's StratifiedGroupKFold takes a third of a second for 1,400 groups, and 41
    permutations of 8 questions ask for it.
    """
    sizes = np.bincount(groups)
    share = np.bincount(groups, weights=labels) / sizes
    smaller = min(len(np.unique(groups[labels == label])) for label in (0, 1))
    order = np.lexsort((np.random.default_rng(seed).permutation(len(sizes)), share))
    fold_of_group = np.empty(len(sizes), dtype=np.int64)
    fold_of_group[order] = np.arange(len(sizes)) % min(FOLDS, smaller)
    return fold_of_group[groups]


def label_permutations(
    labels: NDArray[np.int64], groups: NDArray[np.int64], count: int, seed: int
) -> Iterator[NDArray[np.int64]]:
    """Permute the labels group by group: examples of a group stay as alike as they were.

    Each group gets another one's share of positives. Where sizes differ the prevalence moves a
    little, so only the AP's excess over it is compared.
    """
    generator = np.random.default_rng(seed)
    members = [np.flatnonzero(groups == group) for group in range(groups.max() + 1)]
    for _ in range(count):
        permuted = labels
        while True:
            order = generator.permutation(len(members))
            permuted = np.zeros_like(labels)
            for rows, source in zip(members, order, strict=True):
                pattern = generator.permutation(labels[members[source]])
                permuted[rows] = generator.permutation(np.resize(pattern, len(rows)))
            if all(len(np.unique(groups[permuted == label])) > 1 for label in (0, 1)):
                break
        yield permuted


def _why_not(
    labels: NDArray[np.int64], groups: NDArray[np.int64], names: tuple[str, str]
) -> str | None:
    """Say why no probe can be fitted and scored, if a class lies in fewer than two groups."""
    for label, name in ((1, names[0]), (0, names[1])):
        count = len(np.unique(groups[labels == label]))
        if count < 2:
            found = "no group" if count == 0 else "one group"
            return f"at least two groups of each are needed, and of {name} there is {found}"
    return None


def _grade(result: Mapping[str, Any], num_groups: int) -> str:
    """Grade by whether the interval excludes chance, and random labels rarely do as well.

    Both, because in sets that are paired within each group the interval alone is too narrow.
    """
    ap = result["ap"]
    holds_chance = ap["low"] is not None and ap["low"] <= result["chance"]
    if holds_chance or result["p_value"] > _MAX_P_VALUE:
        return NOT_SHOWN
    return SHORTCUT if num_groups >= MIN_GROUPS else LIKELY


_MEANING = {
    ("label", "file"): "the classes come from different sources or encoders; a model can win "
    "without seeing a collision coming",
    ("label", "position"): "the classes are cut at different times of their files; a model that "
    "knows how long a clip has run can win by that",
    ("label", "first_frame"): "the classes differ in camera or place; a model can win by the "
    "scenery alone",
    ("label", "whole_file"): "never let a model or a loader see these: they leak the label",
    ("split", "file"): "the splits come from different sources or encoders; test scores also "
    "measure that difference",
    ("split", "position"): "the splits are cut at different times of their files",
    ("split", "first_frame"): "the splits differ in cameras or places; test scores also measure "
    "that difference",
    ("split", "whole_file"): "whole files of the splits differ, as they do where test files "
    "end at their cut",
}


def _sentence(target: str, probe: str, names: tuple[str, str], result: Mapping[str, Any]) -> str:
    """Say in plain words what a probe found."""
    ap, chance = result["ap"], result["chance"]
    told = f"From {PROBES[probe].description} alone, {names[0]} can be told from {names[1]}"
    number = f"AP {ap['value']:.2f}"
    if ap["low"] is not None:
        number += f" [{ap['low']:.2f}, {ap['high']:.2f}]"
    evidence = f"permuted labels do as well with p = {result['p_value']:.2f}"
    if ap["low"] is None:
        evidence = f"no interval: {ap['reason']}; {evidence}"
    if result["grade"] == NOT_SHOWN:
        return (
            f"{told} no better than by chance, as far as these data can show: {number} where "
            f"chance is {chance:.2f} ({evidence})."
        )
    is_little = ap["value"] - chance < _LITTLE * (1 - chance)
    return (
        f"{told} with {number} where chance is {chance:.2f}"
        f"{', little but more than chance' if is_little else ''} ({evidence}): "
        f"{_MEANING[target, probe]}."
    )
