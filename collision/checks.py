"""Typed at the door: what a person or a file gives becomes a dataclass, or one sentence.

pydantic does the checking; the sentences are ours, because they name an option as it can be typed.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import (
    Annotated,
    Any,
    NamedTuple,
    NotRequired,
    TypeAlias,
    get_args,
    get_origin,
    get_type_hints,
)

from pydantic import AfterValidator, BeforeValidator, ConfigDict, TypeAdapter, ValidationError

from collision.errors import CollisionError, ConfigError

# What dataclasses that are made from files or options carry as ``__pydantic_config__``.
STRICT = ConfigDict(extra="forbid", strict=True)


def user_path(path: Path | str) -> Path:
    """Read ``~`` as the home folder, unless it is of nobody, as in ``~.csv``."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def _as_path(value: Any) -> Any:
    if value == "":
        raise ValueError("a path")
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


# A path as people type it: `~` is the home folder, and a folder may be called 2024.
UserPath: TypeAlias = Annotated[
    Path, AfterValidator(user_path), BeforeValidator(_as_path, json_schema_input_type=str)
]

_WANTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "list_type": "a list, such as [a,b]",
    "tuple_type": "a list, such as [a,b]",
    "dict_type": "a mapping, such as {{a: 1}}",
    "path_type": "a path",
    "greater_than_equal": "{ge:g} or more",
    "greater_than": "more than {gt:g}",
    "less_than_equal": "{le:g} or less",
    "less_than": "less than {lt:g}",
    "literal_error": "{expected}",
    "too_short": "at least {min_length} values",
    "too_long": "at most {max_length} values",
    "none_required": "null",
    "finite_number": "a finite number",
    "value_error": "{error}",
}


def typed(
    kind: Any, value: Any, *, where: str = "", error: type[CollisionError] = ConfigError
) -> Any:
    """Check plain data (dicts, lists, scalars) against a type, and give an instance of it.

    Nothing is converted but lists into tuples, whole numbers into floats, and text into paths.
    Dataclasses carry ``__pydantic_config__ = STRICT``, and so refuse names that they do not have.

    Raises:
        CollisionError: ``error``, with a line for each thing that is wrong; names in it begin with
            ``where``, such as ``head``.
    """
    text = json.dumps(value, default=str)
    try:
        checked = _adapter(kind).validate_json(text, strict=True)
    except ValidationError as wrong:
        raise error("\n".join(_sentences(wrong, kind, where))) from None
    # JSON makes text of keys that are numbers; where nothing is wanted of them, they stay.
    return value if isinstance(value, Mapping) and checked == json.loads(text) else checked


def call_typed(made: type, options: Mapping[str, Any], given: Mapping[str, Any], where: str) -> Any:
    """Make an instance of a class from plain options, checked against its signature.

    Args:
        made: The class; its ``__init__`` is annotated.
        options: What a person or a file gave, by the names of the arguments.
        given: Further arguments, from us: not checked.
        where: What the options belong to, such as ``head``; empty for a verb's own.

    Raises:
        ConfigError: An option does not exist, is missing, or has the wrong type.
    """
    prefix = f"{where}." if where else ""
    arguments = {k: v for k, v in arguments_of(made).items() if k not in given}
    for name in options:
        if name not in arguments:
            raise ConfigError(unknown_option(prefix + name, [prefix + n for n in arguments]))
    for name, argument in arguments.items():
        if argument.is_required and name not in options:
            raise ConfigError(must_be_given(prefix + name))
    checked = {n: typed(arguments[n].kind, v, where=prefix + n) for n, v in options.items()}
    return made(**checked, **given)


class Argument(NamedTuple):
    """Of a class: its annotation, and whether it has no default."""

    kind: Any
    is_required: bool


