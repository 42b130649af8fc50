"""What an agent may answer: the schema of a space's points, and the check of what came.

An answer is text from elsewhere. It becomes points of the space or a complaint, nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from collision.errors import ConfigError
from collision.search.masking import harmless
from collision.search.space import Dimension, Range, Space

LONGEST_RATIONALE = 600
_LONGEST_COMPLAINT = 400
_MOST_PARENTS = 10
_KEYS = {"point", "rationale", "parents"}


@dataclass(frozen=True)
class Idea:
    """One proposal of an answer: its point as the space that was told names it."""

    values: Mapping[str, str | float]
    rationale: str
    parents: tuple[int, ...]


def schema(space: Space, count: int) -> dict[str, Any]:
    """Give the JSON schema of an answer with 1 to ``count`` points.

    Every property is required, as strict structured output wants it; what plays no part in a cell
    is null there.
    """
    point = {
        "type": "object",
        "properties": {one.key: _values(one) for one in space.dimensions},
        "required": [one.key for one in space.dimensions],
        "additionalProperties": False,
    }
    proposal = {
        "type": "object",
        "properties": {
            "point": point,
            "rationale": {"type": "string", "description": "why this point: one or two sentences"},
            "parents": {
                "type": "array",
                "items": {"type": "integer"},
                "description": "numbers of the trials that it was made from; may be empty",
            },
        },
        "required": ["point", "rationale", "parents"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {
            "proposals": {"type": "array", "items": proposal, "minItems": 1, "maxItems": count}
        },
        "required": ["proposals"],
        "additionalProperties": False,
    }


def _values(dimension: Dimension | Range) -> dict[str, Any]:
    if isinstance(dimension, Range):
        kind = {"type": "number", "minimum": dimension.low, "maximum": dimension.high}
        if dimension.log:
            kind["description"] = "in log steps"
    else:
        kind = {"type": "string", "enum": [choice.name for choice in dimension.choices]}
    if not dimension.when:
        return kind
    when = " and ".join(f"{key} is {' or '.join(own)}" for key, own in dimension.when.items())
    return {"anyOf": [kind, {"type": "null"}], "description": f"when {when}; else null"}


def read(text: str, space: Space, count: int) -> tuple[list[Idea], list[str]]:
    """Give the ideas of an answer that are points of the space, each once, and what is wrong."""
    try:
        content = json.loads(_unfenced(text), parse_constant=_refuse)
    except RecursionError:
        return [], ["The answer is nested too deep."]
    except ValueError as error:
        return [], [_complaint(f"The answer is no JSON: {error}.")]
    given = content.get("proposals") if isinstance(content, dict) else None
    if not isinstance(given, list) or not given:
        return [], ['The answer must be {"proposals": [...]} with at least one proposal.']
    if extra := set(content) - {"proposals"}:
        return [], [_complaint(f"The answer has {_brief(min(extra))} beside `proposals`.")]
    ideas: dict[str, Idea] = {}
    complaints = []
    for number, one in enumerate(given[:count], 1):
        try:
            idea, key = _idea(one, space)
            ideas.setdefault(key, idea)
        except ConfigError as error:
            complaints.append(_complaint(f"Proposal {number}: {error}"))
    return list(ideas.values()), complaints


def _idea(one: Any, space: Space) -> tuple[Idea, str]:
    if not isinstance(one, dict) or not isinstance(one.get("point"), dict):
        raise ConfigError("it must be an object with `point`, `rationale` and `parents`.")
    if extra := set(one) - _KEYS:
        raise ConfigError(f"it has {_brief(min(extra))}, which is not asked for.")
    point, values = one["point"], {}
    by_key = {dimension.key: dimension for dimension in space.dimensions}
    for key, value in point.items():
        if key not in by_key:
            raise ConfigError(f"there is no {_brief(key)}. There are: {', '.join(by_key)}.")
        if value is not None:
            values[key] = _checked(by_key[key], value)
    named = space.named(values)
    rationale, parents = one.get("rationale", ""), one.get("parents", [])
    if not isinstance(rationale, str) or not isinstance(parents, list):
        raise ConfigError("`rationale` must be text and `parents` a list of trials' numbers.")
    numbers = [p for p in parents if isinstance(p, int) and not isinstance(p, bool)]
    kept = {key: values[key] for key in named.values}
    idea = Idea(kept, harmless(rationale, LONGEST_RATIONALE), tuple(numbers[:_MOST_PARENTS]))
    return idea, named.key


def _checked(dimension: Dimension | Range, value: Any) -> str | float:
    """Refuse another type than the schema's: 16 is no name, and true no number."""
    if isinstance(dimension, Dimension):
        if not isinstance(value, str):
            raise ConfigError(f"{dimension.key}={_brief(value)} must be text, one of: {dimension}.")
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{dimension.key}={_brief(value)} must be a number, {dimension}.")
    if not dimension.low <= value <= dimension.high:  # before it is made a float: it may be huge
        raise ConfigError(f"{dimension.key}={_brief(value)} is not in the range, {dimension}.")
    return value


def _unfenced(text: str) -> str:
    """Take off the fence that some models put around JSON."""
    text = text.strip()
    if text.startswith("```") and text.endswith("```") and "\n" in text:
        return text.removesuffix("```").partition("\n")[2]
    return text


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _complaint(text: str) -> str:
    text = "".join(letter if letter.isprintable() else " " for letter in text)
    return text if len(text) <= _LONGEST_COMPLAINT else f"{text[:_LONGEST_COMPLAINT]}..."


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"it holds {constant}")


def again(complaints: Sequence[str]) -> str:
    """Ask again, with what was wrong."""
    return f"None of that can be run. {' '.join(complaints)} Answer again, by the schema."
