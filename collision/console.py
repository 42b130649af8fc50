"""How much a command says: all of it, errors and results alone (``-q``), or more (``-v``)."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal, TypeAlias

from rich.console import Console

Talk: TypeAlias = Literal["quiet", "plain", "verbose"]

_WIDE = 10_000  # characters: wider than any table

_talk: ContextVar[Talk] = ContextVar("talk", default="plain")


@contextmanager
def talking(talk: Talk) -> Iterator[None]:
    """Let what is run within it say so much. Verbose, libraries' logs go to standard error."""
    token = _talk.set(talk)
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s: %(message)s", "%H:%M:%S"))
    root, level = logging.getLogger(), logging.getLogger().level
    if talk == "verbose":
        root.addHandler(handler)
        root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        _talk.reset(token)


def is_quiet() -> bool:
    """Say whether only errors and results are wanted."""
    return _talk.get() == "quiet"


def is_verbose() -> bool:
    """Say whether more is wanted than what everybody needs."""
    return _talk.get() == "verbose"


def wide_console(**options: Any) -> Console:
    """Make a console; where it is no terminal, as a pipe or a log, no line or table is narrowed.

    COLUMNS, where it is set, says how wide a console is.
    """
    made = Console(**options)
    if not (made.is_terminal or made.is_jupyter or os.environ.get("COLUMNS", "").isdigit()):
        made.width = _WIDE
    return made


def progress_console(**options: Any) -> Console:
    """Make the console for what a verb says on its way; with ``-q`` nothing of it is shown."""
    return wide_console(quiet=is_quiet(), **options)


def warning_console(console: Console) -> Console:
    """Give where warnings go: beside the rest, or, with ``-q``, to standard error."""
    return wide_console(stderr=True) if is_quiet() else console


def say_result(text: str) -> None:
    """Say the line that a person, or a script, waits for; with ``-q``, too."""
    Console().print(text, markup=False, highlight=False, soft_wrap=True)
