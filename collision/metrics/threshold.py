"""Thresholds on the probability, chosen on validation scores and never on the test split.

A score at or above the threshold is an alarm. A threshold lies midway between the lowest score
that alarms and the highest that does not, so that rounding a score does not change its side.
Rates count examples: the false-alarm rate is the share of negative examples that alarm.

Shapes: N examples, K distinct scores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from collision.errors import MetricError
from collision.metrics.estimate import Plain
from collision.metrics.nexar import rankable

# One for all videos; or by video, where each was judged by the head of its own fold.
Threshold = float | Mapping[str, float]


@dataclass(frozen=True)
class OperatingPoint(Plain):
    """A threshold and what it does on the examples that it was chosen on.

    Precision is the share of alarms that are right, recall that of positives that alarm.
    """

    threshold: float
    precision: float
    recall: float
    false_alarm_rate: float
    f1: float


@dataclass(frozen=True)
class Rates(Plain):
    """What a threshold does on other examples than those it was chosen on.

    A share is None where nothing alarms, or where a class is missing. Where each fold has its own
    threshold, their lowest and highest are ``threshold_range``, and ``threshold`` is their mean.
    """

    threshold: float
    precision: float | None
    recall: float | None
    false_alarm_rate: float | None
    threshold_range: Sequence[float] | None = None


def levels(threshold: Threshold, videos: Iterable[str]) -> np.ndarray:
    """``[N]`` the threshold at which each of N videos is judged."""
    if isinstance(threshold, Mapping):
        return np.array([threshold[str(video)] for video in videos], dtype=np.float64)
    return np.array([threshold for _ in videos], dtype=np.float64)


def middle_and_range(threshold: Threshold) -> tuple[float, tuple[float, float] | None]:
    """The threshold itself; or of those by fold the mean, and the lowest and the highest."""
    if not isinstance(threshold, Mapping):
        return float(threshold), None
    own = sorted(set(threshold.values()))
    return float(np.mean(own)), (own[0], own[-1])


def at_threshold(
    threshold: float,
    spread: Sequence[float] | None,
    written: Callable[[float], str] = "{:.3f}".format,
) -> str:
    """Say in words at which threshold from validation something is counted."""
    if spread is None:
        return f"at the threshold {written(threshold)} from validation"
    low, high = map(written, spread)
    return f"at each fold's own threshold from validation, {low} to {high}"


def rates_at(
    labels: ArrayLike, scores: ArrayLike, threshold: float | np.ndarray, weights: ArrayLike = 1.0
) -> Rates:
    """Count what a threshold does, on ``[N]`` labels, scores and weights; it may be ``[N]``, too.

    Of several ``threshold`` is the mean over the examples.
    """
    labels, alarms = np.asarray(labels), np.asarray(scores, dtype=np.float64) >= threshold

    def share(rows: np.ndarray, of: np.ndarray) -> float | None:
        whole = float(np.sum(of * weights))
        return float(np.sum(rows * of * weights)) / whole if whole else None

    positive, negative = labels == 1, labels == 0
    shares = share(positive, alarms), share(alarms, positive), share(alarms, negative)
    return Rates(float(np.mean(threshold)), *shares)


def threshold_at_best_f1(labels: ArrayLike, scores: ArrayLike) -> OperatingPoint:
    """The threshold with the best F1; of several, the one with the fewest alarms.

    MetricError: no examples, only one class, or NaN among the scores.
    """
    return max(_operating_points(labels, scores), key=lambda point: point.f1)


def threshold_at_precision(
    labels: ArrayLike, scores: ArrayLike, precision: float
) -> OperatingPoint:
    """The threshold with the most recall whose precision is at least ``precision``.

    MetricError: no threshold reaches it, or as for ``threshold_at_best_f1``.
    """
    points = _operating_points(labels, scores)
    if not (enough := [point for point in points if point.precision >= precision]):
        best = max(point.precision for point in points)
        raise MetricError(
            f"No threshold has a precision of {precision:g}; the best is {best:.3f}. "
            "Ask for less, or train a better model."
        )
    return max(enough, key=lambda point: point.recall)


def threshold_at_false_alarm_rate(
    labels: ArrayLike, scores: ArrayLike, rate: float
) -> OperatingPoint:
    """The threshold with the most recall that alarms on at most ``rate`` of the negatives.

    MetricError: even the highest score alarms more often, or as for ``threshold_at_best_f1``.
    """
    points = _operating_points(labels, scores)
    if not (quiet := [point for point in points if point.false_alarm_rate <= rate]):
        raise MetricError(
            f"No threshold has a false-alarm rate of {rate:g} or less: the highest score alone "
            f"alarms on {points[0].false_alarm_rate:.3f} of the negatives. Allow more."
        )
    return max(quiet, key=lambda point: point.recall)


def _operating_points(labels: ArrayLike, scores: ArrayLike) -> list[OperatingPoint]:
    """What each distinct score does as a threshold, from few alarms to many."""
    from sklearn.metrics import roc_curve  # a second: only where one is chosen

    labels, scores = rankable(labels, scores, "A threshold")
    curve = roc_curve(labels, scores, drop_intermediate=False)
    false_alarm_rate, recall, levels = (column[1:] for column in curve)  # the first never alarms
    num_positive = np.sum(labels == 1)
    # Counts, so that points of one F1 are equal to the last bit.
    hits = np.rint(recall * num_positive)
    alarms = hits + np.rint(false_alarm_rate * np.sum(labels == 0))
    f1 = 2 * hits / (alarms + num_positive)
    thresholds = np.append(midway(levels[1:], levels[:-1]), levels[-1:])
    columns = (thresholds, hits / alarms, recall, false_alarm_rate, f1)
    return [OperatingPoint(*map(float, row)) for row in zip(*columns, strict=True)]


def midway(lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """``[K]`` the middle of scores and the next higher ones, always above the lower."""
    middle = lower + (upper - lower) / 2
    # Between neighbouring floats there is no middle: it would round onto the lower one.
    return np.where(middle > lower, middle, upper)
