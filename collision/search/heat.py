"""The map of two dimensions: what was reached by each pair of choices."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from collision.report.html import Html, tag
from collision.report.tables import number
from collision.search.outcomes import Outcome, score_of
from collision.search.space import Dimension, Space

NUM_SHADES = 9


@dataclass(frozen=True)
class Niche:
    """What the trials of one pair of choices reached in the search."""

    best: float
    mean: float
    count: int


def choosable(space: Space) -> list[Dimension]:
    """Give the dimensions that have choices, those of the cells first."""
    return [one for one in space.dimensions if isinstance(one, Dimension)]


def niches(outcome: Outcome, down: str, across: str) -> Mapping[tuple[str, str], Niche]:
    """Give what was reached by names of choices of two dimensions."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for trial in outcome.searched:
        values, score = trial.point.values, score_of(trial)
        if down in values and across in values and score is not None:
            found[values[down], values[across]].append(score)
    return {pair: Niche(max(own), fmean(own), len(own)) for pair, own in found.items()}


def shade(value: float, values: Sequence[float]) -> int:
    """Give 0 to 8: how high a value lies among all.

    What lies more than twice as far below the median as the highest lies above it is as pale as
    can be: a few bad choices do not make all others one colour.
    """
    top, middle = max(values), median(values)
    low = max(min(values), middle - 2 * (top - middle))
    if top <= low:
        return NUM_SHADES // 2
    return min(max(int(NUM_SHADES * (value - low) / (top - low)), 0), NUM_SHADES - 1)


def heat_map(outcome: Outcome, down: Dimension, across: Dimension) -> Html:
    """Make the table: the best score in large, shaded; below it mean and number of trials."""
    found = niches(outcome, down.key, across.key)
    bests = [niche.best for niche in found.values()]
    corner = tag("th", f"{down.key} \\ {across.key}", scope="col")
    names = (tag("th", choice.name, scope="col") for choice in across.choices)
    rows = []
    for one in down.choices:
        cells = [_niche(found.get((one.name, other.name)), bests) for other in across.choices]
        rows.append(tag("tr", tag("th", one.name, scope="row"), *cells))
    head = tag("thead", tag("tr", corner, *names))
    return tag("table", head, tag("tbody", *rows), class_="heat")


def _niche(niche: Niche | None, bests: Sequence[float]) -> Html:
    if niche is None:
        return tag("td", "–", class_="none")
    below = tag("span", f"{number(niche.mean)} · {niche.count}")
    return tag("td", number(niche.best), below, class_=f"h{shade(niche.best, bests)}")
