"""Batches cut across videos: a video of one window does not leave a device all but idle.

Shapes: N windows of a clip, B windows of a batch, T frames a window, H W image.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from collision.features.clips import Clip
from collision.features.missing import WantedVideo
from collision.types import BackboneSpec, Seconds


@dataclass(frozen=True, eq=False)
class Piece:
    """What is decoded in one go: item ``index`` of the clips, for videos that share its frames.

    ``end_times`` of its windows in seconds, ``[N]``.
    """

    index: int
    videos: tuple[WantedVideo, ...]
    end_times: NDArray[np.float64]


@dataclass(eq=False)
class Target:
    """The windows of one clip that are embedded for one wanted video.

    Mirrored views are targets of their own, over the same frames.
    """

    video: WantedVideo
    clip: Clip
    num_wanted: int

    @property
    def num_windows(self) -> int:
        """How many windows exist."""
        return len(self.clip.windows)


@dataclass(eq=False)
class WindowBatch:
    """Windows that the backbone sees at once: all have the same number of frames.

    Attributes:
        frames: ``uint8 [B, T, H, W, 3]``; what is behind the windows of ``rows`` is padding, for
            features agree to the bit only among batches of one shape.
        rows: Whose windows they are, and which of each: ``int64 [n]``.
    """

    frames: torch.Tensor
    rows: list[tuple[Target, NDArray[np.int64]]] = field(default_factory=list)

    @property
    def num_windows(self) -> int:
        """How many of the rows are no padding."""
        return sum(len(numbers) for _, numbers in self.rows)


@dataclass(eq=False)
class _Waiting:
    """Windows of one target and one length that are in no batch yet."""

    target: Target
    frames: NDArray[np.uint8]
    numbers: NDArray[np.int64]
    since: Seconds
    release: Callable[[], None]
    is_begun: bool = False


class BatchCutter:
    """Collects windows until a batch is full; those of one length only go together."""

    def __init__(self, spec: BackboneSpec, batch_size: int):
        self.spec, self.batch_size = spec, batch_size
        self._waiting: dict[int, deque[_Waiting]] = {}
        self.num_windows = 0

    def add(self, targets: Sequence[Target], release: Callable[[], None]) -> None:
        """Take a clip's windows for its targets; ``release`` is called once all are copied."""
        clip = targets[0].clip
        length = (clip.windows >= 0).sum(axis=1)
        groups = [np.flatnonzero(length == one) for one in np.unique(length)]
        left = len(groups) * len(targets)

        def copied() -> None:
            nonlocal left
            left -= 1
            if not left:
                release()

        if not left:
            release()
        for target in targets:
            for numbers in groups:
                waiting = _Waiting(target, clip.frames, numbers, time.monotonic(), copied)
                self._waiting.setdefault(int(length[numbers[0]]), deque()).append(waiting)
                self.num_windows += len(numbers)

    def cut(
        self, buffer: torch.Tensor, *, at_least: int, older_than: Seconds
    ) -> WindowBatch | None:
        """Copy a batch into a flat buffer: of so many windows, or if one has waited so long."""
        for length, waiting in self._waiting.items():
            count = sum(len(one.numbers) for one in waiting)
            is_old = waiting and time.monotonic() - waiting[0].since > older_than
            if count and (count >= at_least or is_old):
                return self._copy(buffer, length, waiting)
        return None

    def _copy(self, buffer: torch.Tensor, length: int, waiting: deque[_Waiting]) -> WindowBatch:
        shape = self.batch_size, length, self.spec.height, self.spec.width, 3
        batch = WindowBatch(buffer[: int(np.prod(shape))].view(shape))
        frames, filled = batch.frames.numpy(), 0
        while waiting and filled < self.batch_size:
            first = waiting[0]
            numbers = first.numbers[: self.batch_size - filled]
            seen = first.target.clip.windows[numbers, -length:]
            rows = frames[filled : filled + len(numbers)]
            np.take(first.frames, seen, axis=0, out=rows, mode="clip")
            if first.target.video.requests[0].view.flip:
                rows[:] = rows[:, :, :, ::-1].copy()
            batch.rows.append((first.target, numbers))
            first.numbers, first.is_begun = first.numbers[len(numbers) :], True
            filled += len(numbers)
            if not len(first.numbers):
                waiting.popleft().release()
        frames[filled:] = 0
        self.num_windows -= filled
        return batch

    def drop_untouched(self) -> None:
        """Forget targets of which no window has been copied."""
        for waiting in self._waiting.values():
            begun = [one for one in waiting if one.is_begun]
            dropped = [one for one in waiting if not one.is_begun]
            waiting.clear()
            waiting.extend(begun)
            for one in dropped:
                self.num_windows -= len(one.numbers)
                one.release()