def arguments_of(made: type) -> dict[str, Argument]:
    """List what a class is called with; ``**rest: Unpack[SomeTypedDict]`` by its keys."""
    # A dataclass may have fields of one in another module, whose names its own ``__init__`` lacks.
    is_own = "__dataclass_fields__" in vars(made)
    typed_by = made if is_own else made.__init__  # type: ignore[misc]
    hints = get_type_hints(typed_by, include_extras=True)
    arguments: dict[str, Argument] = {}
    for name, parameter in inspect.signature(made).parameters.items():
        kind = hints.get(name, Any)
        if parameter.kind is not parameter.VAR_KEYWORD:
            arguments[name] = Argument(kind, parameter.default is parameter.empty)
            continue
        for several in get_args(kind):
            for key, inner in get_type_hints(several, include_extras=True).items():
                bare = get_args(inner)[0] if get_origin(inner) is NotRequired else inner
                arguments[key] = Argument(bare, key in several.__required_keys__)
    return arguments


_QUOTES = "'\""  # of examples, around what a shell would read


def must_be_given(option: str, examples: str = "") -> str:
    """Say that an option is missing, with the value that some text shows for it."""
    found = re.search(rf"(?<![\w.]){re.escape(option)}=(\S+)", examples)
    value = found[1].rstrip(";,").strip(_QUOTES) if found else "VALUE"
    return f"{option} must be given: {option}={value}."


def unknown_option(name: str, there: Iterable[str]) -> str:
    """Say that there is no such option, and which one may have been meant."""
    last_words = {one.rpartition(".")[2]: one for one in sorted(there)}
    close = get_close_matches(name.rpartition(".")[2], last_words, n=1)
    all_of_them = ", ".join(last_words.values()) or "none"
    hint = f"Did you mean {last_words[close[0]]}?" if close else f"There are: {all_of_them}."
    return f"There is no option {name!r}. {hint}"


_cached_adapter = lru_cache(maxsize=512)(TypeAdapter)


def _adapter(kind: Any) -> TypeAdapter:
    try:
        return _cached_adapter(kind)
    except TypeError:  # an annotation that has no hash
        return TypeAdapter(kind)


def _sentences(wrong: ValidationError, kind: Any, where: str) -> list[str]:
    """Give a line for each option that is wrong; the alternatives of a union share one."""
    wanted: dict[tuple[str, str], list[str]] = {}
    lines: list[str] = []
    for detail in wrong.errors():
        place = [str(step) for step in detail["loc"] if not _is_union_step(step)]
        name = ".".join(filter(None, [where, *place])) or "value"
        shown = json.dumps(detail["input"], default=str).strip('"')
        if detail["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            fields = [".".join(filter(None, [where, *place[:-1], f])) for f in _fields(kind, place)]
            lines.append(unknown_option(name, fields))
        elif detail["type"] == "missing" and isinstance(detail["loc"][-1], int):  # of a tuple
            wanted[name.rpartition(".")[0], shown] = [f"at least {int(place[-1]) + 1} values"]
        elif detail["type"] in ("missing", "missing_argument", "missing_keyword_only_argument"):
            lines.append(must_be_given(name))
        else:
            text = _WANTED.get(detail["type"], detail["msg"])
            # `expected` comes with quotes around each choice.
            context = {
                k: v.replace("'", "") if isinstance(v, str) else v
                for k, v in detail.get("ctx", {}).items()
            }
            wanted.setdefault((name, shown), []).append(text.format(**context))
    for (name, shown), kinds in wanted.items():
        lines.append(f"{name}={shown}: give {' or '.join(dict.fromkeys(kinds))}.")
    return lines


def _is_union_step(step: int | str) -> bool:
    """Pydantic names the alternatives of a union (``constrained-int``, ``none``) in its places."""
    return isinstance(step, str) and (
        step in ("int", "float", "str", "bool", "none", "none_required")
        or not step.replace("_", "a").isalnum()
    )


def _fields(kind: Any, place: list[str]) -> list[str]:
    for step in place[:-1]:
        kind = get_type_hints(kind).get(step, Any)
    return list(getattr(kind, "__dataclass_fields__", {}))
