"""Dense scores: the probability of a collision over the time of each video.

The scores that ``Scored`` holds are of one or three moments a video. The anticipation literature,
alarm rates and the times of alarms need scores of many moments, all before the event.

Times are compared in whole milliseconds, as horizons are. Shapes: T scored moments of a video.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from collision.errors import MetricError
from collision.metrics.scored import check_tags

if TYPE_CHECKING:  # plain numbers need no torch
    from collision.types import Seconds

COLUMNS = ("video", "group", "label", "event_time", "time", "score")


@dataclass(frozen=True, eq=False)
class Curve:
    """The scores of one video.

    The event may lie after the last scored moment, where a clip was cut before it. A video that
    could not be scored has T = 0; it counts as one that never alarms.

    Raises:
        MetricError: Values that the fields cannot hold.
    """

    video: str
    group: str  # source event or drive; intervals resample these
    label: int  # 0 or 1
    event_time: Seconds | None  # of positives; None for negatives
    times: np.ndarray  # [T] rising seconds: what each score knows ends there
    scores: np.ndarray  # [T] probabilities of a collision
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # The dataclass is frozen; this is its one chance to turn lists into arrays.
        for name in ("times", "scores"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=np.float64))
        if complaint := self._complaint():
            raise MetricError(f"Video {self.video!r}: {complaint}")

    def _complaint(self) -> str | None:
        if self.label not in (0, 1):
            return f"its label is {self.label!r}. Give 0 or 1."
        times, scores = self.times.shape, self.scores.shape
        if len(times) != 1 or times != scores:
            shapes = f"times of shape {times} and scores of shape {scores}"
            return f"{shapes} do not belong together. Give one score for each time."
        if not np.isfinite(self.times).all() or (np.diff(self.times) <= 0).any():
            return "its times do not rise. Sort the scores by time and give each time once."
        if not ((self.scores >= 0) & (self.scores <= 1)).all():  # NaN is refused here too
            return "a score is no number within 0..1. Leave out moments that have no score."
        if self.label and (self.event_time is None or not np.isfinite(self.event_time)):
            return f"it is a positive with event time {self.event_time}. Give the seconds."
        if not self.label and self.event_time is not None:
            return f"it is a negative with an event at {self.event_time} s. Give None."
        return None

    @property
    def leads(self) -> np.ndarray:
        """``[T]`` seconds from each score to the event, positive before it; of a negative, inf."""
        if self.event_time is None:
            return np.full(self.times.shape, np.inf)
        return np.round(self.event_time - self.times, 3)

    def before_event(self, gap: Seconds = 0.0) -> Curve:
        """Keep the scores more than ``gap`` seconds before the event; of a negative, all.

        A score at the very moment of the event knows of it, so it never counts.
        """
        rows = self.leads > gap
        return replace(self, times=self.times[rows], scores=self.scores[rows])


def check_curves(curves: Sequence[Curve]) -> None:
    """Refuse a set of curves that names a video twice, by a ``MetricError``."""
    video, count = Counter(curve.video for curve in curves).most_common(1)[0] if curves else ("", 0)
    if count > 1:
        raise MetricError(f"Video {video!r} has two curves. Keep one curve for each video.")


def curves_to_csv(curves: Sequence[Curve], path: Path | str) -> None:
    """Write one row a score; a video without scores is one row with no time and no score.

    MetricError: a video was given twice, or a tag has the name of a column.
    """
    check_curves(curves)
    tags = sorted({name for curve in curves for name in curve.tags})
    check_tags(tags, COLUMNS)
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*COLUMNS, *tags])
        for curve in curves:
            event_time = None if curve.event_time is None else float(curve.event_time)
            facts = [curve.video, curve.group, int(curve.label), event_time]
            own_tags = [curve.tags.get(name, "") for name in tags]
            moments = np.column_stack([curve.times, curve.scores]).tolist() or [["", ""]]
            writer.writerows([*facts, *moment, *own_tags] for moment in moments)
