"""How long files are, by their packet indexes: each is opened once, however often one asks."""

from __future__ import annotations

import concurrent.futures
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias

from collision.errors import VideoDecodeError
from collision.types import Failure, Seconds, VideoRecord
from collision.video.index import VideoIndex, index_video

# A file, the frame rate by which its frames are timed, and which of its video streams is read.
TimedFile: TypeAlias = tuple[Path, float | None, int | None]
# Gives the time of the last frame by id, and the videos that cannot be read.
ReadDurations: TypeAlias = Callable[
    [Sequence[VideoRecord]], tuple[dict[str, Seconds], list[Failure]]
]


class DurationStore(Protocol):
    """Remembers durations from run to run; ``collision.audit.facts`` does."""

    def recall(self, file: TimedFile) -> Seconds | None:
        """Give what is remembered, or None."""

    def look(self, file: TimedFile) -> VideoIndex:
        """Index a file of which nothing is remembered."""

    def keep(self, durations: Mapping[TimedFile, Seconds]) -> None:
        """Remember what is new."""


class Durations:
    """Reads durations; one object serves all folds and backbones of a run."""

    def __init__(self, store: DurationStore | None = None):
        """Ask ``store`` before a file is opened."""
        self.store = store
        self._found: dict[TimedFile, Seconds] = {}
        self._failed: dict[TimedFile, str] = {}

    def __call__(self, records: Iterable[VideoRecord]) -> tuple[dict[str, Seconds], list[Failure]]:
        """Give the time of the last frame by id; what cannot be read is a failure."""
        files = [(r, (r.path, r.frame_rate, r.video_stream)) for r in records]
        self._look_at({file for _, file in files} - self._found.keys() - self._failed.keys())
        durations = {r.id: self._found[file] for r, file in files if file in self._found}
        failed = [(r, self._failed[file]) for r, file in files if file in self._failed]
        return durations, [Failure(r.id, r.path, reason) for r, reason in failed]

    def _look_at(self, files: Iterable[TimedFile]) -> None:
        """Recall or read, several at once; FFmpeg and hashing leave Python's lock alone."""
        read: dict[TimedFile, Seconds] = {}

        def look(file: TimedFile) -> None:
            known = None if self.store is None else self.store.recall(file)
            try:
                if known is None:
                    index = index_video(*file) if self.store is None else self.store.look(file)
                    known = read[file] = float(index.frame_times[-1])
                self._found[file] = known
            except VideoDecodeError as error:
                self._failed[file] = error.reason

        with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            list(pool.map(look, files))
        if read and self.store is not None:
            self.store.keep(read)
