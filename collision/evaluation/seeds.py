"""The scores of a run's seeds, the numbers that they give, and what the guards say of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from collision.audit.jobs import Pool
from collision.audit.probes import PROBES
from collision.audit.run_audit import ShareAudit, audit_share
from collision.errors import MetricError
from collision.evaluation import guards
from collision.evaluation.guards import Finding
from collision.evaluation.numbers import judge, judge_curves
from collision.evaluation.scores import (
    concatenated,
    curves_of,
    probability_of_videos,
    scored_examples,
)
from collision.experiment import Share, judged_split
from collision.features.digest import VideoDigests
from collision.learning.fit import MONITOR, TrainedHead
from collision.learning.predictor import Predictor
from collision.learning.task import probabilities
from collision.metrics.comparison import compare
from collision.metrics.curves import Curve
from collision.metrics.scored import Scored
from collision.sampling.index import DENSE
from collision.sampling.policy import SamplingPolicy


@dataclass
class Judged:
    """The scores of all seeds, as they come.

    Attributes:
        split: That is judged.
        best: By seed, of the epoch that validation chose; all folds in one table.
        last: By seed, of the last epoch.
        curves: By seed, scores along whole videos, where the policy asks for them.
        thresholds: By seed, chosen on validation; the mean over folds.
        temperatures: Of every head, fitted on validation.
        epochs: By seed and fold: best and last epoch, counted from 0, and the validation mAP.
        submission: Probabilities of all test examples by seed, video by video.
    """

    split: str
    best: dict[int, Scored] = field(default_factory=dict)
    last: dict[int, Scored] = field(default_factory=dict)
    curves: dict[int, list[Curve]] = field(default_factory=dict)
    thresholds: dict[int, float] = field(default_factory=dict)
    temperatures: list[dict[str, Any]] = field(default_factory=list)
    epochs: dict[str, dict[str, Any]] = field(default_factory=dict)
    submission: list[dict[str, float]] = field(default_factory=list)

    def add(
        self,
        seed: int,
        shares: Sequence[Share],
        heads: Sequence[tuple[TrainedHead, Predictor]],
        policy: SamplingPolicy,
        device: torch.device,
    ) -> None:
        """Score a seed's heads, one a share."""
        best, last, curves = [], [], []
        submission: dict[str, float] = {}
        for share, (trained, predictor) in zip(shares, heads, strict=True):
            data, index = share.data[self.split], share.index
            scores = predictor.probabilities(data, device)
            best.append(scored_examples(data, scores, index, self.split, policy))
            scores = probabilities(trained.last, data, device).numpy()
            last.append(scored_examples(data, scores, index, self.split, policy))
            if DENSE in share.data and len(share.data[DENSE]):
                scores = predictor.probabilities(share.data[DENSE], device)
                curves += curves_of(share.data[DENSE], scores, index, self.split)
            test = share.data["test"]
            submission |= probability_of_videos(test, predictor.probabilities(test, device))
            self.epochs[" ".join(filter(None, (str(seed), share.name)))] = {
                "best_epoch": trained.best_epoch,
                "last_epoch": trained.last_epoch,
                MONITOR: trained.best_value,
            }
        self.best[seed], self.last[seed] = concatenated(best), concatenated(last)
        if curves:
            self.curves[seed] = curves
        self.temperatures += [predictor.origin["temperature"] for _, predictor in heads]
        thresholds = [predictor.threshold for _, predictor in heads]
        self.thresholds[seed] = float(np.mean([t["threshold"] for t in thresholds if t]))
        self.submission.append(submission)

    def numbers(self, oracle: Mapping[str, Any] | None, num_resamples: int) -> dict[str, Any]:
        """Give all metrics as plain data."""
        thresholds = list(self.thresholds.values())
        summary = judge(
            list(self.best.values()),
            list(self.last.values()),
            oracle,
            num_resamples,
            thresholds=thresholds,
        )
        if self.curves:
            curves = list(self.curves.values())
            summary["anticipation"] = judge_curves(curves, thresholds, num_resamples)
        return {**summary, "temperatures": self.temperatures, "epochs": self.epochs}


def audit_shares(
    shares: Sequence[Share], digests: VideoDigests, cache_root: Path, pool: Pool
) -> list[ShareAudit]:
    """Look for copies and shortcuts in what each share learns from and is judged on.

    Raises:
        Interrupted: A signal asked to stop.
    """
    return [
        audit_share(
            share.index.records.values(),
            share.data["train"].examples,
            share.data[judged_split(share.index.records.values())].examples,
            digests,
            cache_root,
            pool,
        )
        for share in shares
    ]


def guard(
    metrics: Mapping[str, Any],
    judged: Judged,
    shares: Sequence[Share],
    policy: SamplingPolicy,
    audited: Sequence[ShareAudit] | None,
    num_resamples: int,
) -> list[Finding]:
    """Let every guard look at a run's numbers."""
    validation = float(np.mean([epochs[MONITOR] for epochs in judged.epochs.values()]))
    shared = {group: splits for s in shares for group, splits in s.index.shared_groups.items()}
    findings = [
        guards.leaking_policy(policy),
        guards.missing_classes(metrics["counts"]),
        guards.validation_too_good(validation, metrics["ap"]["mean"]),
        guards.groups_in_several_splits(shared),
    ]
    if metrics["folds"] is not None and metrics["init_from_dataset"] == metrics["dataset"]:
        findings.append(guards.started_on_tested_videos(metrics["dataset"]))
    if judged.split == "val":
        findings.append(guards.judged_on_validation("The test split's labels are secret"))
    pairs = dict.fromkeys(pair for audit in audited or () for pair in audit.pairs)
    findings.append(guards.near_duplicates_across_splits(list(pairs)))
    probes = list(audited[0].scores) if audited and all(a.scores for a in audited) else []
    if policy.within is not None:  # the far cut always comes earlier: no fault of the data
        probes = [probe for probe in probes if probe != "position"]
    shortcuts = guards.found(
        against_probe(
            probe,
            concatenated(
                [
                    scored_examples(
                        s.data[judged.split], audit.scores[probe], s.index, judged.split, policy
                    )
                    for s, audit in zip(shares, audited or (), strict=True)
                ]
            ),
            judged.best,
            num_resamples,
        )
        for probe in probes
    )
    # Of several shortcuts that are as good as the head, the best is enough.
    findings += sorted(shortcuts, key=lambda finding: finding.numbers["second"])[-1:]
    return guards.found(findings)


def against_probe(
    probe: str, scored: Scored, best: Mapping[int, Scored], num_resamples: int
) -> Finding | None:
    """Compare the head, mean over its seeds, with a probe on the same examples."""
    try:
        compared = compare(
            {"probe": [scored], "head": list(best.values())}, num_resamples=num_resamples
        )
    except MetricError:  # a horizon with one class has its own warning
        return None
    values = {
        "first": compared["runs"]["head"]["value"],
        "second": compared["runs"]["probe"]["value"],
    }
    difference = values | compared["differences"]["head"]
    return guards.no_better_than_shortcut(PROBES[probe].seen, difference)
