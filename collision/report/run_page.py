"""What a run leaves to look at: tables and pictures of its numbers, on a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from collision.metrics.scored import Scored
from collision.report import curve_plots, plots
from collision.report.other_metrics import numbers_grid
from collision.report.page import Block, Code, Heading, Picture, Text, write_page
from collision.report.tables import Grid, counts_grid, final_grid, mistakes_grid, slices_grid


def write_results(
    folder: Path,
    *,
    title: str,
    command: str,
    facts: Mapping[str, object],
    summary: Mapping[str, Any],
    scored: Scored,
    last: Mapping[str, Any] | None = None,
    counts: Mapping[str, Mapping[str, Mapping[str, int]]] | None = None,
    log: Sequence[Mapping[str, str]] | None = None,
    num_mistakes: int = 10,
) -> None:
    """Draw the plots of a run and write ``results.md`` and ``results.html`` in its folder.

    Args:
        folder: The run folder, which exists. Plots go to its sub-folder ``plots``.
        title: What was run, e.g. ``zipformer on synthetic``.
        command: The command that repeats it.
        facts: What else tells the run: commit, seed, digests, selected on, best and last epoch.
        summary: Of the selected checkpoint (``collision.metrics.summary``), one seed or several.
        scored: The scores behind the plots and the mistakes; of several seeds one.
        last: The summary of the last epoch.
        counts: Examples by split, as ``collision.report.tables.count_examples`` gives them.
        log: Rows of the Lightning CSV log, for the learning curves.
        num_mistakes: How many of the worst mistakes are listed.
    """
    blocks: list[Block] = [Heading(title, level=1), Code(command)]
    blocks += judged_blocks(folder / "plots", summary, scored, last, log, num_mistakes)
    if counts:
        blocks += [Heading("Examples"), counts_grid(counts)]
    rows = [[name, str(value)] for name, value in facts.items()]
    blocks += [Heading("Run"), Grid("Run", ["fact", "value"], rows)]
    write_page(folder, blocks)


def judged_blocks(
    pictures: Path,
    summary: Mapping[str, Any],
    scored: Scored,
    last: Mapping[str, Any] | None = None,
    log: Sequence[Mapping[str, str]] | None = None,
    num_mistakes: int = 10,
    level: int = 2,
) -> list[Block]:
    """Give everything that is to be told of one data set's scores; draw its pictures.

    Args:
        pictures: A folder for them, made if need be.
        summary: As for ``write_results``.
        scored: Likewise.
        last: Likewise.
        log: Likewise.
        num_mistakes: Likewise.
        level: Of the headings.
    """
    blocks: list[Block] = []
    if summary.get("warnings"):
        blocks.append(Heading("Warnings", level))
        blocks += [Text(f"**{one['name']}**: {one['message']}") for one in summary["warnings"]]
    blocks += [Heading("Result", level), final_grid(summary, last), Text(_reading(summary))]
    blocks += _draw(pictures, summary, scored, log)
    blocks += [Heading("More numbers", level), numbers_grid(summary)]
    if summary["slices"]:
        blocks += [Heading("Slices", level), slices_grid(summary)]
    mistakes = mistakes_grid(scored, num_mistakes)
    blocks += [Heading(mistakes.title, level)]
    blocks += [mistakes] if mistakes.rows else [Text("No score is on the wrong side of 0.5.")]
    return blocks


def _draw(
    folder: Path,
    summary: Mapping[str, Any],
    scored: Scored,
    log: Sequence[Mapping[str, str]] | None,
) -> list[Picture]:
    folder.mkdir(exist_ok=True)
    pictures = [
        Picture(folder / "ap_by_horizon.png", "Average precision by time before the event"),
        Picture(folder / "precision_recall.png", "Precision and recall"),
        Picture(folder / "scores.png", "Scores by variant and label"),
    ]
    plots.ap_by_horizon(summary, pictures[0].path)
    plots.precision_recall(scored, pictures[1].path)
    plots.score_by_variant(scored, pictures[2].path)
    if summary["calibration"]["reliability"]:
        pictures.append(Picture(folder / "reliability.png", "Said and happened"))
        curve_plots.reliability(summary["calibration"], pictures[-1].path)
    along = summary.get("anticipation")
    if along and along["recall_by_time"]["seconds"]:
        pictures.append(Picture(folder / "recall_by_time.png", "Alarms by time before the event"))
        recall, rates = along["recall_by_time"], along["false_alarms_per_hour"]
        curve_plots.recall_by_time(recall, rates, pictures[-1].path)
    if log:
        pictures.append(Picture(folder / "learning_curves.png", "Loss and nexar_map by epoch"))
        plots.learning_curves(log, pictures[-1].path)
    return pictures


def _reading(summary: Mapping[str, Any]) -> str:
    """What the numbers under the table mean, and what is missing from them."""
    bootstrap = summary["bootstrap"]
    sentences = []
    mean = summary["ap"]["mean"]
    if any(entry["low"] is not None for entry in summary["ap"].values()):
        sentences.append(
            f"Intervals: {bootstrap['level']:.0%}, {bootstrap['num_groups']} groups resampled "
            f"{bootstrap['num_resamples']} times (seed {bootstrap['seed']})."
        )
    if "reason" in mean:
        sentences.append(f"No interval of the mean: {mean['reason']}.")
    if len(mean.get("seeds", [])) > 1:
        sentences.append("By seed: " + ", ".join(f"{value:.3f}" for value in mean["seeds"]) + ".")
    if way := summary["fraction_to_oracle"]:
        share = "not defined" if way["value"] is None else f"{way['value']:.0%}"
        share += "" if way["low"] is None else f" [{way['low']:.0%}, {way['high']:.0%}]"
        sentences.append(f"Way of the mean from chance to the oracle: {share}.")
        sentences.append("The oracle is a model that is given the true state of the scene.")
    missing = sum(count["missing"] for count in summary["counts"].values())
    total = sum(count["positive"] + count["negative"] for count in summary["counts"].values())
    sentences.append(f"{missing} of {total} examples have no score and count as 0.")
    if summary["absent_slices"]:
        sentences.append(f"Not in these data: tag {', '.join(summary['absent_slices'])}.")
    return " ".join(sentences)
