"""Charts of a page: marks in an SVG that stretches to its place, words in HTML beside it, so that
they keep their size on any screen. U: units of the drawing, in both directions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from collision.report.html import Html, tag

UNITS = 4000


@dataclass(frozen=True)
class Scale:
    """Where values lie between the ends of an axis; what lies beyond is put on its end."""

    low: float
    high: float
    log: bool = False

    @classmethod
    def over(cls, values: Sequence[float], *, log: bool = False, room: float = 0.04) -> Scale:
        """Give one that holds all values, with room at both ends."""
        low, high = _turned(min(values), log), _turned(max(values), log)
        aside = (high - low) * room or 0.5 * (abs(high) * room or room)
        return cls(_turned_back(low - aside, log), _turned_back(high + aside, log), log)

    def at(self, value: float) -> float:
        """Give the place of a value in 0..1."""
        low, high = _turned(self.low, self.log), _turned(self.high, self.log)
        if value <= self.low:
            return 0.0
        return min(1.0, (_turned(value, self.log) - low) / (high - low))

    def ticks(self, count: int) -> list[float]:
        """Give round values between the ends, about ``count``."""
        from matplotlib.ticker import LogLocator, MaxNLocator

        if self.log and self.high / self.low >= 30:
            found = LogLocator(numticks=count).tick_values(self.low, self.high)
        elif self.log and self.high / self.low >= 4:  # round steps would crowd at the upper end
            found = LogLocator(subs=(1, 2, 5), numticks=count).tick_values(self.low, self.high)
        else:
            found = MaxNLocator(count, steps=[1, 2, 2.5, 5, 10]).tick_values(self.low, self.high)
        near = 1e-9 * abs(self.high)
        return [
            float(value)
            for value in found
            if self.low * (1 - 1e-9) - near * (not self.log) <= value <= self.high + near
        ]


@dataclass(frozen=True)
class Axis:
    """A scale with its title; ``name`` is what the page's script finds beside a trial."""

    scale: Scale
    title: str
    name: str = ""
    kind: str = "number"  # or "score", "size"

    def written(self, value: float) -> str:
        """Write a tick."""
        if self.kind == "score":
            return f"{value:.4g}".removeprefix("0") or "0"
        return short(value)


def short(value: float) -> str:
    """Write a number in few letters: 1.2 M, 36 k, 0.0001."""
    for size, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def score_scale(scores: Sequence[float]) -> Scale:
    """Give a scale for scores: what lies far below most of them stands on its lower end."""
    low, middle = np.quantile(scores, (0.25, 0.5))
    floor = low - 3 * (middle - low) - 1e-3
    return Scale.over([value for value in scores if value >= floor])


def chart(x: Axis, y: Axis, marks: Sequence[str], height: str, *, about: str) -> Html:
    """Put marks, which are in U, into a frame with axes; ``about`` is said to who cannot see."""
    columns, rows = x.scale.ticks(6), y.scale.ticks(5)
    levels = (f"M0 {down(y.scale, value)}h{UNITS}" for value in rows)
    grid = tag("path", class_="rule", d="".join(levels))
    drawing = tag(
        "svg",
        grid,
        *marks,
        viewBox=f"0 0 {UNITS} {UNITS}",
        preserveAspectRatio="none",
        role="img",
        aria_label=about,
    )
    ends = {
        f"data_{axis}": f"{own.scale.low!r} {own.scale.high!r} {int(own.scale.log)} {own.name}"
        for axis, own in (("x", x), ("y", y))
    }
    return tag(
        "div",
        tag("div", y.title, class_="title-y"),
        tag("div", *tick_labels(y, rows, "bottom"), class_="axis-y"),
        tag("div", drawing, class_="plot", style=f"height:{height}", **ends),
        tag("div", *tick_labels(x, columns, "left"), class_="axis-x"),
        tag("div", x.title, class_="title-x"),
        class_="chart",
    )


def dots(x: Scale, y: Scale, points: Iterable[tuple[float, float]], css: str) -> Html:
    """One path for all dots of a kind: ends of lines without length."""
    places = (f"M{across(x, a)} {down(y, b)}h0" for a, b in points)
    return tag("path", class_=f"dots {css}", d="".join(places))


def steps(x: Scale, y: Scale, points: Sequence[tuple[float, float]], css: str = "line") -> Html:
    """A line that keeps each value until the next one, and to the right end."""
    drawn = [f"M{across(x, points[0][0])} {down(y, points[0][1])}"]
    drawn += [f"H{across(x, a)}V{down(y, b)}" for a, b in points[1:]]
    return tag("path", class_=css, d="".join(drawn) + f"H{UNITS}")


def tick_labels(axis: Axis, values: Sequence[float], side: str) -> list[Html]:
    """Write values at their places along a side, ``left`` or ``bottom``."""
    return [
        tag("span", axis.written(value), style=f"{side}:{100 * axis.scale.at(value):.2f}%")
        for value in values
    ]


def across(scale: Scale, value: float) -> int:
    """Give the place of a value from the left, in U."""
    return round(UNITS * scale.at(value))


def down(scale: Scale, value: float) -> int:
    """Give the place of a value from the top, in U."""
    return round(UNITS * (1 - scale.at(value)))


def _turned(value: float, log: bool) -> float:
    return math.log(value) if log else value


def _turned_back(value: float, log: bool) -> float:
    return math.exp(value) if log else value
