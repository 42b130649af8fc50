"""Pictures of a search's page: how the best grew, the front, what was chosen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from collision.report.charts import (
    UNITS,
    Axis,
    Scale,
    across,
    chart,
    dots,
    down,
    score_scale,
    steps,
    tick_labels,
)
from collision.report.html import Html, joined, tag
from collision.report.tables import number
from collision.search.outcomes import (
    Outcome,
    TriedExperiment,
    score_of,
    value_of,
)
from collision.search.shares import Share, shares
from collision.search.space import Dimension, Range, Space
from collision.search.trials import CONFIRM, FAILED, Trial

NUM_COLOURS = 6
MOST_DOTS = 150  # of a choice: beyond that, evenly spaced ranks of its scores
NUM_BINS = 5  # of a number that was chosen


def growth(outcome: Outcome, by: str) -> Html:
    """Draw every trial and the best so far, over numbers of trials or hours (``by``)."""
    placed = [
        (where, trial)
        for trial in outcome.trials
        if (where := place_of(outcome, trial, by)) is not None
    ]
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
    failed = (f"M{across(x, a)} {UNITS}v-160" for a, trial in placed if trial.state == FAILED)
    marks.append(tag("path", class_="failed", d="".join(failed)))
    if bests := running_best([(a, b) for a, b, t in scored if t.stage != CONFIRM]):
        marks.append(steps(x, y, bests))
    if outcome.winner:
        level = down(y, outcome.winner.score)
        marks.append(tag("path", class_="level", d=f"M0 {level}h{UNITS}"))
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
    """Give each proposer's class of marks, the most frequent first; the last is for the rest."""
    names = [one.proposer for one in outcome.proposals()]
    return {name: f"c{min(place, NUM_COLOURS - 1)}" for place, name in enumerate(names)}


def growth_legend(outcome: Outcome) -> Html:
    """Say what the marks of ``growth`` are."""
    names = colours(outcome)
    own = {
        css: [n or "proposer not noted" for n, c in names.items() if c == css]
        for css in dict.fromkeys(names.values())
    }
    entries = [(css, ", ".join(of)) for css, of in own.items()]
    entries.append(("line", "best so far: single trainings, helped by luck"))
    if outcome.confirmed:
        entries.append(("ring", "a fresh seed of one of the best"))
    if outcome.winner:
        entries.append(
            (
                "line dashed level",
                f"the winner's mean over fresh seeds, {number(outcome.winner.score)}",
            )
        )
    if outcome.count(FAILED):
        entries.append(("post failed", "failed"))
    items = (tag("li", tag("i", class_=f"mark {css}"), text) for css, text in entries)
    return tag("ul", *items, class_="legend")


def front_picture(
    outcome: Outcome, front: Sequence[TriedExperiment], objective: str, title: str, *, line: bool
) -> Html:
    """Draw mAP over another objective, a dot an experiment; those on the front large, or in a line.

    Of more than two objectives the front is no line.
    """
    places = [
        (value, experiment.score)
        for experiment in outcome.experiments
        if (value := value_of(experiment, objective)) is not None and value > 0
    ]
    if not places:
        return Html("")
    x = Scale.over([value for value, _ in places], log=True)
    y = score_scale([score for _, score in places])
    best = [(value, one.score) for one in front if (value := value_of(one, objective))]
    marks = [dots(x, y, places, "rest"), dots(x, y, best, "front")]
    if line and best:
        through = "L".join(f"{across(x, a)} {down(y, b)}" for a, b in sorted(best))
        marks.append(tag("path", class_="through", d=f"M{through}"))
    axes = Axis(x, title), Axis(y, "mAP on validation", kind="score")
    return chart(*axes, marks, "15rem", about=f"mAP by {title}; large: on the front")


@dataclass(frozen=True)
class Panel:
    """How scores go with what was chosen of one dimension.

    Attributes:
        groups: Scores by choice, or by fifth of the numbers that were chosen, from the lowest.
        points: Of a range: number and score, by number.
    """

    dimension: Dimension | Range
    groups: Mapping[str, Sequence[float]]
    points: Sequence[tuple[float, float]]
    share: Share


def panels(space: Space, outcome: Outcome) -> list[Panel]:
    """Give a panel for each dimension of which something was tried; the largest share first."""
    scores = [float(trial.value or 0) for trial in outcome.searched]
    chosen: dict[str, list[str]] = {}
    points: dict[str, list[tuple[float, float]]] = {}
    for one in space.dimensions:
        names = [trial.point.values.get(one.key, "") for trial in outcome.searched]
        if not any(names):
            continue
        if isinstance(one, Range):
            numbers = [float(name) if name else None for name in names]
            points[one.key] = sorted(
                (n, s) for n, s in zip(numbers, scores, strict=True) if n is not None
            )
            names = fifth_of(numbers)
        chosen[one.key] = names
    known = shares(chosen, scores)
    found = []
    for one in space.dimensions:
        groups: dict[str, list[float]] = defaultdict(list)
        for name, score in zip(chosen.get(one.key, ()), scores, strict=False):
            if name:  # else the dimension played no part
                groups[name].append(score)
        if groups:
            ordered = dict(sorted(groups.items())) if isinstance(one, Range) else groups
            found.append(Panel(one, ordered, points.get(one.key, ()), known[one.key]))
    return sorted(found, key=lambda panel: -_rank(panel.share))


