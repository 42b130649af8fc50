"""``results.html``: what a run found, for somebody who was not there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from collision.evaluation.numbers import Numbers
from collision.files import write_whole
from collision.metrics.estimate import Estimate
from collision.metrics.warned import COLLISIONS
from collision.option_groups import ClipsMode
from collision.report import plots
from collision.report.cards import Gallery
from collision.report.figures import figure
from collision.report.gallery import cards_of
from collision.report.headline import NO_LABELS, beside, hardly_left, headline, measured_on
from collision.report.html import Html, asset, document, tag
from collision.report.judged import Judged
from collision.report.other_sets import link_to_run, other_sets
from collision.report.parts import Scale, command, paragraph, section, table, tile, track, warning
from collision.report.tables import (
    ABSENT,
    Grid,
    counts_grid,
    datasets_grid,
    final_grid,
    missing_grid,
    number,
    numbers_grid,
    slices_grid,
)
from collision.report.words import RunDescription, distances_sentence, reading

_ABOUT_CARDS = (
    "A clip is judged by the highest of its scored moments. Pictures stand under their times; "
    "a dashed frame marks what came after the cut, which the predictor did not see. In the curve: "
    "dots are scored moments (diamonds: at or above the threshold, the dashed level), dotted "
    "lines cuts, solid ones events. With a clip: play it, or click the curve or a picture."
)


def write_results_page(
    folder: Path,
    run: RunDescription,
    judged: Sequence[Judged],
    log: plots.Log = (),
    clips: ClipsMode = "embed",
    console: Console | None = None,
) -> None:
    """Write ``results.html``, and, of ``clips=link``, the clips beside it."""
    cards = [card for one in judged for card in cards_of(one)]
    gallery, media = Gallery(folder, clips, console, cards).write()
    parts = [*_sections(judged, gallery, log), *_about(run)]
    links = [tag("a", title, href=f"#{name}") for name, title, _ in parts]
    page = document(
        run.title,
        tag("h1", run.title, class_="over"),
        link_to_run(folder, run.evaluated) if run.evaluated else None,
        [_head(one, len(judged) > 1) for one in judged],
        other_sets(folder),
        [warning(name, text) for one in judged for name, text in _warnings(one, len(judged) > 1)],
        tag("nav", links, aria_label="Parts of this page"),
        [section(name, title, body) for name, title, body in parts],
        styles=[asset("report.css")],
        scripts=map(asset, ("page.js", "gallery.js")),
        media=" ".join(["data:", *media]),
    )
    write_whole(folder / "results.html", page)


def _head(one: Judged, is_one_of_many: bool) -> list[Html]:
    """Say first what a reader wants to know of a data set."""
    start = f"{one.name}: " if is_one_of_many else ""
    tiles = _tiles(one)
    return [
        tag("p", start + headline(one), class_="headline"),
        *(tag("p", text, class_="beside") for text in beside(one)),
        tag("p", measured_on(one), class_="measured"),
        *([tiles] if tiles else []),
    ]


def _warnings(one: Judged, is_one_of_many: bool) -> Iterator[tuple[str, str]]:
    for name, text in one.warnings:
        yield (f"{one.name}: {name}" if is_one_of_many else name), text


def _sections(
    judged: Sequence[Judged], gallery: Html | None, log: plots.Log
) -> Iterator[tuple[str, str, list[Html]]]:
    """Give name, title and body of each part."""
    many = len(judged) > 1
    if sum(one.numbers is not None for one in judged) > 1:
        yield "sets", "All data sets", [table(datasets_grid(judged))]
    shown = [(one, f"{one.name}: " if many else "", n) for n, one in enumerate(judged)]
    for one, start, place in shown:
        yield (
            f"result-{place}",
            f"{start}Average precision" if many else "Average precision",
            (_result(one)),
        )
    if gallery is not None:
        yield "clips", "Clips", [tag("p", _ABOUT_CARDS, class_="about"), gallery]
    for one, _, place in shown:
        if one.numbers is None:
            continue
        title = "Curves" if not many else f"{one.name}: curves"
        yield f"curves-{place}", title, [tag("div", _plots(one, log), class_="plots")]
        if one.numbers.summary.slices:
            title = "Slices" if not many else f"{one.name}: slices"
            yield f"slices-{place}", title, _slices(one)
        title = "Other metrics" if not many else f"{one.name}: other metrics"
        yield f"numbers-{place}", title, [table(numbers_grid(one.numbers), sortable=False)]
    for one, _, place in shown:
        if body := _missing(one):
            title = "Files and what is missing" if not many else f"{one.name}: files"
            yield f"missing-{place}", title, body


def _result(one: Judged) -> list[Html]:
    if one.numbers is None:
        said = [tag("p", NO_LABELS)]
        if one.submission:
            said.append(tag("p", f"Scores for the owners' own judging: {one.submission}"))
        return said
    summary = one.numbers.summary
    grid = final_grid(summary, one.numbers.last_step, one.baseline)
    plot = figure(
        "Chance is what random order has; the oracle knows the true state of the scene."
        if summary.oracle
        else "Chance is what random order has.",
        plots.ap_by_horizon,
        summary,
    )
    told = [tag("p", summary.headline, class_="measured"), paragraph(reading(one.numbers))]
    if why := hardly_left(summary, one.baseline):
        told.append(paragraph(why))
    if one.submission:
        told.append(tag("p", f"Scores for the owners' own judging: {one.submission}"))
    if one.distances:
        told.append(paragraph(distances_sentence(one.distances)))
    return [tag("div", plot, tag("div", told), class_="plots"), table(grid, sortable=False)]


def _plots(one: Judged, log: plots.Log) -> list[Html]:
    numbers, scored = one.numbers, one.first
    assert numbers is not None and scored is not None
    found = [
        figure(f"Of the alarms, how many are right; of {_positives(numbers)}, how many are found.",
               plots.precision_recall, scored),
        figure("Recall against false alarms, for every threshold.", plots.roc, scored),
        figure("Every score of the first seed; the threshold is in the table below.",
               plots.score_by_variant, scored),
    ]  # fmt: skip
    if numbers.calibration.reliability:
        said = "Of clips that were given a probability, the share that is positive."
        found.append(figure(said, plots.reliability, numbers.calibration))
    along = numbers.anticipation
    if along and along.recall_by_time.seconds:
        shown = along.recall_by_time, along.false_alarms_per_hour
        found.append(figure("How early alarms come.", plots.recall_by_time, *shown))
    if log:
        found.append(figure("The first seed's training.", plots.learning_curves, log))
    return found


def _positives(numbers: Numbers) -> str:
    return next((one.positives_in_words for one in numbers.warned), COLLISIONS)


def _slices(one: Judged) -> list[Html]:
    """Every slice as a dot with its interval, beside its own chance."""
    assert one.numbers is not None
    summary = one.numbers.summary
    grid = slices_grid(summary)
    every = [part.ap["mean"] for part in summary.slices.values()]
    scale = scale_of(every, [part.chance["mean"] for part in summary.slices.values()])
    rows, cells = [], []
    for row, part in zip(grid.rows, summary.slices.values(), strict=True):
        mean, chance = part.ap["mean"], part.chance["mean"]
        rows.append([row[0], number(mean.value), *row[1:6], *row[6:]])
        cells.append([row[0], track(mean, scale, chance), *row[1:6], *row[6:]])
    header = [grid.header[0], "as a dot", *grid.header[1:]]
    ends = f"Dots: mAP with its interval, from {scale.low:.2f} to {scale.high:.2f}; "
    told = ends + "dotted: the slice's own chance. Filled: the interval does not hold chance."
    return [tag("p", told, class_="about"), table(Grid("", header, rows), cells)]


def scale_of(values: Sequence[Estimate], marks: Sequence[float | None]) -> Scale:
    """Give a track on which all values, intervals and marks lie."""
    known = [one for one in values if one.value is not None]
    ends = [end for one in known for end in (one.value, one.low, one.high) if end is not None]
    ends += [mark for mark in marks if mark is not None]
    if not ends:
        return Scale(0.0, 1.0)
    low, high = min(ends), max(ends)
    margin = max(0.01, 0.04 * (high - low))
    return Scale(low - margin, high + margin)


def _missing(one: Judged) -> list[Html]:
    found = [paragraph(note) for note in one.notes]
    grid = missing_grid(one.missing)
    if grid.rows:
        found += [tag("h3", grid.title), table(grid, sortable=False)]
    return found


def _tiles(one: Judged) -> Html | None:
    numbers = one.numbers
    if numbers is None:
        return None
    summary = numbers.summary
    mean, chance = summary.ap["mean"], summary.chance["mean"]
    tiles = [tile(number(mean.value), _interval(mean), f"mAP (chance {number(chance)})")]
    for point in numbers.warned[:1]:
        tiles.append(
            _share_tile(point.recall, f"of {point.positives_in_words} warned of", point.chance)
        )
        tiles.append(_share_tile(point.false_alarms, "of other clips alarm"))
    auc = numbers.auc["mean"]
    tiles.append(tile(number(auc.value), _interval(auc), "AUC (chance .500)"))
    brier = numbers.calibration.brier
    of_base = number(numbers.calibration.brier_of_base_rate)
    tiles.append(tile(number(brier.value), _interval(brier), f"Brier (base rate {of_base})"))
    return tag("div", tiles, class_="tiles")


def _share_tile(one: Estimate, about: str, chance: float | None = None) -> Html:
    interval = "" if one.interval is None else f"[{one.low:.1%}, {one.high:.1%}]"
    beside_it = "" if chance is None else f" (chance {chance:.1%})"
    return tile(ABSENT if one.value is None else f"{one.value:.1%}", interval, about + beside_it)


def _interval(one: Estimate) -> str:
    if one.interval is None:
        return ""
    return f"[{number(one.low)}, {number(one.high)}]"


def _about(run: RunDescription) -> Iterator[tuple[str, str, list[Html]]]:
    facts = Grid(
        "",
        ["property", "value"],
        [[k, ABSENT if v in (None, "") else str(v)] for k, v in run.facts.items()],
    )
    body = [command(run.command), table(facts, sortable=False) if facts.rows else Html("")]
    if run.counts:
        counts = table(counts_grid(run.counts), sortable=False)
        body.append(tag("details", tag("summary", "Examples by split and horizon"), counts))
    yield "run", "How it was made", body
