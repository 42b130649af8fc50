"""What a run leaves to look at: tables and pictures of its numbers, on a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from collision.evaluation.distances import Distances
from collision.evaluation.evaluation import Evaluation
from collision.evaluation.numbers import Numbers
from collision.metrics.scored import Scored
from collision.report import plots
from collision.report.page import Block, Code, Heading, Picture, Text, titled, write_page
from collision.report.tables import (
    Grid,
    counts_grid,
    final_grid,
    missing_grid,
    mistakes_grid,
    number,
    numbers_grid,
    percent,
    slices_grid,
    with_interval,
)
from collision.video.notes import counted

Log: TypeAlias = Sequence[Mapping[str, str]]  # rows of the Lightning CSV log


@dataclass(frozen=True)
class RunDescription:
    """What describes a run, beside its results: commit, digests, steps and the like (facts).

    ``counts`` are the examples by split, as ``collision.report.tables.count_examples`` gives them.
    """

    title: str
    command: str
    facts: Mapping[str, object]
    counts: Mapping[str, Mapping[str, Mapping[str, int]]] | None = None


def write_results(folder: Path, run: RunDescription, evaluation: Evaluation, log: Log = ()) -> None:
    """Write ``results.md``, ``results.html`` and the sub-folder ``plots`` of a run."""
    blocks: list[Block] = [Heading(run.title, level=1), Code(run.command)]
    blocks += result_blocks(folder / "plots", evaluation, log=log)
    if run.counts:
        blocks += titled(counts_grid(run.counts))
    rows = [[name, str(value)] for name, value in run.facts.items()]
    write_page(folder, [*blocks, *titled(Grid("Run", ["property", "value"], rows))])


def result_blocks(
    pictures: Path, evaluation: Evaluation, level: int = 2, log: Log = ()
) -> list[Block]:
    """Report an evaluation that has numbers; draw its pictures into a folder, made if need be.

    Curves and mistakes are of the first seed.
    """
    numbers, scored = evaluation.numbers, next(iter(evaluation.scores.values())).best
    assert numbers is not None
    summary = numbers.summary
    blocks: list[Block] = []
    if evaluation.findings:
        blocks.append(Heading("Warnings", level))
        blocks += [Text(f"**{one.name}**: {one.message}") for one in evaluation.findings]
    if notes := counted(evaluation.experiment.notes):
        blocks.append(Heading("Notes on the files", level))
        blocks += [Text(note) for note in notes]
    blocks += [Heading("Result", level), Text(f"**{summary.headline}**")]
    blocks.append(final_grid(summary, numbers.last_step, evaluation.baseline))
    blocks += [Text(_reading(numbers)), *_draw(pictures, numbers, scored, log)]
    if evaluation.distances:
        blocks.append(Text(_distances(evaluation.distances)))
    blocks += titled(missing_grid(evaluation.experiment.missing.as_json()), level)
    blocks += titled(numbers_grid(numbers), level)
    if summary.slices:
        blocks += titled(slices_grid(summary), level)
    mistakes = mistakes_grid(scored)
    none = Text("No score is on the wrong side of 0.5.")
    return [*blocks, Heading(mistakes.title, level), mistakes if mistakes.rows else none]


def _distances(distances: Distances) -> str:
    return (
        f"Distance from the training's videos (limit 1): median {distances.median:.2f}; "
        f"{distances.unlike:.0%} of {distances.videos} videos lie beyond the limit, where "
        f"{distances.expected:.0%} of videos like the training's do."
    )


def datasets_grid(evaluations: Sequence[Evaluation]) -> Grid:
    """One line for each data set whose labels are known."""
    of_each = [(one, one.numbers) for one in evaluations if one.numbers]
    keys = list(dict.fromkeys(key for _, n in of_each for key in n.summary.ap if key != "mean"))
    with_seeds = any(numbers.summary.ap["mean"].sd is not None for _, numbers in of_each)
    header = ["data set", "mAP [95 % interval]"]
    header += ["sd over\nseeds"] if with_seeds else []
    header += ["chance", "lift", *(f"{key} s" for key in keys), "AUC", "videos", "warnings"]
    rows = []
    for one, numbers in of_each:
        summary = numbers.summary
        row = [f"{one.name} ({one.split})", with_interval(summary.ap["mean"])]
        row += [number(summary.ap["mean"].sd)] if with_seeds else []
        row += [number(summary.chance["mean"]), percent(summary.lift["mean"])]
        row += [number(summary.ap[key].value if key in summary.ap else None) for key in keys]
        counts = len(one.experiment.records), len(one.findings)
        row += [number(numbers.auc["mean"].value), *map(str, counts)]
        rows.append(row)
    return Grid("Data sets", header, rows)


def _draw(folder: Path, numbers: Numbers, scored: Scored, log: Log) -> list[Picture]:
    folder.mkdir(exist_ok=True)
    along = numbers.anticipation
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
    if log:
        draw("learning_curves", "Loss and nexar_map by step", plots.learning_curves, log)
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