def _rank(share: Share) -> float:
    return share.alone or 0.0 if share.beside is None else share.beside


def fifth_of(numbers: Sequence[float | None]) -> list[str]:
    """Name for each number the fifth in which it lies, "1" to "5": no name where there is none.

    Equal numbers lie in one, so that fifths may differ in size.
    """
    known = [number for number in numbers if number is not None]
    edges = np.quantile(known, np.arange(1, NUM_BINS) / NUM_BINS)
    return ["" if n is None else str(1 + int(np.searchsorted(edges, n))) for n in numbers]


def panel_picture(panel: Panel, y: Scale) -> Html:
    """Draw one panel; ``y`` is the scale of scores, which all share."""
    head = joined(tag("h3", panel.dimension.key), tag("div", _about(panel.share), class_="muted"))
    if isinstance(panel.dimension, Range):
        return tag("section", head, _by_number(panel, panel.dimension, y), class_="panel")
    rows = sorted(panel.groups.items(), key=lambda item: -float(np.median(item[1])))
    lines = [_strip(name, scores, y) for name, scores in rows]
    ticks = tag("div", *tick_labels(Axis(y, "", kind="score"), y.ticks(4), "left"), class_="axis-x")
    end = tag(
        "div",
        Html("<span></span>"),
        ticks,
        tag("span", "median", class_="muted"),
        tag("span", "n", class_="muted"),
        class_="strip ends",
    )
    return tag("section", head, *lines, end, class_="panel")


def _about(share: Share) -> str:
    parts = []
    if share.beside is not None:
        parts.append(f"{share.beside:.0%} of the differences beside the other dimensions")
    if share.alone is not None:
        parts.append(f"{share.alone:.0%} alone")
    return ", ".join(parts) or "too few trials to tell a share"


def _strip(name: str, scores: Sequence[float], scale: Scale) -> Html:
    """A line: the choice, its scores, half of them in a bar, their median and their number."""
    low, middle, high = (float(q) for q in np.quantile(scores, (0.25, 0.5, 0.75)))
    shown = sorted(scores)
    if len(shown) > MOST_DOTS:
        shown = [shown[i] for i in np.linspace(0, len(shown) - 1, MOST_DOTS).round().astype(int)]
    # Spread up and down, so that none hides another: by the golden ratio, which repeats nothing.
    spread = (int(UNITS * (0.15 + 0.7 * (i * 0.618034 % 1))) for i in range(len(shown)))
    marks = "".join(f"M{across(scale, s)} {at}h0" for s, at in zip(shown, spread, strict=True))
    a, b, m = (across(scale, value) for value in (low, high, middle))
    drawing = tag(
        "svg",
        tag("path", class_="half", d=f"M{a} {UNITS // 2}H{b}"),
        tag("path", class_="dots rest", d=marks),
        tag("path", class_="middle", d=f"M{m} 0V{UNITS}"),
        viewBox=f"0 0 {UNITS} {UNITS}",
        preserveAspectRatio="none",
        aria_hidden="true",
    )
    return tag(
        "div",
        tag("span", name, class_="name"),
        drawing,
        tag("span", number(middle)),
        tag("span", str(len(scores))),
        class_="strip",
    )


def _by_number(panel: Panel, dimension: Range, y: Scale) -> Html:
    x = Scale(dimension.low, dimension.high, dimension.log)
    kept = panel.points
    if len(kept) > 4 * MOST_DOTS:
        kept = [kept[i] for i in np.linspace(0, len(kept) - 1, 4 * MOST_DOTS).round().astype(int)]
    marks = [dots(x, y, kept, "rest")]
    middles, cut = [], 0
    for own in panel.groups.values():
        ends = panel.points[cut][0], panel.points[cut + len(own) - 1][0]
        cut += len(own)
        level = down(y, float(np.median(own)))
        middles.append(f"M{across(x, ends[0]) - 20} {level}H{across(x, ends[1]) + 20}")
    marks.append(tag("path", class_="line", d="".join(middles)))
    axes = Axis(x, f"n = {len(panel.points)}"), Axis(y, "", kind="score")
    about = f"mAP by {dimension.key}, with the median of each fifth of the trials"
    return chart(*axes, marks, "9rem", about=about)
