"""Who trains which trial: a lease, renewed while its worker lives, and told FAIL when it ran out.

Optuna has signs of life of its own under ``Study.optimize`` alone, and in databases alone; these
are user attributes, the same in a journal and in a database:

    owner   host:process:command, of the worker that has the trial
    seen    its last sign of life, unix time

Clocks of machines differ. So nobody compares ``seen`` with a clock: a lease has run out where
``seen`` has stood still for its length, by the clock of who looks. Of a process of this machine it
is known at once whether it lives.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from optuna import Study
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from collision.features.claims import is_running
from collision.search.reading import CAUSE, GONE, KIND, OWNER, SEEN
from collision.types import Seconds

LEASE: Seconds = 120.0
BEATS = 6  # signs of life in the length of a lease
WORKER_GONE = "its worker is gone"


def new_token() -> str:
    """Name a command, so that its workers can be told from those of others."""
    return secrets.token_hex(4)


def owner_of(token: str, process: int | None = None) -> str:
    """Name a worker of a command: this process, or another one of this machine."""
    return f"{socket.gethostname()}:{os.getpid() if process is None else process}:{token}"


class Pulse:
    """While it is entered, the trials that this process holds show signs of life."""

    def __init__(self, study: Study, lease: Seconds):
        self._study, self._every = study, lease / BEATS
        self._held: set[int] = set()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._live, daemon=True, name="leases")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_over.set()
        self._thread.join(5)

    def hold(self, trial_id: int) -> None:
        """Begin to show signs of life for a trial."""
        self._held.add(trial_id)

    def drop(self, trial_id: int) -> None:
        """Stop it."""
        self._held.discard(trial_id)

    def _live(self) -> None:
        while not self._is_over.wait(self._every):
            for trial_id in list(self._held):
                with suppress(Exception):  # a server that is away for a while; the next beat comes
                    if trial_id in self._held:
                        note(self._study, trial_id, SEEN, time.time())


class Watch:
    """Looks which leases have run out."""

    def __init__(self, lease: Seconds, clock: Callable[[], float] = time.monotonic):
        self._lease, self._clock = lease, clock
        self._last: dict[int, tuple[object, float]] = {}

    def lost(self, trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
        """List running trials whose worker is gone, as far as one knows."""
        now, found, running = self._clock(), [], set()
        for trial in trials:
            if trial.state is not TrialState.RUNNING:
                continue
            running.add(trial.number)
            sign = (trial.user_attrs.get(OWNER), trial.user_attrs.get(SEEN))
            before = self._last.get(trial.number)
            if before is None or before[0] != sign:
                before = self._last[trial.number] = (sign, now)
            if has_ended(str(sign[0] or "")) or now - before[1] > self._lease:
                found.append(trial)
        self._last = {n: one for n, one in self._last.items() if n in running}
        return found


def has_ended(owner: str) -> bool:
    """Whether this is a process of this machine that is known to live no more."""
    host, _, rest = owner.partition(":")
    return host == socket.gethostname() and not is_running(rest.partition(":")[0])


def note(study: Study, trial_id: int, name: str, value: Any) -> None:
    """Set a user attribute; UpdateFinishedTrialError: the trial is over."""
    study._storage.set_trial_user_attr(trial_id, name, value)


def fail(study: Study, trial_id: int, cause: str, kind: str = GONE) -> bool:
    """Tell a trial FAIL with its cause; False where another has told how it ended."""
    try:
        note(study, trial_id, CAUSE, cause)
        note(study, trial_id, KIND, kind)
        study._storage.set_trial_state_values(trial_id, TrialState.FAIL)
    except UpdateFinishedTrialError:
        return False
    return True
