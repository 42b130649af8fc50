"""``compare.html``: what differs between runs, by how much, and on which clips."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from collision.errors import CollisionError, MetricError
from collision.evaluation.numbers import slices_in
from collision.files import write_whole
from collision.metrics.comparison import Comparison, compare
from collision.metrics.estimate import Difference
from collision.metrics.scored import Scored
from collision.metrics.summary import slices_of
from collision.option_groups import ClipsMode
from collision.report.cards import Gallery
from collision.report.clips import Clips, read_clips
from collision.report.comparison import differences_grid, reading, runs_grid
from collision.report.curve import legend
from collision.report.gallery import Card, Line, card_of, units_of
from collision.report.html import Child, Html, asset, document, tag
from collision.report.judged import Judged
from collision.report.parts import command, paragraph, section, table, track
from collision.report.results_page import scale_of
from collision.report.tables import Grid, signed, with_interval

MOST_CARDS = 24
_MOST_RESAMPLES = 2000  # of a slice: there may be fifty


@dataclass(frozen=True)
class SliceDifference:
    """Every other run minus the reference on a slice; ``reason`` says why there is nothing."""

    name: str
    side: str
    differences: Mapping[str, Difference] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True)
class Compared:
    """What the page is made of; scores are by run and seed, aligned by ``compare``'s rules."""

    comparison: Comparison
    scores: Mapping[str, Sequence[Scored]]
    folders: Mapping[str, Path]
    dataset: str
    command: str
    commit: str

    @property
    def aligned(self) -> dict[str, list[Scored]]:
        """All scores in the order of the first run's."""
        first = next(iter(self.scores.values()))[0]
        return {name: [one.aligned_to(first) for one in own] for name, own in self.scores.items()}


def differences_by_slice(compared: Compared) -> list[SliceDifference]:
    """Compare the runs on each value of each tag with a few values."""
    aligned = compared.aligned
    first = next(iter(aligned.values()))[0]
    draws = min(_MOST_RESAMPLES, compared.comparison.bootstrap.num_resamples)
    found = []
    for name in slices_in(first):
        for value, side, rows in slices_of(first, name):
            own = {run: [one.take(rows) for one in seeds] for run, seeds in aligned.items()}
            try:
                result = compare(own, num_resamples=draws)
                found.append(SliceDifference(value, side, result.differences))
            except MetricError as error:  # a horizon with one class
                found.append(SliceDifference(value, side, reason=str(error)))
    return found


def write_compare_page(
    folder: Path,
    compared: Compared,
    slices: Sequence[SliceDifference],
    clips: ClipsMode = "embed",
    console: Console | None = None,
) -> None:
    """Write ``compare.html``, and, of ``clips=link``, the clips beside it."""
    comparison = compared.comparison
    cards = differing_cards(compared)
    gallery, media = Gallery(folder, clips, console, cards).write()
    names = list(comparison.runs)
    bodies = [
        ("differences", f"Against {comparison.reference}", _differences(comparison)),
        ("runs", "Runs", [table(runs_grid(comparison)), paragraph(reading(comparison))]),
    ]
    if slices:
        bodies.append(("slices", "By slice", _slices(comparison, slices)))
    if gallery is not None:
        said = (
            "Clips whose highest score differs most between the runs, all seeds' mean. The number "
            "is the largest difference to the reference; the outcome says which run is nearer to "
            "what happened."
        )
        about = tag("p", said, class_="about")
        bodies.append(("clips", "Clips", [about, legend(names), gallery]))
    folders = Grid("", ["run", "folder"], [[n, str(p)] for n, p in compared.folders.items()])
    made = [command(compared.command), table(folders), tag("p", f"Commit {compared.commit}.")]
    bodies.append(("made", "How it was made", made))
    page = document(
        "Comparison of runs",
        tag("h1", f"Comparison of {len(names)} runs on {compared.dataset}", class_="over"),
        [tag("p", text, class_="headline") for text in sentences(comparison)],
        tag("nav", [tag("a", title, href=f"#{key}") for key, title, _ in bodies]),
        [section(key, title, body) for key, title, body in bodies],
        styles=[asset("report.css")],
        scripts=map(asset, ("page.js", "gallery.js")),
        media=" ".join(["data:", *media]),
    )
    write_whole(folder / "compare.html", page)


def sentences(comparison: Comparison, most: int = 3) -> Iterator[str]:
    """Say of each run whether it is better than the reference, and how sure that is."""
    for name, one in list(comparison.differences.items())[:most]:
        numbers = f"{with_interval(one, signed)} mAP"
        if one.p_adjusted is None:
            verdict = "too little to say"
        elif one.p_adjusted > 0.05:
            verdict = "no more than chance may do"
        else:
            verdict = "better" if one.value > 0 else "worse"
        yield f"{name} against {comparison.reference}: {numbers}, {verdict}."
    if (rest := len(comparison.differences) - most) > 0:
        yield f"{rest} more runs stand below."


