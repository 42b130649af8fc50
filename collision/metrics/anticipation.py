"""The anticipation literature's numbers: ``anticipation_ap``, mTTA and TTA@R80.

They follow the evaluation code that was published with UString (Bao, Yu and Kong, 2020) and DSTA
(Karim et al., 2022). A video alarms at a threshold if one of its scores reaches it (``>=``): of a
positive, one before the accident (strictly); of a negative, any. Its time to accident (TTA) is the
time from the first such score to the accident. Thresholds go in steps of .001 from the lowest
score up to 1, which is left out. At each threshold precision and recall count videos, and TTA is
averaged over the positives that alarm. Thresholds of the same recall become one point, with the
best precision and the longest TTA among them. Then

- ``anticipation_ap`` is the area under these points: trapezoids, and a rectangle before the first.
  It is not ``average_precision``, which has steps, no grid, and no best of several thresholds.
- ``mtta`` is the plain mean of the points' TTA.
- ``tta_at_r80`` is the TTA of the point whose recall is nearest .8.

docs/metrics.md says where the published code does something else on purpose or by accident.

A model that always alarms has the longest TTA there is, so none of these times means anything
beside an AP near chance; ``always_on_mtta`` stands beside them, and ``mtta_at_false_alarm_rate``
allows only few false alarms.

All functions take the curves of one or several seeds of one recipe, on the same videos. A positive
without a score never alarms. A negative without one is left out and counted, since one that never
alarms would be a perfect negative; the scored ones stand for it.

Shapes: N videos, T moments, K thresholds, G groups, R resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from collision.errors import MetricError
from collision.metrics.bootstrap import group_weights
from collision.metrics.curves import Curve, check_curves
from collision.metrics.estimate import Bootstrap, Estimate, Plain, estimate
from collision.metrics.scored import Counts
from collision.metrics.threshold import midway

STEP = 0.001  # between thresholds
RECALL = 0.8  # at which a single time to accident is given


@dataclass(frozen=True)
class _Alarms:
    """What each threshold does, lowest first, summed over the videos of each group.

    Hits are positives that alarm, leads the sum of their times to accident, alarms all videos.
    """

    thresholds: np.ndarray  # [K]
    hits: np.ndarray  # [K, G]
    alarms: np.ndarray  # [K, G]
    leads: np.ndarray  # [K, G]
    positives: np.ndarray  # [G]
    negatives: np.ndarray  # [G]


@dataclass(frozen=True)
class TimeAtRecall(Estimate):
    """A time to accident, with the mean over seeds of the recall that was nearest."""

    recall: float | None = None


@dataclass(frozen=True)
class Anticipation(Plain):
    """The literature's numbers, times in seconds; always on is a model that always alarms."""

    counts: Counts
    always_on_mtta: float | None
    anticipation_ap: Estimate
    mtta: Estimate
    tta_at_r80: TimeAtRecall
    bootstrap: Bootstrap


@dataclass(frozen=True)
class Point(Plain):
    """A threshold (None: so high that nothing alarms) and the false-alarm rate that it has."""

    threshold: float | None
    false_alarm_rate: float | None


@dataclass(frozen=True)
class AtFalseAlarmRate(Plain):
    """How early positives alarm where at most a share (``rate``) of negatives does.

    In ``mtta_all`` a positive that never alarms has a time to accident of 0 s; ``mtta_detected`` is
    the mean over those that do. ``points`` are of each seed.
    """

    counts: Counts
    rate: float
    mtta_all: Estimate
    mtta_detected: Estimate
    recall: Estimate
    points: list[Point]
    bootstrap: Bootstrap


def anticipation_ap(
    *curves_by_seed: Sequence[Curve], num_resamples: int = 10_000, seed: int = 0
) -> Anticipation:
    """AP, mTTA and TTA@R80 by the literature's definition.

    MetricError: no curves, a video twice, or seeds of different videos.
    """
    seeds, counts, weight = _judged(curves_by_seed)
    bootstrap = Bootstrap(num_resamples, seed)
    tables = [_tabulate(curves, _grid(curves), weight) for curves in seeds]
    values, samples = _resampled(tables, _points, bootstrap)
    ap = _estimate(values[0], samples[0], counts)
    mtta, at_r80 = (_estimate(values[row], samples[row], counts, scale="linear") for row in (1, 2))
    recall = None if np.isnan(values[3]).any() else float(values[3].mean())
    tta_at_r80 = TimeAtRecall(**asdict(at_r80), recall=recall)
    leads = [c.leads[0] for c in seeds[0] if c.label and c.before_event().times.size]
    always_on = float(np.mean(leads)) if leads else None
    return Anticipation(counts, always_on, ap, mtta, tta_at_r80, bootstrap)


