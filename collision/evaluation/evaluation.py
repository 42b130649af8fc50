"""The scores of a run's seeds, the numbers that they give, and what the guards say of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from collision.audit.probes import PROBES
from collision.audit.shortcuts import FoldAudit
from collision.errors import MetricError
from collision.evaluation import guards
from collision.evaluation.baseline import Baseline, against_baseline
from collision.evaluation.distances import Distances, distances_of
from collision.evaluation.guards import Finding
from collision.evaluation.numbers import Numbers, judge, judge_curves, oracle_of
from collision.evaluation.scores import (
    concatenated,
    curves_of,
    probability_of_videos,
    scored_examples,
)
from collision.experiment import Experiment
from collision.learning.fitted import FittedHead
from collision.learning.predictor import BASELINE, Origin
from collision.learning.scoring import probabilities
from collision.metrics.comparison import compare
from collision.metrics.curves import Curve, curves_to_csv
from collision.metrics.scored import Scored
from collision.metrics.summary import beside_chance
from collision.metrics.threshold import Threshold
from collision.sampling.index import DENSE
from collision.types import UNLABELLED, Dataset


@dataclass
class SeedScores:
    """The scores of one seed; those of all folds are put together."""

    best: Scored  # of the weights that validation chose
    last: Scored | None  # of the last step, where others were selected
    curves: list[Curve]  # along whole videos, where the policy asks for them


@dataclass
class Evaluation:
    """What one data set says of some heads, by seed; where its labels are secret, no numbers.

    ``videos`` are the highest probability of each by seed, for the owners' own judging.
    """

    experiment: Experiment
    split: str
    heads: Mapping[int, Sequence[FittedHead]]  # one for each fold
    scores: dict[int, SeedScores] = field(default_factory=dict)
    videos: list[dict[str, float]] = field(default_factory=list)
    numbers: Numbers | None = None
    findings: list[Finding] = field(default_factory=list)
    baseline: Baseline | None = None
    distances: Distances | None = None  # from the training's videos; None where not known

    @property
    def name(self) -> str:
        """Of the data set."""
        return self.experiment.dataset.name

    def __str__(self) -> str:
        """AP by horizon beside chance, and what the guards found, a line each."""
        title = f"{self.name}, split {self.split}"
        if self.numbers is None:
            return f"{title}: the labels are secret, so nothing is judged"
        lines = [f"{title}: average precision by seconds before the event"]
        summary = self.numbers.summary
        lines += [
            f"  {key}: {beside_chance(ap, summary.chance[key])}" for key, ap in summary.ap.items()
        ]
        return "\n".join([*lines, *(f"warning: {finding.message}" for finding in self.findings)])

    @property
    def dropped(self) -> dict[str, int]:
        """Examples that have no window at all, by split."""
        dropped: Counter[str] = Counter()
        for fold in self.experiment.folds:
            dropped.update({split: len(data.dropped) for split, data in fold.data.items()})
        return dict(+dropped)

    @property
    def origins(self) -> list[Origin]:
        """What each head's predictor says of its training."""
        return [head.predictor.origin for heads in self.heads.values() for head in heads]

    @property
    def thresholds(self) -> list[Threshold]:
        """The threshold of each seed's head; of folds by video, since each has its own."""
        found: list[Threshold] = []
        for heads in self.heads.values():
            known = [one.threshold for head in heads if (one := head.predictor.threshold)]
            if len(heads) == 1:
                found += known
            elif len(known) == len(heads):
                found.append(
                    {
                        record.id: own
                        for fold, own in zip(self.experiment.folds, known, strict=True)
                        for record in fold.index.records.values()
                        if record.split == self.split
                    }
                )
        return found

    def as_json(self) -> dict[str, Any]:
        """Give everything that ``metrics.json`` says of this data set."""
        return {
            **self.experiment.facts(),
            "split": self.split,
            "trained_on": self.origins[0].dataset,
            "selected_on": self.origins[0].selected_on,
            "seeds": list(self.heads),
            "dropped": self.dropped,
            "missing": self.experiment.missing.as_json(),
            **(self.numbers.as_json() if self.numbers else {}),
            **({"baseline": self.baseline.as_json()} if self.baseline else {}),
            "distances": self.distances.as_json() if self.distances else None,
            "warnings": [finding.as_json() for finding in self.findings],
        }

    def write_scores(self, folder: Path, name: str = "") -> None:
        """Write ``predictions_<name>_seed<n>.csv`` and, where there are some, curves beside it.

        And ``distances_<name>.csv``: how far each video is from those of the training.
        """
        middle = f"_{name}" if name else ""
        if self.distances:
            self.distances.to_csv(folder / f"distances{middle}.csv")
        for seed, scores in self.scores.items():
            scores.best.to_csv(folder / f"predictions{middle}_seed{seed}.csv")
            if scores.curves:
                curves_to_csv(scores.curves, folder / f"curves{middle}_seed{seed}.csv")
        if self.baseline:
            self.baseline.scored.to_csv(folder / f"baseline{middle}.csv")


