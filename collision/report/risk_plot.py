"""The risk curve of a card as a picture, for what shows no SVG."""

from __future__ import annotations

import tempfile
from pathlib import Path

from matplotlib.axes import Axes
from PIL import Image

from collision.report.curve import Axis
from collision.report.footage import Footage
from collision.report.gallery import Card, Line
from collision.report.plots import BLUE, GREEN, MUTED, ORANGE, RED, styled_figure

_WIDTH, _HEIGHT = 3.6, 1.6  # inches


def risk_picture(card: Card, footage: Footage) -> Image.Image:
    """Draw what the page's curve shows: scores over time, threshold, cut, alert and event."""
    axis = Axis.of(card, footage)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "risk.png"
        with styled_figure(path, _WIDTH, _HEIGHT) as figure:
            axes = figure.subplots()
            for line in card.lines:
                _draw(axes, line, card.threshold)
            _marks(axes, card, axis)
            axes.set(xlim=(axis.start, axis.stop), ylim=(-0.04, 1.04))
            axes.set_yticks([0, 0.5, 1])
            axes.xaxis.set_major_formatter("{x:g} s")
        with Image.open(path) as picture:
            return picture.convert("RGB")


def _draw(axes: Axes, line: Line, threshold: float | None) -> None:
    axes.plot(line.times, line.scores, color=BLUE, lw=1.5 if line.is_dense else 0.8)
    if line.is_dense:
        return
    for time, score in zip(line.times, line.scores, strict=True):
        alarm = threshold is not None and score >= threshold
        axes.plot([time], [score], "D" if alarm else "o", color=RED if alarm else BLUE, ms=4)


def _marks(axes: Axes, card: Card, axis: Axis) -> None:
    if card.threshold is not None:
        axes.axhline(card.threshold, color=ORANGE, lw=1, ls="--")
    clip = card.clip
    alert = clip.alert_time if clip and axis.is_file else None
    event = (clip.event_time if clip else None) if axis.is_file else 0.0
    for time, color, style in ((alert, GREEN, "-"), (event, RED, "-"), (card.cut, MUTED, ":")):
        if time is not None and axis.holds(time):
            axes.axvline(time, color=color, lw=1, ls=style)
