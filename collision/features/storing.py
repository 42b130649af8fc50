"""The thread that stores features: a video's as soon as all are there, or every half a minute.

Shapes: N windows of a target, B windows of a batch, S steps a window, D feature dim.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from collision.features.batches import Target
from collision.features.embedding import Embedded
from collision.features.store import FeatureStore, NotFiniteError
from collision.types import BackboneSpec, Seconds

# A slow backbone's features are stored at least this often, so that a kill costs no more.
STORE_EVERY: Seconds = 30.0

# Waiting for the disk takes longer than writing.
_NUM_WRITERS = 4
_MOST_WAITING = 64  # files, before the backbone waits


# Gives why a file's features cannot be stored, if so.
_Write: TypeAlias = "Future[str | None]"


@dataclass(frozen=True)
class Stored:
    """So many windows of a target were stored; ``failure`` says why they could not be."""

    target: Target
    num_windows: int
    is_complete: bool
    failure: str | None = None


@dataclass(eq=False)
class _Half:
    """A target whose windows come one after the other."""

    target: Target
    spec: BackboneSpec
    since: Seconds = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        shape = self.target.num_windows, self.spec.num_steps, self.spec.feature_dim
        self.features = np.zeros(shape, np.float32)
        self.num_steps = np.zeros(shape[0], np.int64)  # 0: not there yet
        self.is_stored = np.zeros(shape[0], bool)

    def fill(self, numbers: np.ndarray, features: np.ndarray) -> None:
        """Take features ``[n, S', D]``: of a window's S steps the newest."""
        given = features.shape[1]
        self.features[numbers, self.features.shape[1] - given :] = features
        self.num_steps[numbers] = given

    @property
    def is_complete(self) -> bool:
        return bool(self.num_steps.all())

    def due(self) -> np.ndarray:
        """Which windows are there and not stored."""
        return np.flatnonzero((self.num_steps > 0) & ~self.is_stored)


class Storer(threading.Thread):
    """Puts batches apart and writes what is complete; ``put(None)`` is their end.

    Attributes:
        error: What ended it early: a full disk, say.
    """

    def __init__(
        self,
        store: FeatureStore,
        spec: BackboneSpec,
        on_stored: Callable[[Stored], None],
        on_end: Callable[[], None],
    ):
        """Tell ``on_stored`` of each write, in this thread; call ``on_end`` at the end."""
        super().__init__(daemon=True, name="storer")
        self.store, self.spec, self.on_stored, self.on_end = store, spec, on_stored, on_end
        self.error: BaseException | None = None
        # What was put; and each file that has been written, so that it is told.
        self._coming: queue.SimpleQueue[Embedded | Target | _Write | None] = queue.SimpleQueue()
        self._halves: dict[int, _Half] = {}
        self._writing: deque[tuple[_Write, Target, int, bool]] = deque()
        self._on_copied: Callable[[Embedded], None] = lambda embedded: None

    def on_copied(self, call: Callable[[Embedded], None]) -> None:
        """Call this once a batch's features, and so its frames, are used no more."""
        self._on_copied = call

    def put(self, item: Embedded | Target | None) -> None:
        """Add a batch's features, or a target that has no windows; None: no more will come."""
        self._coming.put(item)

    @property
    def is_behind(self) -> bool:
        """Whether files wait to be written."""
        return len(self._writing) > _NUM_WRITERS

    def run(self) -> None:
        """Work until the end, or until something cannot be written."""
        try:
            with ThreadPoolExecutor(_NUM_WRITERS, "writer") as self._writers:
                while (item := self._coming.get()) is not None:
                    if not isinstance(item, Future):
                        self._take(item)
                    self._settle(_MOST_WAITING)
                for half in self._halves.values():
                    self._write(half)
                self._settle(0)
        except BaseException as error:  # the main thread raises it
            self.error = error
        finally:
            self.on_end()

    def _take(self, item: Embedded | Target) -> None:
        if isinstance(item, Target):
            self._write(_Half(item, self.spec))
            return
        features = item.wait()
        begin = 0
        for target, numbers in item.batch.rows:
            half = self._halves.setdefault(id(target), _Half(target, self.spec))
            half.fill(numbers, features[begin : begin + len(numbers)])
            begin += len(numbers)
        self._on_copied(item)
        for half in [self._halves[id(target)] for target, _ in item.batch.rows]:
            if half.is_complete:
                self._halves.pop(id(half.target), None)
                self._write(half)
        now = time.monotonic()
        for half in self._halves.values():
            if now - half.since > STORE_EVERY:
                self._write(half)
                half.since = now

    def _write(self, half: _Half) -> None:
        numbers = half.due()
        half.is_stored[numbers] = True
        copy = half.features[numbers], half.num_steps[numbers]
        future = self._writers.submit(self._write_file, half.target, numbers, *copy)
        self._writing.append((future, half.target, len(numbers), half.is_complete))
        future.add_done_callback(self._coming.put)

    def _write_file(
        self, target: Target, numbers: np.ndarray, features: np.ndarray, num_steps: np.ndarray
    ) -> str | None:
        """Write windows of a target; gives why their values cannot be stored, if so."""
        clip, video = target.clip, target.video
        what = clip.end_times[numbers], features, clip.unavailable
        how = video.path.name, clip.revision, num_steps
        try:
            self.store.write(video.digest, *what, *how)
        except NotFiniteError as error:
            return str(error)
        return None

    def _settle(self, most: int) -> None:
        """Tell what was written, in the order in which it was begun; let so many files wait."""
        while self._writing and (len(self._writing) > most or self._writing[0][0].done()):
            future, target, count, is_complete = self._writing[0]
            failure = future.result()
            self._writing.popleft()
            self.on_stored(Stored(target, count, is_complete, failure))
