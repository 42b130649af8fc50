"""What others wrote: predictors, run folders, manifests and caches, read as data.

Nothing of theirs is interpolated, instantiated by Hydra, or imported unless it is a part of this
package or of one that the user names by ``trust=[package]``.
"""

from __future__ import annotations

import importlib
import json
import math
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from collision.config import Part, changed_part, names_of
from collision.errors import CheckpointError, CollisionError

# The folder that holds the classes of each group.
_FOLDER_OF = {
    "dataset": "collision.datasets",
    "backbone": "collision.backbones",
    "head": "collision.temporal",
    "pooling": "collision.temporal",
    "fusion": "collision.temporal",
    "sampling": "collision.sampling",
    "loss": "collision.learning",
    "optimizer": "collision.learning",
    "scheduler": "collision.learning",
    "logger": "collision.runs",
}
# Older predictors and run folders name classes by where they were then.
_MOVED = {
    "collision.losses.": "collision.learning.losses.",
    "collision.optim.AdamWCosine": "collision.learning.optim.AdamW",
    "collision.learning.optim.AdamWCosine": "collision.learning.optim.AdamW",
    "collision.optim.": "collision.learning.optim.",
    "collision.tracking.": "collision.runs.wandb_tracker.",
    "collision.sampling.SamplingPolicy": "collision.sampling.policy.SamplingPolicy",
}
# So do they options of our data sets; None: it is gone.
_OPTIONS = {"follow_links": "allow_links", "allow_missing": None}
_TARGET = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", re.ASCII)
_MAX_DEPTH, _MAX_VALUES = 40, 1_000_000
CONFIG_FORMAT = 1


def values_in(data: Any, where: str) -> Iterator[tuple[str, Any]]:
    """Walk through plain data: the place and the value of everything in it, keys included.

    CheckpointError: it is nested too deep, holds itself, or is too large.
    """
    waiting, num_values = [("", 0, data)], 0
    while waiting:
        place, depth, value = waiting.pop()
        yield place, value
        num_values += 1
        if depth > _MAX_DEPTH or num_values > _MAX_VALUES:
            raise CheckpointError(f"{where} is nested too deep or too large at {place[:80]!r}.")
        if isinstance(value, Mapping):
            for key, item in value.items():
                inside = f"{place}.{key}".lstrip(".")
                waiting += [(inside, depth + 1, key), (inside, depth + 1, item)]
        elif isinstance(value, list):
            waiting += [(f"{place}[{n}]", depth + 1, item) for n, item in enumerate(value)]


def plain_data(data: Any, where: str) -> Any:
    """Give parsed data back, unless it is more than JSON or becomes more when OmegaConf reads it.

    ``where`` names the file in messages, here and below.

    Raises:
        CheckpointError: a string holds ``${``; a value is no JSON; nested too deep, or too large.
    """
    for place, value in values_in(data, where):
        if isinstance(value, str) and "${" in value:
            raise CheckpointError(
                f"{where} holds {value[:80]!r} in {place[:80]!r}: files are not interpolated, so "
                "it was not read. Write the value itself there."
            )
        is_number = isinstance(value, (int, float)) and abs(value) < math.inf  # NaN is not
        if not (value is None or is_number or isinstance(value, (str, list, Mapping))):
            raise CheckpointError(f"{where} holds {value!r} in {place[:80]!r}: that is no JSON.")
    return data


def json_data(text: str | bytes, where: str) -> Any:
    """Read JSON that others wrote; errors as in ``plain_data``."""
    try:
        return plain_data(json.loads(text), where)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{where} is damaged: {error}.") from None


@contextmanager
def reading(where: str) -> Iterator[None]:
    """Turn any exception that a file's values lead to into a ``CheckpointError`` that names it."""
    try:
        yield
    except CollisionError as error:
        is_named = isinstance(error, CheckpointError) and where in str(error)
        raise CheckpointError(str(error) if is_named else f"{where}: {error}") from None
    except KeyError as error:
        raise CheckpointError(f"{where} lacks {error}. Train again, or copy it again.") from None
    except Exception as error:  # what a class does with values that nobody has foreseen
        raise CheckpointError(
            f"{where} holds values that cannot work ({type(error).__name__}: {error}). "
            "Train again, or copy it again."
        ) from error


def check_format(found: Any, newest: int, where: str) -> None:
    """Refuse (``CheckpointError``) a file whose format is none of 1 .. ``newest``."""
    if type(found) is not int or found < 1:
        raise CheckpointError(f"{where} has format {found!r}, which no version has written.")
    if found > newest:
        raise CheckpointError(
            f"{where} has format {found}, and this version reads formats up to {newest}: it was "
            "written by a newer version. Update dashcam-collision."
        )


