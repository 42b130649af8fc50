"""Analyse a table of many runs: which factor matters, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from rich.console import Console
from threadpoolctl import threadpool_limits

from collision.checks import user_path
from collision.console import wide_console
from collision.options import StudyOptions
from collision.report.tables import as_rich
from collision.runs.folder import create_run_folder
from collision.runs.provenance import provenance
from collision.search.folder import read_begun
from collision.search.reading import trials_of
from collision.search.storage import open_storage, study_there
from collision.study.folders import of_folder
from collision.study.parts import Further, report_of, report_of_policies
from collision.study.rows import Table
from collision.study.searched import of_search
from collision.study.section import Section, write_report
from collision.study.table import Parts


def run(options: StudyOptions, paths: list[str]) -> int:
    """Read the table, analyse it, print and write what it says."""
    action, file = paths
    console = wide_console()
    left_out = ""
    if user_path(file).is_dir():
        options, table, found = of_folder(options, user_path(file))
        left_out = found.words()
    elif user_path(file).exists():
        table = Table.read(file)
    else:
        begun = read_begun(options.runs_root, file)
        study = study_there(open_storage(begun.storage, begun.folder), begun.name)
        trials = trials_of(study, begun.space)
        options, table = of_search(options, trials, file)
    # Scores of two data sets are not of one scale: what a set gives away is no effect of a factor.
    own = [options.dataset] if options.dataset and options.dataset not in options.factors else []
    parts = Parts(
        options.factors,
        options.score,
        [*own, *options.blocks],
        options.seed,
        options.order,
        options.proposer,
    )
    data: dict[str, Any] = {"file": file, "rows": len(table)}
    if left_out:
        data["left_out"] = left_out
        console.print(left_out, markup=False, highlight=False, soft_wrap=True)
    # Of matrices this small several threads make a hundredth of the speed, where they share cores.
    with console.status("Analysing (a minute for thousands of runs)"), threadpool_limits(1):
        if action == "policies":
            how = options.policy, options.repeat, options.optimum, options.correction
            sections = report_of_policies(table, parts, *how)
        else:
            further = {item.name: getattr(options, item.name) for item in fields(Further)}
            analysis, sections = report_of(table, parts, Further(**further))
            data |= analysis.as_json()
        made = provenance()
        folder = create_run_folder(options.runs_root, "study")
        title = "Policies compared" if action == "policies" else "Analysis of many runs"
        write_report(folder, title, sections, made, **data)
    _print(console, sections)
    console.print(f"Results: {folder}", markup=False, highlight=False, soft_wrap=True)
    return 0


def _print(console: Console, sections: Sequence[Section]) -> None:
    for section in sections:
        if any(grid.title != section.title for grid in section.grids) or not section.grids:
            console.print(section.title, style="bold", markup=False, highlight=False)
        for grid in section.grids:
            console.print(as_rich(grid))
        for paragraph in section.words:
            console.print(paragraph, markup=False, highlight=False, soft_wrap=True)
        console.print()
