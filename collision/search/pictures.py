"""Pictures of a search's page: marks in SVG, words in HTML beside them. U: units of the drawing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from collision.report.document import Html, element, joined
from collision.report.tables import number
from collision.search.outcomes import (
    Cell,
    Outcome,
    groups_of,
    score_of,
    share_explained,
    value_of,
)
from collision.search.space import Dimension, Range, Space
from collision.search.trials import CONFIRM, FAILED, Trial

UNITS = 4000  # across a drawing, which is stretched to its place
NUM_COLOURS = 6
MOST_DOTS = 150  # of a choice: beyond that, evenly spaced ranks of its scores
NUM_BINS = 5  # of a number that was chosen


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
        else:
            found = MaxNLocator(count, steps=[1, 2, 2.5, 5, 10]).tick_values(self.low, self.high)
        return [float(value) for value in found if self.low <= value <= self.high]


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
    levels = (f"M0 {_down(y.scale, value)}h{UNITS}" for value in rows)
    grid = element("path", class_="rule", d="".join(levels))
    drawing = element(
        "svg", grid, *marks, viewBox=f"0 0 {UNITS} {UNITS}", preserveAspectRatio="none",
        role="img", aria_label=about,
    )  # fmt: skip
    ends = {f"data_{axis}": f"{own.scale.low!r} {own.scale.high!r} {int(own.scale.log)} {own.name}"
            for axis, own in (("x", x), ("y", y))}  # fmt: skip
    return element(
        "div",
        element("div", y.title, class_="title-y"),
        element("div", *_ticks(y, rows, "bottom"), class_="axis-y"),
        element("div", drawing, class_="plot", style=f"height:{height}", **ends),
        element("div", *_ticks(x, columns, "left"), class_="axis-x"),
        element("div", x.title, class_="title-x"),
        class_="chart",
    )


def dots(x: Scale, y: Scale, points: Iterable[tuple[float, float]], css: str) -> Html:
    """One path for all dots of a kind: ends of lines without length."""
    places = (f"M{_across(x, a)} {_down(y, b)}h0" for a, b in points)
    return element("path", class_=f"dots {css}", d="".join(places))


def steps(x: Scale, y: Scale, points: Sequence[tuple[float, float]], css: str = "line") -> Html:
    """A line that keeps each value until the next one, and to the right end."""
    drawn = [f"M{_across(x, points[0][0])} {_down(y, points[0][1])}"]
    drawn += [f"H{_across(x, a)}V{_down(y, b)}" for a, b in points[1:]]
    return element("path", class_=css, d="".join(drawn) + f"H{UNITS}")


def growth(outcome: Outcome, by: str) -> Html:
    """Draw every trial and the best so far, over numbers of trials or hours (``by``)."""
    placed = [(where, trial) for trial in outcome.trials if (where := place_of(outcome, trial, by))
              is not None]  # fmt: skip
    scored = [(where, score, t) for where, t in placed if (score := score_of(t)) is not None]
    if not scored:
        return Html("")
    x = Scale.over([where for where, _ in placed], room=0.02)
    y = score_scale([score for _, score, _ in scored])
    ranks = colours(outcome)
    marks = []
    for proposer, css in ranks.items():
        own = [(a, b) for a, b, t in scored if t.stage != CONFIRM and t.proposer == proposer]
        marks.append(dots(x, y, own, css))
    fresh = [(a, b) for a, b, trial in scored if trial.stage == CONFIRM]
    marks += [dots(x, y, fresh, "ring"), dots(x, y, fresh, "hole")]
    failed = (f"M{_across(x, a)} {UNITS}v-160" for a, trial in placed if trial.state == FAILED)
    marks.append(element("path", class_="failed", d="".join(failed)))
    if bests := running_best([(a, b) for a, b, t in scored if t.stage != CONFIRM]):
        marks.append(steps(x, y, bests))
    if outcome.winner:
        level = _down(y, outcome.winner.score)
        marks.append(element("path", class_="level", d=f"M0 {level}h{UNITS}"))
    title = "trial" if by == "number" else "hours since the first trial began"
    axes = Axis(x, title, by), Axis(y, "mAP on validation", "map", "score")
    return chart(*axes, marks, "20rem", about=f"Every trial's mAP by {title}, and the best so far")


def running_best(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Keep the points that are higher than all before them."""
    kept: list[tuple[float, float]] = []
    for where, score in sorted(points):
        if not kept or score > kept[-1][1]:
            kept.append((where, score))
    return kept


