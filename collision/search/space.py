"""A space of experiments: what can be chosen, how many cells that makes, and points of it.

A space is a YAML file (``configs/space``, or one of your own) with two lists by name of the option:

    cells:                          # each combination is a cell
      backbone: [efficientnet_lite0, {name: flow of 8 x 12, backbone: optical_flow, ...}]
      trainer.batch_size: [64, 128]
    within:                         # what differs within a cell
      optimizer.lr: {low: 1.0e-5, high: 1.0e-2, log: true}
      loss.gamma: {low: 0.5, high: 5, when: {loss: focal}}
      head.cell: {choices: [gru, lstm], when: {head: gru}}
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any, Self, get_type_hints

import numpy as np
import yaml
from omegaconf import OmegaConf

from collision.checks import STRICT, typed, unknown_option, user_path
from collision.config import Part, changed_part, config_dirs, names_of, no_such_part, option_names
from collision.errors import ConfigError
from collision.options import TrainOptions

# The parts of a training, and what is taken where a space leaves one out: see configs/train.yaml.
GROUPS = (
    *("backbone", "fusion", "head", "pooling"),
    *("loss", "optimizer", "scheduler", "sampling"),
)


@dataclass(frozen=True)
class Choice:
    """One choice of a dimension: its name, and the options that it sets."""

    name: str
    changes: Mapping[str, Any]


@dataclass(frozen=True)
class Dimension:
    """What is chosen by name; ``when`` it plays a part, by names of choices of other dimensions."""

    key: str
    choices: tuple[Choice, ...]
    when: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def at(self, unit: float) -> Choice:
        """Give the choice at a place in [0, 1)."""
        return self.choices[min(int(unit * len(self.choices)), len(self.choices) - 1)]

    def named(self, name: str | float) -> Choice:
        """Give the choice of this name; ConfigError: there is none."""
        for choice in self.choices:
            if choice.name == name:
                return choice
        raise ConfigError(f"{self.key}={name} is no choice of the space. There are: {self}.")

    def __str__(self) -> str:
        return ", ".join(choice.name for choice in self.choices)


@dataclass(frozen=True)
class Range:
    """A number from ``low`` to ``high``, evenly, or in ``log`` steps."""

    key: str
    low: float
    high: float
    log: bool = False
    when: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def at(self, unit: float) -> Choice:
        """Give the number at a place in [0, 1), with six digits, as it is written."""
        if self.log:
            value = math.exp(math.log(self.low) + unit * math.log(self.high / self.low))
        else:
            value = self.low + unit * (self.high - self.low)
        return self._choice(value)

    def named(self, value: str | float) -> Choice:
        """Give this number, with six digits; ConfigError: it is none, or out of the range."""
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not self.low <= number <= self.high:
            raise ConfigError(f"{self.key}={value} is not in the space's range, {self}.")
        return self._choice(number)

    def _choice(self, value: float) -> Choice:
        value = min(max(float(f"{value:.6g}"), self.low), self.high)
        return Choice(f"{value:g}", {self.key: value})

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}{', log' if self.log else ''}"


@dataclass(frozen=True)
class Point:
    """One experiment of a space.

    Attributes:
        cell: The names of its choices, by dimension.
        within: What it chose within the cell; what plays no part there is left out.
        changes: Options that all of that sets.
    """

    cell: Mapping[str, str]
    within: Mapping[str, str]
    changes: Mapping[str, Any]

    @property
    def key(self) -> str:
        """Name the experiment: two points that set the same options are one."""
        text = json.dumps(self.changes, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def values(self) -> dict[str, str]:
        """The names of all that it chose, by dimension, as ``Space.named`` takes them."""
        return {**self.cell, **self.within}

    @property
    def overrides(self) -> list[str]:
        """Give what ``train.py`` is called with."""
        return [f"{key}={_written(value)}" for key, value in self.changes.items()]

    def part(self, group: str) -> Part:
        """Give the part that it chose of a group, or the default one, with its options."""
        name = str(self.changes.get(group, defaults()[group]))
        own = f"{group}."
        changes = {k.removeprefix(own): v for k, v in self.changes.items() if k.startswith(own)}
        return changed_part(group, name, changes)

    def options(self, name: str) -> dict[str, Any]:
        """Give what it sets of an option that is a group of plain values, such as ``trainer``."""
        own = f"{name}."
        return {k.removeprefix(own): v for k, v in self.changes.items() if k.startswith(own)}


@dataclass(frozen=True)
class Space:
    """Dimensions whose combinations are cells, and what differs within a cell."""

    name: str
    about: str
    cells: tuple[Dimension, ...]
    within: tuple[Dimension | Range, ...] = ()

    @classmethod
    def load(cls, name: str) -> Self:
        """Read a space by its name or from a YAML file.

        ConfigError: There is none, or it names what does not exist.
        """
        file = _file_of(name)
        try:
            text = file.read_text(encoding="utf-8")
            content = yaml.safe_load(text)
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            reason = " ".join(str(error).split())
            raise ConfigError(f"space {name}: cannot read it as YAML: {reason}") from None
        if not isinstance(content, dict):
            raise ConfigError(f"space {name}: it is no space, which begins with `cells:`.")
        read = typed(_File, content, where="space")
        cells = tuple(_dimension(key, own) for key, own in read.cells.items())
        within = tuple(_within(key, own) for key, own in read.within.items())
        lines = takewhile(lambda line: line.strip("# ") and line[0] == "#", text.splitlines())
        about = " ".join(line.strip("# ") for line in lines)
        space = cls(file.stem, about, cells, within)
        space._check()
        return space

    @property
    def size(self) -> int:
        """Count its cells."""
        return math.prod(len(dimension.choices) for dimension in self.cells)

    @property
    def dimensions(self) -> tuple[Dimension | Range, ...]:
        """All of them, in the order of the coordinates that ``at`` takes."""
        return (*self.cells, *self.within)

    def at(self, unit: Sequence[float]) -> Point:
        """Give the point at coordinates in [0, 1), one for each of ``dimensions``.

        A coordinate of what plays no part there changes nothing.
        """
        return self._point({d.key: d.at(u) for d, u in zip(self.dimensions, unit, strict=True)})

    def named(self, values: Mapping[str, str | float]) -> Point:
        """Give the point of the choices' names, or numbers of ranges, by dimension.

        What plays no part there may be missing. ConfigError: no such choice, out of the range, or
        one is missing.
        """
        cell = {d.key: str(values.get(d.key)) for d in self.cells}
        there = [d for d in self.dimensions if _applies(d.when, cell)]
        wrong = set(values) - {d.key for d in self.dimensions}
        if wrong or (absent := [d.key for d in there if d.key not in values]):
            what = f"has no {min(wrong)}" if wrong else f"needs {', '.join(absent)}"
            raise ConfigError(f"space {self.name} {what}.")
        return self._point({d.key: d.named(values[d.key]) for d in there})

    def applies(self, dimension: Dimension | Range, cell: Mapping[str, str]) -> bool:
        """Tell whether it plays a part in a cell, which is given by the names of its choices."""
        return _applies(dimension.when, cell)

    def _point(self, chosen: Mapping[str, Choice]) -> Point:
        cell = {dimension.key: chosen[dimension.key].name for dimension in self.cells}
        within = {d.key: chosen[d.key].name for d in self.within if _applies(d.when, cell)}
        changes: dict[str, Any] = {}
        for key in (*cell, *within):
            changes |= chosen[key].changes
        return Point(cell, within, changes)

    def sample(self, count: int, seed: int = 0) -> Iterator[Point]:
        """Draw points at random, each cell as likely as any other."""
        rng = np.random.default_rng(seed)
        for _ in range(count):
            yield self.at(rng.random(len(self.dimensions)).tolist())

    def _check(self) -> None:
        """Refuse what no training knows; ConfigError."""
        names = {d.key: {c.name for c in d.choices} for d in self.cells}
        contexts = list(self._contexts())
        known = _Known()
        for dimension in self.dimensions:
            for key, wanted in dimension.when.items():
                if not set(wanted) <= names.get(key, set()):
                    raise ConfigError(
                        f"space {self.name}: {dimension.key} counts when {key} is "
                        f"{', '.join(wanted)}, which is no choice of its cells."
                    )
            choices = [dimension.at(0)] if isinstance(dimension, Range) else dimension.choices
            for cell, there in contexts:
                for choice in choices if _applies(dimension.when, cell) else ():
                    if wrong := known.complaint(choice.changes, {**there, **choice.changes}):
                        raise ConfigError(f"space {self.name}: {wrong}")

    def _contexts(self) -> Iterator[tuple[dict[str, str], dict[str, Any]]]:
        """Vary one dimension of the cells at a time: names, and what they set."""
        first = {d.key: d.choices[0] for d in self.cells}
        for dimension in self.cells:
            for choice in dimension.choices:
                chosen = {**first, dimension.key: choice}
                changes: dict[str, Any] = {}
                for one in chosen.values():
                    changes |= one.changes
                yield {key: one.name for key, one in chosen.items()}, {**defaults(), **changes}


@dataclass(frozen=True)
class _Within:
    __pydantic_config__ = STRICT

    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: tuple[Any, ...] = ()
    when: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _File:
    __pydantic_config__ = STRICT

    cells: dict[str, list[Any]]
    within: dict[str, _Within] = field(default_factory=dict)


def _file_of(name: str) -> Path:
    if name in names_of("space"):
        folders = (folder / "space" / f"{name}.yaml" for folder in config_dirs())
        return next(path for path in folders if path.is_file())
    if (path := user_path(name)).is_file():
        return path
    if path.suffix in (".yaml", ".yml"):
        there = ", ".join(names_of("space"))
        raise ConfigError(f"There is no file {name!r}. Give another one, or a space: {there}.")
    raise ConfigError(f"{no_such_part('space', name)} Or give a YAML file.")


def _dimension(
    key: str, entries: Sequence[Any], when: Mapping[str, Any] | None = None
) -> Dimension:
    choices = tuple(_choice(key, entry) for entry in entries)
    names = [choice.name for choice in choices]
    if not names or len(set(names)) < len(names):
        raise ConfigError(f"space: {key} needs choices, each of its own name; it has {names}.")
    return Dimension(key, choices, _when(when or {}))


def _choice(key: str, entry: Any) -> Choice:
    if not isinstance(entry, Mapping):
        return Choice(_written(entry), {key: entry})
    changes = dict(entry)
    name = changes.pop("name", None)
    if not isinstance(name, str) or not changes:
        raise ConfigError(f"space: a choice of {key} that sets several options needs a name.")
    return Choice(name, changes)


def _within(key: str, own: _Within) -> Dimension | Range:
    if own.choices:
        return _dimension(key, own.choices, own.when)
    low, high = own.low, own.high
    if low is None or high is None or not low < high or (own.log and low <= 0):
        raise ConfigError(
            f"space: {key} needs choices, or low below high (above 0 where it is log); it has "
            f"low={low} and high={high}."
        )
    return Range(key, low, high, own.log, _when(own.when))


def _when(given: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    return {k: tuple(map(str, v)) if isinstance(v, list) else (str(v),) for k, v in given.items()}


def _applies(when: Mapping[str, Sequence[str]], cell: Mapping[str, str]) -> bool:
    return all(cell.get(key) in names for key, names in when.items())


class _Known:
    """What a training has, looked up once."""

    def __init__(self) -> None:
        self.plain = _plain_options()
        self.names = {group: names_of(group) for group in GROUPS}
        self.options = cache(option_names)

    def complaint(self, changes: Mapping[str, Any], there: Mapping[str, Any]) -> str:
        """Say which of the changes no training has, beside what is set ``there``; or nothing."""
        for key, value in changes.items():
            group = key.partition(".")[0]
            if key in GROUPS and value not in self.names[key]:
                return no_such_part(key, value)
            if group not in GROUPS and key not in self.plain:
                return unknown_option(key, self.plain)
            if key != group in GROUPS and key not in self.options(group, str(there[group])):
                return (
                    f"{key} is no option of {group}={there[group]}. Say when it counts: "
                    f"when: {{{group}: NAME}}."
                )
        return ""


def _plain_options() -> list[str]:
    """List the options of a training that belong to no part."""
    found = []
    for name, kind in get_type_hints(TrainOptions).items():
        inner = [f"{name}.{item.name}" for item in fields(kind)] if is_dataclass(kind) else [name]
        found += [] if kind is Part else inner
    return found


def defaults() -> dict[str, str]:
    """Give the part of each group that ``train`` takes by default."""
    listed: Any = OmegaConf.to_container(OmegaConf.load(config_dirs()[0] / "train.yaml"))
    entries = {
        k: v for entry in listed["defaults"] if isinstance(entry, dict) for k, v in entry.items()
    }
    return {group: str(entries[group]) for group in GROUPS if group in entries}


def _written(value: Any) -> str:
    """Write a value as the command line takes it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_written, value))}]"
    return str(value)
