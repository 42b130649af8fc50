"""What can be answered before anything is imported that takes seconds: is it there at all?"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from collision.checks import user_path
from collision.commands._clips import check_clips
from collision.commands._lists import listed_parts
from collision.commands._runs import choose_dataset, named_runs
from collision.config import Part, names_of
from collision.errors import (
    AnnotationError,
    CheckpointError,
    ConfigError,
)
from collision.learning.predictor_files import check_predictors
from collision.option_groups import Folders
from collision.options import (
    CompareOptions,
    DataOptions,
    EvaluateOptions,
    ExportOptions,
    ExtractOptions,
    PartOptions,
    PredictOptions,
    SearchOptions,
    ServeOptions,
    StudyOptions,
    TrainOptions,
)
from collision.records.files import ListedVideos, prepare
from collision.records.splits import require_splits
from collision.sampling.shards import Shard
from collision.search.accepting import check_passed, siblings_of, tree_for
from collision.search.folder import folder_of, read_name
from collision.search.places import check_storage
from collision.search.proposed import Proposed
from collision.search.space import Space
from collision.serving.runs import served_runs
from collision.types import SPLITS, Split
from collision.untrusted import read_config, saved_part
from collision.video.addresses import is_live

SEARCH_ACTIONS = ("status", "report", "export")


def check_early(options: Any, paths: Sequence[str]) -> None:
    """Refuse files and folders that are not there."""
    if isinstance(options, SearchOptions):
        _check_search(options, paths)
    elif isinstance(options, PredictOptions):
        _check_prediction(options, paths)
    elif isinstance(options, EvaluateOptions | ExportOptions | ServeOptions):
        _check_checkpoints(paths)
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
        _check_study(options, *paths)
    elif isinstance(options, PartOptions):
        _check_part(options, *paths)


def check_contents(options: Any, paths: Sequence[str]) -> None:
    """Refuse runs without a predictor or scores, and data sets without their files."""
    skip = getattr(options, "skip_failures", False)
    if isinstance(options, PredictOptions | ExportOptions | ServeOptions):
        _check_predictors(options, paths)
    elif isinstance(options, EvaluateOptions):
        run = user_path(paths[0])
        check_predictors(run)
        _check_datasets(wanted_datasets(options, run), (options.split,), skip)
    elif isinstance(options, SearchOptions):
        splits: Sequence[Split] = ("train", "val") if options.design is None else SPLITS
        _check_datasets([] if paths else [options.dataset], splits, skip)
        if options.design is not None:
            _check_datasets(datasets_after(options), ("test",), skip)
    elif isinstance(options, TrainOptions):
        _check_training(options, skip)
    elif isinstance(options, ExtractOptions):
        _check_datasets(options.datasets, None, skip)
    elif isinstance(options, DataOptions) and not paths:
        _check_listed(options.dataset)
    elif isinstance(options, CompareOptions):
        for folder in named_runs(list(paths)).values():
            choose_dataset(folder, options.dataset)


def _check_predictors(
    options: PredictOptions | ExportOptions | ServeOptions, paths: Sequence[str]
) -> None:
    if isinstance(options, PredictOptions):
        return check_predictors(options.checkpoint)
    if isinstance(options, ExportOptions):
        return check_predictors(user_path(paths[0]))
    for run in served_runs([user_path(path) for path in paths]):
        check_predictors(run.path)


def _check_training(options: TrainOptions, skip: bool) -> None:
    if options.init_from is not None:
        check_predictors(options.init_from)
    _check_datasets([options.dataset], SPLITS if options.folds is None else None, skip)
    _check_datasets(datasets_after(options), (EvaluateOptions.split,), skip)


def _check_datasets(parts: Iterable[Part], splits: Sequence[Split] | None, skip: bool) -> None:
    """Refuse data sets whose files or splits are not there. Those that make files do so later."""
    for part in parts:
        if issubclass(part.imported(), ListedVideos):
            dataset = part.build()
            prepare(dataset, splits, skip)
            # Validation may be made of training later.
            sure = [split for split in splits or () if split != "val"]
            require_splits(dataset.name, dataset.records() if sure else [], sure)


def _check_search(options: SearchOptions, paths: Sequence[str]) -> None:
    if options.name is not None:
        folder_of(options.runs_root, options.name)
    if paths:
        if paths[0] not in SEARCH_ACTIONS or len(paths) < 2:
            there = ", ".join(SEARCH_ACTIONS)
            raise ConfigError(
                f"search {' '.join(paths)}: the actions are {there}, each with the name of a "
                "search: collision search status NAME."
            )
        read_name(options.runs_root, paths[1])
        if options.output is not None:
            _check_output("output", options.output)
        return
    check_storage(options.storage)
    if options.space is None:
        spaces = ", ".join(names_of("space"))
        begun = f"There is no search {options.name!r} to go on with. " if options.name else ""
        raise ConfigError(
            f"{begun}space must be given: space=NAME. There are: {spaces}; or a YAML file."
        )
    if options.design is not None and options.budget is not None:
        raise ConfigError(
            f"budget={options.budget}: a design has the trials that it lists. Leave it out; "
            "hours=H ends a command earlier."
        )
    if options.design is None and options.budget is None and options.hours is None:
        raise ConfigError("Say how long: budget=N trials, hours=H, or both.")
    Space.load(options.space)


def _check_study(options: StudyOptions, action: str, file: str) -> None:
    if action not in ("analyse", "policies"):
        raise ConfigError(f"study has no action {action!r}. There are: analyse, policies.")
    path = user_path(file)
    if not path.exists() and path.suffix:  # a pipe is as good as a file, and so is a folder of runs
        raise ConfigError(f"There is no file {file!r}.")
    if not path.exists():
        read_name(options.runs_root, file)


def _check_part(options: PartOptions, action: str, *files: str) -> None:
    if action not in ("check", "try", "accept"):
        raise ConfigError(f"part {action}: there is no such action. There are: check, try, accept.")
    proposed = Proposed.read(options.kind, files)
    if action != "check":
        check_passed(options.runs_root, proposed)
    siblings_of(options.kind, options.siblings)
    if action == "accept":
        tree_for(proposed, options.into)


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


def _check_checkpoints(paths: Sequence[str]) -> None:
    for path in paths:
        _check_checkpoint(user_path(path))


def _check_prediction(options: PredictOptions, paths: Sequence[str]) -> None:
    _check_checkpoint(options.checkpoint)
    check_clips(paths)
    if options.heatmap and is_live(paths[0]):
        raise ConfigError(
            f"heatmap=true with the stream {paths[0]}: nothing of a stream is drawn. Leave it out, "
            "or give files."
        )
    if options.events is not None and not options.events.is_file():
        raise ConfigError(f"events={options.events}: there is no such file.")


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
    if paths and options.examples is not None:
        raise ConfigError(
            f"examples={options.examples}: the videos of a folder have no labels, so no moment can "
            "be cut. Make a list of them with write=clips.csv, and complete it."
        )
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
