"""Who waits for what: the jobs of all visitors in one row, each in a folder of its own."""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from collision.types import Seconds

State: TypeAlias = Literal["waiting", "working", "done", "failed", "cancelled"]
_GOING_ON = ("waiting", "working")


@dataclass(eq=False)
class Job:
    """One clip to predict, or one comparison.

    Attributes:
        owner: Whose visit it belongs to; nobody else sees it.
        name: As the visitor calls it; shown, and no part of a path.
        task: What the worker is told.
        folder: Where its files lie; removed with it.
        share: How far it is, 0 to 1; ``words`` say with what.
        result: What came out, as the page is told; ``error`` is why nothing did.
        since: When it was given, or ended: seconds of a clock that only goes forward; ``given``
            is the former.
    """

    owner: str
    kind: Literal["clip", "compare"]
    name: str
    task: dict[str, Any]
    folder: Path
    id: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    state: State = "waiting"
    share: float = 0.0
    words: str = ""
    error: str = ""
    result: dict[str, Any] = field(default_factory=dict)
    given: Seconds = field(default_factory=time.monotonic)
    since: Seconds = field(default_factory=time.monotonic)

    @property
    def goes_on(self) -> bool:
        """Whether it waits or is worked on."""
        return self.state in _GOING_ON


class Full(Exception):
    """No more jobs are taken for now."""


class Jobs:
    """The row. Methods may be called from any thread.

    Args:
        most: Jobs that are held, finished ones among them, of which the oldest make room.
        keep: Seconds after which a finished job is removed.
    """

    def __init__(self, most: int, keep: Seconds):
        self.most, self.keep = most, keep
        self._jobs: dict[str, Job] = {}
        self._changed = threading.Condition()
        self._is_closed = False

    def add(self, job: Job) -> None:
        """Put a job at the end of the row; Full: all that are held are still to be done."""
        with self._changed:
            self._make_room()
            self._jobs[job.id] = job
            self._changed.notify_all()

    def check_room(self) -> None:
        """Full: ``add`` would refuse."""
        with self._changed:
            if sum(job.goes_on for job in self._jobs.values()) >= self.most:
                raise Full

    def of(self, owner: str) -> list[Job]:
        """List somebody's jobs, the newest first."""
        with self._changed:
            self._drop(lambda job: time.monotonic() - job.since > self.keep)
            return [job for job in reversed(self._jobs.values()) if job.owner == owner]

    def find(self, owner: str, job_id: str) -> Job | None:
        """Give somebody's job; None where there is none, or it is another's."""
        with self._changed:
            job = self._jobs.get(job_id)
        return job if job is not None and job.owner == owner else None

    def before(self, job: Job) -> int:
        """Count the jobs, of anybody, that come first."""
        with self._changed:
            ids = list(self._jobs)
            before = ids[: ids.index(job.id)] if job.id in self._jobs else []
            return sum(self._jobs[one].goes_on for one in before)

    def next(self) -> Job | None:
        """Wait for a job and begin it; None: the row is closed."""
        with self._changed:
            while not self._is_closed:
                for job in self._jobs.values():
                    if job.state == "waiting":
                        job.state = "working"
                        return job
                self._changed.wait()
        return None

    def tell(self, job: Job, share: float, words: str) -> None:
        """Say how far a job is."""
        job.share, job.words = max(0.0, min(1.0, share)), words

    def finish(self, job: Job, result: dict[str, Any] | None, error: str = "") -> None:
        """End a job that was worked on; one that was cancelled meanwhile stays so."""
        with self._changed:
            if job.state == "working":
                job.state = "failed" if result is None else "done"
                job.result, job.error, job.since = result or {}, error, time.monotonic()
                job.share, job.words = 1.0, ""
            gone = job.id not in self._jobs or job.state == "cancelled"
        if gone:  # its worker has let go of the files only now
            shutil.rmtree(job.folder, ignore_errors=True)

    def cancel(self, job: Job) -> None:
        """End a job that goes on."""
        with self._changed:
            was = job.state
            if job.goes_on:
                job.state, job.since, job.words = "cancelled", time.monotonic(), ""
        if was == "waiting":
            shutil.rmtree(job.folder, ignore_errors=True)

    def remove(self, job: Job) -> None:
        """Forget a job that has ended, and its files."""
        with self._changed:
            self._drop(lambda one: one is job)

    def close(self) -> None:
        """End the row: ``next`` gives nothing more."""
        with self._changed:
            self._is_closed = True
            for job in self._jobs.values():
                if job.goes_on:
                    job.state = "cancelled"
            self._changed.notify_all()

    def _make_room(self) -> None:
        self._drop(lambda job: time.monotonic() - job.since > self.keep)
        if len(self._jobs) < self.most:
            return
        ended = [job for job in self._jobs.values() if not job.goes_on]
        if not ended:
            raise Full
        oldest = min(ended, key=lambda job: job.since)
        self._drop(lambda job: job is oldest)

    def _drop(self, is_meant: Callable[[Job], bool]) -> None:
        for job in [one for one in self._jobs.values() if not one.goes_on and is_meant(one)]:
            del self._jobs[job.id]
            shutil.rmtree(job.folder, ignore_errors=True)
