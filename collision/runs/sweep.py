"""The sweep that a run is part of, if any: loggers show its runs together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime

_name: ContextVar[str] = ContextVar("sweep", default="")


@contextmanager
def sweep() -> Iterator[None]:
    """Let all runs that are made within it be of one sweep, called like the time of its start."""
    token = _name.set(f"sweep_{datetime.now():%Y-%m-%d_%H-%M-%S}")
    try:
        yield
    finally:
        _name.reset(token)


def sweep_name() -> str:
    """Give the sweep's name; empty outside of one."""
    return _name.get()
