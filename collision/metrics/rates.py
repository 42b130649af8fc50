"""What it is like to live with a threshold: false alarms an hour, and how early alarms come.

Only what lies before an event counts. All results are of one seed: a threshold belongs to one
model. Shapes: T moments of a video.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import gammaincinv

from collision.errors import MetricError
from collision.metrics.calibration import wilson
from collision.metrics.curves import Curve, check_curves
from collision.metrics.estimate import LEVEL, Plain

if TYPE_CHECKING:  # plain numbers need no torch
    from collision.types import Seconds

REFRACTORY: Seconds = 5.0
# The sampling policies take a crash video for ordinary driving up to 3 s before its event.
GAP: Seconds = 3.0
LEADS: tuple[Seconds, ...] = tuple(float(lead) for lead in np.arange(0, 5.25, 0.25))


@dataclass(frozen=True)
class AlarmRate(Plain):
    """False alarms in one kind of video, and the exact interval if they come at random.

    The interval (Garwood, 1936) is too narrow where alarms cluster in a few videos. Where nothing
    was scored there is no rate, but a reason.
    """

    videos: int
    hours: float
    alarms: int
    per_hour: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class FalseAlarms(Plain):
    """False alarms at a threshold; ``step`` is the median distance of scores in seconds."""

    threshold: float
    refractory: Seconds
    gap: Seconds
    step: Seconds | None
    normal_videos: AlarmRate
    before_events: AlarmRate


@dataclass(frozen=True)
class RecallByTime(Plain):
    """Share of positives that have alarmed at least so many ``seconds`` before their event.

    ``low`` and ``high`` are 95 % Wilson intervals, with as many trials as groups; ``scored`` is the
    share that had a score by then, which recall cannot exceed.
    """

    threshold: float
    positives: int
    groups: int
    seconds: list[Seconds] = field(default_factory=list)
    recall: list[float] = field(default_factory=list)
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)
    scored: list[float] = field(default_factory=list)
    reason: str | None = None


def alarm_times(
    times: np.ndarray, scores: np.ndarray, threshold: float, refractory: Seconds = REFRACTORY
) -> list[Seconds]:
    """When a driver is alarmed.

    An alarm is a score at or above the threshold after one below it, or at the beginning. What
    rises within ``refractory`` seconds after an alarm belongs to that alarm.

    Args:
        times: ``[T]`` rising seconds.
        scores: ``[T]``.
        threshold: A score at or above it alarms.
        refractory: Seconds.
    """
    above = scores >= threshold
    rises = above & ~np.pad(above, (1, 0))[:-1]
    alarms: list[Seconds] = []
    for time in times[rises].tolist():
        if not alarms or round(time - alarms[-1], 3) >= refractory:
            alarms.append(time)
    return alarms


def false_alarms_per_hour(
    curves: Sequence[Curve],
    threshold: float,
    *,
    refractory: Seconds = REFRACTORY,
    gap: Seconds = GAP,
) -> FalseAlarms:
    """False alarms an hour of video, in normal videos and in what came long before events.

    Every score stands for the time to the next one, taken as the median distance of scores in
    these curves; so what could not be scored is no quiet time.

    Args:
        curves: Scores over time of one model.
        threshold: A score at or above it alarms; choose it on validation.
        refractory: See ``alarm_times``.
        gap: Seconds before an event from which on an alarm is not held to be false.

    Raises:
        MetricError: A video was given twice, or an option is negative or not a number.
    """
    _check(curves, threshold, refractory=refractory, gap=gap)
    distances = np.concatenate([np.zeros(0), *(np.diff(curve.times) for curve in curves)])
    step = float(np.round(np.median(distances), 3)) if distances.size else None
    rates = []
    for label in (0, 1):
        quiet = [curve.before_event(gap) for curve in curves if curve.label == label]
        quiet = [curve for curve in quiet if curve.times.size]
        alarms = sum(len(alarm_times(c.times, c.scores, threshold, refractory)) for c in quiet)
        hours = sum(curve.times.size for curve in quiet) * (step or 0.0) / 3600
        rates.append(_rate(len(quiet), hours, alarms))
    return FalseAlarms(float(threshold), refractory, gap, step, *rates)


def recall_by_time(
    curves: Sequence[Curve], threshold: float, *, leads: Sequence[Seconds] = LEADS
) -> RecallByTime:
    """Share of positives that have alarmed at least so many seconds before their event.

    Args:
        curves: Scores over time of one model; negatives are not looked at.
        threshold: A score at or above it alarms; choose it on validation.
        leads: Seconds before the event.

    Raises:
        MetricError: A video was given twice, or a lead is negative or not a number.
    """
    _check(curves, threshold, **{f"leads[{place}]": lead for place, lead in enumerate(leads)})
    positives = [curve.before_event() for curve in curves if curve.label]
    num_groups = len({curve.group for curve in positives})
    reason = None if positives else "there are no positives"
    result = RecallByTime(float(threshold), len(positives), num_groups, reason=reason)
    alarmed = [_earliest(curve, curve.scores >= threshold) for curve in positives]
    scored = [_earliest(curve, np.ones(curve.times.size, dtype=bool)) for curve in positives]
    for lead in leads if positives else ():
        share = float(np.mean([one >= round(lead, 3) for one in alarmed]))
        low, high = wilson(share, num_groups)
        result.seconds.append(float(lead))
        result.recall.append(share)
        result.low.append(low)
        result.high.append(high)
        result.scored.append(float(np.mean([one >= round(lead, 3) for one in scored])))
    return result


def _earliest(curve: Curve, rows: np.ndarray) -> Seconds:
    """The longest lead of some scores; less than any lead where there are none."""
    return float(curve.leads[rows].max(initial=-np.inf))


def _rate(videos: int, hours: float, alarms: int) -> AlarmRate:
    if hours <= 0:
        reason = "no video of this kind was scored over time"
        return AlarmRate(videos, hours, alarms, reason=reason)
    tail = (1 - LEVEL) / 2
    low = float(gammaincinv(alarms, tail)) if alarms else 0.0
    high = float(gammaincinv(alarms + 1, 1 - tail))
    return AlarmRate(videos, hours, alarms, alarms / hours, low / hours, high / hours)


def _check(curves: Sequence[Curve], threshold: float, **seconds: Seconds) -> None:
    check_curves(curves)
    if np.isnan(threshold):
        raise MetricError("The threshold is NaN. Choose one on validation scores.")
    for name, value in seconds.items():
        if not 0 <= value < np.inf:
            raise MetricError(f"{name} is {value}: give seconds, 0 or more.")
