"""The names by which an agent is told of a space: its own, or neutral ones."""

from __future__ import annotations

import getpass
import hashlib
import re
import socket
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TypeVar

from collision.search.proposing import values_of
from collision.search.space import Choice, Dimension, Range, Space

Values = Mapping[str, str | float]
_Kind = TypeVar("_Kind", bound=Dimension | Range)

_QUOTED = re.compile(r"""(["'`])[^"'`\n]*[\\/][^"'`\n]*\1""")
_PATH = re.compile(r"\S*[\\/~]\S*")
_SURE_PATH = re.compile(r"""(?<![\w.-])(?:[A-Za-z]:)?(?:[/~\\]|\.\.?/)\S+|\S+\\\S*|\S+/\S*/\S*""")
_FILE = re.compile(
    r"\S+\.(?:mp4|mov|avi|mkv|webm|png|jpe?g|csv|jsonl?|ya?ml|log|pyc?|pth?|ckpt|safetensors|npy)\b",
    re.IGNORECASE,
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class Mask:
    """Between a space and ``told``, what an agent sees of it.

    With ``everything`` all names of dimensions and choices are neutral (``d3``, ``d3v2``), the same
    in every process and every run; numbers stay. Without it only choices that are called like a
    path, or after the machine or its user, have neutral names.
    """

    def __init__(self, space: Space, everything: bool):
        self.space, self.everything = space, everything
        neutral = _numbered("d", (dimension.key for dimension in space.dimensions))
        self._keys = {key: neutral[key] if everything else key for key in neutral}
        self._choices = {
            dimension.key: self._names(dimension)
            for dimension in space.dimensions
            if isinstance(dimension, Dimension)
        }
        self._real_keys = {told: key for key, told in self._keys.items()}
        self._real = {
            key: {told: name for name, told in names.items()}
            for key, names in self._choices.items()
        }
        self.told = Space(
            "space" if everything else harmless(space.name),
            "" if everything else harmless_words(space.about),
            self._ordered(self._dimension(one) for one in space.cells),
            self._ordered(self._inner(one) for one in space.within),
        )

    def hide(self, values: Values) -> dict[str, str | float]:
        """Give a point's values as ``told`` names them."""
        return {self._keys[key]: self._hidden(key, value) for key, value in values.items()}

    def reveal(self, values: Values) -> dict[str, str | float]:
        """Give the space's own values of a point that ``told`` knows.

        ConfigError: it does not.
        """
        known = values_of(self.told, self.told.named(values))
        named = {self._real_keys[told]: value for told, value in known.items()}
        return {
            key: self._real[key][str(value)] if key in self._real else value
            for key, value in named.items()
        }

    def key(self, key: str) -> str:
        """Give the name under which a dimension is told."""
        return self._keys[key]

    def choice(self, key: str, name: str) -> str:
        """Give the name under which a choice of a dimension is told."""
        return self._choices[key][name]

    def _ordered(self, dimensions: Iterable[_Kind]) -> tuple[_Kind, ...]:
        if not self.everything:
            return tuple(dimensions)
        return tuple(sorted(dimensions, key=lambda one: _number(one.key)))

    def _hidden(self, key: str, value: str | float) -> str | float:
        return self._choices[key][str(value)] if key in self._choices else value

    def _names(self, dimension: Dimension) -> dict[str, str]:
        names = [choice.name for choice in dimension.choices]
        prefix = f"{self._keys[dimension.key]}v" if self.everything else "choice "
        neutral = _numbered(prefix, names)
        hidden = {name for name in names if self.everything or harmless(name) != name}
        return {name: neutral[name] if name in hidden else name for name in names}

    def _inner(self, dimension: Dimension | Range) -> Dimension | Range:
        if isinstance(dimension, Dimension):
            return self._dimension(dimension)
        key, when = self._keys[dimension.key], self._when(dimension.when)
        return Range(key, dimension.low, dimension.high, dimension.log, when)

    def _dimension(self, dimension: Dimension) -> Dimension:
        key = self._keys[dimension.key]
        told = self._choices[dimension.key].values()
        names = sorted(told, key=_number) if self.everything else told
        choices = tuple(Choice(name, {key: name}) for name in names)
        return Dimension(key, choices, self._when(dimension.when))

    def _when(self, when: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
        return {
            self._keys[key]: tuple(self._choices[key][name] for name in names)
            for key, names in when.items()
        }


def harmless(text: str, longest: int = 300, path: re.Pattern[str] = _PATH) -> str:
    """Take out of a text what is nobody's business: paths, files, the machine's and user's names.

    On one line, of at most ``longest`` characters.
    """
    text = _CONTROL.sub(" ", text)[: 20 * longest]
    for pattern, instead in ((_QUOTED, "[path]"), (path, "[path]"), (_FILE, "[file]")):
        text = pattern.sub(instead, text)
    for name in _names_of_this_machine():
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "[name]", text, flags=re.IGNORECASE)
    text = " ".join(text.split())
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def harmless_words(text: str) -> str:
    """Do so with a part's description, in which ViT-B/14 is no path."""
    return harmless(text, path=_SURE_PATH)


@cache
def _names_of_this_machine() -> tuple[str, ...]:
    found = {socket.gethostname(), Path.home().name}
    with suppress(OSError, KeyError):  # nobody has this user's number, as in some containers
        found.add(getpass.getuser())
    return tuple(sorted((name for name in found if len(name) > 1), key=len, reverse=True))


def _numbered(prefix: str, names: Iterable[str]) -> dict[str, str]:
    """Number names in an order that says nothing, and is always the same."""
    order = sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    return {name: f"{prefix}{number}" for number, name in enumerate(order, 1)}


def _number(name: str) -> int:
    return int(re.findall(r"\d+", name)[-1])
