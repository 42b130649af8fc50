"""A search's folder: what it was begun with, by which it goes on and others join.

RUNS_ROOT/searches/NAME/
config.yaml    options, as they were typed and as they came out; no password is ever in them
space.yaml     the space, as it was then
journal.log    Optuna's journal, where there is no database
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

import yaml

from collision.checks import STRICT, typed
from collision.config import config_dirs, names_of
from collision.errors import ConfigError
from collision.files import write_whole
from collision.options import SearchOptions, TrainOptions, as_config
from collision.search.space import Space
from collision.untrusted import CONFIG_FORMAT, read_config, reading

FOLDER, CONFIG, SPACE = "searches", "config.yaml", "space.yaml"
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,79}", re.ASCII)
# What is typed when a search is begun, and read again when it goes on: options with plain values.
# Nothing that Hydra would act on: no interpolation, no class by its path, nothing of its own.
_PLAIN = re.compile(r"[+~]{0,2}[a-z]\w*(\.[A-Za-z]\w*)*(=.*)?", re.ASCII | re.DOTALL)
# Of this command alone: how much, how fast, where.
_OF_THE_COMMAND = (
    *("budget", "hours", "name", "storage", "workers", "memory", "confirm", "confirm_seeds"),
    *("retries", "lease", "saturated", "output", "done", "once", "typed", "policy", "parts"),
    *("draws", "seeds"),
    *("skip_unbuildable", "extract", "runs_root", "cache_root", "data_root", "trust"),
    *("audit", "audit_workers", "num_resamples", "threshold"),
)


def folder_of(runs_root: Path, name: str) -> Path:
    """Give a search's folder; ConfigError: the name cannot be a folder's."""
    if not _NAME.fullmatch(name):
        raise ConfigError(f"name={name}: give letters, digits, and . _ - between them.")
    return runs_root / FOLDER / name


def key_of(override: str) -> str:
    """Give the option that an override sets."""
    return override.lstrip("+~").partition("=")[0]


def of_trainings(typed_ones: Iterable[str], *, is_design: bool = False) -> list[str]:
    """Give those overrides that are ``train``'s, but for what a design does itself."""
    shared = {item.name for item in fields(TrainOptions)} | {"experiment"}
    shared -= {"seed", "seeds", "evaluate_on"} if is_design else set()
    return [text for text in typed_ones if key_of(text).partition(".")[0] in shared]


def read_typed(options: SearchOptions) -> list[str] | None:
    """Give the overrides that the search of this name was begun with; None: there is none.

    ConfigError: They are more than plain options.
    """
    if options.name is None:
        return None
    folder = folder_of(options.runs_root, options.name)
    if not (folder / CONFIG).is_file():
        return None
    return _plain_overrides(read_config(folder), folder)


def _plain_overrides(config: Mapping[str, Any], folder: Path) -> list[str]:
    given = config.get("typed")
    is_plain = isinstance(given, list) and all(
        isinstance(text, str) and _PLAIN.fullmatch(text) and "_target_" not in text
        and not text.lstrip("+~").startswith("hydra")
        for text in given
    )  # fmt: skip
    if not is_plain:
        raise ConfigError(
            f"{str(folder / CONFIG)!r} holds options that no command line of a search has: it was "
            "not read. Give another name, or remove that folder."
        )
    assert isinstance(given, list)
    return given


def check_same_search(before: SearchOptions, after: SearchOptions) -> None:
    """Refuse to go on with what would be another search; ConfigError names the first difference."""
    for name, (was, is_now) in differences(identity(before), identity(after)).items():
        raise ConfigError(
            f"The search {after.name!r} was begun with {name}={_shown(was)}, and is asked to go on "
            f"with {_shown(is_now)}: its trials would not be of one kind. Leave it out, or give "
            "another name."
        )


def identity(options: SearchOptions) -> dict[str, Any]:
    """Give what all trials of a search share, as plain data."""
    everything = {
        item.name: as_config(getattr(options, item.name))
        for item in fields(options)
        if item.name not in _OF_THE_COMMAND
    }
    for name in ("trainer", "extraction"):  # where it runs is no part of it
        everything[name] = {k: v for k, v in everything[name].items() if k not in _WHERE}
    everything["dataset"] = _without_folders(everything["dataset"])
    plain: dict[str, Any] = json.loads(json.dumps(everything, sort_keys=True, default=str))
    return plain


