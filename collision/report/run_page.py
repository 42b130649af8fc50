"""What a run leaves to look at: tables and pictures of its numbers, on a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collision.evaluation.evaluation import Evaluation
from collision.evaluation.numbers import Numbers
from collision.metrics.scored import Scored
from collision.report import plots
from collision.report.page import Block, Code, Heading, Picture, Text, titled, write_page
from collision.report.tables import (
    Grid,
    counts_grid,
    final_grid,
    mistakes_grid,
    number,
    numbers_grid,
    slices_grid,
    with_interval,
)


@dataclass(frozen=True, eq=False)
class DatasetResults:
    """What there is to show of one data set's scores."""

    dataset: str
    split: str
    num_videos: int
    numbers: Numbers
    scored: Scored  # of several seeds one
    warnings: Sequence[Mapping[str, Any]] = ()  # each with ``name`` and ``message``
    log: Sequence[Mapping[str, str]] = ()  # rows of the Lightning CSV log


def results_of(evaluation: Evaluation, log: Sequence[Mapping[str, str]] = ()) -> DatasetResults:
    """Take what there is to show of an evaluation that has numbers; of several seeds the first."""
    assert evaluation.numbers is not None
    named = (evaluation.name, evaluation.split, len(evaluation.experiment.records))
    scored = next(iter(evaluation.scores.values())).best
    warnings = [finding.as_json() for finding in evaluation.findings]
    return DatasetResults(*named, evaluation.numbers, scored, warnings, log)


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
    """Write ``results.md``, ``results.html`` and the sub-folder ``plots`` of a run."""
    blocks: list[Block] = [Heading(run.title, level=1), Code(run.command)]
    blocks += result_blocks(folder / "plots", results)
    if run.counts:
        blocks += titled(counts_grid(run.counts))
    rows = [[name, str(value)] for name, value in run.facts.items()]
    write_page(folder, [*blocks, *titled(Grid("Run", ["property", "value"], rows))])


def result_blocks(pictures: Path, results: DatasetResults, level: int = 2) -> list[Block]:
    """Report one data set's scores in full; draw its pictures into a folder, made if need be."""
    numbers = results.numbers
    summary = numbers.summary
    blocks: list[Block] = []
    if results.warnings:
        blocks.append(Heading("Warnings", level))
        blocks += [Text(f"**{one['name']}**: {one['message']}") for one in results.warnings]
    blocks += [Heading("Result", level), final_grid(summary, numbers.last_epoch)]
    blocks += [Text(_reading(numbers)), *_draw(pictures, results)]
    blocks += titled(numbers_grid(numbers), level)
    if summary.slices:
        blocks += titled(slices_grid(summary), level)
    mistakes = mistakes_grid(results.scored)
    none = Text("No score is on the wrong side of 0.5.")
    return [*blocks, Heading(mistakes.title, level), mistakes if mistakes.rows else none]


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
    numbers, scored, along = results.numbers, results.scored, results.numbers.anticipation
    pictures = []

    def draw(name: str, caption: str, plot: Callable[..., None], *shown: object) -> None:
        pictures.append(Picture(folder / f"{name}.png", caption))
        plot(*shown, pictures[-1].path)

    before = "time before the event"
    draw("ap_by_horizon", f"Average precision by {before}", plots.ap_by_horizon, numbers.summary)
    draw("precision_recall", "Precision-recall curves", plots.precision_recall, scored)
    draw("scores", "Scores by variant and label", plots.score_by_variant, scored)
    if numbers.calibration.reliability:
        draw("reliability", "Reliability diagram", plots.reliability, numbers.calibration)
    if along and along.recall_by_time.seconds:
        shown = along.recall_by_time, along.false_alarms_per_hour
        draw("recall_by_time", f"Recall by {before}", plots.recall_by_time, *shown)
    if log := results.log:
        draw("learning_curves", "Loss and nexar_map by epoch", plots.learning_curves, log)
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
    positive, negative = sum(c.positive for c in counts), sum(c.negative for c in counts)
    sentences.append(
        f"Without a score: {sum(c.missing_positive for c in counts)} of {positive} positive "
        f"examples, which count as 0, and {sum(c.missing_negative for c in counts)} of {negative} "
        "negative ones, which are left out."
    )
    if summary.absent_slices:
        sentences.append(f"Not in these data: tag {', '.join(summary.absent_slices)}.")
    return " ".join(sentences)