def mtta_at_false_alarm_rate(
    *curves_by_seed: Sequence[Curve], rate: float = 0.1, num_resamples: int = 10_000, seed: int = 0
) -> AtFalseAlarmRate:
    """How early positives alarm, at the lowest threshold that few negatives (``rate``) reach.

    The threshold is found on these very curves, and anew in each resample: this compares models at
    one false-alarm rate. It is not a threshold to use; that one comes from validation.

    Raises:
        MetricError: ``rate`` is no share, or as for ``anticipation_ap``.
    """
    if not 0 <= rate <= 1:
        raise MetricError(f"rate is {rate}: give the share of negatives that may alarm, 0 to 1.")
    seeds, counts, weight = _judged(curves_by_seed)
    bootstrap = Bootstrap(num_resamples, seed)
    tables = [_tabulate(curves, _just_above_negatives(curves), weight) for curves in seeds]
    values, samples = _resampled(tables, partial(_at_false_alarm_rate, rate=rate), bootstrap)
    mtta_all, mtta_detected, recall = (
        _estimate(values[row], samples[row], counts, scale="linear", maximum=maximum)
        for row, maximum in enumerate((np.inf, np.inf, 1.0))
    )
    pairs = values[[4, 3]].T
    points = [Point(*(float(v) if np.isfinite(v) else None for v in pair)) for pair in pairs]
    return AtFalseAlarmRate(counts, rate, mtta_all, mtta_detected, recall, points, bootstrap)


def _judged(curves_by_seed: Sequence[Sequence[Curve]]) -> tuple[list[list[Curve]], Counts, float]:
    """All curves but negatives that lack a seed's scores, in one order; counts; weight of these."""
    seeds = _align(curves_by_seed)
    missing = np.array([[not c.before_event().times.size for c in curves] for curves in seeds])
    label, group = (np.array([getattr(c, name) for c in seeds[0]]) for name in ("label", "group"))
    ranked = (label == 1) | ~missing.any(axis=0)
    counts = Counts.of(label, group, missing, np.ones_like(ranked), ranked)
    weight = counts.negative / max(1, int((ranked & (label == 0)).sum()))
    kept = np.flatnonzero(ranked | ~ranked.any())  # all, where nothing can be judged anyway
    return [[curves[n] for n in kept] for curves in seeds], counts, weight


def _align(curves_by_seed: Sequence[Sequence[Curve]]) -> list[list[Curve]]:
    if not curves_by_seed or not curves_by_seed[0]:
        raise MetricError("There are no curves to judge. Score at least one video of each class.")
    for curves in curves_by_seed:
        check_curves(curves)
    facts = [{c.video: (c.group, c.label, c.event_time) for c in one} for one in curves_by_seed]
    if any(one != facts[0] for one in facts):
        raise MetricError(
            "The seeds were not scored on the same videos, or these have different groups, "
            "labels or event times. Pass seeds of one run on one data set."
        )
    by_video = [{curve.video: curve for curve in curves} for curves in curves_by_seed]
    return [[own[video] for video in facts[0]] for own in by_video]


def _grid(curves: Sequence[Curve]) -> np.ndarray:
    """``[K]`` the literature's thresholds: from the lowest score on, 1 left out."""
    counted = [curve.before_event().scores for curve in curves]
    lowest = min((scores.min() for scores in counted if scores.size), default=0.0)
    # A model whose every score is 1 has no such threshold; it is judged at 1.
    return np.append(np.arange(lowest, 1.0, STEP), lowest if lowest >= 1 else [])


def _just_above_negatives(curves: Sequence[Curve]) -> np.ndarray:
    """``[K]`` for each count of negatives that alarm, the lowest threshold that has it.

    No negative reaches the last one; where a negative has the highest score it is infinite.
    """
    counted = [curve.before_event() for curve in curves]
    scores = np.unique(np.concatenate([curve.scores for curve in counted]))
    if not scores.size:
        return np.array([np.inf])
    highest = np.unique([c.scores.max() for c in counted if c.label == 0 and c.scores.size])
    above = np.append(scores, np.inf)[np.searchsorted(scores, highest, side="right")]
    return np.concatenate([scores[:1], midway(highest, above)])


def _tabulate(curves: Sequence[Curve], thresholds: np.ndarray, negative_weight: float) -> _Alarms:
    """Count alarms by threshold and group; of neighbours that do the same one is kept."""
    names, group = np.unique([curve.group for curve in curves], return_inverse=True)
    hits, alarms, leads = (np.zeros((thresholds.size, names.size)) for _ in range(3))
    for column, curve in zip(group, curves, strict=True):
        counted = curve.before_event()
        # The first score that reaches a threshold is where the running maximum reaches it.
        first = np.searchsorted(np.maximum.accumulate(counted.scores), thresholds, side="left")
        reached = first < counted.scores.size
        alarms[reached, column] += 1 if curve.label else negative_weight
        if curve.label:
            hits[reached, column] += 1
            leads[reached, column] += counted.leads[first[reached]]
    changed = np.ones(thresholds.size, dtype=bool)
    changed[1:] = ((np.diff(alarms, axis=0) != 0) | (np.diff(leads, axis=0) != 0)).any(axis=1)
    labels = np.array([curve.label for curve in curves])
    return _Alarms(
        thresholds[changed],
        hits[changed],
        alarms[changed],
        leads[changed],
        positives=np.bincount(group[labels == 1], minlength=names.size).astype(float),
        negatives=np.bincount(group[labels == 0], minlength=names.size) * negative_weight,
    )


