"""Score a trained run on the test split of its own or of other data sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from rich.console import Console

from collision import api
from collision.commands._early import wanted_datasets
from collision.console import progress_console, say_result, warning_console
from collision.evaluation.evaluation import Evaluation
from collision.evaluation.scores import write_submission
from collision.experiment import prepare_all
from collision.files import write_json
from collision.options import EvaluateOptions
from collision.report.clips import clips_of, write_clips
from collision.report.headline import hardly_left, headline
from collision.report.judged import Judged, read_judged, read_metrics
from collision.report.other_sets import tell_run
from collision.report.run_page import remake
from collision.report.tables import (
    as_rich,
    datasets_grid,
    final_grid,
    numbers_grid,
    print_missing,
    print_notes,
    print_warnings,
)
from collision.runs.folder import create_run_folder
from collision.runs.provenance import provenance


def run(options: EvaluateOptions, paths: list[str]) -> int:
    """Evaluate on every wanted data set; one folder of results."""
    console = progress_console()
    made = provenance()
    model = api.load(paths[0], trust=options.trust, cache_root=options.cache_root)
    datasets = [part.build() for part in wanted_datasets(options, model.path)]
    prepare_all(datasets, (options.split,), options.skip_failures)
    request = {item.name: getattr(options, item.name) for item in fields(api.Request)}
    evaluations = [api.evaluate(model, dataset, **request) for dataset in datasets]
    names = "_".join(evaluation.name for evaluation in evaluations)
    folder = create_run_folder(options.runs_root, f"evaluate_{names}")
    write_evaluations(folder, model.path, evaluations, made)
    print_results(console, evaluations, read_judged(folder, read_metrics(folder)))
    remake(folder, options.clips, console)
    tell_run(folder, model.path)
    say_result(f"Results: {folder}")
    return 0


def print_results(
    console: Console, evaluations: Sequence[Evaluation], written: Sequence[Judged]
) -> None:
    """Print one table for all data sets, the horizons of a single one, and the warnings."""
    judged = [(one.name, one.numbers) for one in evaluations if one.numbers]
    if len(judged) > 1:
        console.print(as_rich(datasets_grid(written)))
    elif judged:
        name, numbers = judged[0]
        baseline = next(one.baseline for one in evaluations if one.numbers)
        console.print(f"\n{name}, split {evaluations[0].split}", style="bold")
        console.print(as_rich(final_grid(numbers.summary, baseline=baseline)))
        say_result(numbers.summary.headline)
        if numbers.warned:
            say_result(headline(next(one for one in written if one.name == name)))
        if said := hardly_left(numbers.summary, baseline):
            say_result(said)
    for name, numbers in judged:
        if numbers.anticipation:
            console.print(f"\n{name}, along whole videos too", style="bold")
            console.print(as_rich(numbers_grid(numbers)))
    for one in evaluations:
        if say := what_is_not_judged(one):
            console.print(say, markup=False, highlight=False)
        print_missing(console, one.experiment.missing.as_json())
        print_notes(console, one.experiment.notes, one.experiment.num_outdated)
        print_warnings(warning_console(console), [finding.as_json() for finding in one.findings])


def what_is_not_judged(one: Evaluation) -> str:
    """Say what was asked for, and is not among the numbers, and why."""
    if one.numbers is None:
        return (
            f"{one.name}, split {one.split}: {len(one.experiment.records)} videos scored; "
            "their labels are secret, so nothing is judged."
        )
    if absent := one.numbers.summary.absent_slices:
        tags = sorted(next(iter(one.scores.values())).best.tags)
        return (
            f"slices: the videos of {one.name} have no tag {', '.join(absent)}. They have: "
            f"{', '.join(tags) or 'none'}."
        )
    return ""


def write_evaluations(
    folder: Path, run: Path, evaluations: Sequence[Evaluation], made: dict[str, Any]
) -> None:
    """Write ``metrics.json``, predictions and submissions, of which the pages are made."""
    by_name = {one.name: {**one.as_json(), "provenance": made} for one in evaluations}
    about = {"version": 1, "checkpoint": str(run.resolve())}  # runs/latest is another one tomorrow
    write_json(folder / "metrics.json", {**about, "datasets": by_name})
    write_clips(folder, {one.name: clips_of(one) for one in evaluations})
    for one in evaluations:
        one.write_scores(folder, one.name)
        write_submission(one.experiment.dataset, folder, one.videos)
