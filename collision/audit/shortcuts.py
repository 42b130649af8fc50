"""The shortcut audit: how well label and split can be told without looking at what happens.

Each probe (``collision.audit.probes``) is fitted and scored by cross-validation over groups. Its AP
is held against chance: what the same procedure reaches when the labels of whole groups are
permuted. That lies above the prevalence, for AP of scores that know nothing does in small samples.

Shapes: N examples, G groups, R resamples, P permutations.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from collision.audit.duplicates import crossing, near_duplicates
from collision.audit.facts import Facts, Records, gather_facts
from collision.audit.jobs import Pool, find_jobs
from collision.audit.probes import PROBES, Design, linear_model, probe_scores
from collision.errors import MetricError
from collision.features.digest import VideoDigests
from collision.metrics.bootstrap import Ranking, resample
from collision.metrics.estimate import MIN_GROUPS, estimate
from collision.metrics.nexar import area_under_roc, average_precision
from collision.types import UNLABELLED, Example

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

FOLDS = 5
SHORTCUT, LIKELY, NOT_SHOWN = "shortcut", "likely", "not shown"
# Share of permutations that may do as well. It takes 19 of them to get there.
_MAX_P_VALUE = 0.05
# Less than this share of the way from chance to 1 is called little.
_LITTLE = 0.2


def one_cut_a_video(examples: Iterable[Example]) -> list[Example]:
    """Keep the cut of each video and label whose horizon is nearest to the middle one's."""
    cuts: dict[tuple[str, int], list[Example]] = defaultdict(list)
    for example in examples:
        cuts[example.video, example.label].append(example)
    if not cuts:
        return []
    middle = np.median([e.horizon for own in cuts.values() for e in own])
    return [min(own, key=lambda e: abs(e.horizon - middle)) for own in cuts.values()]


def audit(
    examples: Sequence[Example],
    records: Records,
    facts: Facts,
    *,
    num_permutations: int,
    num_resamples: int,
    seed: int = 0,
) -> dict[str, Any]:
    """Judge every probe on the label and on the split, with the options of ``judge``.

    The examples are one a video and label, cut as the policy cuts its test; those without facts are
    left out. Gives ``{"label", "split"}``: each with ``question`` and ``probes`` (see ``judge``),
    or with a ``reason`` why it cannot be asked.
    """
    examples = [e for e in examples if e.video in facts]
    labelled = [e for e in examples if e.label != UNLABELLED]
    splits = {records[e.video].split for e in examples}
    tested = "test" if "test" in splits else "val"
    is_tested = [int(records[e.video].split == tested) for e in examples]
    questions = {
        "label": (labelled, [e.label for e in labelled], ("positives", "negatives")),
        "split": (examples, is_tested, (f"{tested} videos", "other videos")),
    }
    settings = dict(num_permutations=num_permutations, num_resamples=num_resamples, seed=seed)
    report: dict[str, Any] = {}
    for target, (asked, classes, names) in questions.items():
        labels = np.array(classes)
        groups = np.unique([records[e.video].group for e in asked], return_inverse=True)[1]
        part = report[target] = {
            "question": f"Can {names[0]} be told from {names[1]}?",
            "examples": len(asked),
            "groups": int(groups.max(initial=-1)) + 1,
        }
        if reason := _why_not(labels, groups, names):
            part["reason"] = reason
            continue
        part |= {"prevalence": float(labels.mean()), "probes": {}}
        for name, probe in PROBES.items():
            columns = Design(probe, records, facts).fit(asked).columns(asked)
            result = judge(columns, labels, groups, **settings)
            result["sentence"] = _sentence(target, name, names, result)
            part["probes"][name] = result
    return report


@dataclass(frozen=True)
class FoldAudit:
    """What was found in the data of one training.

    ``scores`` are probabilities of the judged examples ``[E]`` by probe, of a model that was fitted
    on the training examples and sees no more than the probe; empty where none can be fitted.
    ``notes`` are what is odd about the files, by the video's id.
    """

    pairs: list[tuple[str, str]]  # ids of videos in different splits that look the same
    scores: dict[str, Floats]
    notes: dict[str, tuple[str, ...]] = field(default_factory=dict)


def audit_fold(
    records: Records,
    train: Sequence[Example],
    judged: Sequence[Example],
    digests: VideoDigests,
    cache_root: Path,
    pool: Pool,
) -> FoldAudit:
    """Look for copies across splits, and fit the probes on what the head learns from.

    Interrupted: A signal asked to stop.
    """
    videos = list(records.values())
    jobs, _ = find_jobs(videos, digests, pool.progress)
    facts, _ = gather_facts(jobs, cache_root, pool)
    digest_of = {video: job.digest for video, job in jobs.items()}
    pairs = crossing(near_duplicates(videos, facts, digest_of))
    try:
        scores = probe_scores(train, judged, records, facts)
    except MetricError:  # of one class no file could be read whole: no reason not to train
        scores = {}
    notes = {video: one.notes for video, one in facts.items() if one.notes}
    return FoldAudit([(pair.first.id, pair.second.id) for pair in pairs], scores, notes)