def _differences(comparison: Comparison) -> list[Html]:
    grid = differences_grid(comparison)
    ones = list(comparison.differences.values())
    scale = scale_of(ones, [0.0])
    rows = [[row[0], signed(one.value), *row[1:]] for row, one in zip(grid.rows, ones, strict=True)]
    cells = [
        [row[0], track(one, scale, 0.0), *row[1:]] for row, one in zip(grid.rows, ones, strict=True)
    ]
    header = [grid.header[0], "as a dot", *grid.header[1:]]
    told = "Dotted: no difference. Filled: the interval does not hold it."
    return [tag("p", told, class_="about"), table(Grid("", header, rows), cells)]


def _slices(comparison: Comparison, slices: Sequence[SliceDifference]) -> list[Html]:
    every = [one for part in slices for one in part.differences.values()]
    scale = scale_of(every, [0.0])
    rows: list[list[str]] = []
    cells: list[list[Child]] = []
    for part in slices:
        for run in comparison.differences:
            one = part.differences.get(run)
            value = "" if one is None else signed(one.value)
            shown = "" if one is None else with_interval(one, signed)
            rest = [shown, part.side, part.reason or (one.reason if one else "") or ""]
            rows.append([part.name, run, value, *rest])
            dots = "" if one is None else track(one, scale, 0.0)
            cells.append([part.name, run, dots, *rest])
    header = ["slice", "run", "as a dot", "difference\n[95 % interval]", "examples", "note"]
    if len(comparison.differences) == 1:  # on a phone the dots come next to the slice
        header = [header[0], *header[2:]]
        rows = [[row[0], *row[2:]] for row in rows]
        cells = [[row[0], *row[2:]] for row in cells]
    told = "Intervals of slices are not corrected for their number: of twenty, one is off by luck."
    return [tag("p", told, class_="about"), table(Grid("", header, rows), cells)]


def differing_cards(compared: Compared, most: int = MOST_CARDS) -> list[Card]:
    """Choose the clips on which the runs differ most."""
    clips = _clips(compared)
    judged = {
        name: Judged(compared.dataset, "", 0, scores=dict(enumerate(seeds)), clips=clips)
        for name, seeds in compared.aligned.items()
    }
    units = {name: list(units_of(list(one.scores.values()))) for name, one in judged.items()}
    reference = compared.comparison.reference
    ranked = []
    for place, unit in enumerate(units[reference]):
        highest = {name: _highest(own[place].mean) for name, own in units.items()}
        gaps = {name: one - highest[reference] for name, one in highest.items()}
        other = max(gaps, key=lambda name: abs(np.nan_to_num(gaps[name])))
        if np.isfinite(gaps[other]) and gaps[other]:
            label = int(unit.seeds[0].label[unit.rows[0]])
            ranked.append((abs(gaps[other]), place, other, gaps[other], highest, label))
    ranked.sort(key=lambda one: (-one[0], one[1]))
    cards = []
    for gap, place, other, change, highest, label in ranked[:most]:
        own = {n: card_of(judged[n], units[n][place], 0.5) for n in judged}
        is_better = (change > 0) == bool(label)
        nearer = other if is_better else reference
        cards.append(
            replace(
                own[other],
                kind=f"{'collision' if label else 'no collision'}, nearer: {nearer}",
                choice="",
                score=change,
                error=gap,
                threshold=None,
                is_good=is_better,
                by_seed=(),
                lines=[replace(_cuts(card), name=name) for name, card in own.items()],
                facts=tuple(f"{name} {score:.2f}" for name, score in highest.items()),
                form="{:+.2f}",
                about_score=f"{other} minus {reference}",
            )
        )
    return cards


def _cuts(card: Card) -> Line:
    return card.lines[-1]


def _highest(mean: np.ndarray) -> float:
    return float(np.nanmax(mean)) if not np.isnan(mean).all() else float("nan")


def _clips(compared: Compared) -> Clips:
    """Take where the clips lie from the first run that knows."""
    for folder in compared.folders.values():
        try:
            found = read_clips(folder, [compared.dataset])[compared.dataset]
        except CollisionError:  # of an older or damaged run: the page has its numbers all the same
            continue
        if found.clips:
            return found
    return Clips()


def as_json(slices: Sequence[SliceDifference]) -> dict[str, Any]:
    """Plain data for ``compare.json``."""
    return {
        one.name: {
            "side": one.side,
            "differences": {name: d.as_json() for name, d in one.differences.items()},
            **({"reason": one.reason} if one.reason else {}),
        }
        for one in slices
    }
