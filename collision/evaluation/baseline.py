"""The head against a logistic regression that learned from the same windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import logit

from collision.errors import MetricError
from collision.metrics.comparison import compare
from collision.metrics.estimate import Difference, Estimate, Plain
from collision.metrics.scored import NEGATIVES_FROM, Scored

_EDGE = 1e-7  # probabilities are kept so far from 0 and 1


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
        added: Where heads start from its logits: which share of the variance of theirs is not its
            own, mean over seeds; None: they start elsewhere.
    """

    scored: Scored
    against: Against | None
    within: Against | None = None
    added: float | None = None

    @property
    def parts(self) -> list[tuple[str, Against]]:
        """What is known, with what of the examples it is about: all, or those within clips."""
        found = {"": self.against, ", within clips": self.within}
        return [(name, one) for name, one in found.items() if one]

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        parts = {"head": "logistic", **(self.against.as_json() if self.against else {})}
        parts |= {"within_crash_videos": self.within.as_json()} if self.within else {}
        return parts | ({} if self.added is None else {"added_variance": self.added})


def against_baseline(
    scored: Scored, heads: Sequence[Scored], num_resamples: int, *, is_start: bool = False
) -> Baseline:
    """Set the scores of the head's seeds against the baseline's, example by example.

    ``is_start`` says that the heads start from the baseline's logits.
    """
    kinds = scored.tags.get(NEGATIVES_FROM)
    within = None
    if kinds is not None and len(set(kinds.tolist()) - {""}) > 1:
        rows = np.flatnonzero(kinds != "normal videos")
        own = [head.aligned_to(scored).take(rows) for head in heads]
        within = _compared(scored.take(rows), own, num_resamples)
    added = added_variance(scored, heads) if is_start else None
    return Baseline(scored, _compared(scored, heads, num_resamples), within, added)


def added_variance(start: Scored, heads: Sequence[Scored]) -> float | None:
    """Give which share of the variance of the heads' log-odds that of ``start`` does not explain.

    0: a head is its start but for scale and offset, which change no ranking. Mean over heads; None
    where log-odds are all the same.
    """
    shares = []
    for head in heads:
        other = head.aligned_to(start)
        rows = ~(start.missing | other.missing)
        odds = [logit(one.score[rows].clip(_EDGE, 1 - _EDGE)) for one in (start, other)]
        if not rows.any() or min(float(np.ptp(one)) for one in odds) == 0:
            return None
        shares.append(1 - float(np.corrcoef(*odds)[0, 1]) ** 2)
    return float(np.mean(shares)) if shares else None


def _compared(scored: Scored, heads: Sequence[Scored], num_resamples: int) -> Against | None:
    runs: Mapping[str, Sequence[Scored]] = {"baseline": [scored], "head": heads}
    try:
        compared = compare(runs, num_resamples=num_resamples)
    except MetricError:  # a horizon with one class has its own warning
        return None
    return Against(compared.runs["baseline"], compared.runs["head"], compared.differences["head"])