def judge(
    columns: Floats,
    labels: Ints,
    groups: Ints,
    *,
    num_permutations: int,
    num_resamples: int,
    seed: int = 0,
) -> dict[str, Any]:
    """Tell how well a linear model of ``[N, columns]`` ranks groups that it has not seen.

    Labels are 0 or 1, groups 0 to G - 1; both classes lie in two groups at least. The seed is that
    of folds, permutations (of labels, behind chance) and resamples (of groups). Gives ``ap``
    (``value``, ``low``, ``high``, ``reason``), ``auc``, ``chance``, ``p_value`` (share of
    permutations that do as well) and ``grade``.
    """
    scores = out_of_fold(columns, labels, groups, seed)
    value = average_precision(labels, scores)
    prevalence = float(labels.mean())
    permutations = label_permutations(labels, groups, num_permutations, seed)
    excesses = np.array(
        [
            average_precision(y, out_of_fold(columns, y, groups, seed)) - y.mean()
            for y in permutations
        ]
    )
    ranking = Ranking.of(labels, scores, groups)
    num_groups = int(groups.max()) + 1
    samples = resample([ranking], num_groups, num_resamples=num_resamples, seed=seed)[:, 0]
    smaller = min(_groups_by_class(labels, groups))
    result = {
        "ap": estimate([value], samples, smaller).as_json(),
        "auc": area_under_roc(labels, scores),
        "chance": prevalence + float(excesses.mean()),
        "p_value": float((np.sum(excesses >= value - prevalence) + 1) / (len(excesses) + 1)),
    }
    return {**result, "grade": _grade(result, smaller)}


def out_of_fold(columns: Floats, labels: Ints, groups: Ints, seed: int) -> Floats:
    """Score each example by a model that has not seen its group: log odds ``[N]``."""
    fold_of = _folds(labels, groups, seed)
    scores = np.zeros(len(labels))
    for fold in range(fold_of.max() + 1):
        train, test = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
        if len(np.unique(labels[train])) == 2:  # else there is nothing to learn, and scores stay 0
            model = linear_model().fit(columns[train], labels[train])
            scores[test] = model.decision_function(columns[test])
    return scores


def _folds(labels: Ints, groups: Ints, seed: int) -> Ints:
    """Put whole groups into folds, those with like shares of positives evenly: folds ``[N]``.

    scikit-learn's StratifiedGroupKFold takes a third of a second for 1,400 groups, and 41
    permutations of 8 questions ask for it.
    """
    sizes = np.bincount(groups)
    share = np.bincount(groups, weights=labels) / sizes
    smaller = min(_groups_by_class(labels, groups))
    order = np.lexsort((np.random.default_rng(seed).permutation(len(sizes)), share))
    fold_of_group = np.empty(len(sizes), dtype=np.int64)
    fold_of_group[order] = np.arange(len(sizes)) % min(FOLDS, smaller)
    return fold_of_group[groups]


def label_permutations(labels: Ints, groups: Ints, count: int, seed: int) -> Iterator[Ints]:
    """Permute the labels group by group: examples of a group stay as alike as they were.

    Each group gets another one's share of positives. Where sizes differ the prevalence moves a
    little, so only the AP's excess over it is compared.
    """
    generator = np.random.default_rng(seed)
    by_group, sizes = np.argsort(groups, kind="stable"), np.bincount(groups)
    members = np.split(by_group, np.cumsum(sizes)[:-1])
    for _ in range(count):
        permuted = np.zeros_like(labels)
        while min(_groups_by_class(permuted, groups)) < 2:
            order = generator.permutation(len(members))
            for rows, source in zip(members, order, strict=True):
                pattern = generator.permutation(labels[members[source]])
                permuted[rows] = generator.permutation(np.resize(pattern, len(rows)))
        yield permuted


def _groups_by_class(labels: Ints, groups: Ints) -> tuple[int, int]:
    return len(np.unique(groups[labels == 1])), len(np.unique(groups[labels == 0]))


def _why_not(labels: Ints, groups: Ints, names: tuple[str, str]) -> str | None:
    """Say why no probe can be fitted and scored, if a class lies in fewer than two groups."""
    for name, count in zip(names, _groups_by_class(labels, groups), strict=True):
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
    ap, chance = result["ap"], result["chance"]
    told = f"From {PROBES[probe].description} alone, {names[0]} can be told from {names[1]}"
    number = f"AP {ap['value']:.2f}"
    evidence = f"permuted labels do as well with p = {result['p_value']:.2f}"
    if ap["low"] is None:
        evidence = f"no interval: {ap['reason']}; {evidence}"
    else:
        number += f" [{ap['low']:.2f}, {ap['high']:.2f}]"
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
