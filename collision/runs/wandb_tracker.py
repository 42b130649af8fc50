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
from collision.untrusted import read_config

Mode: TypeAlias = Literal["online", "offline", "disabled"]
MODES = get_args(Mode)
_STEP = "trainer/global_step"  # under this name Lightning logs its step


class WandbTracker:
    """Where and how runs are logged; the entity is a user or team (None: the account's default).

    ``mode`` is ``online``, ``offline`` (into the run folder, to be uploaded by ``wandb sync``) or
    ``disabled`` (nothing is logged).

    Raises:
        ConfigError: An unknown mode, or online without an account that the server accepts.
    """

    def __init__(
        self,
        project: str,
        mode: Mode = "online",
        entity: str | None = None,
        tags: Sequence[str] = (),
    ):
        if mode not in MODES:
            raise ConfigError(f"logger.mode={mode!r}: give {', '.join(MODES)}.")
        self.project, self.entity, self.tags = project, entity, list(tags)
        self.mode: Mode = mode
        if mode == "online":
            _check_account()

    def logger(self, run_folder: Path, part: str, config: Mapping[str, Any]) -> WandbLogger:
        """Start logging a head (``seed_0``, ``fold_1/seed_0``); a resumed one goes on in its run.

        ConfigError: the server cannot be reached or refuses.
        """
        run = self._start(run_folder, part, "train", config)
        run.define_metric(_STEP)
        run.define_metric("*", step_metric=_STEP)
        run.define_metric(MONITOR, step_metric=_STEP, summary="max")
        return WandbLogger(project=self.project, save_dir=run_folder, experiment=run)

    def where(self, logger: WandbLogger) -> str:
        """Say in a line where to look at what is logged."""
        run = logger.experiment
        if self.mode == "online":
            return f"W&B: {run.url}"
        if self.mode == "offline":
            return f"W&B: offline; upload with: wandb sync {Path(run.dir).parent}"
        return "W&B: disabled, nothing is logged"

    def finish(self, logger: WandbLogger, predictor: Path, origin: Mapping[str, Any]) -> None:
        """Log a head's file as an artifact of type ``model`` with metadata, and end its W&B run."""
        run = logger.experiment
        artifact = wandb.Artifact(f"predictor-{run.id}", type="model", metadata=dict(origin))
        # W&B would otherwise copy the file into the home folder, twice.
        artifact.add_file(str(predictor.resolve()), policy="immutable", skip_cache=True)
        run.log_artifact(artifact)
        run.finish()

    def summary(self, run_folder: Path, numbers: Numbers) -> None:
        """Log a finished run's numbers, tables, cards, plots and files as a W&B run of their own.

        ConfigError: the server cannot be reached or refuses.
        """
        run = self._start(run_folder, "summary", "summary", read_config(run_folder))
        tables = {name: _table(one) for name, one in tables_of(run_folder, numbers).items()}
        pictures = pictures_of(run_folder)
        plots = {f"plots/{name}": wandb.Image(str(path)) for name, path in pictures.items()}
        curves = {name: _curve(name, one) for name, one in curves_of(run_folder).items()}
        cards = logged_cards(run_folder)
        if cards:
            tables[NAME] = _cards(cards)
        run.log({**tables, **plots, **curves})
        for name, value in scalars_of(numbers).items():
            run.summary[name] = value
        facts = learned_from(run_folder)
        artifact = wandb.Artifact(f"results-{run.id}", type="results", metadata=facts)
        for path in files_of(run_folder):
            artifact.add_file(str(path.resolve()), policy="immutable", skip_cache=True)
        run.log_artifact(artifact)
        run.finish()

    def _start(
        self, run_folder: Path, part: str, job_type: str, config: Mapping[str, Any]
    ) -> wandb.Run:
        if wandb.run is not None:
            wandb.run.finish(exit_code=1)  # an earlier job of a sweep broke off in it
        try:
            return wandb.init(
                project=self.project,
                entity=self.entity,
                mode=self.mode,
                tags=self.tags,
                dir=str(run_folder),
                id=None if self.mode == "disabled" else _run_id(run_folder, part),
                resume="allow" if self.mode == "online" else None,
                group=sweep_name() or run_folder.resolve().name,
                name=f"{run_folder.resolve().name} {part}",
                job_type=job_type,
                config=dict(config),
                # Captured output would be the progress bar's, line by line.
                settings=wandb.Settings(silent=True, console="off"),
            )
        except wandb.Error as error:
            raise _unreachable(error) from None


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
    reason = str(error).partition("\n")[0].rstrip(".")
    return ConfigError(
        f"W&B cannot be used: {reason}. Check the connection and `wandb login --relogin`, or log "
        "into the run folder with logger.mode=offline and upload later with `wandb sync`."
    )


def _run_id(run_folder: Path, part: str) -> str:
    """Give the part's W&B id: drawn once, then kept beside its files for ``resume``."""
    path = run_folder / "wandb" / f"{part.replace('/', '_')}.id"
    if not path.is_file():
        path.parent.mkdir(exist_ok=True)
        path.write_text(secrets.token_hex(4))
    return path.read_text().strip()


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
