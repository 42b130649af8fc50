"""Intervals of average precision: a bootstrap over groups, all resamples at once.

Clips of one group (a source event, a drive) are not independent, so whole groups are drawn with
replacement. A draw gives every group a weight, how often it came up, and weighted AP needs no
copy of any row. One draw serves all horizons, slices and models: their differences are paired.

A resample in which a class is left without weight at some horizon has no AP and is dropped.

Shapes: R resamples, G groups, N examples, P positive examples, K rankings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from collision.errors import MetricError
from collision.metrics.nexar import nexar_map
from collision.metrics.scored import Scored

LEVEL = 0.95
# With fewer groups intervals are too narrow: they would promise what they cannot keep.
MIN_GROUPS = 20
# Resamples nearer to 0 or 1 count as this near: the logit of a perfect ranking is infinite.
LOGIT_MARGIN = 1e-3
# Weights and their sums of one chunk of resamples stay within a processor's cache.
CHUNK_VALUES = 100_000


@dataclass(frozen=True)
class Ranking:
    """Examples in order of falling score, prepared to be weighted again and again.

    Attributes:
        group: ``[N]`` index of each example's group.
        positive: ``[P]`` ranks of the positives.
        negative: ``[N - P]`` ranks of the negatives.
        flagged_to: ``[P]`` last rank with the same score as each positive.
        hits_to: ``[P]`` the last positive, counted among positives, up to that rank.
    """

    group: np.ndarray
    positive: np.ndarray
    negative: np.ndarray
    flagged_to: np.ndarray
    hits_to: np.ndarray

    @classmethod
    def of(cls, labels: np.ndarray, scores: np.ndarray, group: np.ndarray) -> Ranking:
        """Rank ``[N]`` labels and scores; ``group`` indexes the rows of later weights."""
        order = np.argsort(-scores, kind="stable")
        falling = -scores[order]
        positive = np.flatnonzero(labels[order] == 1)
        flagged_to = np.searchsorted(falling, falling[positive], side="right") - 1
        return cls(
            group=group[order],
            positive=positive,
            negative=np.flatnonzero(labels[order] != 1),
            flagged_to=flagged_to,
            hits_to=np.searchsorted(positive, flagged_to, side="right") - 1,
        )

    def average_precision(self, weights: np.ndarray) -> np.ndarray:
        """AP under each column of ``weights [G, R]``: ``[R]``, NaN where a class has no weight."""
        example_weights = weights[self.group]
        flagged = np.cumsum(example_weights, axis=0)[self.flagged_to]
        positive_weights = example_weights[self.positive]
        hits = np.cumsum(positive_weights, axis=0)[self.hits_to]
        precision = np.divide(hits, flagged, out=np.zeros_like(hits), where=flagged > 0)
        positive_total = positive_weights.sum(axis=0)
        defined = (positive_total > 0) & (example_weights[self.negative].sum(axis=0) > 0)
        recalled = np.einsum("pr,pr->r", positive_weights, precision)
        return np.divide(
            recalled, positive_total, out=np.full_like(recalled, np.nan), where=defined
        )


def weighted_average_precision(
    labels: ArrayLike, scores: ArrayLike, weights: ArrayLike
) -> np.ndarray:
    """Average precision of the same examples under many weightings, equal to scikit-learn's.

    Args:
        labels: ``[N]`` of 0 and 1.
        scores: ``[N]``.
        weights: ``[R, N]``, not negative.

    Returns:
        ``[R]``, NaN where the positives or the negatives have no weight.
    """
    labels, scores = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    ranking = Ranking.of(labels, scores, np.arange(labels.size))
    return ranking.average_precision(np.asarray(weights, dtype=np.float64).T)


def resample(
    rankings: Sequence[Ranking], num_groups: int, *, num_resamples: int, seed: int
) -> np.ndarray:
    """AP of every ranking under the same draws of groups: ``[R, K]``, NaN where undefined.

    Raises:
        MetricError: ``num_resamples`` is not positive.
    """
    if num_resamples < 1:
        raise MetricError(
            f"num_resamples is {num_resamples}; an interval needs at least 1, better 10000."
        )
    result = np.full((num_resamples, len(rankings)), np.nan)
    start = 0
    for weights in _group_weights(num_groups, num_resamples, seed):
        rows = slice(start, start + weights.shape[1])
        for column, ranking in enumerate(rankings):
            result[rows, column] = ranking.average_precision(weights)
        start = rows.stop
    return result


def ap_interval(value: float, samples: np.ndarray, num_groups: int) -> dict[str, Any]:
    """A 95 % interval of an AP or a mean of APs as plain data, or the reason why there is none.

    The resamples' standard deviation, taken on the logit scale around ``value``: the form that
    Boyd, Eng and Page (2013) recommend for the area under the precision-recall curve. AP is
    biased upwards in small samples and in resamples of them once more, which percentiles would
    pass on: see docs/metrics.md for the coverage of both.

    Args:
        value: The AP on all examples.
        samples: ``[R]`` the same on the resamples; NaN ones are dropped.
        num_groups: Groups of the smaller class.

    Returns:
        ``value``, ``low`` and ``high``; where an interval would mislead, the latter two are None
        and ``reason`` says why.
    """
    if reason := _too_few(num_groups):
        return {"value": value, "low": None, "high": None, "reason": reason}
    if not LOGIT_MARGIN <= value <= 1 - LOGIT_MARGIN:
        reason = "the ranking is all but perfect (or the reverse); resampling shows no spread"
        return {"value": value, "low": None, "high": None, "reason": reason}
    samples = samples[~np.isnan(samples)]
    spread = np.std(_logit(np.clip(samples, LOGIT_MARGIN, 1 - LOGIT_MARGIN)), ddof=1)
    reach = NormalDist().inv_cdf((1 + LEVEL) / 2) * spread
    centre = _logit(value)
    low, high = (1 / (1 + np.exp(-end)) for end in (centre - reach, centre + reach))
    # min and max: without spread, rounding alone would leave the value outside its interval.
    return {"value": value, "low": min(float(low), value), "high": max(float(high), value)}


def paired_difference(
    first: Scored, second: Scored, *, num_resamples: int = 10_000, seed: int = 0
) -> dict[str, Any]:
    """How much better ``first`` ranks than ``second``: ``nexar_map`` of one minus the other's.

    Both are judged on the same resamples, so what makes a resample easy for both cancels out.

    Returns:
        ``value``, ``low``, ``high``, the two-sided ``p_value`` of no difference, and ``first`` and
        ``second``, their ``nexar_map``. With too few groups ``low``, ``high`` and ``p_value`` are
        None and ``reason`` says why.

    Raises:
        MetricError: The two do not hold the same examples, or AP is not defined.
    """
    second = second.aligned_to(first)
    values = [nexar_map(one.label, one.judged_score, one.horizon) for one in (first, second)]
    names, group = np.unique(first.group, return_inverse=True)
    horizons = np.unique(first.horizon)
    rankings = [
        Ranking.of(one.label[rows], one.judged_score[rows], group[rows])
        for one in (first, second)
        for rows in (first.horizon == horizon for horizon in horizons)
    ]
    samples = resample(rankings, names.size, num_resamples=num_resamples, seed=seed)
    first_map, second_map = samples.reshape(num_resamples, 2, -1).mean(axis=2).T
    difference = first_map - second_map
    smallest = min(
        np.unique(group[(first.horizon == horizon) & (first.label == label)]).size
        for horizon in horizons
        for label in (0, 1)
    )
    result = {"first": values[0], "second": values[1], "value": values[0] - values[1]}
    if reason := _too_few(smallest):
        return {**result, "low": None, "high": None, "p_value": None, "reason": reason}
    difference = difference[~np.isnan(difference)]
    # Both APs carry the same bias, so it is gone from their difference: plain percentiles serve.
    low, high = np.quantile(difference, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return {
        **result,
        "low": float(low),
        "high": float(high),
        "p_value": _two_sided_p(difference),
    }


def _too_few(num_groups: int) -> str | None:
    """Why there is no interval, if a class has too few groups for one."""
    if num_groups >= MIN_GROUPS:
        return None
    groups = "group" if num_groups == 1 else "groups"
    return f"a class has only {num_groups} {groups}; an interval needs {MIN_GROUPS} of each"


def _logit(probability: np.ndarray | float) -> np.ndarray:
    return np.log(probability) - np.log1p(-probability)


def _two_sided_p(difference: np.ndarray) -> float:
    """Share of resamples on the far side of 0, doubled; never 0, for R draws can't tell that."""
    far = min(np.sum(difference <= 0), np.sum(difference >= 0))
    return float(min(1.0, 2 * (far + 1) / (difference.size + 1)))


def _group_weights(num_groups: int, num_resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Draw groups with replacement; yields how often each came up, ``[G, chunk]`` a time."""
    generator = np.random.default_rng(seed)
    chunk = max(1, CHUNK_VALUES // num_groups)
    for start in range(0, num_resamples, chunk):
        size = min(chunk, num_resamples - start)
        drawn = generator.integers(num_groups, size=(num_groups, size))
        cells = (drawn * size + np.arange(size)).ravel()
        counts = np.bincount(cells, minlength=num_groups * size)
        yield counts.reshape(num_groups, size).astype(np.float64)
