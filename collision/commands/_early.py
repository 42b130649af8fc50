"""What can be answered before anything is imported that takes seconds: is it there at all?"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from collision.checks import user_path
from collision.commands._lists import listed_parts
from collision.config import Part
from collision.errors import CheckpointError, CollisionError, ConfigError, VideoDecodeError
from collision.options import (
    DataOptions,
    EvaluateOptions,
    Folders,
    PredictOptions,
    TrainOptions,
)


def check_early(options: Any, paths: Sequence[str]) -> None:
    """Refuse files and folders that are not there."""
    if isinstance(options, PredictOptions):
        _check_checkpoint(options.checkpoint)
        _check_clips(paths)
    elif isinstance(options, EvaluateOptions):
        _check_checkpoint(user_path(paths[0]))
    elif isinstance(options, TrainOptions):
        if options.init_from is not None:
            _check_checkpoint(options.init_from)
        datasets_after(options)
    elif isinstance(options, DataOptions):
        _check_data(options, paths)


def datasets_after(options: TrainOptions) -> tuple[Part, ...]:
    """Give the data sets that a trained run is scored on as well."""
    folders = {item.name: str(getattr(options, item.name)) for item in fields(Folders)}
    return listed_parts("dataset", options.evaluate_on, {}, folders, "evaluate_on")


def _check_checkpoint(path: Path) -> None:
    if not path.exists():
        raise CheckpointError(
            f"No trained predictor in {str(path)!r}: there is no such folder. "
            "Give a run folder, as `train` names it at its end."
        )


def _check_clips(paths: Sequence[str]) -> None:
    """Refuse clips of which none is there; of several, the others are predicted."""
    absent = [path for path in paths if not path.startswith(("http://", "https://"))]
    absent = [path for path in absent if not user_path(path).exists()]
    if len(absent) == len(paths) == 1:
        raise VideoDecodeError(absent[0], "there is no such file")
    if len(absent) == len(paths):
        raise CollisionError(f"None of the clips is there: {', '.join(absent)}.")


def _check_data(options: DataOptions, paths: Sequence[str]) -> None:
    for option in ("examples", "write"):
        if (file := getattr(options, option)) is not None:
            _check_output(option, file)
    if paths and options.write is None:
        raise ConfigError(f"data {paths[0]}: say where the list goes, as in write=clips.csv.")
    if options.write is not None and not paths:
        raise ConfigError("write= lists the videos of a folder: collision data FOLDER write=FILE.")
    if paths and not user_path(paths[0]).is_dir():
        raise ConfigError(f"There is no folder {paths[0]!r}. Give a folder that holds videos.")


def _check_output(option: str, file: Path) -> None:
    """Refuse a file that cannot be written, before a long audit and not after it."""
    if file.is_dir():
        raise ConfigError(f"{option}={file}: that is a folder; give a file's name.")
    folder = next(folder for folder in file.absolute().parents if folder.exists())
    if not folder.is_dir() or not os.access(file if file.exists() else folder, os.W_OK):
        raise ConfigError(f"{option}={file}: it cannot be written; give another file.")
