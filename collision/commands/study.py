"""Analyse a table of many runs: which factor matters, and how sure that is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from collision.files import write_json, write_whole
from collision.options import StudyOptions
from collision.report.page import Block, Code, Heading, Text, as_markdown_page
from collision.report.tables import as_rich
from collision.runs.folder import create_run_folder
from collision.runs.provenance import provenance
from collision.study.analysis import Analysis, analyse
from collision.study.report import diagnosis, effects_grid, growth_grid, levels_grid
from collision.study.table import Runs, read_runs


def run(options: StudyOptions, paths: list[str]) -> int:
    """Read the table, analyse it, print and write what it says."""
    _, file = paths
    analysis = analyse(
        _read(options, file),
        options.score,
        num_resamples=options.num_resamples,
        ceiling=options.ceiling,
    )
    made = provenance()
    folder = create_run_folder(options.runs_root, "study")
    write_json(folder / "study.json", {"file": file, **analysis.as_json(), "provenance": made})
    write_page(folder, analysis, made)
    console = Console()
    for grid in (effects_grid(analysis), levels_grid(analysis), growth_grid(analysis)):
        if grid is not None:
            console.print(as_rich(grid))
    for paragraph in (*diagnosis(analysis), f"Results: {folder}"):
        console.print(paragraph, markup=False, highlight=False, soft_wrap=True)
    return 0


def _read(options: StudyOptions, file: str) -> Runs:
    # Scores of two data sets are not of one scale: what a set gives away is no effect of a factor.
    blocks = [*([options.dataset] if options.dataset else []), *options.blocks]
    return read_runs(
        file,
        options.factors,
        options.score,
        blocks=blocks,
        seed=options.seed,
        order=options.order,
        proposer=options.proposer,
    )


def write_page(folder: Path, analysis: Analysis, made: dict[str, Any]) -> None:
    """Write ``study.md``."""
    blocks: list[Block] = [
        Heading("Analysis of many runs", level=1),
        Code(made["command"]),
        *(Text(_plain(paragraph)) for paragraph in diagnosis(analysis)),
        Heading("Effects"),
        effects_grid(analysis),
        Heading("Levels"),
        levels_grid(analysis),
    ]
    growth = growth_grid(analysis)
    if growth is not None:
        blocks += [Heading("The best so far"), growth]
    blocks.append(Text(f"Commit {made['commit'] or 'unknown'}."))
    write_whole(folder / "study.md", as_markdown_page(blocks, folder))


def _plain(text: str) -> str:
    """Names from a file are no Markdown."""
    return "".join(f"\\{sign}" if sign in "\\`*_<>[]#|" else sign for sign in text)
