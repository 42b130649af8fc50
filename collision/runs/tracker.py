"""What every logger can do. Its YAML's ``_target_`` names its class; nothing else imports it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from collision.errors import ConfigError

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger

    from collision.evaluation.numbers import Numbers


class Tracker(Protocol):
    """Where runs are logged, beside ``log.csv``, which is always written."""

    def logger(self, run_folder: Path, part: str, config: Mapping[str, Any]) -> Logger:
        """Start logging a head (``seed_0``, ``fold_1/seed_0``); a resumed one goes on."""
        ...

    def where(self, logger: Any) -> str:
        """Say in a line where to look at what is logged."""
        ...

    def finish(self, logger: Any, predictor: Path, origin: Mapping[str, Any]) -> None:
        """Log a head's file with what it is and needs, and end its log."""
        ...

    def summary(self, run_folder: Path, numbers: Numbers) -> None:
        """Log a finished run's numbers, tables and pictures."""
        ...


def not_installed(logger: str, requirement: str, error: ImportError) -> ConfigError:
    """Say that a logger's package is not there, and how it comes."""
    return ConfigError(
        f"logger={logger} needs a package that does not load here ({error}). Run: pip install "
        f"'{requirement}', or use logger=wandb logger.mode=offline. `collision doctor` shows what "
        "else is missing."
    )
