"""Make the page of a run anew from its files, or one page over many runs."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console

from collision.checks import user_path
from collision.console import progress_console, say_result
from collision.errors import ConfigError
from collision.options import ReportOptions
from collision.report.run_page import remake
from collision.report.runs_page import found_runs, write_runs_page

MANY = "runs"


def run(options: ReportOptions, paths: list[str]) -> int:
    """Write the page of one run, or that over many."""
    console = progress_console()
    if paths[0] == MANY:
        folders = [user_path(path) for path in paths[1:]] or [options.runs_root]
        return _over_many(options, folders, console)
    if options.refresh is not None:
        raise ConfigError(
            f"refresh={options.refresh}: a run that has ended does not change. Leave it out; "
            "`collision report runs refresh=30` follows runs that go on."
        )
    for path in paths:
        page = remake(user_path(path), options.clips, console)
        say_result(f"Results: {page}")
    return 0


def _over_many(options: ReportOptions, folders: list[Path], console: Console) -> int:
    options.runs_root.mkdir(parents=True, exist_ok=True)
    page = options.runs_root / "runs.html"
    while True:
        runs = found_runs(folders)
        going_on = sum(one.state == "running" for one in runs)
        refresh = options.refresh if going_on else None
        write_runs_page(page, runs, folders, refresh)
        said = f"{len(runs)} runs, {going_on} of them running: {page}"
        say_result(said)
        if refresh is None:
            return 0
        time.sleep(refresh)