def place_of(outcome: Outcome, trial: Trial, by: str) -> float | None:
    """Give a trial's number, or the hours from the first start to its end; None: not known."""
    if by == "number":
        return float(trial.number)
    if trial.ended is None or outcome.began is None:
        return None
    return (trial.ended - outcome.began) / 3600


def colours(outcome: Outcome) -> dict[str, str]:
    """Give each proposer's class of marks, the most frequent first; the last stands for the rest."""
    names = [one.proposer for one in outcome.proposals()]
    return {name: f"s{min(place, NUM_COLOURS - 1)}" for place, name in enumerate(names)}


def growth_legend(outcome: Outcome) -> Html:
    """Say what the marks of ``growth`` are."""
    names = colours(outcome)
    own = {css: [n or "proposer not noted" for n, c in names.items() if c == css]
           for css in dict.fromkeys(names.values())}  # fmt: skip
    entries = [(css, ", ".join(of)) for css, of in own.items()]
    entries.append(("line", "best so far: single trainings, helped by luck"))
    if outcome.confirmed:
        entries.append(("ring", "a fresh seed of one of the best"))
    if outcome.winner:
        entries.append(("level", f"the winner's mean over fresh seeds, {number(outcome.winner.score)}"))
    if outcome.count(FAILED):
        entries.append(("failed", "failed"))
    items = (element("li", element("i", class_=f"mark {css}"), text) for css, text in entries)
    return element("ul", *items, class_="legend")


def front_picture(outcome: Outcome, front: Sequence[Cell], objective: str, title: str) -> Html:
    """Draw mAP over another objective, a dot a cell; those on the front in a line."""
    places = [(value, cell.score) for cell in outcome.cells
              if (value := value_of(cell, objective)) is not None and value > 0]  # fmt: skip
    if not places:
        return Html("")
    x = Scale.over([value for value, _ in places], log=True)
    y = score_scale([score for _, score in places])
    best = [(value, cell.score) for cell in front if (value := value_of(cell, objective))]
    line = "M" + "L".join(f"{_across(x, a)} {_down(y, b)}" for a, b in sorted(best))
    marks = [dots(x, y, places, "rest"), dots(x, y, best, "front")]
    marks += [element("path", class_="through", d=line)] if best else []
    axes = Axis(x, title), Axis(y, "mAP on validation", kind="score")
    return chart(*axes, marks, "15rem", about=f"mAP by {title}; the front as a line")


@dataclass(frozen=True)
class Panel:
    """How scores go with what was chosen of one dimension."""

    dimension: Dimension | Range
    groups: Mapping[str, Sequence[float]]
    points: Sequence[tuple[float, float]]  # of a range: number and score
    share: float | None


def panels(space: Space, outcome: Outcome) -> list[Panel]:
    """Give a panel for each dimension of which something was tried; the largest share first."""
    found = []
    for dimension in space.dimensions:
        named = groups_of(outcome.searched, dimension.key)
        if not named:
            continue
        points: list[tuple[float, float]] = []
        groups: Mapping[str, Sequence[float]] = named
        if isinstance(dimension, Range):
            points = sorted((float(name), score) for name, own in named.items() for score in own)
            cut = enumerate(fifths(points))
            groups = {str(place): [score for _, score in own] for place, own in cut}
        found.append(Panel(dimension, groups, points, share_explained(list(groups.values()))))
    return sorted(found, key=lambda panel: -(panel.share or 0))


def fifths(points: Sequence[tuple[float, float]]) -> list[Sequence[tuple[float, float]]]:
    """Cut sorted points into five runs of equal length; fewer than 10 stay whole."""
    if len(points) < 2 * NUM_BINS:
        return [points]
    edges = np.linspace(0, len(points), NUM_BINS + 1).round().astype(int)
    return [points[a:b] for a, b in zip(edges[:-1], edges[1:], strict=True)]


