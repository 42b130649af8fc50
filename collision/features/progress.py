"""The progress bar of an extraction: videos, windows a second, time left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text


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
            disable=not is_shown,
        )
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

    def slowest(self, stage: str) -> None:
        """Say what the others wait for."""
        self._progress.update(self._task, slowest=f"({stage})")

    def advance(self, video: str, units: int) -> None:
        """Count one step of a video as done."""
        self._left[video] -= 1
        self._num_finished += self._left[video] == 0
        self._progress.update(self._task, advance=units, videos=self._num_finished)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f} {task.fields['unit']}/s" if speed else "")
