"""Several backbones side by side: ``backbone=fusion``; each keeps its own cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from collision.checks import arguments_of, unknown_option
from collision.config import (
    FUSION,
    Part,
    changed_part,
    dotted,
    names_of,
    no_such_part,
    option_names,
)
from collision.errors import ConfigError

# A name, or what ``Part.as_saved`` gives: a name or class with all its options.
Named: TypeAlias = str | dict[str, Any]


class Fusion:
    """No backbone, but several whose features a head sees together.

    Args:
        parts: Their names, two or more.
        options: Changes to what their YAML files say, by their names.

    Raises:
        ConfigError: A name that no backbone has, or that is there twice; fewer than two; a fusion
            in a fusion; options of what is not among them, or that it does not have.
    """

    def __init__(self, parts: tuple[Named, ...], options: dict[str, dict[str, Any]] | None = None):
        names, changes = [_name_of(one) for one in parts], options or {}
        given = f"backbone.parts=[{','.join(names)}]"
        for name in names:
            if name == "fusion":
                raise ConfigError(f"{given}: fusion is itself several backbones; name those.")
        if twice := [one for one in parts if parts.count(one) > 1]:
            name = _name_of(twice[0])
            raise ConfigError(f"{given}: {name} is there twice; give each backbone once.")
        if len(parts) < 2:
            raise ConfigError(f"{given}: give two backbones or more, or backbone=NAME.")
        if strange := [name for name in changes if name not in names]:
            where = f"backbone.options.{strange[0]}"
            raise ConfigError(f"{where}: it is not in {given}. Add it there, or leave it out.")
        self.parts = tuple(
            _part_of(one, given, changes.get(name, {}))
            for one, name in zip(parts, names, strict=True)
        )


def backbones_of(part: Part) -> tuple[Part, ...]:
    """Give the backbones behind a part: those of a fusion, or the one that it is."""
    return part.build().parts if part.target == FUSION else (part,)


def distinct_backbones(parts: Sequence[Part]) -> list[Part]:
    """List the backbones behind several parts, each once."""
    found: list[Part] = []
    for one in (one for part in parts for one in backbones_of(part)):
        found += [one] if one not in found else []
    return found


def _name_of(one: Named) -> str:
    return one if isinstance(one, str) else str(one.get("name") or one.get("target"))


def _part_of(one: Named, given: str, changes: Mapping[str, Any]) -> Part:
    if isinstance(one, str):
        if one not in names_of("backbone"):
            raise ConfigError(f"{given}: {no_such_part('backbone', one)}")
        _check_options(one, changes)
        return changed_part("backbone", one, changes)
    name, target, options = one.get("name", ""), one.get("target"), one.get("options", {})
    # As they were saved: what the YAML says today is not what the features were made with.
    target = target or changed_part("backbone", name, options).target
    return Part("backbone", name, target, options).changed(changes)


def _check_options(name: str, changes: Mapping[str, Any]) -> None:
    """Refuse an option that a backbone does not have; the class is asked if its YAML has it not."""
    own = [option.removeprefix("backbone.") for option in option_names("backbone", name)]
    for option in dotted(changes):
        if option not in own:
            known = [*own, *arguments_of(changed_part("backbone", name, changes).imported())]
            if option.partition(".")[0] not in known:
                where = f"backbone.options.{name}."
                raise ConfigError(unknown_option(where + option, [where + one for one in known]))
