"""All that can be typed: verbs, their options, and the values that are known, for completion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from collision.commands._compose import choices_of, composed, path_options, plain_of
from collision.config import dotted, names_of, option_names
from collision.options import OPTIONS

FLAGS = (
    *("--help", "--cfg", "--resolve", "--multirun", "--config-dir", "--config-name"),
    *("--quiet", "--verbose"),
)
# What the first words of a verb are, where they are no files.
ACTIONS: dict[str, tuple[str, ...]] = {
    "cache": ("ls", "du", "verify", "prune", "merge", "pack", "upgrade"),
    "completion": ("bash", "zsh", "fish"),
    "part": ("check", "try", "accept"),
    "report": ("runs",),
    "search": ("status", "report", "export"),
    "study": ("analyse", "policies"),
}


@dataclass(frozen=True)
class Known:
    """What a verb takes: each option with its known values; those of ``paths`` are files."""

    options: Mapping[str, tuple[str, ...]]
    paths: tuple[str, ...]
    actions: tuple[str, ...]


def known_of(verb: str) -> Known:
    """Collect a verb's options; those of parts that can be chosen are among them."""
    config = composed(verb, [])
    choices, hints = choices_of(config), get_type_hints(OPTIONS[verb], include_extras=True)
    options: dict[str, tuple[str, ...]] = {}
    for name in dotted(plain_of(config)):
        if not name.endswith("_target_"):
            options[name] = _values(hints, name)
    for group in choices:
        names = tuple(names_of(group))
        options.pop(group, None)
        options[group] = names
        for name in names if group != "experiment" else ():
            options |= {one: options.get(one, ()) for one in option_names(group, name)}
    for name in hints:  # such as space=, whose YAMLs are no group of the composition
        if not options.get(name) and name in options and names_of(name):
            options[name] = tuple(names_of(name))
    actions = tuple(names_of("space")) if verb == "space" else ACTIONS.get(verb, ())
    paths = tuple(name for name in path_options(verb) if name in options)
    return Known(dict(sorted(options.items())), paths, actions)


def _values(hints: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Give the values that an option's type names; none where it is open."""
    first, _, rest = name.partition(".")
    hint = _plain(hints.get(first))
    for kind in _kinds(hint):
        if rest and is_dataclass(kind):
            return _values(get_type_hints(kind, include_extras=True), rest)
    if rest:
        return ()
    found: list[str] = []
    for kind in _kinds(hint):
        if kind is bool:
            found += ["true", "false"]
        elif get_origin(kind) is Literal:
            found += [str(one) for one in get_args(kind)]
    return tuple(found)


def _plain(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def _kinds(hint: Any) -> tuple[Any, ...]:
    if get_origin(hint) in (Union, UnionType):
        return tuple(_plain(one) for one in get_args(hint))
    return (_plain(hint),)
