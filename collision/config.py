"""Parts: a class by its import path, with options; and the YAML files that name them."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from itertools import takewhile
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

import collision
from collision.checks import call_typed, must_be_given, unknown_option, user_path
from collision.errors import CollisionError, ConfigError

_MOUNTED = ("backbones", "temporal", "datasets")  # imported as collision.backbones and so on
# No backbone, but several: its options are resolved when it is chosen.
FUSION = "collision.features.fusion.Fusion"
_own_dirs: list[Path] = []


@dataclass(frozen=True)
class Part:
    """A backbone, head, data set ... that is chosen and not yet made.

    Attributes:
        group: The folder of its YAML, such as ``head``.
        name: Its YAML's name; empty for one without.
        target: Import path of the class.
        options: By the names of the class's arguments.
    """

    group: str
    name: str
    target: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def build(self, **given: Any) -> Any:
        """Import the class and call it with the options, checked, and with what is given by us.

        CollisionError: the class's own complaint, a wrong option, or a class that is not there.
        """
        made = self.imported()
        try:
            return call_typed(made, self.options, given, where=self.group)
        except CollisionError:
            raise
        except Exception as error:  # of a library, which knows no option's name
            raise ConfigError(
                f"Cannot build {self.group} {self.name or made.__name__}: {error}"
            ) from error

    def changed(self, changes: Mapping[str, Any]) -> Part:
        """Set options by their dotted names; see ``with_changes``."""
        return replace(self, options=with_changes(self.options, changes, self.group))

    def as_saved(self) -> dict[str, Any]:
        """Give plain data for a file: short name and options, or the class where it is not ours."""
        shipped = sorted(path.stem for path in config_dir().glob(f"{self.group}/*.yaml"))
        same = [n for n in shipped if _read(self.group, n).get("_target_") == self.target]
        if not same:
            return {"target": self.target, "options": dict(self.options)}
        return {"name": self.name if self.name in same else same[0], "options": dict(self.options)}

    def imported(self) -> type:
        """Import the class; ConfigError: it is not there, or no class."""
        try:
            module, _, name = self.target.rpartition(".")
            found = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            remedy = "Install its package, or add its folder to PYTHONPATH"
            if module.startswith("collision."):
                remedy = f"Mend _target_ in its YAML, or the name in {module.replace('.', '/')}.py"
            raise ConfigError(
                f"The {self.group} {self.name!r} names {self.target!r}, which cannot be imported: "
                f"{error}. {remedy}."
            ) from error
        if not isinstance(found, type):
            raise ConfigError(f"The {self.group} {self.name!r} names {self.target!r}: no class.")
        file = getattr(sys.modules[module], "__file__", None) or ""
        is_ours = Path(file).is_relative_to(config_dir().parent)
        if is_ours and module.partition(".")[0] in _MOUNTED:
            raise ConfigError(f"{self.target!r}: write collision.{self.target}.")  # else made twice
        return found


def part(group: str, name: str, /, **changes: Any) -> Part:
    """Choose a part, such as ``part("head", "zipformer")``, with changes to its YAML's options.

    ConfigError: there is no such YAML (the message lists those there are), or an option without a
    default is not given.
    """
    return changed_part(group, name, changes)


def changed_part(
    group: str, name: str, changes: Mapping[str, Any], folders: Mapping[str, Any] | None = None
) -> Part:
    """Choose a part as ``part`` does, with changes by dotted names (``columns.video``).

    ``folders`` are ``data_root`` and the like, if not the environment's.
    """
    return part_of(group, _resolved(group, name, folders), name, changes)


def part_of(
    group: str, mapping: Mapping[str, Any], name: str = "", changes: Mapping[str, Any] | None = None
) -> Part:
    """Take a part from a mapping that holds ``_target_`` beside the options.

    ConfigError: there is no ``_target_``, or an option is still missing (``???``).
    """
    chosen = _part_of(group, mapping, name).changed(changes or {})
    for option, value in dotted(chosen.options).items():
        if value == "???":
            text = _path(group, name).read_text(encoding="utf-8") if name in names_of(group) else ""
            raise ConfigError(must_be_given(f"{group}.{option}", text))
    if chosen.target != FUSION:
        return chosen
    return replace(chosen, options={"parts": [one.as_saved() for one in chosen.build().parts]})


def _part_of(group: str, mapping: Mapping[str, Any], name: str) -> Part:
    options = dict(mapping)
    target = options.pop("_target_", None)
    if not isinstance(target, str):
        there = ", ".join(names_of(group))
        raise ConfigError(f"The {group} {name!r} names no class (_target_). There are: {there}.")
    return Part(group, name, target, options)


def with_changes(
    options: Mapping[str, Any], changes: Mapping[str, Any], where: str = ""
) -> dict[str, Any]:
    """Set nested options by dotted names; a mapping is merged into the one that is there."""
    changed = deepcopy(dict(options))
    for name, value in changes.items():
        *above, last = name.split(".")
        place: Any = changed
        for step in above:
            place = place.setdefault(step, {}) if isinstance(place, dict) else None
        if not isinstance(place, dict):
            there = [".".join(filter(None, [where, option])) for option in dotted(options)]
            raise ConfigError(unknown_option(".".join(filter(None, [where, name])), there))
        merged = isinstance(value, Mapping) and isinstance(place.get(last), dict)
        place[last] = {**place[last], **value} if merged else value
    return changed


def dotted(options: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested options: ``{"columns.video": "file"}``."""
    found: dict[str, Any] = {}
    for key, value in options.items():
        is_deeper = isinstance(value, Mapping) and value
        found |= dotted(value, f"{prefix}{key}.") if is_deeper else {f"{prefix}{key}": value}
    return found


