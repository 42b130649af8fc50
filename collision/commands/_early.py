"""What can be answered before anything is imported that takes seconds: is it there at all?"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from collision.checks import user_path
from collision.commands._lists import listed_parts
from collision.commands._runs import choose_dataset, named_runs
from collision.config import Part
from collision.errors import (
    AnnotationError,
    CheckpointError,
    CollisionError,
    ConfigError,
    VideoDecodeError,
)
from collision.learning.predictor_files import check_predictors
from collision.options import (
    CompareOptions,
    DataOptions,
    EvaluateOptions,
    ExtractOptions,
    Folders,
    PredictOptions,
    StudyOptions,
    TrainOptions,
)
from collision.records.files import ListedVideos, prepare
from collision.sampling.shards import Shard
from collision.types import SPLITS, Split
from collision.untrusted import read_config, saved_part


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
        _check_ensemble(options)
    elif isinstance(options, DataOptions):
        _check_data(options, paths)
    elif isinstance(options, ExtractOptions) and options.shard is not None:
        Shard.parse(options.shard)
    elif isinstance(options, StudyOptions):
        _check_study(*paths)


def check_contents(options: Any, paths: Sequence[str]) -> None:
    """Refuse runs without a predictor or scores, and data sets without their files."""
    skip = getattr(options, "skip_failures", False)
    if isinstance(options, PredictOptions):
        check_predictors(options.checkpoint)
    elif isinstance(options, EvaluateOptions):
        run = user_path(paths[0])
        check_predictors(run)
        _check_datasets(wanted_datasets(options, run), (options.split,), skip)
    elif isinstance(options, TrainOptions):
        if options.init_from is not None:
            check_predictors(options.init_from)
        _check_datasets([options.dataset], SPLITS if options.folds is None else None, skip)
        _check_datasets(datasets_after(options), (EvaluateOptions.split,), skip)
    elif isinstance(options, ExtractOptions):
        _check_datasets(options.datasets, None, skip)
    elif isinstance(options, DataOptions) and options.write is None:
        _check_listed(options.dataset)
    elif isinstance(options, CompareOptions):
        for folder in named_runs(list(paths)).values():
            choose_dataset(folder, options.dataset)


def _check_datasets(parts: Iterable[Part], splits: Sequence[Split] | None, skip: bool) -> None:
    """Refuse data sets whose files are not there. Those that make their files do so later."""
    for part in parts:
        if issubclass(part.imported(), ListedVideos):
            prepare(part.build(), splits, skip)


def _check_study(action: str, file: str) -> None:
    if action not in ("analyse", "policies"):
        raise ConfigError(f"study has no action {action!r}. There are: analyse, policies.")
    path = user_path(file)
    if path.is_dir() or not path.exists():  # a pipe is as good as a file
        raise ConfigError(f"There is no file {file!r}.")


def _check_listed(part: Part) -> None:
    """Refuse a data set that cannot be listed at all; what lines are wrong its report tells."""
    if issubclass(part.imported(), ListedVideos):
        with contextlib.suppress(AnnotationError):
            part.build().records()


def datasets_after(options: TrainOptions) -> tuple[Part, ...]:
    """Give the data sets that a trained run is scored on as well."""
    folders = {item.name: str(getattr(options, item.name)) for item in fields(Folders)}
    return listed_parts("dataset", options.evaluate_on, {}, folders, "evaluate_on")


def wanted_datasets(options: EvaluateOptions, run: Path) -> list[Part]:
    """Give the data sets that the command line names, or the run's own."""
    if options.datasets:
        return list(options.datasets)
    if not run.is_dir():
        raise ConfigError("A single predictor file does not name its data set: give dataset=NAME.")
    own = read_config(run).get("dataset")
    return [saved_part(own, "dataset", str(run / "config.yaml"), options.trust)]


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


def _check_ensemble(options: TrainOptions) -> None:
    if options.ensemble and options.seeds < 2:
        raise ConfigError(f"ensemble=true needs several seeds, not seeds={options.seeds}.")
    if options.ensemble and options.trainer.refit:
        raise ConfigError(
            "ensemble=true with trainer.refit=true: all heads would know the validation split, and "
            "nothing would be left to calibrate the ensemble on. Leave one of them out."
        )


def _check_data(options: DataOptions, paths: Sequence[str]) -> None:
    for option in ("examples", "write"):
        if (file := getattr(options, option)) is not None:
            _check_output(option, file)
    if paths and options.write is None:
        raise ConfigError(f"data {paths[0]}: say where the list goes, as in write=clips.csv.")
    if options.write is not None and not paths:
        raise ConfigError("write= lists the videos of a folder: collision data FOLDER write=FILE.")
    if options.write is not None and options.write.exists():
        raise ConfigError(
            f"write={options.write}: it is there already; give another file, or remove it."
        )
    if paths and not user_path(paths[0]).is_dir():
        raise ConfigError(f"There is no folder {paths[0]!r}. Give a folder that holds videos.")


def _check_output(option: str, file: Path) -> None:
    """Refuse a file that cannot be written, before a long audit and not after it."""
    if file.is_dir():
        raise ConfigError(f"{option}={file}: that is a folder; give a file's name.")
    folder = next(folder for folder in file.absolute().parents if folder.exists())
    if not folder.is_dir() or not os.access(file if file.exists() else folder, os.W_OK):
        raise ConfigError(f"{option}={file}: it cannot be written; give another file.")
