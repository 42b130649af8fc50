"""The progress of an extraction: videos, windows a second, time left.

A bar on a terminal, else a line a minute.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from collision.console import is_quiet
from collision.types import Seconds

LINE_EVERY: Seconds = 60.0

_listeners: list[Callable[[str, float], None]] = []


@contextmanager
def listening(listener: Callable[[str, float], None]) -> Iterator[None]:
    """Let somebody hear of all progress in this process: the stage, and its share, 0 to 1."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


class ExtractionProgress:
    """Shows two stages on standard error: finding what is missing, and computing it."""

    def __init__(self, is_shown: bool):
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[videos]}/{task.fields[num_videos]} videos"),
            _Rate(),
            TextColumn("{task.fields[slowest]}", style="dim"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not is_shown or is_quiet() or not sys.stderr.isatty(),
        )
        self._has_lines = is_shown and not is_quiet() and not sys.stderr.isatty()
        self._begun = self._told = time.monotonic()
        self._num_told = 0.0
        self._left: dict[str, int] = {}
        self._num_finished = 0
        self._task = self._progress.add_task(
            "", visible=False, videos=0, num_videos=0, unit="", slowest=""
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def start(self, description: str, steps: Mapping[str, int], total: int, unit: str) -> None:
        """Begin a stage of ``total`` units; ``steps`` says how many each video takes."""
        self._left, self._num_finished = dict(steps), 0
        fields: dict[str, Any] = {
            "videos": 0,
            "num_videos": len(steps),
            "unit": unit,
            "slowest": "",
        }
        self._progress.reset(
            self._task, description=description, total=total, visible=True, **fields
        )
        self._begun = self._told = time.monotonic()
        self._num_told = 0.0

    def slowest(self, stage: str) -> None:
        """Say what the others wait for."""
        self._progress.update(self._task, slowest=f"({stage})")
        self._tell_in_time()

    def advance(self, video: str, units: int) -> None:
        """Count one step of a video as done."""
        self._left[video] -= 1
        self._num_finished += self._left[video] == 0
        self._progress.update(self._task, advance=units, videos=self._num_finished)
        task = self._progress.tasks[0]
        for listener in _listeners:
            listener(task.description, task.completed / (task.total or 1))
        self._tell_in_time()

    def _tell_in_time(self) -> None:
        """Print a line where there is no terminal, unless the last was printed just before."""
        now = time.monotonic()
        if not self._has_lines or now - self._told < LINE_EVERY:
            return
        task = self._progress.tasks[0]
        done, total, fields = task.completed, task.total or 0, task.fields
        rate = (done - self._num_told) / (now - self._told)
        mean = done / (now - self._begun)
        left = str(timedelta(seconds=round((total - done) / mean))) if mean else "unknown"
        slowest = f"slowest: {fields['slowest'].strip('()')}, " if fields["slowest"] else ""
        text = (
            f"{task.description}: {fields['videos']}/{fields['num_videos']} videos, "
            f"{done:.0f}/{total:.0f} {fields['unit']}, {rate:.1f} {fields['unit']}/s, "
            f"{slowest}time left: {left}"
        )
        print(text, file=sys.stderr, flush=True)
        self._told, self._num_told = now, done


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f} {task.fields['unit']}/s" if speed else "")