def saved_part(data: Any, group: str, where: str, trust: Collection[str] = ()) -> Part:
    """Read a part: ``{"name", "options"}``, ``{"target", "options"}``, or as Hydra has it.

    ``trust`` are packages outside this one whose classes may be named.

    Raises:
        CheckpointError: Something else, or a class from elsewhere.
    """
    plain_data(data, f"{where}, {group}")
    if not isinstance(data, Mapping):
        raise CheckpointError(f"{where} holds {data!r} as its {group}, which is no part.")
    if "_target_" in data:
        target, name = data["_target_"], ""
        options: Any = {key: value for key, value in data.items() if key != "_target_"}
    else:
        target, name, options = data.get("target"), data.get("name", ""), data.get("options", {})
    if not isinstance(options, Mapping) or not all(isinstance(key, str) for key in options):
        raise CheckpointError(f"{where} holds {options!r} as the options of its {group}.")
    for place, _ in values_in(options, where):
        if re.search(r"(^|\.)_", place):  # Hydra would act on it
            raise CheckpointError(f"{where} holds {place!r} in the options of its {group}.")
    if (group, name) == ("backbone", "fusion") and isinstance(parts := options.get("parts"), list):
        own = [saved_part(one, group, where, trust).as_saved() for one in parts]
        options = {**options, "parts": own}
    if target is None:
        if not isinstance(name, str) or name not in names_of(group):
            raise CheckpointError(
                f"{where} names the {group} {name!r}, which this version does not have. There are: "
                f"{', '.join(names_of(group))}. Use the version that wrote it, or train again."
            )
        with reading(where):  # for the class alone: the YAML's values are not those that were saved
            target = changed_part(group, name, options).target
        if target.startswith("collision."):
            return Part(group, name, target, dict(options))
    name = name if isinstance(name, str) else ""
    return Part(group, name, _checked_target(target, group, where, trust), dict(options))


def read_config(run_folder: Path) -> dict[str, Any]:
    """Read a run's resolved configuration; classes that have moved are named by where they are.

    CheckpointError: the folder is not a run, or its configuration is more than plain data.
    """
    path = run_folder / "config.yaml"
    if not path.is_file():
        if not run_folder.exists():
            raise CheckpointError(f"There is no folder {str(run_folder)!r}.")
        there = sorted(p.name for p in run_folder.iterdir())[:8] if run_folder.is_dir() else []
        raise CheckpointError(
            f"{str(run_folder)!r} is not a run folder: no config.yaml there (found: "
            f"{', '.join(there) or 'nothing'}). Give a folder that `train` made, such as "
            "runs/latest."
        )
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError, OSError) as error:
        raise CheckpointError(f"{str(path)!r} is not valid YAML: {error}") from None
    if not isinstance(config, dict):
        raise CheckpointError(f"{str(path)!r} holds no configuration.")
    plain_data(config, repr(str(path)))
    check_format(config.get("format", 1), CONFIG_FORMAT, repr(str(path)))
    for group, options in config.items():
        if isinstance(options, dict) and isinstance(options.get("_target_"), str):
            options["_target_"] = _renamed(options["_target_"])
            if options["_target_"].startswith("collision.datasets."):
                named = {_OPTIONS.get(name, name): value for name, value in options.items()}
                config[group] = {name: value for name, value in named.items() if name}
    return config


def _renamed(target: str) -> str:
    for old, new in _MOVED.items():
        if target.startswith(old):
            return new + target.removeprefix(old)
    return target


def _checked_target(target: Any, group: str, where: str, trust: Collection[str]) -> str:
    # The prefix alone would let ``collision.learning.head.torch.hub.load`` through.
    if not isinstance(target, str) or not _TARGET.fullmatch(target):
        raise CheckpointError(f"{where} names {target!r} as its {group}, which is no class.")
    target = _renamed(target)
    package = target.partition(".")[0]
    if package == "collision":
        allowed = _FOLDER_OF.get(group, "")
    elif package in trust:
        allowed = package
    else:
        raise CheckpointError(
            f"{where} names {target!r} as its {group}, which is not a class of this package: it "
            f"was not run. If you trust {package!r} and who wrote this file: trust=[{package}]"
        )
    module, _, name = target.rpartition(".")
    found: Any = None
    if f"{module}.".startswith(f"{allowed}."):
        try:
            found = getattr(importlib.import_module(module), name, None)
        except Exception as error:  # what others wrote may name any module, also a broken one
            raise CheckpointError(
                f"{where} names {target!r}, which this version does not have ({error}). "
                "Use the version that wrote it, or train again."
            ) from None
    if not isinstance(found, type) or not f"{found.__module__}.".startswith(f"{allowed}."):
        raise CheckpointError(
            f"{where} names {target!r} as its {group}, which is not a class of {allowed!r}: it was "
            "not run. Use the version that wrote it, or train again."
        )
    return target
