"""Results as dataclasses again, from the plain data of ``metrics.json``."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from collision.errors import CheckpointError
from collision.evaluation.numbers import AlongVideos, Numbers
from collision.files import load_json
from collision.metrics.anticipation import Anticipation
from collision.metrics.estimate import Estimate
from collision.metrics.summary import Summary
from collision.types import Seconds

_NAMES = {"Seconds": Seconds}  # which some modules import for type checkers alone


def read_json(path: Path) -> Any:
    """Read JSON of a run's folder for a page, which shows it and does nothing else with it.

    So a name in it may be anything. CheckpointError: it is damaged, or holds NaN.
    """
    try:
        return load_json(path)
    except (ValueError, OSError) as error:
        raise CheckpointError(f"{str(path)!r} is damaged: {error}.") from None


def numbers_from(metrics: Mapping[str, Any]) -> Numbers:
    """Build the numbers of a data set from their entries in ``metrics.json``.

    KeyError, TypeError or ValueError: something is missing, or is not what it should be.
    """
    data = dict(metrics)
    data["summary"] = {one.name: data.get(one.name) for one in fields(Summary)}
    data["auc"] = {key: one for key, one in data["auc"].items() if key != "bootstrap"}
    if data.get("last_step") is not None:
        data["last_step"] = data["last_step"]["ap"]
    if data.get("anticipation") is not None:
        along = data["anticipation"]
        own = {one.name for one in fields(AlongVideos)}
        literature = {one.name: along.get(one.name) for one in fields(Anticipation)}
        rest = {name: value for name, value in along.items() if name in own}
        data["anticipation"] = {**rest, "anticipation": literature}
    found: Numbers = built(Numbers, data)
    return found


def built(kind: Any, data: Any) -> Any:
    """Make an instance of an annotated type from what ``as_json`` made of one."""
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return data
    if origin in (Union, types.UnionType):
        if data is None and type(None) in inner:
            return None
        return built(next(one for one in inner if one is not type(None)), data)
    if is_dataclass(kind):
        return _instance(kind, data)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {str(key): built(inner[1], value) for key, value in _checked(data, dict).items()}
    if isinstance(origin, type) and issubclass(origin, Sequence):
        values = [built(inner[0], value) for value in _checked(data, list)]
        return tuple(values) if origin is tuple else values
    if kind is float and type(data) is int:
        return float(data)
    return _checked(data, kind)


def _instance(kind: Any, data: Any) -> Any:
    hints = get_type_hints(kind, localns=_NAMES)
    values = {}
    for one in fields(kind):
        name = one.metadata.get("key", one.name)
        if name in _checked(data, dict) and not _is_no_seeds(kind, name, data):
            values[one.name] = built(hints[one.name], data[name])
    return kind(**values)


def _is_no_seeds(kind: Any, name: str, data: Mapping[str, Any]) -> bool:
    """Say whether this is the empty list of seeds, which JSON holds as null."""
    return issubclass(kind, Estimate) and name == "seeds" and data[name] is None


def _checked(data: Any, kind: type) -> Any:
    if not isinstance(data, kind) or (isinstance(data, bool) and kind is not bool):
        raise TypeError(f"{data!r:.40} where {kind.__name__} is expected")
    return data
