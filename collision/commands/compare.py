"""Compare runs on the same examples: differences with intervals, and p-values for all together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from collision.commands._runs import choose_dataset, named_runs
from collision.console import progress_console, say_result
from collision.files import write_json, write_whole
from collision.metrics.comparison import Comparison, compare
from collision.metrics.scored import Scored
from collision.options import CompareOptions
from collision.report.compare_page import (
    Compared,
    as_json,
    differences_by_slice,
    write_compare_page,
)
from collision.report.comparison import (
    differences_grid,
    for_terminal,
    forest,
    reading,
    runs_grid,
)
from collision.report.page import Block, Code, Heading, Picture, Text, as_markdown_page
from collision.report.tables import Grid
from collision.runs.folder import create_run_folder
from collision.runs.provenance import provenance


def run(options: CompareOptions, paths: list[str]) -> int:
    """Compare the runs and write a folder of results."""
    console = progress_console()
    folders = named_runs(paths)
    chosen = {name: choose_dataset(folder, options.dataset) for name, folder in folders.items()}
    scores = {
        name: [Scored.from_csv(path) for _, path in sorted(files.items())]
        for name, (_, files) in chosen.items()
    }
    comparison = compare(scores, num_resamples=options.num_resamples)
    made = provenance()
    datasets = [name for name, _ in chosen.values() if name]
    compared = Compared(
        comparison,
        scores,
        folders,
        datasets[0] if datasets else "unnamed data",
        made["command"],
        made["commit"] or "unknown",
    )
    slices = differences_by_slice(compared)
    folder = create_run_folder(options.runs_root, "compare")
    result = {
        "folders": {name: str(path) for name, path in folders.items()},
        "datasets": {name: dataset for name, (dataset, _) in chosen.items()},
        "seeds": {name: sorted(files) for name, (_, files) in chosen.items()},
        **comparison.as_json(),
        "slices": as_json(slices),
        "provenance": made,
    }
    write_json(folder / "compare.json", result)
    write_page(folder, comparison, result["folders"], made)
    write_compare_page(folder, compared, slices, options.clips, console)
    for grid in (runs_grid(comparison), differences_grid(comparison)):
        console.print(for_terminal(grid, comparison, console))
    say_result(reading(comparison))
    say_result(f"Results: {folder}")
    return 0


def write_page(
    folder: Path, comparison: Comparison, folders: Mapping[str, str], made: Mapping[str, Any]
) -> None:
    """Write ``compare.md`` and the picture of the differences."""
    picture = Picture(folder / "differences.png", "Differences with intervals")
    forest(comparison, picture.path)
    blocks: list[Block] = [
        Heading("Comparison of runs", level=1),
        Code(made["command"]),
        Heading("Runs"),
        runs_grid(comparison),
        Heading(f"Against {comparison.reference}"),
        differences_grid(comparison),
        picture,
        Text(reading(comparison)),
        Grid("Folders", ["run", "folder"], [list(row) for row in folders.items()]),
        Text(f"Commit {made['commit'] or 'unknown'}."),
    ]
    write_whole(folder / "compare.md", as_markdown_page(blocks, folder))