def names_of(group: str) -> list[str]:
    """List the parts of a group that have a YAML file, own ones included."""
    return sorted(
        {path.stem for folder in config_dirs() for path in folder.glob(f"{group}/*.yaml")}
    )


def option_names(group: str, name: str) -> list[str]:
    """List the options in a part's YAML as they can be typed: ``dataset.columns.video``."""
    options: Any = OmegaConf.to_container(_read(group, name))
    return [f"{group}.{option}" for option in dotted(options) if option != "_target_"]


def no_such_part(group: str, name: object) -> str:
    """Say that no YAML has this name, and which one may have been meant."""
    there = names_of(group)
    close = get_close_matches(str(name), there, n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    return f"No {group} is called {str(name)!r}.{hint} There are: {', '.join(there)}."


def config_dir() -> Path:
    """Find the folder of Hydra groups, in a checkout or in an installed package."""
    for root in collision.__path__:
        if (Path(root) / "configs" / "train.yaml").is_file():
            return Path(root) / "configs"
    raise ConfigError(f"No configs folder beside {list(collision.__path__)}: install again.")


def config_dirs() -> list[Path]:
    """List the folders in which YAML files are looked for, ours first."""
    return [config_dir(), *_own_dirs]


def use_config_dirs(folders: Iterable[Path | str]) -> None:
    """Look for parts in these folders, too: what ``--config-dir`` does."""
    own = [user_path(folder).absolute() for folder in folders]
    for folder in own:
        if not folder.is_dir():
            raise ConfigError(f"--config-dir {folder}: there is no such folder.")
    _own_dirs[:] = own


def _read(group: str, name: str) -> DictConfig:
    """Read a part's YAML, with those that its defaults list builds on."""
    own = OmegaConf.load(_path(group, name))
    assert isinstance(own, DictConfig)
    bases: Sequence[str] = own.pop("defaults", [])
    order = [*bases, *([] if "_self_" in bases else ["_self_"])]
    merged = OmegaConf.merge(*(own if base == "_self_" else _read(group, base) for base in order))
    assert isinstance(merged, DictConfig)
    return merged


def _path(group: str, name: str) -> Path:
    if name not in names_of(group):
        raise ConfigError(no_such_part(group, name))
    candidates = (folder / group / f"{name}.yaml" for folder in config_dirs())
    return next(path for path in candidates if path.is_file())


def _resolved(group: str, name: str, folders: Mapping[str, Any] | None = None) -> dict[str, Any]:
    roots = folders or OmegaConf.load(config_dir() / "folders.yaml")
    config = OmegaConf.create({**roots, group: _read(group, name)})[group]
    return OmegaConf.to_container(config, resolve=True)  # type: ignore[return-value]


def described(group: str, name: str) -> tuple[str, dict[str, Any]]:
    """Give a YAML's first sentence, and its options; those that must be given are ``???``."""
    lines = _path(group, name).read_text(encoding="utf-8").splitlines()
    comment = " ".join(line.strip("# ") for line in takewhile(lambda one: one[:1] == "#", lines))
    about = re.split(r"(?<=\.) ", comment, maxsplit=1)[0].rstrip(".")
    return about, dict(_part_of(group, _resolved(group, name), name).options)
