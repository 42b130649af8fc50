"""When an alarm begins, when it ends, and which alarms are one: the unit in which a fleet counts.

There is one rule, for `predict`, for streams, and for false alarms an hour in reports.

Shapes: T moments of a video.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from collision.errors import MetricError

if TYPE_CHECKING:  # plain numbers need no torch
    from collision.types import Seconds

REFRACTORY: Seconds = 5.0


@dataclass(frozen=True)
class AlarmRule:
    """What makes an alarm of scores.

    A stretch begins with a score at or above the threshold, and lasts until one is more than
    ``hysteresis`` below it, or until nothing is seen.

    Attributes:
        hysteresis: How far below the threshold a stretch goes on, in units of the score.
        min_length: A stretch counts once it has lasted so long; 0: at once.
        refractory: A stretch that begins less than so many seconds after the beginning of an alarm
            belongs to that alarm.
    """

    hysteresis: float = 0.0
    min_length: Seconds = 0.0
    refractory: Seconds = REFRACTORY

    def __post_init__(self) -> None:
        """Refuse what is negative or no number: MetricError."""
        for name in ("hysteresis", "min_length", "refractory"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise MetricError(f"{name} is {value}: give a number, 0 or more.")


DEFAULT_RULE = AlarmRule()


@dataclass(frozen=True)
class Alarm:
    """One alarm: its first moment, its last, its highest, in seconds; and its highest ``score``."""

    start: Seconds
    end: Seconds
    peak: Seconds
    score: float = math.nan

    @property
    def length(self) -> Seconds:
        """Seconds from its first moment to its last; 0 where one moment alone was that high."""
        return self.end - self.start


class AlarmWatch:
    """Follows scores as they come, one after the other.

    Attributes:
        alarms: So far, in order; the last one may still go on.
        is_on: Whether it is alarming now.
    """

    def __init__(self, threshold: float, rule: AlarmRule = DEFAULT_RULE):
        """MetricError: the threshold is NaN."""
        if math.isnan(threshold):
            raise MetricError("The threshold is NaN. Choose one on validation scores.")
        self.threshold, self.rule = threshold, rule
        self.alarms: list[Alarm] = []
        self.is_on = False
        self._stretch: Alarm | None = None

    def follow(self, time: Seconds, score: float) -> bool:
        """Take the next score, NaN where nothing is seen; give ``is_on``."""
        least = self.threshold if self._stretch is None else self.threshold - self.rule.hysteresis
        if not score >= least:  # NaN too
            self._stretch, self.is_on = None, False
            return False
        now = Alarm(time, time, time, score)
        stretch = self._stretch = now if self._stretch is None else _joined(self._stretch, now)
        if self.is_on:
            self.alarms[-1] = _joined(self.alarms[-1], now)
        elif round(stretch.length, 3) >= self.rule.min_length:
            self.is_on = True
            self._ring(stretch)
        return self.is_on

    def _ring(self, stretch: Alarm) -> None:
        last = self.alarms[-1] if self.alarms else None
        if last is None or round(stretch.start - last.start, 3) >= self.rule.refractory:
            self.alarms.append(stretch)
        else:
            self.alarms[-1] = _joined(last, stretch)


def _joined(alarm: Alarm, later: Alarm) -> Alarm:
    higher = later if later.score > alarm.score else alarm
    return replace(alarm, end=later.end, peak=higher.peak, score=higher.score)


def alarms_in(
    times: np.ndarray, scores: np.ndarray, threshold: float, rule: AlarmRule = DEFAULT_RULE
) -> list[Alarm]:
    """List the alarms in scores ``[T]`` (NaN: nothing seen) at rising seconds ``[T]``."""
    watch = AlarmWatch(threshold, rule)
    for time, score in zip(times.tolist(), scores.tolist(), strict=True):
        watch.follow(time, score)
    return watch.alarms


def alarming(
    times: np.ndarray, scores: np.ndarray, threshold: float, rule: AlarmRule = DEFAULT_RULE
) -> np.ndarray:
    """Say of each moment whether it alarms then, by what was known by then: bool ``[T]``."""
    watch = AlarmWatch(threshold, rule)
    pairs = zip(times.tolist(), scores.tolist(), strict=True)
    return np.array([watch.follow(*pair) for pair in pairs], bool)
