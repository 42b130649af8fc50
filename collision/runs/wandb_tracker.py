"""Log runs to Weights & Biases: curves, configuration, final tables, cards, and trained heads.

Each trained head (a seed, or a seed of a fold) is one W&B run, and one more holds the final tables;
they share a group, which is called like the run folder or, of a sweep, like the sweep. Nothing else
imports this file: its YAML's ``_target_`` names it, so without ``logger=wandb`` W&B is not loaded.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import wandb
from lightning.pytorch.loggers import WandbLogger

from collision.console import progress_console, warning_console
from collision.errors import ConfigError
from collision.evaluation.numbers import Numbers
from collision.learning.scoring import MONITOR
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
from collision.types import Seconds
from collision.untrusted import read_config

Mode: TypeAlias = Literal["online", "offline", "disabled"]
MODES = get_args(Mode)
_STEP = "trainer/global_step"  # under this name Lightning logs its step


class WandbTracker:
    """Where and how runs are logged; the entity is a user or team (None: the account's default).

    ``mode`` is ``online``, ``offline`` (into the run folder, to be uploaded by ``wandb sync``) or
    ``disabled`` (nothing is logged). A server that accepted the account and fails later, or takes
    longer than ``timeout`` to begin or end a run, costs no training: a warning says so once, and
    the rest is logged as if offline.

    Raises:
        ConfigError: An unknown mode, or online without an account that the server accepts.
    """

    def __init__(
        self,
        project: str,
        mode: Mode = "online",
        entity: str | None = None,
        tags: Sequence[str] = (),
        timeout: Seconds = 120.0,
    ):
        if not timeout > 0:
            raise ConfigError(f"logger.timeout={timeout!r}: give seconds above 0.")
        if mode not in MODES:
            raise ConfigError(f"logger.mode={mode!r}: give {', '.join(MODES)}.")
        self.project, self.entity, self.tags = project, entity, list(tags)
        self.timeout = timeout
        self.mode: Mode = mode
        self._failed = False  # the server, after it had accepted the account
        if mode == "online":
            _check_account()

    def logger(self, run_folder: Path, part: str, config: Mapping[str, Any]) -> WandbLogger:
        """Start logging a head (``seed_0``, ``fold_1/seed_0``); a resumed one goes on."""
        run = self._start(run_folder, part, "train", config)
        run.define_metric(_STEP)
        run.define_metric("*", step_metric=_STEP)
        run.define_metric(MONITOR, step_metric=_STEP, summary="max")
        return WandbLogger(project=self.project, save_dir=run_folder, experiment=run)

    def where(self, logger: WandbLogger) -> str:
        """Say in a line where to look at what is logged."""
        run = logger.experiment
        if self.mode == "online" and not run.offline:
            return f"W&B: {run.url}"
        if self.mode != "disabled":
            return f"W&B: offline; upload with: wandb sync {Path(run.dir).parent}"
        return "W&B: disabled, nothing is logged"

    def finish(self, logger: WandbLogger, predictor: Path, origin: Mapping[str, Any]) -> None:
        """Log a head's file as an artifact of type ``model`` with metadata, and end its W&B run."""
        run = logger.experiment
        artifact = wandb.Artifact(f"predictor-{run.id}", type="model", metadata=dict(origin))
        # W&B would otherwise copy the file into the home folder, twice.
        artifact.add_file(str(predictor.resolve()), policy="immutable", skip_cache=True)
        self._end(run, artifact)

    def summary(self, run_folder: Path, numbers: Numbers) -> None:
        """Log a finished run's numbers, tables, cards, plots and files as a W&B run."""
        run = self._start(run_folder, "summary", "summary", read_config(run_folder))
        tables = {name: _table(one) for name, one in tables_of(run_folder, numbers).items()}
        pictures = pictures_of(run_folder)
        plots = {f"plots/{name}": wandb.Image(str(path)) for name, path in pictures.items()}
        curves = {name: _curve(name, one) for name, one in curves_of(run_folder).items()}
        cards = logged_cards(run_folder)
        if cards:
            tables[NAME] = _cards(cards)
        self._log(run, {**tables, **plots, **curves})
        for name, value in scalars_of(numbers).items():
            run.summary[name] = value
        facts = learned_from(run_folder)
        artifact = wandb.Artifact(f"results-{run.id}", type="results", metadata=facts)
        for path in files_of(run_folder):
            artifact.add_file(str(path.resolve()), policy="immutable", skip_cache=True)
        self._end(run, artifact)

    def _start(
        self, run_folder: Path, part: str, job_type: str, config: Mapping[str, Any]
    ) -> wandb.Run:
        if wandb.run is not None:
            self._finish(wandb.run, exit_code=1)  # an earlier job of a sweep broke off in it
        mode: Mode = "offline" if self.mode == "online" and self._failed else self.mode
        try:
            return wandb.init(
                project=self.project,
                entity=self.entity,
                mode=mode,
                tags=self.tags,
                dir=str(run_folder),
                id=None if mode == "disabled" else _run_id(run_folder, part),
                resume="allow" if mode == "online" else None,
                group=sweep_name() or run_folder.resolve().name,
                name=f"{run_folder.resolve().name} {part}",
                job_type=job_type,
                config=dict(config),
                settings=self._settings(),
            )
        except wandb.Error as error:
            if mode != "online":
                raise _unreachable(error) from None
            self._tell(error)
            _id_file(run_folder, part).unlink()  # this process holds it for the broken one
            return self._start(run_folder, part, job_type, config)

    def _settings(self) -> wandb.Settings:
        return wandb.Settings(
            silent=True,
            console="off",  # what is captured would be the progress bar's, line by line
            init_timeout=self.timeout,
            finish_timeout=self.timeout,
            finish_timeout_raises=True,
        )

    def _log(self, run: wandb.Run, values: Mapping[str, Any]) -> None:
        """Log what may hold tables, for which the server is asked."""
        try:
            run.log(dict(values))
        except wandb.Error as error:
            self._tell(error, run)

    def _end(self, run: wandb.Run, artifact: wandb.Artifact) -> None:
        try:
            run.log_artifact(artifact)
        except wandb.Error as error:
            self._tell(error, run)
        self._finish(run)

    def _finish(self, run: wandb.Run, exit_code: int = 0) -> None:
        try:
            run.finish(exit_code=exit_code)
        except (wandb.Error, TimeoutError) as error:
            self._tell(error, run)

    def _tell(self, error: Exception, run: wandb.Run | None = None) -> None:
        """Warn, once, that the server fails; the next runs are logged offline."""
        if self._failed:
            return
        self._failed = True
        told = f"W&B fails: {_reason(error)}. Training goes on, logged into the run folder"
        if run is not None:
            told += f", where this run's curves are, too: {Path(run.dir).parent}"
        warning_console(progress_console()).print(
            f"{told}. Upload later with `wandb sync FOLDER`.",
            style="yellow",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


def _check_account() -> None:
    """Ask the server, once, whether it knows this user; never ask the user."""
    wandb.setup(wandb.Settings(silent=True, mode="online"))
    try:
        known = wandb.login(prompt=False, verify=True)
    except (wandb.Error, ValueError) as error:  # ValueError: a key of a wrong form
        raise _unreachable(error) from None
    if not known:
        raise ConfigError(
            "logger.mode=online needs a W&B account, and there is no API key on this machine "
            "(WANDB_API_KEY or ~/.netrc). Run `wandb login`, or log into the run folder with "
            "logger.mode=offline."
        )


def _unreachable(error: Exception) -> ConfigError:
    return ConfigError(
        f"W&B cannot be used: {_reason(error)}. Check the connection and `wandb login --relogin`, "
        "or log into the run folder with logger.mode=offline and upload later with `wandb sync`."
    )


def _reason(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".")


def _run_id(run_folder: Path, part: str) -> str:
    """Give the part's W&B id: drawn once, then kept beside its files for ``resume``."""
    path = _id_file(run_folder, part)
    if not path.is_file():
        path.parent.mkdir(exist_ok=True)
        path.write_text(secrets.token_hex(4))
    return path.read_text().strip()


def _id_file(run_folder: Path, part: str) -> Path:
    return run_folder / "wandb" / f"{part.replace('/', '_')}.id"


def _table(table: LoggedTable) -> wandb.Table:
    return wandb.Table(columns=[*table.columns], data=table.rows)


def _cards(cards: Sequence[LoggedCard]) -> wandb.Table:
    """Lay the page's cards out as rows, with their pictures in cells."""
    rows = []
    for card in cards:
        strip = card.strip and wandb.Image(card.strip, caption=card.words, file_type="jpg")
        cut = card.cut and wandb.Image(card.cut, file_type="jpg")
        rows.append([*card.row, cut, strip, wandb.Image(card.risk)])
    return wandb.Table(columns=[*COLUMNS, *PICTURES], data=rows)


def _curve(name: str, table: LoggedTable) -> Any:
    """Draw the last column over the middle one, a line for each value of the first."""
    stroke, x, y = table.columns
    title = name.rpartition("/")[2].replace("_", " ")
    return wandb.plot.line(_table(table), x, y, stroke=stroke, title=f"{title}, first seed")
