"""What it is like to live with a threshold: false alarms an hour, and how early alarms come.

Only what lies before an event counts. All results are of one seed: a threshold belongs to one
model. Shapes: T moments of a video.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import gammaincinv

from collision.errors import MetricError
from collision.metrics.alarms import DEFAULT_RULE, AlarmRule, alarms_in
from collision.metrics.calibration import wilson
from collision.metrics.curves import Curve, check_curves
from collision.metrics.estimate import LEVEL, Plain
from collision.metrics.threshold import Threshold, levels, middle_and_range

if TYPE_CHECKING:  # plain numbers need no torch
    from collision.types import Seconds

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
    """False alarms at a threshold; ``step`` is the median distance of scores in seconds.

    ``refractory``, ``hysteresis`` and ``min_length`` are the ``AlarmRule``; ``threshold_range`` as
    in ``Warned``.
    """

    threshold: float
    refractory: Seconds
    gap: Seconds
    step: Seconds | None
    normal_videos: AlarmRate
    before_events: AlarmRate
    hysteresis: float = 0.0
    min_length: Seconds = 0.0
    threshold_range: Sequence[float] | None = None


@dataclass(frozen=True)
class RecallByTime(Plain):
    """Share of positives that have alarmed at least so many ``seconds`` before their event.

    ``low`` and ``high`` are 95 % Wilson intervals, with as many trials as groups; ``scored`` is the
    share that had a score by then, which recall cannot exceed.
    """

    threshold: float
    positives: int
    groups: int
    seconds: Sequence[Seconds] = ()
    recall: Sequence[float] = ()
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    scored: Sequence[float] = ()
    reason: str | None = None
    threshold_range: Sequence[float] | None = None


def false_alarms_per_hour(
    curves: Sequence[Curve],
    threshold: Threshold,
    *,
    rule: AlarmRule = DEFAULT_RULE,
    gap: Seconds = GAP,
) -> FalseAlarms:
    """False alarms an hour of video, in normal videos and in what came long before events.

    Every score stands for the time to the next one, taken as the median distance of scores in
    these curves; so what could not be scored is no quiet time. From ``gap`` seconds before an event
    on no alarm is held to be false. An alarm counts where it begins; ``rule`` says what one is.

    Raises:
        MetricError: a video was given twice, or an option is negative or not a number.
    """
    _check(curves, threshold, gap=gap)
    distances = np.concatenate([np.zeros(0), *(np.diff(curve.times) for curve in curves)])
    step = float(np.round(np.median(distances), 3)) if distances.size else None
    rates = []
    for label in (0, 1):
        quiet = [curve.before_event(gap) for curve in curves if curve.label == label]
        quiet = [curve for curve in quiet if curve.times.size]
        own = levels(threshold, (curve.video for curve in quiet)).tolist()
        alarms = sum(
            len(alarms_in(c.times, c.scores, level, rule))
            for c, level in zip(quiet, own, strict=True)
        )
        hours = sum(curve.times.size for curve in quiet) * (step or 0.0) / 3600
        rates.append(_rate(len(quiet), hours, alarms))
    normal, before = rates
    middle, spread = middle_and_range(threshold)
    how = rule.hysteresis, rule.min_length, spread
    return FalseAlarms(middle, rule.refractory, gap, step, normal, before, *how)


def recall_by_time(
    curves: Sequence[Curve], threshold: Threshold, *, leads: Sequence[Seconds] = LEADS
) -> RecallByTime:
    """Share of positives that have alarmed at least so many seconds (leads) before their event.

    MetricError: a video was given twice, or a lead is negative or not a number.
    """
    _check(curves, threshold, **{f"leads[{place}]": lead for place, lead in enumerate(leads)})
    positives = [curve.before_event() for curve in curves if curve.label]
    num_groups = len({curve.group for curve in positives})
    middle, spread = middle_and_range(threshold)
    result = RecallByTime(middle, len(positives), num_groups, threshold_range=spread)
    if not positives:
        return replace(result, reason="there are no positives")

    def shares(least: np.ndarray) -> list[float]:
        """Of positives whose earliest score of at least so much has a lead of at least so much."""
        earliest = [
            c.leads[c.scores >= level].max(initial=-np.inf)
            for c, level in zip(positives, least, strict=True)
        ]
        return [float(np.mean(np.array(earliest) >= round(lead, 3))) for lead in leads]

    recall = shares(levels(threshold, (curve.video for curve in positives)))
    scored = shares(np.full(len(positives), -np.inf))
    low, high = np.reshape([wilson(share, num_groups) for share in recall], (-1, 2)).T.tolist()
    seconds = [float(lead) for lead in leads]
    return replace(result, seconds=seconds, recall=recall, low=low, high=high, scored=scored)


def _rate(videos: int, hours: float, alarms: int) -> AlarmRate:
    if hours <= 0:
        reason = "no video of this kind was scored over time"
        return AlarmRate(videos, hours, alarms, reason=reason)
    tail = (1 - LEVEL) / 2
    low = float(gammaincinv(alarms, tail)) if alarms else 0.0
    high = float(gammaincinv(alarms + 1, 1 - tail))
    return AlarmRate(videos, hours, alarms, alarms / hours, low / hours, high / hours)


def _check(curves: Sequence[Curve], threshold: Threshold, **seconds: Seconds) -> None:
    check_curves(curves)
    if np.isnan(middle_and_range(threshold)[0]):
        raise MetricError("The threshold is NaN. Choose one on validation scores.")
    for name, value in seconds.items():
        if not 0 <= value < np.inf:
            raise MetricError(f"{name} is {value}: give seconds, 0 or more.")
