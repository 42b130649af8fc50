"""The picture of one prediction: probability over time, with the frames it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from scipy.optimize import isotonic_regression

from collision.errors import MetricError
from collision.report.plots import BLUE, MUTED, ORANGE, PURPLE, RED, drawable, styled_figure
from collision.types import Seconds

# Inches: of the picture, of the curve's axes within it, and of the frames below.
WIDTH, _CURVE, _LEFT, _ALONG = 12.0, 3.7, 0.7, 11.05
_MARGIN, _GAP, _FRAME, _TALLEST = 0.1, 0.08, 2.28, 2.4
_STRIP = WIDTH - 2 * _MARGIN + _GAP


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
    alarm_time: Seconds | None = None  # of the first alarm, whose frame is marked
    end: Seconds | None = None  # of the video; None: where all that is drawn ends

    def __post_init__(self) -> None:
        if self.from_part is None:
            object.__setattr__(self, "from_part", np.zeros(np.size(self.times), bool))
        for name in ("times", "probabilities"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=np.float64))
        if self.times.shape != self.probabilities.shape or self.times.ndim != 1:
            both = f"{self.times.size} times and {self.probabilities.size} probabilities"
            raise MetricError(f"{both} do not belong together. Give one probability for each time.")

    def span(self, frame_times: Sequence[Seconds] | np.ndarray = ()) -> tuple[Seconds, Seconds]:
        """Give from when to when it is drawn."""
        own = [self.first_time, *self.times, *frame_times]
        start = float(min([0.0, *own]))
        end = float(max([*own, *(t for t in (self.event_time, self.end) if t is not None)]))
        return start, end if end > start else start + 1.0  # one moment alone: still a length


def moments_to_show(
    span: tuple[Seconds, Seconds], shape: Sequence[int], around: Seconds
) -> np.ndarray:
    """Choose moments whose frames ``[H, W]`` stand side by side, each below its time.

    Rising; one of them is ``around``, which alone may stand aside, near an end of the picture.
    """
    start, end = span
    width = _frame_width(shape, 1)
    step, low, high = width + _GAP, _MARGIN + width / 2, WIDTH - _MARGIN - width / 2
    centre = min(max(_LEFT + _ALONG * (around - start) / (end - start), low), high)
    places = np.arange(-int((centre - low) / step), int((high - centre) / step) + 1)
    moments = start + (centre + step * places - _LEFT) / _ALONG * (end - start)
    return np.where(places == 0, around, moments.clip(start, end))


def draw_timeline(
    timeline: Timeline,
    path: Path | str,
    frames: Sequence[np.ndarray] = (),
    frame_times: Sequence[Seconds] | np.ndarray = (),
) -> None:
    """Draw the curve, and below it frames, ``uint8 [H, W, 3]``, each under its time.

    MetricError: frames and their times differ in number.
    """
    if len(frames) != len(frame_times):
        numbers = f"{len(frames)} frames and {len(frame_times)} frame times"
        raise MetricError(f"{numbers} do not belong together. Give one time for each frame.")
    first_time, event_time = timeline.first_time, timeline.event_time
    start, end = timeline.span(frame_times)
    width = _frame_width(frames[0].shape, len(frames)) if len(frames) else 0.0
    strip = width * frames[0].shape[0] / frames[0].shape[1] + 0.6 if len(frames) else 0.0
    height = _CURVE + strip
    with styled_figure(path, WIDTH, height) as figure:
        figure.set_layout_engine("none")  # places are in inches, so that frames meet their times
        low, high = strip + 0.35, height - 0.55
        axes = figure.add_axes((_LEFT / WIDTH, low / height, _ALONG / WIDTH, (high - low) / height))
        _curve(axes, timeline)
        _not_enough_yet(axes, start, first_time, end)
        if event_time is not None:
            axes.axvline(event_time, color=PURPLE, lw=1.8, label=f"event at {event_time:.2f} s")
        axes.set(xlim=(start, end), ylim=(-0.02, 1.02), ylabel="probability of a collision")
        axes.xaxis.set_major_formatter("{x:g} s")
        axes.set_title(drawable(timeline.title), pad=22)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=5, fontsize=9, borderpad=0)
        _frames(axes, timeline, frames, np.asarray(frame_times, np.float64), width)


def _not_enough_yet(axes: Axes, start: Seconds, first_time: Seconds, end: Seconds) -> None:
    if first_time <= start:
        return
    axes.axvspan(start, first_time, fc="none", ec=MUTED, hatch="///", lw=0, alpha=0.5)
    style: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 8}
    style["rotation"] = 0 if first_time - start > (end - start) / 9 else 90
    style["bbox"] = {"fc": "white", "ec": "none", "pad": 2}
    # Data coordinates across, axes coordinates up: the note stays within the hatched part.
    style["transform"] = axes.get_xaxis_transform()
    axes.text((start + first_time) / 2, 0.5, "not enough\nvideo yet", **style)


def _frames(
    axes: Axes,
    timeline: Timeline,
    frames: Sequence[np.ndarray],
    times: np.ndarray,
    width: float,
) -> None:
    """Put frames of ``width`` inches below the axes, as near to their times as there is room."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    start, end = axes.get_xlim()
    total = figure.get_size_inches()[1]
    wanted = _LEFT + _ALONG * (times - start) / (end - start)
    centres = apart(wanted, width + _GAP, _MARGIN + width / 2, WIDTH - _MARGIN - width / 2)
    bottom = figure.transFigure.inverted().transform(axes.transAxes.transform((0, 0)))[1]
    for frame, time, at, centre in zip(frames, times, wanted, centres, strict=True):
        alarm = timeline.alarm_time is not None and time == timeline.alarm_time
        tall = width * frame.shape[0] / frame.shape[1]
        box = ((centre - width / 2) / WIDTH, 0.06 / total, width / WIDTH, tall / total)
        panel = figure.add_axes(box)
        panel.imshow(frame, aspect="auto")
        panel.set(xticks=[], yticks=[])
        panel.grid(visible=False)
        panel.spines[:].set(visible=alarm, color=RED, linewidth=3)
        words = f"{time:.2f} s, first alarm" if alarm else f"{time:.2f} s"
        weight = "bold" if alarm else "normal"
        panel.set_title(words, loc="center", fontsize=9, fontweight=weight, pad=3)
        top = (0.06 + tall + 0.2) / total
        tie = Line2D((at / WIDTH, centre / WIDTH), (bottom, top), color=RED if alarm else MUTED)
        tie.set(linewidth=1.6 if alarm else 0.9, transform=figure.transFigure)
        figure.add_artist(tie)


def apart(wanted: np.ndarray, width: float, low: float, high: float) -> np.ndarray:
    """Move rising places as little as it takes for ``width`` between them, within bounds.

    By least squares; of more places than there is room for, the bounds win.
    """
    if not len(wanted):
        return wanted
    steps = width * np.arange(len(wanted))
    moved: np.ndarray = isotonic_regression(wanted - steps).x
    return moved.clip(low, max(low, high - steps[-1])) + steps


def _frame_width(shape: Sequence[int], count: int) -> float:
    """Inches across a frame ``[H, W]``: as wide as ``count`` of them may be, and not too tall."""
    most = min(_FRAME, _STRIP / max(count, 1) - _GAP)
    return min(most, _TALLEST * shape[1] / shape[0])


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
