"""The picture of one prediction: probability over time, with the frames it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from collision.errors import MetricError
from collision.report.plots import BLUE, INK, MUTED, ORANGE, RED, drawable, styled_figure
from collision.types import Seconds

WIDTH = 10.0  # inches


@dataclass(frozen=True, eq=False)
class Timeline:
    """The probability of a collision over the time of one video.

    The time before the end of the first window (``first_time``) is hatched, not invented. Moments
    of which part was seen (``from_part``) lie on a dotted curve.

    Raises:
        MetricError: Times and probabilities differ in number.
    """

    times: np.ndarray  # [N] rising seconds: what each probability knows ends there
    probabilities: np.ndarray  # [N]; NaN leaves a gap in the curve
    first_time: Seconds
    threshold: float | None = None
    event_time: Seconds | None = None
    title: str = ""
    from_part: np.ndarray | None = None  # bool [N]; None: nowhere

    def __post_init__(self) -> None:
        if self.from_part is None:
            object.__setattr__(self, "from_part", np.zeros(np.size(self.times), bool))
        for name in ("times", "probabilities"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=np.float64))
        if self.times.shape != self.probabilities.shape or self.times.ndim != 1:
            both = f"{self.times.size} times and {self.probabilities.size} probabilities"
            raise MetricError(f"{both} do not belong together. Give one probability for each time.")


def draw_timeline(
    timeline: Timeline,
    path: Path | str,
    frames: Sequence[np.ndarray] = (),
    frame_times: Sequence[Seconds] | np.ndarray = (),
) -> None:
    """Draw the curve above a strip of frames, ``uint8 [H, W, 3]``, spread over the video.

    MetricError: frames and their times differ in number.
    """
    if len(frames) != len(frame_times):
        numbers = f"{len(frames)} frames and {len(frame_times)} frame times"
        raise MetricError(f"{numbers} do not belong together. Give one time for each frame.")
    first_time, event_time = timeline.first_time, timeline.event_time
    start = float(min([0.0, first_time, *timeline.times, *frame_times]))
    end = float(max([first_time, *timeline.times, *frame_times, event_time or start]))
    end = end if end > start else start + 1.0  # one moment alone: still an axis with a length
    strip = _strip_height(frames)
    with styled_figure(path, WIDTH, 3.2 + strip) as figure:
        axes, below = _two_rows(figure, len(frames), strip)
        _curve(axes, timeline)
        if first_time > start:
            axes.axvspan(start, first_time, fc="none", ec=MUTED, hatch="///", lw=0, alpha=0.5)
            style: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 8}
            style["rotation"] = 0 if first_time - start > (end - start) / 9 else 90
            style["bbox"] = {"fc": "white", "ec": "none", "pad": 2}
            # Data coordinates across, axes coordinates up: the note stays within the hatched part.
            style["transform"] = axes.get_xaxis_transform()
            axes.text((start + first_time) / 2, 0.5, "not enough\nvideo yet", **style)
        if event_time is not None:
            axes.axvline(event_time, color=RED, lw=1.8, label=f"event at {event_time:.2f} s")
        axes.set(xlim=(start, end), ylim=(-0.02, 1.02), ylabel="probability of a collision")
        axes.set_xlabel("seconds")
        axes.set_title(drawable(timeline.title))
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, fontsize=9, borderpad=0)
        axes.plot(frame_times, np.full(len(frame_times), -0.02), "|", color=INK, ms=10, mew=1.5)
        for panel, frame, time in zip(below, frames, frame_times, strict=True):
            panel.imshow(frame)
            panel.set_axis_off()
            panel.set_title(f"{time:.2f} s", loc="center", fontsize=8, fontweight="normal")


def _strip_height(frames: Sequence[np.ndarray]) -> float:
    """Inches that frames side by side over the picture's width need, with their times."""
    if not len(frames):
        return 0.0
    height, width = frames[0].shape[:2]
    return min(2.5, WIDTH / len(frames) * height / width) + 0.35


def _two_rows(figure: Figure, num_frames: int, strip: float) -> tuple[Axes, list[Axes]]:
    """One wide plot for the curve, and below it one for each frame."""
    if not num_frames:
        return figure.subplots(), []
    grid = figure.add_gridspec(2, num_frames, height_ratios=(3.2, strip))
    below = [figure.add_subplot(grid[1, column]) for column in range(num_frames)]
    return figure.add_subplot(grid[0, :]), below


def _curve(axes: Axes, timeline: Timeline) -> None:
    times, probabilities = timeline.times, timeline.probabilities
    full = times >= timeline.first_time
    times, probabilities = times[full], probabilities[full]
    assert timeline.from_part is not None
    from_part = timeline.from_part[full]
    whole = np.where(from_part, np.nan, probabilities)
    axes.plot(times, whole, color=BLUE, lw=2, marker="o", ms=3)
    if from_part.any():
        # A stretch of the line is dotted if either of its ends is.
        near = np.convolve(from_part, [1, 1, 1])[1:-1] > 0
        style: dict[str, Any] = {"color": BLUE, "alpha": 0.6, "label": "from part of the window"}
        axes.plot(times, np.where(near, probabilities, np.nan), ls=":", lw=1.5, **style, zorder=1)
        partial = np.where(from_part, probabilities, np.nan)
        axes.plot(times, partial, "o", color=BLUE, ms=4, mfc="white", zorder=2)
    if timeline.threshold is None:
        return
    threshold = timeline.threshold
    axes.axhline(threshold, color=ORANGE, lw=1.5, ls="--", label=f"threshold {threshold:.2f}")
    alarm = np.where(probabilities >= threshold, probabilities, np.nan)
    axes.plot(times, alarm, "o", color=RED, ms=5, label="alarm")
