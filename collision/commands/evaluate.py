"""Score a trained run on the test split of its own or of other data sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from rich.console import Console

from collision import api
from collision.commands._early import wanted_datasets
from collision.evaluation.evaluation import Evaluation
from collision.evaluation.scores import write_submission
from collision.experiment import prepare_all
from collision.files import write_json
from collision.options import EvaluateOptions
from collision.report.page import Block, Code, Heading, Text, titled, write_page
from collision.report.run_page import datasets_grid, result_blocks
from collision.report.tables import (
    as_rich,
    final_grid,
    missing_grid,
    numbers_grid,
    print_missing,
    print_notes,
    print_warnings,
)
from collision.runs.folder import create_run_folder
from collision.runs.provenance import provenance


def run(options: EvaluateOptions, paths: list[str]) -> int:
    """Evaluate on every wanted data set; one folder of results."""
    console = Console()
    made = provenance()
    model = api.load(paths[0], trust=options.trust, cache_root=options.cache_root)
    datasets = [part.build() for part in wanted_datasets(options, model.path)]
    prepare_all(datasets, (options.split,), options.skip_failures)
    request = {item.name: getattr(options, item.name) for item in fields(api.Request)}
    evaluations = [api.evaluate(model, dataset, **request) for dataset in datasets]
    names = "_".join(evaluation.name for evaluation in evaluations)
    folder = create_run_folder(options.runs_root, f"evaluate_{names}")
    write_evaluations(folder, model.path, evaluations, made)
    print_results(console, evaluations)
    console.print(f"Results: {folder}", markup=False, highlight=False, soft_wrap=True)
    return 0


def print_results(console: Console, evaluations: Sequence[Evaluation]) -> None:
    """Print one table for all data sets, the horizons of a single one, and the warnings."""
    judged = [(one.name, one.numbers) for one in evaluations if one.numbers]
    if len(judged) > 1:
        console.print(as_rich(datasets_grid(evaluations)))
    elif judged:
        name, numbers = judged[0]
        baseline = next(one.baseline for one in evaluations if one.numbers)
        console.print(f"\n{name}, split {evaluations[0].split}", style="bold")
        console.print(as_rich(final_grid(numbers.summary, baseline=baseline)))
        console.print(numbers.summary.headline, markup=False, highlight=False, soft_wrap=True)
    for name, numbers in judged:
        if numbers.anticipation:
            console.print(f"\n{name}, along whole videos too", style="bold")
            console.print(as_rich(numbers_grid(numbers)))
    for one in evaluations:
        say = ""
        if one.numbers is None:
            say = (
                f"{one.name}, split {one.split}: {len(one.experiment.records)} videos scored; "
                "their labels are secret, so nothing is judged."
            )
        elif one.numbers.summary.absent_slices:
            tags = sorted(next(iter(one.scores.values())).best.tags)
            say = (
                f"slices: the videos of {one.name} have no tag "
                f"{', '.join(one.numbers.summary.absent_slices)}. They have: "
                f"{', '.join(tags) or 'none'}."
            )
        if say:
            console.print(say, markup=False, highlight=False)
        print_missing(console, one.experiment.missing.as_json())
        print_notes(console, one.experiment.notes, one.experiment.num_outdated)
        print_warnings(console, [finding.as_json() for finding in one.findings])


def write_evaluations(
    folder: Path, run: Path, evaluations: Sequence[Evaluation], made: dict[str, Any]
) -> None:
    """Write ``metrics.json``, predictions, submissions, ``results.md`` and ``results.html``."""
    by_name = {one.name: {**one.as_json(), "provenance": made} for one in evaluations}
    write_json(folder / "metrics.json", {"version": 1, "checkpoint": str(run), "datasets": by_name})
    blocks: list[Block] = [Heading(f"Evaluation of {run.name}", level=1), Code(made["command"])]
    if sum(one.numbers is not None for one in evaluations) > 1:
        blocks += [Heading("All data sets"), datasets_grid(evaluations)]
    for one in evaluations:
        blocks += section(folder, one)
    write_page(folder, [*blocks, Text(f"Commit {made['commit'] or 'unknown'}")])


def section(folder: Path, evaluation: Evaluation) -> list[Block]:
    """Write a data set's scores and pictures; give its part of the page."""
    name = evaluation.name
    evaluation.write_scores(folder, name)
    blocks: list[Block] = [Heading(f"{name}, split {evaluation.split}")]
    submission = write_submission(evaluation.experiment.dataset, folder, evaluation.videos)
    if submission:
        blocks.append(Text(f"Scores for the owners' own judging: {submission.name}"))
    if evaluation.numbers is None:
        missing = titled(missing_grid(evaluation.experiment.missing.as_json()), 3)
        return [*blocks, Text("The labels are secret: nothing is judged."), *missing]
    return blocks + result_blocks(folder / f"plots_{name}", evaluation, level=3)
