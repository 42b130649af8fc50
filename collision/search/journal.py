"""Optuna's journal, made to outlive whoever writes to it: at any moment a writer may be killed.

The lock is a link, which every file system makes for one process alone. It names its holder, so
that one whose holder has ended on this machine is taken away at once; Optuna's own keeps all others
waiting for 30 s after each kill that meets it. Of a holder on another machine nobody knows whether
it lives: its lock goes after those 30 s.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

from collision.search.leases import has_ended, new_token, owner_of
from collision.types import Seconds

_GRACE: Seconds = 30.0  # appending takes milliseconds
_LONGEST_SLEEP: Seconds = 0.1


class NamedLock(JournalFileSymlinkLock):
    """A lock that says who holds it."""

    def __init__(self, journal: Path, grace: Seconds = _GRACE):
        super().__init__(str(journal))
        self._link = journal.with_name(f"{journal.name}.lock")
        self._breaking = journal.with_name(f"{journal.name}.breaking")
        self._grace = grace
        self._mine = ""

    def acquire(self) -> bool:
        """Wait until it is this process's."""
        mine, sleep = owner_of(new_token()), 0.001
        seen, since = "", time.monotonic()
        while True:
            try:
                self._link.symlink_to(mine)
            except FileExistsError:
                pass
            else:
                self._mine = mine
                return True
            holder = _holder(self._link)
            if holder != seen:
                seen, since = holder, time.monotonic()
            if holder and (has_ended(holder) or time.monotonic() - since > self._grace):
                self._break(holder)
            else:
                time.sleep(sleep)
                sleep = min(2 * sleep, _LONGEST_SLEEP)

    def release(self) -> None:
        """Give it back, unless it was taken away meanwhile."""
        if _holder(self._link) == self._mine:
            self._link.unlink(missing_ok=True)

    def _break(self, holder: str) -> None:
        """Take the lock away from a holder that is gone; one at a time, or a new holder's goes."""
        with _alone(self._breaking):
            if _holder(self._link) == holder:
                self._link.unlink(missing_ok=True)


class WholeLines(JournalFileBackend):
    """A journal that goes on after a writer was cut off in the middle of a line."""

    def __init__(self, journal: Path):
        super().__init__(str(journal), NamedLock(journal))

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write lines; half a line that is there was nobody's, and goes."""
        with suppress(OSError):
            self._mend()
        super().append_logs(logs)

    def _mend(self) -> None:
        # Only the last writer can have been cut off, so that most appends look at one byte.
        with Path(self._file_path).open("rb") as file:
            file.seek(0, os.SEEK_END)
            if not (size := file.tell()):
                return
            file.seek(size - 1)
            if file.read(1) == b"\n":
                return
        self._lock.acquire()  # whoever is still writing will have ended
        try:
            with Path(self._file_path).open("rb+") as file:
                file.truncate(file.read().rfind(b"\n") + 1)
        finally:
            self._lock.release()


def _holder(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Let one process of this machine in at a time; where the disk has no locks, any."""
    with file.open("ab") as held:
        with suppress(OSError):
            fcntl.flock(held, fcntl.LOCK_EX)
        yield
