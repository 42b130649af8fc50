"""Work in processes of which any may die or hang without harm to the rest: decoding, mostly.

torch's DataLoader ends the whole run when one worker dies, and can't tell on which item; so each
worker here has a pipe of its own and works on one item at a time (the next one waits in the pipe).
A worker that dies or exceeds its time is one ``Failure``, and another takes its place. What is
large travels in shared memory.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, Protocol, TypeVar

from collision.features.memory import Place, SharedMemory
from collision.types import Failure, Seconds

Result = TypeVar("Result", covariant=True)

# How often the stop flag is looked at while all workers are busy.
_POLL: Seconds = 0.25

# Items that a worker has at once: the next one waits, so that it need not wait for this process.
_AHEAD = 2

# Fork: the data set need not be pickled, and torch is not imported again in every worker.
_CONTEXT = multiprocessing.get_context("fork")


class Work(Protocol[Result]):
    """Items, each a piece of work on a video, which ``requests`` name by ``video`` and ``path``."""

    requests: Any

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Result: ...


class InMemory(Protocol):
    """Work whose results are large: it writes them into memory that it is given."""

    memory: SharedMemory

    def into(self, index: int, place: Place) -> Any:
        """Work on an item; the result refers to what lies in its place."""
        ...


def decode_all(
    dataset: Work[Result], num_workers: int, timeout: Seconds, should_stop: Callable[[], bool]
) -> Iterator[tuple[int, Result | Failure]]:
    """Work on all items; give (index, result) in the order in which they are ready.

    With ``num_workers`` 0 that is done here: no ``timeout`` (after which a video counts as
    hanging), and a video that crashes takes the run with it. ``should_stop`` ends the iteration.
    """
    pool: WorkerPool[Result] = WorkerPool(dataset, min(num_workers, len(dataset)), timeout)
    pending = deque(range(len(dataset)))
    try:
        while (pending or pool.num_begun) and not should_stop():
            while pending and pool.has_room():
                pool.begin(pending.popleft())
            for index, result in pool.ready(_POLL):
                yield index, result
                if should_stop():
                    return
    finally:
        pool.close()


class WorkerPool(Generic[Result]):
    """Processes that work on the items which they are told to begin; without any, this one does."""

    def __init__(self, work: Work[Result], num_workers: int, timeout: Seconds):
        """Start the first workers; ``timeout`` is for one item."""
        self.work, self.timeout = work, timeout
        self._is_here = num_workers == 0
        self._here: deque[tuple[int, Place | None]] = deque()
        self._workers: list[_Worker] = []
        for _ in range(num_workers):
            self.add()

    @property
    def num_workers(self) -> int:
        """How many processes there are."""
        return len(self._workers)

    @property
    def num_begun(self) -> int:
        """How many items have been begun and not given."""
        return len(self._here) + sum(len(worker.items) for worker in self._workers)

    @property
    def num_idle(self) -> int:
        """How many processes have nothing to do."""
        return sum(not worker.items for worker in self._workers)

    def add(self) -> None:
        """Start one more process; only the main thread may, for the process is a copy of it."""
        self._workers.append(_Worker(self.work))

    def has_room(self) -> bool:
        """Whether an item can begin without waiting long for a worker."""
        if self._is_here:
            return not self._here
        return any(len(worker.items) < _AHEAD for worker in self._workers)

    def begin(self, index: int, place: Place | None = None) -> None:
        """Let the least busy worker begin an item, whose result goes to a place in memory."""
        if self._is_here:
            self._here.append((index, place))
        else:
            min(self._workers, key=lambda worker: len(worker.items)).begin(index, place)

    def ready(
        self, patience: Seconds, others: Sequence[Any] = ()
    ) -> Iterator[tuple[int, Result | Failure]]:
        """Give what is ready, as (index, result); wait for it so long, or until ``others`` are.

        These are sockets or connections.
        """
        if self._is_here:
            if others and not self._here:
                wait(others, patience)
            while self._here:
                yield _result(self.work, *self._here.popleft())
            return
        waits = 0 if not self.num_begun and not others else patience
        found = wait([*(worker.connection for worker in self._workers), *others], waits)
        for worker in list(self._workers):
            done = worker.result(worker.connection in found, self.timeout)
            if not worker.is_alive:
                self._replace(worker)
            if done is not None:
                yield done

    def _replace(self, worker: _Worker) -> None:
        """Start another process in place of one that died; it takes over what that one had left."""
        self._workers.remove(worker)
        worker.close()
        self.add()
        for index, place in worker.items:
            self._workers[-1].begin(index, place)

    def close(self) -> None:
        """End all processes."""
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.close()
        self._workers, self._here = [], deque()


class _Worker:
    def __init__(self, work: Work):
        self.work = work
        self.items: deque[tuple[int, Place | None]] = deque()
        self.connection, theirs = _CONTEXT.Pipe()
        arguments = (work, theirs, os.getpid())
        self.process = _CONTEXT.Process(target=_serve, args=arguments, daemon=True)
        self.process.start()
        theirs.close()  # so that the end of the process is the end of the pipe
        self.is_alive = True

    def begin(self, index: int, place: Place | None) -> None:
        if not self.items:
            self.started = time.monotonic()
        self.items.append((index, place))
        with suppress(OSError):  # if it died, reading from it will say so
            self.connection.send((index, place))

    def result(self, is_ready: bool, timeout: Seconds) -> tuple[int, Any] | None:
        """Give what the worker has made, or its failure, or None while it works."""
        if is_ready:
            try:
                result = self.connection.recv()
            except (EOFError, OSError):
                return self._failure(f"the process that decoded it died ({self._cause()})")
            self.started = time.monotonic()
            self.items.popleft()
            return result
        # A worker that waits for us to take its result is ready, however long ago it began.
        is_late = self.items and time.monotonic() - self.started > timeout
        if is_late and not self.connection.poll():
            return self._failure(f"decoding took longer than {timeout:g} s")
        return None

    def close(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()

    def _failure(self, reason: str) -> tuple[int, Any] | None:
        self.is_alive = False
        if not self.items:  # it died of something else
            return None
        index, _ = self.items.popleft()
        request = self.work.requests[index]
        return index, Failure(request.video, request.path, reason)

    def _cause(self) -> str:
        self.process.join(1)
        code = self.process.exitcode
        if code is None or code >= 0:
            return f"exit code {code}"
        hint = ", perhaps for want of memory" if -code == signal.SIGKILL else ""
        return f"{signal.Signals(-code).name}{hint}"


def _result(work: Any, index: int, place: Place | None) -> tuple[int, Any]:
    return index, work[index] if place is None else work.into(index, place)


def _serve(work: Work, connection: Connection, parent: int) -> None:
    """Decode what the pipe asks for, until the parent ends this process or itself."""
    # Ctrl-C and a scheduler's SIGTERM reach the whole group: the parent decides when to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    if torch := sys.modules.get("torch"):  # a fork has it where its parent has
        torch.set_num_threads(1)
    threading.Thread(target=end_with_parent, args=(parent,), daemon=True).start()
    while True:
        connection.send(_result(work, *connection.recv()))


def end_with_parent(parent: int) -> None:
    """Leave no orphan when the parent is killed; its pipes may stay open in sister processes."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