def _points(table: _Alarms, weights: np.ndarray) -> np.ndarray:
    """AP, mTTA, TTA@R80 and its recall under ``weights [G, R]``: ``[4, R]``, NaN if undefined."""
    # Highest threshold first, so that recall rises from row to row.
    counted = (table.hits, table.alarms, table.leads)
    hits, alarms, leads = (values[::-1] @ weights for values in counted)
    positives, negatives = table.positives @ weights, table.negatives @ weights
    precision, tta = _ratio(hits, alarms, 0.0), _ratio(leads, hits, 0.0)
    recall = _ratio(hits, np.broadcast_to(positives, hits.shape), 0.0)
    # A point is a run of rows of one recall. Its best precision is that of its first row (the
    # fewest alarms), its longest time that of its last (the earliest ones).
    hits_before = np.pad(hits, ((1, 0), (0, 0)))[:-1]
    begins = hits > hits_before
    ends = (hits > 0) & np.pad(begins, ((0, 1), (0, 0)), constant_values=True)[1:]
    row_of_begin = np.maximum.accumulate(begins * np.arange(len(hits))[:, None], axis=0)
    best = np.take_along_axis(precision, row_of_begin, axis=0)
    # Before the first point there is none to draw a trapezoid from: a rectangle.
    best_before = np.where(hits_before > 0, np.roll(best, 1, axis=0), best)
    height = np.where(begins, (best_before + best) / 2, 0)
    num_points = ends.sum(axis=0)
    nearest = np.where(ends, np.abs(recall - RECALL), np.inf).argmin(axis=0)[None]
    ap = (np.diff(recall, axis=0, prepend=0) * height).sum(axis=0)
    mtta = np.where(ends, tta, 0).sum(axis=0) / np.maximum(num_points, 1)
    at_r80 = [np.take_along_axis(values, nearest, axis=0)[0] for values in (tta, recall)]
    result = np.stack([ap, mtta, *at_r80])
    result[:, (positives == 0) | (negatives == 0)] = np.nan
    result[1:, num_points == 0] = np.nan
    return result


def _at_false_alarm_rate(table: _Alarms, weights: np.ndarray, rate: float) -> np.ndarray:
    """``[5, R]``: mTTA of all, mTTA of detected, recall, false-alarm rate, threshold."""
    positives, negatives = table.positives @ weights, table.negatives @ weights
    false_alarms = (table.alarms - table.hits) @ weights
    # The first row that is quiet enough; the last one always is. The share is compared as a
    # count, with room for rounding: .1 * 30 is a little more than 3, .07 * 100 more than 7.
    row = (false_alarms <= rate * negatives + 1e-9).argmax(axis=0)
    at_row = np.take_along_axis(false_alarms, row[None], axis=0)[0]
    hits = np.einsum("rg,gr->r", table.hits[row], weights)
    leads = np.einsum("rg,gr->r", table.leads[row], weights)
    detected, recall = _ratio(leads, hits), _ratio(hits, positives)
    rates = _ratio(at_row, negatives)
    result = np.stack([_ratio(leads, positives), detected, recall, rates, table.thresholds[row]])
    result[:, (positives == 0) | (negatives == 0)] = np.nan
    return result


def _ratio(part: np.ndarray, whole: np.ndarray, undefined: float = np.nan) -> np.ndarray:
    return np.divide(part, whole, out=np.full_like(part, undefined), where=whole > 0)


def _resampled(
    tables: Sequence[_Alarms],
    statistic: Callable[[_Alarms, np.ndarray], np.ndarray],
    bootstrap: Bootstrap,
) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of each seed ``[numbers, seeds]``, and their mean over seeds ``[numbers, R]``."""
    num_groups = tables[0].positives.size
    everything = np.ones((num_groups, 1))
    values = np.stack([statistic(table, everything)[:, 0] for table in tables], axis=1)
    samples = [
        np.mean([statistic(table, weights) for table in tables], axis=0)
        for weights in group_weights(num_groups, bootstrap.num_resamples, bootstrap.seed)
    ]
    return values, np.concatenate(samples, axis=1)


def _estimate(by_seed: np.ndarray, samples: np.ndarray, counts: Counts, **options: Any) -> Estimate:
    if not np.isnan(by_seed).any():
        return estimate(by_seed, samples, counts.smaller_class, **options)
    reason = "no positive alarms before its event"
    if not counts.smaller_class:
        scored = counts.negative - counts.missing_negative
        reason = f"{counts.positive} positive and {scored} scored negative videos; this needs both"
    return Estimate(None, reason=reason)
