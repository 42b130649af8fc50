"""The risk curve of a card, as SVG whose colours and letters are the page's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from collision.report.footage import Footage
from collision.report.gallery import Card, Line
from collision.report.html import Html, tag
from collision.types import Seconds

WIDTH, HEIGHT = 340, 118
LEFT, RIGHT, TOP, BOTTOM = 26, 8, 16, 20  # margins
# Classes of look.css, whose colours and dashes tell runs apart; orange and red mean something else.
_RUNS = ("c0", "c2", "c3", "c5")
_KEYS = ("", " dotted", " dashed", "")


@dataclass(frozen=True)
class Axis:
    """Of time: from where to where, in seconds of the file; or, negative, before the event."""

    start: Seconds
    stop: Seconds
    is_file: bool

    @classmethod
    def of(cls, card: Card, footage: Footage) -> Axis:
        """Show what the clip shows, or, without one, all scored moments and the event."""
        is_file = card.cut is not None or any(line.is_dense for line in card.lines)
        if footage.stop > footage.start:
            return cls(footage.start, footage.stop, True)
        times = [time for line in card.lines for time in line.times]
        event = card.clip.event_time if card.clip else None
        if is_file and event is not None:
            times.append(event)
        if not is_file:
            times.append(0.0)
        start, stop = (min(times), max(times)) if times else (0.0, 1.0)
        margin = max(0.25, 0.05 * (stop - start))
        return cls(start - margin, stop + margin, is_file)

    def at(self, time: Seconds) -> float:
        """Where a moment lies on the picture."""
        share = (time - self.start) / max(self.stop - self.start, 1e-9)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def holds(self, time: Seconds | None) -> bool:
        """Whether a moment is on the picture."""
        return time is not None and self.start - 1e-6 <= time <= self.stop + 1e-6


def curve(card: Card, axis: Axis) -> Html:
    """Draw probability over time with threshold, cut, alert and event."""
    parts: list[Html] = [*_frame(axis)]
    clip = card.clip
    if axis.is_file and clip:
        marks = ((clip.alert_time, "alert", "foresee"), (clip.event_time, "event", "event"))
        # A cut that lies on another mark would hide it.
        parts += [_mark(axis, time, kind, word) for time, kind, word in marks if axis.holds(time)]
    elif not axis.is_file:
        parts.append(_mark(axis, 0.0, "event", "event" if card.label else "anchor"))
    if axis.holds(card.cut):
        parts.append(_mark(axis, card.cut, "cut", ""))
    if card.threshold is not None:
        level = f"{_level(card.threshold):.1f}"
        ends = {"x1": str(LEFT), "x2": str(WIDTH - RIGHT), "y1": level, "y2": level}
        parts.append(tag("line", class_="threshold", **ends))
    names = list(dict.fromkeys(line.name for line in card.lines))
    for line in card.lines:
        parts += _line(axis, line, card.threshold, names.index(line.name))
    parts.append(tag("line", class_="cursor", y1=str(TOP), y2=str(HEIGHT - BOTTOM), x1="0", x2="0"))
    said = _said(card)
    size = f"0 0 {WIDTH} {HEIGHT}"
    return tag("svg", tag("title", said), parts, viewBox=size, class_="worded curve", role="img")


def _said(card: Card) -> str:
    moments = card.lines[-1] if card.lines else Line([], [])
    listed = ", ".join(
        f"{score:.2f} at {time:.2f} s"
        for time, score in zip(moments.times, moments.scores, strict=True)
    )
    level = "" if card.threshold is None else f"; threshold {card.threshold:.2f}"
    return f"Risk over time: {listed or 'no score'}{level}."


def _frame(axis: Axis) -> list[Html]:
    bottom = HEIGHT - BOTTOM
    parts = []
    for value, name in ((0.0, "0"), (0.5, ".5"), (1.0, "1")):
        y = f"{_level(value):.1f}"
        parts.append(tag("line", class_="grid", x1=str(LEFT), x2=str(WIDTH - RIGHT), y1=y, y2=y))
        parts.append(tag("text", name, class_="y", x=str(LEFT - 5), y=f"{_level(value) + 3.5:.1f}"))
    length = axis.stop - axis.start
    step = next((s for s in (0.25, 0.5, 1, 2, 5, 10, 30, 60, 300) if length / s <= 6.5), 3600)
    number = -(-axis.start // step)  # the first at or after the start
    while number * step <= axis.stop + 1e-9:
        time = number * step
        x = f"{axis.at(time):.1f}"
        parts.append(tag("line", class_="tick", x1=x, x2=x, y1=str(bottom), y2=str(bottom + 3)))
        parts.append(tag("text", f"{time:g}", class_="x", x=x, y=str(bottom + 14)))
        number += 1
    parts.append(tag("text", "s", class_="unit", x=str(LEFT - 12), y=str(bottom + 14)))
    return parts


def _mark(axis: Axis, time: Seconds | None, kind: str, word: str) -> Html:
    x = axis.at(time or 0.0)
    line = tag(
        "line", class_=kind, x1=f"{x:.1f}", x2=f"{x:.1f}", y1=str(TOP), y2=str(HEIGHT - BOTTOM)
    )
    end = "end" if x > WIDTH - 60 else "start" if x < LEFT + 30 else "middle"
    text = tag("text", word, class_=f"word {kind}", x=f"{x:.1f}", y=str(TOP - 4), text_anchor=end)
    return tag("g", line, text if word else None)


def _line(axis: Axis, line: Line, threshold: float | None, number: int) -> list[Html]:
    moments = [
        (axis.at(time), _level(score), score)
        for time, score in zip(line.times, line.scores, strict=True)
        if axis.holds(time)
    ]
    own = _RUNS[number % len(_RUNS)]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in moments)
    parts = []
    if len(moments) > 1:
        kind = "risk" if line.is_dense else "risk cuts"
        parts.append(tag("polyline", class_=f"{kind} {own}", points=points))
    if line.is_dense:
        return parts
    for x, y, score in moments:
        if threshold is None or score < threshold:
            at = {"cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": "3"}
            parts.append(tag("circle", class_=f"dot {own}", **at))
        else:  # an alarm is a diamond: told apart without its colour
            ends = ((x - 4, y), (x, y - 4), (x + 4, y), (x, y + 4))
            shape = "L".join(f"{across:.1f} {down:.1f}" for across, down in ends)
            parts.append(tag("path", class_="dot alarm", d=f"M{shape}Z"))
    return parts


def _level(score: float) -> float:
    return TOP + (1 - score) * (HEIGHT - TOP - BOTTOM)


def legend(names: Sequence[str]) -> Html:
    """Say which line is whose."""
    parts = []
    for number, name in enumerate(names):
        place = number % len(_RUNS)
        parts.append(tag("li", tag("i", class_=f"line {_RUNS[place]}{_KEYS[place]}"), name))
    return tag("ul", parts, class_="legend")
