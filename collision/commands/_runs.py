"""The runs that are compared: their names, and which scores of theirs; found without torch."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from collision.config import dotted
from collision.errors import CheckpointError, ConfigError
from collision.untrusted import read_config

STAMP = re.compile(r"^\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_")  # of create_run_folder
MAX_OPTIONS = 3  # in a run's name
NO_DIFFERENCE = ("parts", "resume", "seed", "seeds", "num_resamples", "extraction", "logger")
# `evaluate` names the data set in its files, `train` in its metrics.json.
PREDICTIONS = re.compile(r"predictions_(?:(?P<dataset>.+)_)?seed(?P<seed>-?\d+)\.csv")


def named_runs(paths: list[str]) -> dict[str, Path]:
    """Name each run as shortly as tells them apart: by folder, differing parts, or options.

    Raises:
        CheckpointError: a folder is not there.
        ConfigError: a folder was given twice, maybe by a link.
    """
    folders: list[Path] = []
    for path in paths:
        folder = Path(path).expanduser().resolve()
        if not folder.is_dir():
            raise CheckpointError(
                f"There is no folder {path!r}. Give folders that `train` or `evaluate` made."
            )
        if folder in folders:
            raise ConfigError(f"{path!r} was given twice: {str(folder)!r}. Give each run once.")
        folders.append(folder)
    candidates = (
        [STAMP.sub("", folder.name) for folder in folders],
        differing_parts(folders),
        differing_options(folders),
        [folder.name for folder in folders],
        [str(folder) for folder in folders],
    )
    names = next(names for names in candidates if len(set(names)) == len(names))
    return dict(zip(names, folders, strict=True))


def differing_parts(folders: list[Path]) -> list[str]:
    """Name runs by those of their parts in which they differ: ``sampling=badas, head=gru``."""
    parts = [_metrics(folder).get("parts") or {} for folder in folders]
    if not all(parts):  # the folder of an evaluation does not name them
        return [folder.name for folder in folders]
    names = dict.fromkeys(name for one in parts for name in one)
    differing = [n for n in names if len({str(one.get(n)) for one in parts}) > 1]
    return [", ".join(f"{name}={one.get(name)}" for name in differing) for one in parts]


def differing_options(folders: list[Path]) -> list[str]:
    """Name runs of the same parts by the options in which they differ from the first of them."""
    parts = differing_parts(folders)
    configs = [_options(folder) for folder in folders]
    names = []
    folder_names = [STAMP.sub("", folder.name) for folder in folders]
    for name, config, folder_name in zip(parts, configs, folder_names, strict=True):
        first = configs[parts.index(name)]
        changed = [f"{key}={value}" for key, value in config.items() if first.get(key) != value]
        changed += [f"without {key}" for key in first if key not in config]
        if len(changed) > MAX_OPTIONS:
            changed = [*changed[:MAX_OPTIONS], "..."]
        names.append(", ".join(filter(None, (name, *changed))) or folder_name)
    return names


def _options(folder: Path) -> dict[str, Any]:
    """Give a run's options by dotted keys; where things lie and how often is no difference."""
    try:
        config = read_config(folder)
    except CheckpointError:
        return {}
    kept = (key for key in config if key not in NO_DIFFERENCE and not key.endswith("_root"))
    return dotted({key: config[key] for key in kept})


def choose_dataset(folder: Path, wanted: str | None) -> tuple[str | None, dict[int, Path]]:
    """Give the data set whose scores are compared (None: unknown), and the file of each seed.

    Raises:
        CheckpointError: The folder holds no scores.
        ConfigError: It holds none of the wanted data set, or of several and none is named.
    """
    found: dict[str | None, dict[int, Path]] = {}
    for path in sorted(folder.iterdir()):
        if match := PREDICTIONS.fullmatch(path.name):
            own = _metrics(folder).get("dataset")
            dataset = match["dataset"] or (own if isinstance(own, str) else None)
            found.setdefault(dataset, {})[int(match["seed"])] = path
    if not found:
        raise CheckpointError(
            f"{str(folder)!r} holds no scores (predictions_*seed*.csv). They are written when a "
            f"run ends: if it was interrupted, go on with `train resume={folder}`. "
            "Otherwise give a folder that `train` or `evaluate` made."
        )
    there = ", ".join(sorted(name or "an unnamed data set" for name in found))
    if wanted is None and len(found) > 1:
        raise ConfigError(
            f"{str(folder)!r} holds scores of several data sets: {there}. Give dataset=NAME."
        )
    if wanted is not None and wanted not in found:
        raise ConfigError(f"dataset={wanted}: {str(folder)!r} holds only scores of {there}.")
    return (wanted, found[wanted]) if wanted is not None else next(iter(found.items()))


def _metrics(folder: Path) -> dict[str, Any]:
    """Read a run's numbers; empty where they are not there or damaged."""
    try:
        metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return metrics if isinstance(metrics, dict) else {}
