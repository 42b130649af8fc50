"""A table of runs from a folder that holds a folder a run: what was asked for, and what came of it.

Read are our own runs, those of orze (https://github.com/orze-ai/orze: ``idea_config.yaml`` beside
``metrics.json``), and whatever else keeps a YAML and a JSON in such a way. Anybody may have written
them: they are parsed as plain data, links are not followed, and what is too large, too deep or
damaged is left out and counted.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from collision.errors import ConfigError
from collision.options import StudyOptions
from collision.study.rows import NONE, Table

# The first that is there: orze's, with everything filled in; orze's, as it was asked; ours.
CONFIGS = ("resolved_config.yaml", "idea_config.yaml", "config.yaml", "config.yml", "config.json")
METRICS = ("metrics.json", "results.json")
_DEPTH, _MOST_RUNS = 4, 100_000
_MOST_BYTES = {".yaml": 1 << 20, ".yml": 1 << 20, ".json": 1 << 24}
_MOST_VALUES, _MOST_NESTED = 20_000, 20
_FINISHED = ("completed", "complete", "done", "finished", "ok", "success")
_SHOWN = 12  # columns that a sentence names


class _Damaged(Exception):
    """Why a folder is left out, in a few words."""


@dataclass
class Found:
    """Rows of the runs that have the score; why other folders are left out, and how many.

    ``asked`` are the columns that hold what was asked for.
    """

    rows: list[dict[str, str]] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)
    left_out: Counter[str] = field(default_factory=Counter)

    def words(self) -> str:
        """Say what was left out; empty where nothing was."""
        reasons = ", ".join(f"{count} {why}" for why, count in sorted(self.left_out.items()))
        return f"Left out: {reasons}." if reasons else ""


def of_folder(options: StudyOptions, folder: Path) -> tuple[StudyOptions, Table, Found]:
    """Give a row a run, or a row a seed where a run of ours has several.

    Columns are options by their dotted names and metrics by theirs; a metric that is called like
    an option is ``metrics.NAME``. An option that a run does not name is ``none``.

    ConfigError: there is no run with the score, or no factor is named.
    """
    found = Found()
    for place in _places(folder, _DEPTH):
        if len(found.rows) >= _MOST_RUNS:
            found.left_out[f"beyond the first {_MOST_RUNS} runs"] += 1
            continue
        try:
            config, metrics = _read(place)
            asked = {**dict(_options(config)), "run": str(place.relative_to(folder))}
            rows = list(_rows(asked, metrics))
        except _Damaged as error:
            found.left_out[str(error)] += 1
            continue
        with_score = [row for row in rows if options.score in row]
        found.rows += with_score
        found.asked |= asked.keys()
        if not with_score:
            found.left_out[f"without a number {options.score!r}"] += 1
    if not found.rows:
        raise ConfigError(
            f"{str(folder)!r} holds no finished run with a score={options.score}: a run is a "
            f"folder with {' or '.join(METRICS)} beside {', '.join(CONFIGS[:-1])} or "
            f"{CONFIGS[-1]}. {found.words()}".strip()
        )
    names = sorted({name for row in found.rows for name in row})
    table = Table(str(folder), {n: [row.get(n, NONE) for row in found.rows] for n in names})
    if not options.factors and not options.numbers:
        raise ConfigError(f"factors=[] leaves nothing to analyse. {_differing(table, found.asked)}")
    played = {*options.factors, *options.blocks, *options.numbers, options.dataset}
    own_seed = "seed" if "seed" in table.columns and "seed" not in played else None
    return replace(options, seed=options.seed or own_seed), table, found


def _differing(table: Table, asked: set[str]) -> str:
    columns = {name: table.columns[name] for name in sorted(asked - {"run"})}
    several = [name for name, column in columns.items() if 1 < len(set(column)) < len(column)]
    if not several:
        return f"No option differs between the runs of {table.where}."
    more = "" if len(several) <= _SHOWN else ", ..."
    return f"These differ between its runs: {', '.join(several[:_SHOWN])}{more}."


def _places(folder: Path, depth: int) -> Iterator[Path]:
    """List the folders that hold the files of a run; what lies deeper in one is its own."""
    if any(_is_file(folder / name) for name in (*METRICS, *CONFIGS)):
        yield folder
        return
    if depth:
        for path in sorted(folder.iterdir()):
            if path.is_dir() and not path.is_symlink() and path.name[0] not in "._":
                yield from _places(path, depth - 1)


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _read(place: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read what was asked for and what came; _Damaged: something is missing or is no such thing."""
    metrics = next((place / name for name in METRICS if _is_file(place / name)), None)
    config = next((place / name for name in CONFIGS if _is_file(place / name)), None)
    if metrics is None:
        raise _Damaged("without metrics")
    if config is None:
        raise _Damaged("without a config")
    came = _parsed(metrics)
    status = came.get("status")
    if isinstance(status, str) and status.lower() not in _FINISHED:
        raise _Damaged("not finished, as their status says")
    return _parsed(config), came


