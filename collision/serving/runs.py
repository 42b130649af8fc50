"""The runs that the page offers: what predicts, and what can be looked at and compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from collision.errors import CheckpointError
from collision.learning.predictor_files import find_predictors


@dataclass(frozen=True)
class Served:
    """A run with a predictor. ``page`` is its report, where it has one."""

    path: Path
    name: str

    @property
    def page(self) -> Path | None:
        """Its ``results.html``."""
        page = self.path / "results.html"
        return page if page.is_file() else None

    @cached_property
    def facts(self) -> list[dict[str, str]]:
        """Give a line for each data set that it was judged on; none of a predictor alone."""
        from collision.report.runs_page import found_runs  # not before a mistake is told
        from collision.report.tables import ABSENT, number

        if not self.path.is_dir():
            return []
        lines = []
        for run in found_runs([self.path]):
            ap, interval = run.ap, ""
            if ap.value is not None and ap.low is not None:
                interval = f" [{number(ap.low)}, {number(ap.high)}]"
            lines.append(
                {
                    "dataset": run.dataset,
                    "ap": ABSENT if ap.value is None else f"{number(ap.value)}{interval}",
                    "chance": number(run.chance),
                    "started": run.started[:16].replace("T", " "),
                    "state": run.state,
                }
            )
        return lines

    @property
    def is_comparable(self) -> bool:
        """Whether its scores are there, which a predictor alone does not have."""
        return self.path.is_dir() and any(self.path.glob("predictions_*.csv"))

    def as_json(self) -> dict[str, Any]:
        """Say of it what the page shows."""
        return {
            "name": self.name,
            "page": self.page is not None,
            "comparable": self.is_comparable,
            "facts": self.facts,
        }


def served_runs(paths: Sequence[Path]) -> list[Served]:
    """List runs with a predictor: those that are named, and those in folders of runs.

    CheckpointError: one is none, and holds none.
    """
    found: dict[Path, None] = {}
    for path in paths:
        inside = [path] if _predicts(path) else _inside(path)
        if not inside:
            find_predictors(path)  # says what is missing
        found.update(dict.fromkeys(one.resolve() for one in inside))
    return [Served(path, name) for path, name in zip(found, _names(list(found)), strict=True)]


def _inside(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    below = sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())
    return [path for path in below if path.name[0] not in "._" and _predicts(path)]


def _predicts(path: Path) -> bool:
    try:
        return bool(find_predictors(path))
    except CheckpointError:
        return False


def _names(paths: Sequence[Path]) -> list[str]:
    short = [path.name if path.is_dir() else f"{path.parent.name}/{path.name}" for path in paths]
    return [
        name if short.count(name) == 1 else str(path)
        for name, path in zip(short, paths, strict=True)
    ]
