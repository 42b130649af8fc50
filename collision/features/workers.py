"""Work in processes of which any may die or hang without harm to the rest: decoding, mostly.

torch's DataLoader ends the whole run when one worker dies, and can't tell on which item; so each
worker here has a pipe of its own and one item at a time. A worker that dies or exceeds its time is
one ``Failure``, and another takes its place.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol, TypeVar

import torch

from collision.types import Failure, Seconds

Result = TypeVar("Result", covariant=True)

# How often the stop flag is looked at while all workers are busy.
_POLL: Seconds = 0.25

# Fork: the data set need not be pickled, and torch is not imported again in every worker.
_CONTEXT = multiprocessing.get_context("fork")


class Work(Protocol[Result]):
    """Items, each a piece of work on a video, which ``requests`` name by ``video`` and ``path``."""

    requests: Any

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Result: ...


def decode_all(
    dataset: Work[Result], num_workers: int, timeout: Seconds, should_stop: Callable[[], bool]
) -> Iterator[tuple[int, Result | Failure]]:
    """Work on all items; give (index, result) in the order in which they are ready.

    With ``num_workers`` 0 that is done here: no ``timeout`` (after which a video counts as
    hanging), and a video that crashes takes the run with it. ``should_stop`` ends the iteration.
    """
    if num_workers == 0:
        for index in range(len(dataset)):
            if should_stop():
                return
            yield index, dataset[index]
        return
    pending = deque(range(len(dataset)))
    workers = [_Worker(dataset, pending) for _ in range(min(num_workers, len(dataset)))]
    try:
        while workers and not should_stop():
            ready = wait([worker.connection for worker in workers], _POLL)
            for worker in list(workers):
                result = worker.result(worker.connection in ready, timeout)
                if result is None:
                    continue
                index = worker.item
                _go_on(worker, workers, pending)
                yield index, result
                if should_stop():
                    break
    finally:
        for worker in workers:
            worker.close()


def _go_on(worker: _Worker, workers: list[_Worker], pending: deque[int]) -> None:
    """Give a worker its next item; one that died is replaced, one without work ends."""
    if worker.is_alive and pending:
        worker.start_next(pending)
        return
    workers.remove(worker)
    worker.close()
    if pending:
        workers.append(_Worker(worker.dataset, pending))


class _Worker:
    def __init__(self, dataset: Work, pending: deque[int]):
        self.dataset = dataset
        self.connection, theirs = _CONTEXT.Pipe()
        arguments = (dataset, theirs, os.getpid())
        self.process = _CONTEXT.Process(target=_serve, args=arguments, daemon=True)
        self.process.start()
        theirs.close()  # so that the end of the process is the end of the pipe
        self.is_alive = True
        self.start_next(pending)

    def start_next(self, pending: deque[int]) -> None:
        self.item = pending.popleft()
        self.started = time.monotonic()
        with suppress(OSError):  # if it died, reading from it will say so
            self.connection.send(self.item)

    def result(self, is_ready: bool, timeout: Seconds) -> Any:
        """Give what the worker has made, or its failure, or None while it works."""
        if is_ready:
            try:
                return self.connection.recv()
            except (EOFError, OSError):
                return self._failure(f"the process that decoded it died ({self._cause()})")
        # A worker that waits for us to take its result is ready, however long ago it began.
        if time.monotonic() - self.started > timeout and not self.connection.poll():
            return self._failure(f"decoding took longer than {timeout:g} s")
        return None

    def close(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()

    def _failure(self, reason: str) -> Failure:
        self.is_alive = False
        request = self.dataset.requests[self.item]
        return Failure(request.video, request.path, reason)

    def _cause(self) -> str:
        self.process.join(1)
        code = self.process.exitcode
        if code is None or code >= 0:
            return f"exit code {code}"
        hint = ", perhaps for want of memory" if -code == signal.SIGKILL else ""
        return f"{signal.Signals(-code).name}{hint}"


def _serve(dataset: Work, connection: Connection, parent: int) -> None:
    """Decode what the pipe asks for, until the parent ends this process or itself."""
    # Ctrl-C and a scheduler's SIGTERM reach the whole group: the parent decides when to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, args=(parent,), daemon=True).start()
    while True:
        connection.send(dataset[connection.recv()])


def _end_with_parent(parent: int) -> None:
    """Leave no orphan when the parent is killed; its pipes may stay open in sister processes."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
