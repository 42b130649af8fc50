"""The head against a logistic regression that learned from the same windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from collision.errors import MetricError
from collision.metrics.comparison import compare
from collision.metrics.estimate import Difference, Estimate, Plain
from collision.metrics.scored import NEGATIVES_FROM, Scored


@dataclass(frozen=True)
class Against(Plain):
    """mAP of the baseline and of the head's seeds, and the head's minus the baseline's, paired."""

    baseline: Estimate
    head: Estimate
    difference: Difference


@dataclass(frozen=True)
class Baseline:
    """What a baseline gives on the judged split.

    Attributes:
        scored: Its scores.
        against: On all examples; None where a horizon has one class.
        within: Likewise, where negatives were cut from crash videos, of those alone: one camera on
            both sides.
    """

    scored: Scored
    against: Against | None
    within: Against | None = None

    @property
    def parts(self) -> list[tuple[str, Against]]:
        """What is known, with what of the examples it is about: all, or those within clips."""
        found = {"": self.against, ", within clips": self.within}
        return [(name, one) for name, one in found.items() if one]

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        parts = {"head": "logistic", **(self.against.as_json() if self.against else {})}
        return parts | ({"within_crash_videos": self.within.as_json()} if self.within else {})


def against_baseline(scored: Scored, heads: Sequence[Scored], num_resamples: int) -> Baseline:
    """Set the scores of the head's seeds against the baseline's, example by example."""
    kinds = scored.tags.get(NEGATIVES_FROM)
    within = None
    if kinds is not None and len(set(kinds.tolist()) - {""}) > 1:
        rows = np.flatnonzero(kinds != "normal videos")
        own = [head.aligned_to(scored).take(rows) for head in heads]
        within = _compared(scored.take(rows), own, num_resamples)
    return Baseline(scored, _compared(scored, heads, num_resamples), within)


def _compared(scored: Scored, heads: Sequence[Scored], num_resamples: int) -> Against | None:
    runs: Mapping[str, Sequence[Scored]] = {"baseline": [scored], "head": heads}
    try:
        compared = compare(runs, num_resamples=num_resamples)
    except MetricError:  # a horizon with one class has its own warning
        return None
    return Against(compared.runs["baseline"], compared.runs["head"], compared.differences["head"])
