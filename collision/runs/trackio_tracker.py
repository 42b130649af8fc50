"""Log runs to Trackio: a page like W&B's that is served from this machine, without an account.

Each trained head is one of its runs and one more holds the final numbers; they share a group, as in
W&B. Without ``logger=trackio`` nothing imports this file, nor Trackio.
"""

from __future__ import annotations

import io
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from collision.runs.logged import (
    LoggedTable,
    curves_of,
    files_of,
    learned_from,
    pictures_of,
    scalars_of,
    tables_of,
)
from collision.runs.logged_cards import COLUMNS, NAME, PICTURES, LoggedCard, logged_cards
from collision.runs.sweep import sweep_name
from collision.runs.tracker import not_installed
from collision.untrusted import read_config

if TYPE_CHECKING:
    from collision.evaluation.numbers import Numbers


class TrackioLogger(Logger):
    """Hands Lightning's metrics to a Trackio run."""

    def __init__(self, run: Any):
        super().__init__()
        self.run = run

    @property
    def name(self) -> str:
        """The project."""
        return str(self.run.project)

    @property
    def version(self) -> str:
        """The run's name."""
        return str(self.run.name)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log a step's metrics."""
        self.run.log(dict(metrics), step=step)

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *_: Any, **__: Any) -> None:
        """Leave them: the run has its configuration from its start."""


class TrackioTracker:
    """Logs into Trackio's folder (``TRACKIO_DIR``), in one project.

    ConfigError: the package trackio does not load.
    """

    def __init__(self, project: str):
        self.project = project
        try:
            import trackio
        except ImportError as error:
            raise not_installed("trackio", "trackio>=0.20", error) from error
        self._trackio: Any = trackio

    def logger(self, run_folder: Path, part: str, config: Mapping[str, Any]) -> TrackioLogger:
        """Start logging a head (``seed_0``, ``fold_1/seed_0``); a resumed one goes on."""
        return TrackioLogger(self._start(run_folder, part, config))

    def where(self, logger: TrackioLogger) -> str:
        """Say in a line what shows it."""
        return f"Trackio: trackio show --project {self.project}"

    def finish(self, logger: TrackioLogger, predictor: Path, origin: Mapping[str, Any]) -> None:
        """Log a head's file as an artifact of type ``model`` with metadata, and end its run."""
        name = f"predictor-{logger.version}".replace("/", "_").replace(" ", "_")
        with _silent():
            artifact = self._trackio.Artifact(name, type="model", metadata=dict(origin))
            artifact.add_file(str(predictor.resolve()))
            logger.run.log_artifact(artifact)
            self._trackio.finish()

    def summary(self, run_folder: Path, numbers: Numbers) -> None:
        """Log a finished run's numbers, tables, curves, plots and files."""
        run = self._start(run_folder, "summary", read_config(run_folder))
        tables = {**tables_of(run_folder, numbers), **curves_of(run_folder)}
        shown = {f"plots/{n}": self._trackio.Image(p) for n, p in pictures_of(run_folder).items()}
        shown |= {name: self._table(one) for name, one in tables.items()}
        cards = logged_cards(run_folder)
        if cards:
            shown[NAME] = self._cards(cards)
        with _silent():
            run.log({**scalars_of(numbers), **shown})
            name = f"results-{run_folder.resolve().name}"
            artifact = self._trackio.Artifact(
                name, type="results", metadata=learned_from(run_folder)
            )
            for path in files_of(run_folder):
                artifact.add_file(str(path.resolve()))
            run.log_artifact(artifact)
            self._trackio.finish()

    def _table(self, table: LoggedTable) -> Any:
        return self._trackio.Table(columns=table.columns, data=table.rows)

    def _cards(self, cards: Sequence[LoggedCard]) -> Any:
        """Lay the page's cards out as rows, with their pictures in cells."""
        picture, rows = self._trackio.Image, []
        for card in cards:
            frames = [picture(one, caption=words) for words, one in card.frames]
            cut = card.cut and picture(card.cut)
            rows.append([*card.row, cut, frames or None, picture(card.risk)])
        return self._trackio.Table(columns=[*COLUMNS, *PICTURES], data=rows)

    def _start(self, run_folder: Path, part: str, config: Mapping[str, Any]) -> Any:
        folder = run_folder.resolve().name
        with _silent():
            return self._trackio.init(
                project=self.project,
                name=f"{folder} {part}",
                group=sweep_name() or folder,
                config={**config, "run": folder},
                resume="allow",
                embed=False,
            )


@contextmanager
def _silent() -> Iterator[None]:
    """Keep what Trackio prints of itself out of our output."""
    with redirect_stdout(io.StringIO()):
        yield
