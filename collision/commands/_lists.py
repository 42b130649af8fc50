"""Several parts at once: ``datasets=[nexar,mine.csv]`` and ``backbones=[a,b]``.

A CSV file in the place of a name is a list of own videos: a ``manifest`` of that file, called like
it. Options of a part (``dataset.columns.video=file``) belong to the listed part that is named
(``dataset=manifest``) or, without, to the only one that has them; with several CSV files, to all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from collision.checks import user_path
from collision.commands._overrides import exists, parse, quoted
from collision.config import Part, changed_part, names_of, no_such_part, option_names, part_of
from collision.errors import ConfigError

_OF_CSV = "manifest"


def base_of(entry: str) -> str:
    """Give the YAML's name that an entry stands for."""
    return _OF_CSV if entry.lower().endswith(".csv") else entry


def named_csv(overrides: Sequence[str]) -> list[str]:
    """Spell ``dataset=mine.csv`` as the options that it stands for."""
    spelled: list[str] = []
    for text in overrides:
        value = str(parse(text).value()) if text.startswith("dataset=") else ""
        if base_of(value) == _OF_CSV != value:
            chosen = [f"dataset={_OF_CSV}", f"dataset.csv={quoted(value)}"]
            spelled = [*chosen, f"dataset.name={quoted(Path(value).stem)}", *spelled]
        else:
            spelled.append(text)
    return spelled


def settled(overrides: Sequence[str], group: str, default: str | None) -> list[str]:
    """Add ``group=NAME`` where options on the command line belong to one of several listed parts.

    ConfigError: an entry does not exist, or options belong to none, or to none in particular.
    """
    given = {text: parse(text) for text in overrides}
    values = [one.value() for one in given.values() if one.key_or_group == f"{group}s"]
    if not values or not isinstance(values[-1], list):
        return list(overrides)
    bases = list(dict.fromkeys(base_of(str(entry)) for entry in values[-1]))
    shown = f"{group}s=[{','.join(map(str, values[-1]))}]"
    for name in bases:
        if name not in names_of(group):
            raise ConfigError(no_such_part(group, name))
    named = [text for text, one in given.items() if one.key_or_group == group]
    for text in named:
        if given[text].value() not in bases:
            raise ConfigError(f"{text}: it is not in {shown}. Add it there, or leave it out.")
    own = [text for text, one in given.items() if one.key_or_group.startswith(f"{group}.")]
    keys = {given[text].key_or_group for text in own}
    fitting = [n for n in bases if len(bases) == 1 or keys <= set(option_names(group, n))]
    if named or not own or (default in fitting and len(fitting) > 1):
        return list(overrides)
    if not fitting:
        raise ConfigError(f"{own[0]}: none of {shown} has this option.")
    if len(fitting) > 1:
        raise ConfigError(
            f"{own[0]}: {' and '.join(fitting)} have this option. Say which is meant, with "
            f"{group}=NAME."
        )
    return [f"{group}={fitting[0]}", *overrides]


def listed_parts(
    group: str,
    entries: Sequence[str],
    composed: Mapping[str, Mapping[str, Any]],
    folders: Mapping[str, Any],
    option: str,
) -> tuple[Part, ...]:
    """Give the part of each entry; that in ``composed``, by its name, has what was overridden.

    ConfigError: an entry does not exist, or is given twice.
    """
    for entry, count in Counter(entries).items():
        if count > 1:
            raise ConfigError(f"{option}=[{','.join(entries)}]: {entry} is there twice.")
    return tuple(
        part_of(group, composed[name], name, changes)
        if name in composed
        else changed_part(group, name, changes, folders)
        for name, changes in zip(map(base_of, entries), _changes(option, entries), strict=True)
    )


def _changes(option: str, entries: Sequence[str]) -> list[dict[str, Any]]:
    """Name each CSV file by its stem, with as many folders before it as tell them apart."""
    files = {entry: user_path(entry) for entry in entries if base_of(entry) != entry}
    for entry in files:
        if not exists(entry):
            raise ConfigError(f"{option}=[{entry}]: there is no such file.")
    parts = {entry: path.absolute().with_suffix("").parts for entry, path in files.items()}

    def name_of(entry: str) -> str:
        for depth in range(1, len(parts[entry])):
            end = parts[entry][-depth:]
            is_alone = sum(other[-depth:] == end for other in parts.values()) == 1
            if is_alone and "_".join(end) not in entries:
                break
        return "_".join(end)

    return [{"csv": entry, "name": name_of(entry)} if entry in files else {} for entry in entries]