def panel_picture(panel: Panel, y: Scale) -> Html:
    """Draw one panel; ``y`` is the scale of scores, which all share."""
    share = "" if panel.share is None else f"goes with {panel.share:.0%} of the differences"
    head = joined(element("h3", panel.dimension.key), element("div", share, class_="muted"))
    if isinstance(panel.dimension, Range):
        return element("section", head, _by_number(panel, panel.dimension, y), class_="panel")
    rows = sorted(panel.groups.items(), key=lambda item: -float(np.median(item[1])))
    lines = [_strip(name, scores, y) for name, scores in rows]
    ticks = element("div", *_ticks(Axis(y, "", kind="score"), y.ticks(4), "left"), class_="axis-x")
    end = element("div", Html("<span></span>"), ticks, element("span", "median", class_="muted"),
                  element("span", "n", class_="muted"), class_="strip ends")  # fmt: skip
    return element("section", head, *lines, end, class_="panel")


def _strip(name: str, scores: Sequence[float], scale: Scale) -> Html:
    """A line: the choice, its scores, half of them in a bar, their median and their number."""
    low, middle, high = (float(q) for q in np.quantile(scores, (0.25, 0.5, 0.75)))
    shown = sorted(scores)
    if len(shown) > MOST_DOTS:
        shown = [shown[i] for i in np.linspace(0, len(shown) - 1, MOST_DOTS).round().astype(int)]
    # Spread up and down, so that none hides another: by the golden ratio, which repeats nothing.
    spread = (int(UNITS * (0.15 + 0.7 * (i * 0.618034 % 1))) for i in range(len(shown)))
    marks = "".join(f"M{_across(scale, s)} {at}h0" for s, at in zip(shown, spread, strict=True))
    a, b, m = (_across(scale, value) for value in (low, high, middle))
    drawing = element(
        "svg",
        element("path", class_="half", d=f"M{a} {UNITS // 2}H{b}"),
        element("path", class_="dots rest", d=marks),
        element("path", class_="middle", d=f"M{m} 0V{UNITS}"),
        viewBox=f"0 0 {UNITS} {UNITS}", preserveAspectRatio="none", aria_hidden="true",
    )  # fmt: skip
    return element("div", element("span", name, class_="name"), drawing,
                   element("span", number(middle)), element("span", str(len(scores))),
                   class_="strip")  # fmt: skip


def _by_number(panel: Panel, dimension: Range, y: Scale) -> Html:
    x = Scale(dimension.low, dimension.high, dimension.log)
    kept = panel.points
    if len(kept) > 4 * MOST_DOTS:
        kept = [kept[i] for i in np.linspace(0, len(kept) - 1, 4 * MOST_DOTS).round().astype(int)]
    marks = [dots(x, y, kept, "rest")]
    middles = []
    for own in fifths(panel.points):
        level = _down(y, float(np.median([score for _, score in own])))
        middles.append(f"M{_across(x, own[0][0])} {level}H{_across(x, own[-1][0])}")
    marks.append(element("path", class_="line", d="".join(middles)))
    axes = Axis(x, f"n = {len(panel.points)}"), Axis(y, "", kind="score")
    about = f"mAP by {dimension.key}, with the median of each fifth of the trials"
    return chart(*axes, marks, "9rem", about=about)


def _ticks(axis: Axis, values: Sequence[float], side: str) -> list[Html]:
    return [
        element("span", axis.written(value), style=f"{side}:{100 * axis.scale.at(value):.2f}%")
        for value in values
    ]


def _across(scale: Scale, value: float) -> int:
    return round(UNITS * scale.at(value))


def _down(scale: Scale, value: float) -> int:
    return round(UNITS * (1 - scale.at(value)))


def _turned(value: float, log: bool) -> float:
    return math.log(value) if log else value


def _turned_back(value: float, log: bool) -> float:
    return math.exp(value) if log else value