@dataclass(frozen=True)
class Judging:
    """How scores are judged; ``slices`` of None are all tags with a few values."""

    device: torch.device
    num_resamples: int = 10_000
    slices: Sequence[str] | None = None


def evaluate_heads(
    experiment: Experiment,
    heads: Mapping[int, Sequence[FittedHead]],
    split: str,
    judging: Judging,
    audits: Sequence[FoldAudit] = (),
    baselines: Sequence[FittedHead] = (),
) -> Evaluation:
    """Score heads on a split, judge the scores, and let every guard look at the numbers.

    The experiment's features are loaded. Heads are by seed, one for each fold; so are audits, where
    copies and shortcuts were looked for, and baselines, where there are some.
    """
    result = Evaluation(experiment, split, heads)
    for seed, of_seed in heads.items():
        result.videos.append(_video_scores(experiment, of_seed, split, judging.device))
        if any(record.label != UNLABELLED for record in experiment.records.values()):
            result.scores[seed] = _score(experiment, of_seed, split, judging.device)
    if result.scores:
        result.numbers = _numbers(result, judging)
        if baselines:
            scored = _score(experiment, baselines, split, judging.device).best
            own = [scores.best for scores in result.scores.values()]
            is_start = all(_starts_from_baseline(head) for row in heads.values() for head in row)
            result.baseline = against_baseline(
                scored, own, judging.num_resamples, is_start=is_start
            )
    # What the training's videos look like does not hang on the seed.
    result.distances = distances_of(experiment.folds, next(iter(heads.values())), split)
    result.findings = _guard(result, judging, audits)
    return result


def _starts_from_baseline(head: FittedHead) -> bool:
    prior = head.predictor.parts.get("prior")
    return prior is not None and prior.name == BASELINE


def _score(
    experiment: Experiment, heads: Sequence[FittedHead], split: str, device: torch.device
) -> SeedScores:
    best, last = [], []
    curves: list[Curve] = []
    is_selected = any(head.best_step != head.last_step for head in heads)
    for fold, head in zip(experiment.folds, heads, strict=True):
        data, policy = fold.data[split], experiment.policy
        scores = head.predictor.probabilities(data, device)
        best.append(scored_examples(data, scores, fold.index, split, policy))
        if head.last is not None and is_selected:
            scores = probabilities(head.last, data, device).numpy()
            last.append(scored_examples(data, scores, fold.index, split, policy))
        if dense := fold.data.get(DENSE):
            scores = head.predictor.probabilities(dense, device)
            curves += curves_of(dense, scores, fold.index, split)
    return SeedScores(concatenated(best), concatenated(last) if last else None, curves)


def _video_scores(
    experiment: Experiment, heads: Sequence[FittedHead], split: str, device: torch.device
) -> dict[str, float]:
    """Give the highest probability of each video of the test split, whatever split is judged."""
    highest: dict[str, float] = {}
    for fold, head in zip(experiment.folds, heads, strict=True):
        data = fold.data.get("test", fold.data[split])
        highest |= probability_of_videos(data, head.predictor.probabilities(data, device))
    return highest


def _numbers(evaluation: Evaluation, judging: Judging) -> Numbers:
    experiment = evaluation.experiment
    seeds = list(evaluation.scores.values())
    thresholds = evaluation.thresholds
    policy = experiment.policy
    is_cut_like_oracle = evaluation.split == "test" and policy.within is None
    is_whole = len(experiment.folds) == 1 and experiment.selection.limit is None
    with_oracle = is_cut_like_oracle and is_whole and not policy.whole_clip
    numbers = judge(
        [scores.best for scores in seeds],
        [scores.last for scores in seeds if scores.last is not None],
        oracle=oracle_of(experiment.dataset) if with_oracle else None,
        thresholds=thresholds,
        slices=judging.slices,
        num_resamples=judging.num_resamples,
    )
    curves = [scores.curves for scores in seeds if scores.curves]
    along = judge_curves(curves, thresholds, judging.num_resamples) if curves else None
    temperatures = [one.temperature for one in evaluation.origins if one.temperature]
    numbers = replace(numbers, anticipation=along, temperatures=temperatures)
    return _told_of(experiment.dataset, numbers)


