"""What a run leaves to look at: tables and pictures of its numbers, on a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collision.evaluation.evaluation import Evaluation
from collision.evaluation.numbers import Numbers
from collision.metrics.scored import Scored
from collision.report import curve_plots, plots
from collision.report.other_metrics import numbers_grid
from collision.report.page import Block, Code, Heading, Picture, Text, write_page
from collision.report.tables import (
    Grid,
    counts_grid,
    final_grid,
    mistakes_grid,
    number,
    slices_grid,
    with_interval,
)


@dataclass(frozen=True, eq=False)
class DatasetResults:
    """What there is to show of one data set's scores.

    Attributes:
        scored: The scores behind plots and mistakes; of several seeds one.
        warnings: What the guards found, each with ``name`` and ``message``.
        log: Rows of the Lightning CSV log, for the learning curves.
    """

    dataset: str
    split: str
    num_videos: int
    numbers: Numbers
    scored: Scored
    warnings: Sequence[Mapping[str, Any]] = ()
    log: Sequence[Mapping[str, str]] = ()


def results_of(evaluation: Evaluation, log: Sequence[Mapping[str, str]] = ()) -> DatasetResults:
    """Take what there is to show of an evaluation that has numbers; of several seeds the first."""
    assert evaluation.numbers is not None
    return DatasetResults(
        evaluation.name,
        evaluation.split,
        len(evaluation.experiment.records),
        evaluation.numbers,
        next(iter(evaluation.scores.values())).best,
        [finding.as_dict() for finding in evaluation.findings],
        log,
    )


@dataclass(frozen=True)
class RunDescription:
    """What describes a run, beside its results: commit, digests, best epoch and the like (facts).

    ``counts`` are the examples by split, as ``collision.report.tables.count_examples`` gives them.
    """

    title: str
    command: str
    facts: Mapping[str, object]
    counts: Mapping[str, Mapping[str, Mapping[str, int]]] | None = None


def write_results(folder: Path, run: RunDescription, results: DatasetResults) -> None:
    """Draw the plots of a run and write ``results.md`` and ``results.html`` in its folder.

    Plots go to its sub-folder ``plots``.
    """
    blocks: list[Block] = [Heading(run.title, level=1), Code(run.command)]
    blocks += result_blocks(folder / "plots", results)
    if run.counts:
        blocks += [Heading("Examples"), counts_grid(run.counts)]
    rows = [[name, str(value)] for name, value in run.facts.items()]
    blocks += [Heading("Run"), Grid("Run", ["property", "value"], rows)]
    write_page(folder, blocks)


def result_blocks(pictures: Path, results: DatasetResults, level: int = 2) -> list[Block]:
    """Report one data set's scores in full, and draw its pictures.

    Args:
        pictures: A folder for them, made if need be.
        results: Of the data set.
        level: Of the headings.
    """
    numbers = results.numbers
    summary = numbers.summary
    blocks: list[Block] = []
    if results.warnings:
        blocks.append(Heading("Warnings", level))
        blocks += [Text(f"**{one['name']}**: {one['message']}") for one in results.warnings]
    blocks += [Heading("Result", level), final_grid(summary, numbers.last_epoch)]
    blocks += [Text(_reading(numbers)), *_draw(pictures, results)]
    other = numbers_grid(numbers)
    blocks += [Heading(other.title, level), other]
    if summary.slices:
        blocks += [Heading("Slices", level), slices_grid(summary)]
    mistakes = mistakes_grid(results.scored)
    blocks += [Heading(mistakes.title, level)]
    blocks += [mistakes] if mistakes.rows else [Text("No score is on the wrong side of 0.5.")]
    return blocks


def datasets_grid(results: Sequence[DatasetResults]) -> Grid:
    """One line for each data set that a run was evaluated on."""
    of_each = [(one, one.numbers.summary) for one in results]
    keys = list(dict.fromkeys(key for _, s in of_each for key in s.ap if key != "mean"))
    with_seeds = any(summary.ap["mean"].sd is not None for _, summary in of_each)
    header = ["data set", "mAP [95 % interval]"]
    header += ["sd over\nseeds"] if with_seeds else []
    header += ["chance", *(f"{key} s" for key in keys), "AUC", "videos", "warnings"]
    rows = []
    for one, summary in of_each:
        row = [f"{one.dataset} ({one.split})", with_interval(summary.ap["mean"])]
        row += [number(summary.ap["mean"].sd)] if with_seeds else []
        row += [number(summary.chance["mean"])]
        row += [number(summary.ap[key].value if key in summary.ap else None) for key in keys]
        row += [number(one.numbers.auc["mean"].value), str(one.num_videos), str(len(one.warnings))]
        rows.append(row)
    return Grid("Data sets", header, rows)


def _draw(folder: Path, results: DatasetResults) -> list[Picture]:
    folder.mkdir(exist_ok=True)
    numbers, scored = results.numbers, results.scored
    pictures = [
        Picture(folder / "ap_by_horizon.png", "Average precision by time before the event"),
        Picture(folder / "precision_recall.png", "Precision-recall curves"),
        Picture(folder / "scores.png", "Scores by variant and label"),
    ]
    plots.ap_by_horizon(numbers.summary, pictures[0].path)
    plots.precision_recall(scored, pictures[1].path)
    plots.score_by_variant(scored, pictures[2].path)
    if numbers.calibration.reliability:
        pictures.append(Picture(folder / "reliability.png", "Reliability diagram"))
        curve_plots.reliability(numbers.calibration, pictures[-1].path)
    along = numbers.anticipation
    if along and along.recall_by_time.seconds:
        pictures.append(Picture(folder / "recall_by_time.png", "Recall by time before the event"))
        rates = along.false_alarms_per_hour
        curve_plots.recall_by_time(along.recall_by_time, rates, pictures[-1].path)
    if results.log:
        pictures.append(Picture(folder / "learning_curves.png", "Loss and nexar_map by epoch"))
        plots.learning_curves(results.log, pictures[-1].path)
    return pictures


def _reading(numbers: Numbers) -> str:
    """What the numbers under the table mean, and what is missing from them."""
    summary = numbers.summary
    mean, bootstrap = summary.ap["mean"], summary.bootstrap
    sentences = []
    if any(entry.low is not None for entry in summary.ap.values()):
        sentences.append(
            f"Intervals: {bootstrap.level:.0%}, {bootstrap.num_groups} groups resampled "
            f"{bootstrap.num_resamples} times (seed {bootstrap.seed})."
        )
    if mean.reason:
        sentences.append(f"No interval of the mean: {mean.reason}.")
    if len(mean.seeds) > 1:
        sentences.append("By seed: " + ", ".join(f"{value:.3f}" for value in mean.seeds) + ".")
    if summary.fraction_to_oracle:
        closed = with_interval(summary.fraction_to_oracle, "{:.0%}".format)
        sentences.append(f"Share of the gap from chance to the oracle that is closed: {closed}.")
        sentences.append("The oracle is a model that is given the true state of the scene.")
    counts = summary.counts.values()
    missing = [sum(c.missing_positive for c in counts), sum(c.missing_negative for c in counts)]
    total = sum(c.positive for c in counts), sum(c.negative for c in counts)
    sentences.append(
        f"Without a score: {missing[0]} of {total[0]} positive examples, which count as 0, and "
        f"{missing[1]} of {total[1]} negative ones, which are left out."
    )
    if summary.absent_slices:
        sentences.append(f"Not in these data: tag {', '.join(summary.absent_slices)}.")
    return " ".join(sentences)
