"""The process that does the jobs, one after the other, and the thread that minds it.

A process, since a job can be cancelled at any time, and since a video that makes a decoder crash
must not take the page with it. It keeps its predictor between jobs.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, TypeAlias

from collision.serving.jobs import Job, Jobs
from collision.types import Seconds

# What the process runs: it is told tasks and tells ("share", 0 to 1, words), ("done", result) or
# ("failed", sentence). The end of the connection is its end.
Work: TypeAlias = Callable[[Connection, Any], None]

_LOOK_EVERY: Seconds = 0.1
_GRACE: Seconds = 10.0  # an extraction ends in good order within 8 s


class Worker(threading.Thread):
    """Takes jobs from the row until it is closed; what a job's process says becomes its state."""

    def __init__(self, jobs: Jobs, work: Work, settings: Any):
        """``work(connection, settings)`` runs in the process: a function of a module."""
        super().__init__(daemon=True, name="worker")
        self.jobs, self.work, self.settings = jobs, work, settings
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None

    def run(self) -> None:
        """Work until the row is closed."""
        self._connected()  # what it loads is there when the first job comes
        while (job := self.jobs.next()) is not None:
            result, error = None, ""
            try:
                result, error = self._do(job)
            except Exception as failure:  # of one job; the next may go well
                error = f"{type(failure).__name__}: {failure}"
                self._end_process()
            self.jobs.finish(job, result, error)
        self._end_process()

    def _do(self, job: Job) -> tuple[dict[str, Any] | None, str]:
        pipe = self._connected()
        try:
            pipe.send(job.task)
            while True:
                if job.state == "cancelled":
                    self._end_process()
                    return None, ""
                if not pipe.poll(_LOOK_EVERY):
                    continue
                what, *content = pipe.recv()
                if what == "share":
                    self.jobs.tell(job, *content)
                else:
                    return (content[0], "") if what == "done" else (None, str(content[0]))
        except (EOFError, OSError):
            code = self._end_process()
            return None, (
                f"The worker ended in the middle of it (exit code {code}): memory may have run "
                "out, or the video has made a decoder crash. Try a shorter clip, or coded anew."
            )

    def _connected(self) -> Connection:
        if self._process is None or self._pipe is None or not self._process.is_alive():
            self._end_process()
            context = multiprocessing.get_context("spawn")  # a fork would inherit our sockets
            self._pipe, theirs = context.Pipe()
            arguments = (self.work, theirs, self.settings)
            self._process = context.Process(target=_run, args=arguments, name="serve-worker")
            self._process.start()
            theirs.close()  # so that its end is seen
        return self._pipe

    def _end_process(self) -> int | None:
        """End the process and all that it has started; give its exit code."""
        process, self._process = self._process, None
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
        if process is None or process.pid is None:
            return None
        for how, patience in ((signal.SIGTERM, _GRACE), (signal.SIGKILL, None)):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, how)
            process.join(patience)
            if not process.is_alive():
                break
        return process.exitcode


def _run(work: Work, pipe: Connection, settings: Any) -> None:
    os.setsid()  # a group of its own: ended together, and Ctrl-C reaches the page alone
    work(pipe, settings)