def _told_of(dataset: Dataset, numbers: Numbers) -> Numbers:
    """Add what a data set says of its positives, where their tags do not."""
    if not getattr(dataset, "has_near_collisions", False):
        return numbers
    return replace(numbers, warned=[replace(one, near_collisions=True) for one in numbers.warned])


def _guard(evaluation: Evaluation, judging: Judging, audits: Sequence[FoldAudit]) -> list[Finding]:
    experiment, split = evaluation.experiment, evaluation.split
    has_test = any(record.split == "test" for record in experiment.records.values())
    is_secret = split == experiment.judged_split == "val" and has_test
    shared = {g: s for fold in experiment.folds for g, s in fold.index.shared_groups.items()}
    findings = [
        guards.leaking_policy(experiment.policy),
        guards.judged_on(split, is_secret),
        guards.groups_in_several_splits(shared),
        _learned_from_judged(evaluation),
        guards.odd_times(experiment.missing.units),
        guards.unknown_groups(getattr(experiment.dataset, "unknown_groups", "")),
        guards.unlike_training(evaluation.distances),
        guards.painted_meets_footage(
            all(origin.is_painted for origin in evaluation.origins),
            getattr(experiment.dataset, "is_painted", False),
        ),
    ]
    numbers = evaluation.numbers
    if numbers is None:
        return guards.found(findings)
    origins = evaluation.origins
    own_digests = {
        experiment.data_digest(whole=whole) for whole in {False, _knows_whole(evaluation)}
    }
    is_own = all(origin.data_digest in own_digests for origin in origins)
    known = [one.value for one in origins if one.value is not None] if is_own else []
    validation = float(np.mean(known)) if known else None
    summary, calibration = numbers.summary, numbers.calibration
    pairs = list(dict.fromkeys(pair for audit in audits for pair in audit.pairs))
    findings += [
        guards.missing_classes(summary.counts),
        guards.unscored_classes(summary.counts),
        guards.validation_too_good(validation, summary.ap["mean"]),
        guards.worse_than_base_rate(calibration),
        guards.no_better_than_chance(numbers.auc["mean"], summary.counts, summary.headline),
        guards.near_duplicates_across_splits(pairs),
        _best_shortcut(evaluation, judging, audits),
        guards.no_better_than_baseline(
            evaluation.baseline.against if evaluation.baseline else None
        ),
    ]
    return guards.found(findings)


def _knows_whole(evaluation: Evaluation) -> bool:
    """Whether any head was trained by an earlier version, and knows digests of whole files."""
    return any(head.predictor.knows_whole for heads in evaluation.heads.values() for head in heads)


def _learned_from_judged(evaluation: Evaluation) -> Finding | None:
    """Count the judged videos that a predictor has learned from; of several seeds the most."""
    experiment = evaluation.experiment
    digest_of, split = experiment.digests(), evaluation.split
    whole_of = experiment.digests(whole=True) if _knows_whole(evaluation) else {}
    judged = [
        [record for record in fold.index.records.values() if record.split == split]
        for fold in experiment.folds
    ]
    seen: Counter[str] = Counter()
    for heads in evaluation.heads.values():
        of_seed: Counter[str] = Counter()
        for records, head in zip(judged, heads, strict=True):
            is_same_set = head.predictor.origin.dataset == evaluation.name
            groups = [record.group for record in records] if is_same_set else []
            contents = ([found.get(r.id, "") for r in records] for found in (digest_of, whole_of))
            of_seed.update(head.predictor.seen(groups, *contents))
        seen |= of_seed
    return guards.learned_from_judged(seen, sum(map(len, judged)))


def _best_shortcut(
    evaluation: Evaluation, judging: Judging, audits: Sequence[FoldAudit]
) -> Finding | None:
    """Of several shortcuts that are as good as the head, the best is enough."""
    probes = list(audits[0].scores) if audits and all(audit.scores for audit in audits) else []
    policy, split = evaluation.experiment.policy, evaluation.split
    if policy.within is not None:  # the far cut always comes earlier: no fault of the data
        probes = [probe for probe in probes if probe != "position"]
    findings, heads = [], [scores.best for scores in evaluation.scores.values()]
    for probe in probes:
        scored = [
            scored_examples(fold.data[split], audit.scores[probe], fold.index, split, policy)
            for fold, audit in zip(evaluation.experiment.folds, audits, strict=True)
        ]
        runs = {"probe": [concatenated(scored)], "head": heads}
        try:
            against = compare(runs, num_resamples=judging.num_resamples).differences["head"]
        except MetricError:  # a horizon with one class has its own warning
            continue
        findings.append(guards.no_better_than_shortcut(PROBES[probe].description, against))
    return max(guards.found(findings), key=lambda one: one.numbers["second"], default=None)
