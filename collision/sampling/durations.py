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


# So many files are read before what was found is saved, and what others found is looked at: tasks
# that begin together read each file about once.
AT_ONCE = 1024


class DurationStore(Protocol):
    """Remembers durations from run to run; ``collision.audit.facts`` does."""

    def recall(self, file: TimedFile) -> Seconds | None:
        """Give what is remembered, or None."""

    def look(self, file: TimedFile) -> VideoIndex:
        """Index a file of which nothing is remembered."""

    def keep(self, durations: Mapping[TimedFile, Seconds]) -> None:
        """Remember what is new."""

    def refresh(self) -> None:
        """See what others have remembered meanwhile."""


class Durations:
    """Reads durations; one object serves all folds and backbones of a run."""

    def __init__(self, store: DurationStore | None = None):
        """Ask ``store`` before a file is opened."""
        self.store = store
        self._found: dict[TimedFile, Seconds] = {}
        self._failed: dict[TimedFile, str] = {}
        self._has_begun = False

    def __call__(self, records: Iterable[VideoRecord]) -> tuple[dict[str, Seconds], list[Failure]]:
        """Give the time of the last frame by id; what cannot be read is a failure."""
        files = [(r, (r.path, r.frame_rate, r.video_stream)) for r in records]
        settled = self._found.keys() | self._failed.keys()
        self._look_at([file for file in dict.fromkeys(f for _, f in files) if file not in settled])
        durations = {r.id: self._found[file] for r, file in files if file in self._found}
        failed = [(r, self._failed[file]) for r, file in files if file in self._failed]
        return durations, [Failure(r.id, r.path, reason) for r, reason in failed]

    def _look_at(self, files: Sequence[TimedFile]) -> None:
        """Recall or read, some after the others."""
        has_read = self._has_begun  # since it was asked last, others may have gone on
        self._has_begun = True
        for begin in range(0, len(files), AT_ONCE):
            if has_read and self.store is not None:
                self.store.refresh()
            has_read = self._look_at_some(files[begin : begin + AT_ONCE])

    def _look_at_some(self, files: Iterable[TimedFile]) -> bool:
        """Several at once; FFmpeg and hashing leave Python's lock alone. Whether any was read."""
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
        return bool(read)