_WHERE = ("accelerator", "num_workers", "timeout")


def _without_folders(part: Mapping[str, Any]) -> dict[str, Any]:
    options = {k: v for k, v in part.get("options", {}).items() if k not in ("root", "num_workers")}
    return {**part, "options": options}


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Give what differs, by name."""
    names = {*before, *after}
    pairs = {name: (before.get(name), after.get(name)) for name in sorted(names)}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def digest_of(text: str) -> str:
    """Name a space by its content."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def text_of_space(name: str) -> str:
    """Read the YAML of a space, by its name or its file."""
    if name in names_of("space"):
        files = [folder / "space" / f"{name}.yaml" for folder in config_dirs()]
        return next(path for path in files if path.is_file()).read_text(encoding="utf-8")
    return Path(name).expanduser().read_text(encoding="utf-8")


def make_folder(options: SearchOptions, space_text: str) -> Path:
    """Make a search's folder with what it is begun with; one that is there stays as it is.

    ConfigError: It cannot be made.
    """
    assert options.name is not None
    folder = folder_of(options.runs_root, options.name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / SPACE).is_file():
            write_whole(folder / SPACE, space_text)
        if not (folder / CONFIG).is_file():
            config = {"format": CONFIG_FORMAT, **as_config(options)}
            write_whole(folder / CONFIG, yaml.safe_dump(config, sort_keys=False))
    except OSError as error:
        raise ConfigError(
            f"Cannot make {str(folder)!r}: {error.strerror}. Give runs_root=FOLDER."
        ) from error
    return folder


@dataclass(frozen=True)
class Begun:
    """What a search's folder says of it."""

    name: str
    folder: Path
    space: Space
    storage: str | None
    objectives: tuple[str, ...]
    of_trainings: tuple[str, ...]
    budget: int | None
    design: str | None
    policy: str
    axes: tuple[str, ...] | None  # of the archive that the policy keeps
    confirm: int


def read_name(runs_root: Path, name: str) -> Path:
    """Find a search's folder; ConfigError: there is none."""
    folder = folder_of(runs_root, name)
    if not (folder / CONFIG).is_file():
        there = sorted(path.parent.name for path in folder.parent.glob(f"*/{CONFIG}"))
        raise ConfigError(
            f"There is no search {name!r} in {str(folder.parent)!r}. There are: "
            f"{', '.join(there) or 'none'}. Of another place: runs_root=FOLDER."
        )
    return folder


def read_begun(runs_root: Path, name: str) -> Begun:
    """Read a search's folder; ConfigError: there is none, or it is none."""
    folder = read_name(runs_root, name)
    config = read_config(folder)
    where = repr(str(folder / CONFIG))
    with reading(where):
        saved = typed(_Saved, {name: config[name] for name in get_type_hints(_Saved)})
    own = _plain_overrides(config, folder)
    space = replace(Space.load(str(folder / SPACE)), name=Path(saved.space).stem)
    return Begun(
        name=name,
        folder=folder,
        space=space,
        storage=saved.storage,
        objectives=saved.objectives,
        of_trainings=tuple(of_trainings(own, is_design=saved.design is not None)),
        budget=saved.budget,
        design=saved.design,
        policy=str(saved.policy.get("name", "one of its own")),
        axes=_axes(saved.policy, space),
        confirm=saved.confirm,
    )


@dataclass(frozen=True)
class _Saved:
    __pydantic_config__ = STRICT

    space: str
    storage: str | None
    objectives: tuple[str, ...]
    budget: int | None
    design: str | None
    policy: dict[str, Any]
    confirm: int


def _axes(policy: Mapping[str, Any], space: Space) -> tuple[str, ...] | None:
    options = policy.get("options")
    axes = options.get("axes") if isinstance(options, Mapping) else None
    is_there = isinstance(axes, list) and set(axes) <= {d.key for d in space.cells}
    return tuple(axes) if is_there and axes else None


def _shown(value: Any) -> str:
    if isinstance(value, Mapping) and "name" in value:
        return str(value["name"])
    return "[" + ",".join(map(str, value)) + "]" if isinstance(value, list) else str(value)
