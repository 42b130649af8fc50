"""What a run leaves to look at: ``results.md`` with its pictures, and ``results.html``.

Both are made from the run's files alone, so that they can be made again: ``collision report RUN``.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from collision.evaluation.numbers import Numbers
from collision.metrics.scored import Scored
from collision.option_groups import ClipsMode
from collision.report import plots
from collision.report.headline import hardly_left, sentence
from collision.report.judged import Judged, read_judged, read_metrics
from collision.report.page import Block, Code, Heading, Picture, Text, titled, write_markdown
from collision.report.results_page import write_results_page
from collision.report.tables import (
    Grid,
    counts_grid,
    datasets_grid,
    final_grid,
    missing_grid,
    mistakes_grid,
    numbers_grid,
    slices_grid,
)
from collision.report.words import RunDescription, described, distances_sentence, reading
from collision.untrusted import reading as reading_file


def remake(folder: Path, clips: ClipsMode = "embed", console: Console | None = None) -> Path:
    """Write the pages and plots of a folder of ``train`` or ``evaluate`` from its files.

    Gives the path of ``results.html``. CheckpointError: the folder holds no results, or damaged
    ones.
    """
    metrics = read_metrics(folder)
    judged = read_judged(folder, metrics)
    with reading_file(repr(str(folder / "metrics.json"))):
        run, log = described(metrics), read_log(folder, metrics)
    write_results(folder, run, judged, log, clips, console)
    return folder / "results.html"


def write_results(
    folder: Path,
    run: RunDescription,
    judged: Sequence[Judged],
    log: plots.Log = (),
    clips: ClipsMode = "embed",
    console: Console | None = None,
) -> None:
    """Write ``results.md``, ``results.html`` and the plots of a run."""
    blocks: list[Block] = [Heading(run.title, level=1), Code(run.command)]
    if sum(one.numbers is not None for one in judged) > 1:
        blocks += [Heading("All data sets"), datasets_grid(judged)]
    for one in judged:
        is_alone = len(judged) == 1 and run.counts is not None
        pictures = folder / ("plots" if is_alone else f"plots_{one.name}")
        if not is_alone:
            blocks.append(Heading(f"{one.name}, split {one.split}"))
        blocks += result_blocks(pictures, one, level=2 if is_alone else 3, log=log)
    if run.counts:
        blocks += titled(counts_grid(run.counts))
    rows = [[name, str(value)] for name, value in run.facts.items()]
    write_markdown(folder, [*blocks, *titled(Grid("Run", ["property", "value"], rows))])
    write_results_page(folder, run, judged, log, clips, console)


def result_blocks(
    pictures: Path, judged: Judged, level: int = 2, log: plots.Log = ()
) -> list[Block]:
    """Report one data set; draw its pictures into a folder, made if need be.

    Curves and mistakes are of the first seed.
    """
    numbers, scored = judged.numbers, judged.first
    blocks: list[Block] = []
    if judged.submission:
        blocks.append(Text(f"Scores for the owners' own judging: {judged.submission}"))
    if numbers is None or scored is None:
        missing = titled(missing_grid(judged.missing), level)
        return [*blocks, Text("The labels are secret: nothing is judged."), *missing]
    summary = numbers.summary
    if judged.warnings:
        blocks.append(Heading("Warnings", level))
        blocks += [Text(f"**{name}**: {message}") for name, message in judged.warnings]
    if judged.notes:
        blocks.append(Heading("Notes on the files", level))
        blocks += [Text(note) for note in judged.notes]
    said = sentence(numbers.warned, [name for name, _ in judged.warnings])
    blocks += [Heading("Result", level), Text(f"**{summary.headline}**")]
    blocks += [Text(said)] if said else []
    blocks.append(final_grid(summary, numbers.last_step, judged.baseline))
    if said := hardly_left(summary, judged.baseline):
        blocks.append(Text(said))
    blocks += [Text(reading(numbers)), *_draw(pictures, numbers, scored, log)]
    if judged.distances:
        blocks.append(Text(distances_sentence(judged.distances)))
    blocks += titled(missing_grid(judged.missing), level)
    blocks += titled(numbers_grid(numbers), level)
    if summary.slices:
        blocks += titled(slices_grid(summary), level)
    mistakes = mistakes_grid(scored)
    none = Text("No score is on the wrong side of 0.5.")
    return [*blocks, Heading(mistakes.title, level), mistakes if mistakes.rows else none]


def read_log(folder: Path, metrics: Mapping[str, Any]) -> list[dict[str, str]]:
    """Read the first seed's ``log.csv``; empty where there is none."""
    if "datasets" in metrics:
        return []
    fold = "fold_0" if metrics.get("folds") else ""
    path = folder / fold / f"seed_{int(metrics['seeds'][0])}" / "log.csv"
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _draw(folder: Path, numbers: Numbers, scored: Scored, log: plots.Log) -> list[Picture]:
    folder.mkdir(exist_ok=True)
    along = numbers.anticipation
    pictures = []

    def draw(name: str, caption: str, plot: Callable[..., None], *shown: object) -> None:
        pictures.append(Picture(folder / f"{name}.png", caption))
        plot(*shown, pictures[-1].path)

    before = "time before the event"
    draw("ap_by_horizon", f"Average precision by {before}", plots.ap_by_horizon, numbers.summary)
    draw("precision_recall", "Precision-recall curves", plots.precision_recall, scored)
    draw("roc", "ROC curves", plots.roc, scored)
    draw("scores", "Scores by variant and label", plots.score_by_variant, scored)
    if numbers.calibration.reliability:
        draw("reliability", "Reliability diagram", plots.reliability, numbers.calibration)
    if along and along.recall_by_time.seconds:
        shown = along.recall_by_time, along.false_alarms_per_hour
        draw("recall_by_time", f"Recall by {before}", plots.recall_by_time, *shown)
    if log:
        draw("learning_curves", "Loss and nexar_map by step", plots.learning_curves, log)
    return pictures