def _parsed(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MOST_BYTES[path.suffix]:
            raise _Damaged("with files that are too large")
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        raise _Damaged("damaged") from None
    if not isinstance(content, dict):
        raise _Damaged("damaged")
    return content


def _rows(asked: Mapping[str, str], metrics: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    for number, seed in enumerate(_seeds(metrics)):
        own = dict(asked)
        if seed is not None:
            own["seed"] = str(seed)
        for key, value in _numbers(metrics, number if seed is not None else None):
            own[f"metrics.{key}" if key in own else key] = repr(value)
        if "map" not in own and "ap.mean" in own:  # of our own runs
            own["map"] = own["ap.mean"]
        yield own


def _seeds(metrics: Mapping[str, Any]) -> list[Any]:
    """Give the seeds of a run of ours, each of which has its numbers; else [None]."""
    seeds, ap = metrics.get("seeds"), metrics.get("ap")
    mean = ap.get("mean") if isinstance(ap, dict) else None
    each = mean.get("seeds") if isinstance(mean, dict) else None
    if isinstance(seeds, list) and isinstance(each, list) and 1 < len(seeds) == len(each):
        return seeds
    return [None]


def _options(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in _leaves(_lifted(config)):
        if isinstance(value, list):
            if all(isinstance(one, str | int | float | bool) for one in value):
                yield key, f"[{', '.join(map(_text, value))}]"
        else:
            yield key, _text(value)


def _lifted(config: Mapping[str, Any]) -> dict[str, Any]:
    """Spell parts as the command line does: ``{name, options}`` of our own files, at the top."""
    lifted: dict[str, Any] = {}
    for key, value in config.items():
        lifted[key] = value
        if isinstance(value, dict) and isinstance(value.get("name"), str):
            options = value.get("options")
            lifted[key] = dict(options) if isinstance(options, dict) else dict(value)
            lifted[key][""] = value["name"]  # the part itself: a key without a name of its own
    return lifted


def _numbers(metrics: Mapping[str, Any], seed: int | None) -> Iterator[tuple[str, float]]:
    """Give finite numbers by dotted name; of an estimate the value, or that of one seed."""
    for key, value in _leaves(metrics, seed):
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            yield key, float(value)


def _leaves(content: Mapping[str, Any], seed: int | None = None) -> Iterator[tuple[str, Any]]:
    """Walk through plain data; _Damaged: it is too deep or too large, as one that holds itself."""
    waiting: list[tuple[str, int, Any]] = [("", 0, content)]
    count = 0
    while waiting:
        name, depth, value = waiting.pop()
        count += 1
        if count > _MOST_VALUES or depth > _MOST_NESTED:
            raise _Damaged("too large or too deep")
        if not isinstance(value, dict):
            yield name, value
            continue
        if "value" in value and "seeds" in value:  # an estimate of ours
            each = value["seeds"]
            of_seed = isinstance(each, list) and seed is not None and seed < len(each)
            waiting.append((name, depth + 1, each[seed] if of_seed else value["value"]))
            continue
        for key, inner in value.items():
            path = f"{name}.{key}" if name and key != "" else name or str(key)
            waiting.append((path, depth + 1, inner))


def _text(value: Any) -> str:
    if value is None:
        return NONE
    return str(value).lower() if isinstance(value, bool) else str(value)[:200]
