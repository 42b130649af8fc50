"""Run folders: unique, and telling all that is needed to repeat the run."""

from __future__ import annotations

import contextlib
import os
from datetime import datetime
from pathlib import Path

import yaml

from collision.errors import ConfigError
from collision.files import write_whole
from collision.options import TrainOptions, as_config
from collision.untrusted import CONFIG_FORMAT


def create_run_folder(root: Path, name: str) -> Path:
    """Make a new folder ``root/<time>_<name>``; never one that exists.

    ConfigError: the root can't be written to.
    """
    stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    try:
        root.mkdir(parents=True, exist_ok=True)
        for attempt in range(1, 1000):
            folder = root / (f"{stamp}_{name}" + (f"-{attempt}" if attempt > 1 else ""))
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
                return folder
    except OSError as error:
        raise ConfigError(
            f"Cannot make a run folder in {str(root)!r}: {error.strerror}. Give runs_root=FOLDER."
        ) from error
    raise ConfigError(f"Too many runs called {stamp}_{name} in {str(root)!r}.")


def mark_latest(run: Path) -> None:
    """Let ``latest`` beside a finished run point to it, where the file system has links."""
    with contextlib.suppress(OSError):
        link = run.parent / f".latest.{os.getpid()}"
        link.symlink_to(run.name)
        link.replace(run.parent / "latest")


def write_config(run: Path, options: TrainOptions) -> None:
    """Save what a run was asked for: parts by name with their options, everything else as it is."""
    config = {"format": CONFIG_FORMAT, **as_config(options)}
    write_whole(run / "config.yaml", yaml.safe_dump(config, sort_keys=False))
