"""Stopping in good order: SIGTERM, SIGINT and SIGUSR1 become a wish that a loop can ask for."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Self

from collision.types import Seconds

# Batch systems kill soon after SIGTERM: with this much for the work in flight, 2 of 10 s remain.
GRACE: Seconds = 8.0


class OutOfTime(BaseException):
    """The work in flight has had its grace; no Exception, so that nobody catches it by chance."""


class StopSignals:
    """While it is entered, a first signal to stop only sets ``signal``; a second acts as usual.

    SIGTERM, SIGINT, and SIGUSR1, which SLURM sends some time before a job's end (``--signal``).

    ``is_out_of_time`` says that the grace has passed since. Signals belong to the main thread:
    entered in another one, it changes nothing.
    """

    def __init__(self, grace: Seconds = GRACE):
        self.grace = grace
        self.signal: int | None = None
        self.is_out_of_time = False
        self._may_raise = False
        self._previous: dict[int, object] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._install(signal.SIGTERM, self._on_signal)
            self._install(signal.SIGINT, self._on_signal)
            self._install(signal.SIGUSR1, self._on_signal)
            self._install(signal.SIGALRM, self._on_alarm)
        return self

    def __exit__(self, *_: object) -> None:
        if self._previous:
            signal.setitimer(signal.ITIMER_REAL, 0)
        self._restore()

    def is_requested(self) -> bool:
        """Whether a signal has come."""
        return self.signal is not None

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Let the end of the grace raise ``OutOfTime`` inside: for work that may be dropped."""
        if self.is_out_of_time:
            raise OutOfTime
        self._may_raise = True
        try:
            yield
        finally:
            self._may_raise = False

    def _install(self, number: int, handler: object) -> None:
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup and the like stay in force
            self._previous[number] = signal.signal(number, handler)  # type: ignore[arg-type]

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._previous.clear()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            self._restore()
            signal.raise_signal(number)
            return
        self.signal = number
        signal.setitimer(signal.ITIMER_REAL, self.grace)

    def _on_alarm(self, number: int, frame: FrameType | None) -> None:
        self.is_out_of_time = True
        if self._may_raise:
            raise OutOfTime
