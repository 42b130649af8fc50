"""Overrides as people type them, put into the grammar that Hydra reads.

A value that the grammar would refuse, or take for something else than the file of that name, is
quoted: ``dataset.csv=my clips (1).csv``, ``data_root=/home/josé/data``, ``output=a, b``.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from collision.checks import user_path
from collision.errors import ConfigError

_OVERRIDE = re.compile(r"^[+~]{0,2}[A-Za-z_][\w./@-]*=")
_DELETION = re.compile(r"^~[A-Za-z_][\w./@-]*$")


def is_override(argument: str) -> bool:
    """Say whether an argument is an override; a file of that very name is none."""
    if _DELETION.match(argument):
        return True
    return bool(_OVERRIDE.match(argument)) and not (exists(argument) and Path(argument).is_file())


def exists(name: str) -> bool:
    """Say whether a file or folder of this name is there; ``~`` is the home folder."""
    try:
        return bool(name) and user_path(name).exists()
    except (OSError, ValueError):  # too long for a name, a NUL
        return False


def parse(override: str, loader: ConfigLoader | None = None) -> Override:
    """Read an override; the names that ``glob(*)`` stands for are the loader's."""
    try:
        return OverridesParser.create(loader).parse_overrides([override])[0]
    except HydraException:
        key = override.partition("=")[0]
        raise ConfigError(
            f"{override} cannot be read. A list is [a,b], a mapping {{a: 1}}; text with brackets, "
            f"commas or colons in one goes into quotes: {key}='[\"a, b\",c]'"
        ) from None


def readable(
    overrides: Iterable[str], path_options: Collection[str], *, is_sweep: bool = False
) -> list[str]:
    """Quote the values that need it, as those of ``path_options``; sweeps keep their commas."""
    return [_readable(override, path_options, is_sweep) for override in overrides]


def _readable(override: str, path_options: Collection[str], is_sweep: bool) -> str:
    key, sign, value = override.partition("=")
    if not sign or key.startswith("~"):
        return override
    try:
        parsed: Override | None = parse(override)
    except ConfigError:
        parsed = None
    there = exists(value)
    if value.startswith("[") and value.endswith("]") and not there:
        if parsed is not None and re.search(r"[\[,]\s*[\"']", value):  # quoted by hand
            return override
        has_files = any(exists(element) for element in _elements(value))
        listed = ",".join(map(quoted, _elements(value)))
        return f"{key}=[{listed}]" if parsed is None or has_files else override
    is_path = key.lstrip("+") in path_options
    if parsed is None:
        is_text = there or value[:1] not in ("[", "{")
    elif parsed.is_sweep_override():
        is_text = there or (not is_sweep and (is_path or _is_one_path(value)))
    elif isinstance(given := parsed.value(), str):
        is_text = there and (given != value or "${" in value)
    else:
        is_text = is_path and given is not None
    return f"{key}={quoted(value)}" if is_text else override


def _is_one_path(value: str) -> bool:
    """Take ``my, clips.csv`` for the name of one file, unless its halves name files."""
    is_path = "/" in value or re.search(r"\.[A-Za-z]\w*$", value.strip("'\""))
    return bool(is_path) and not any(exists(half.strip()) for half in value.split(","))


def quoted(value: str) -> str:
    """Write a value as the grammar's quoted string; what it interpolates stays so unless a file."""
    if exists(value):
        value = value.replace("${", "\\${")
    return "'" + re.sub(r"(\\*)('|$)", lambda m: 2 * m[1] + m[2].replace("'", "\\'"), value) + "'"


def _elements(value: str) -> list[str]:
    """Split ``[a,b]`` at its commas, but for those in the name of a file."""
    found: list[str] = []
    words = value[1:-1].split(",")
    while words:
        lengths = range(len(words), 1, -1)
        length = next((n for n in lengths if exists(",".join(words[:n]).strip())), 1)
        found.append(",".join(words[:length]).strip())
        words = words[length:]
    return found


def jobs_of(overrides: Sequence[str], loader: ConfigLoader | None = None) -> list[list[str]]:
    """Give the overrides of each job of a sweep: every combination of the values."""
    choices: list[list[str]] = []
    for override in overrides:
        parsed = parse(override, loader)
        if parsed.is_discrete_sweep():
            key = parsed.get_key_element()
            choices.append([f"{key}={value}" for value in parsed.sweep_string_iterator()])
        elif parsed.is_sweep_override():
            raise ConfigError(f"{override}: give the values of a sweep, such as head=gru,linear.")
        else:
            choices.append([override])
    return [list(job) for job in itertools.product(*choices)]
