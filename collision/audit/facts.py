"""What a video's file tells without any model: one cheap pass a video, remembered by content.

Durations are remembered for themselves, so no run opens a known file for them.

Shapes: N frames of a video, K hashed frames.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import GetCoreSchemaHandler, GetPydanticSchema
from pydantic_core.core_schema import CoreSchema, no_info_after_validator_function

from collision.audit.jobs import Job, Pool, look_at_all
from collision.checks import STRICT, typed
from collision.errors import CollisionError, ConfigError, VideoDecodeError
from collision.features.digest import VideoDigests
from collision.features.folders import FannedFolder
from collision.features.looks import VideoLooks
from collision.features.saved import kept_in_cache
from collision.features.shards import ShardedIndex
from collision.files import load_json, write_whole
from collision.sampling.durations import TimedFile
from collision.types import Failure, Seconds, VideoRecord
from collision.video.frames import latest_visible, read_frames
from collision.video.index import VideoIndex

# Part of the folder's name: raise it whenever the same video gives other facts.
VERSION: Literal[3] = 3

# Dense enough for a copy that begins a moment later to share pictures; see tests/audit.
HASH_EVERY: Seconds = 0.5
MAX_HASHES = 16

DURATIONS = "durations"

# A multiple of both the thumbnail's 9 x 16 and the hash's 8 x 9 cells.
_HEIGHT, _WIDTH = 72, 144
THUMBNAIL_SHAPE = (9, 16, 3)
LUMA = np.array([0.299, 0.587, 0.114])

# A picture with fewer steps of a grey level between its cells is flat: its bits are noise.
_MIN_STEPS = 32


def _from_lists(kind: type, lists: Any) -> GetPydanticSchema:
    """An array, in a file as (nested) lists of plain numbers."""

    def schema(_: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_after_validator_function(lambda v: np.array(v, kind), handler(lists))

    return GetPydanticSchema(schema)


@dataclass(frozen=True, eq=False)
class VideoFacts:
    """Facts of one video, as they stand in a file of the cache, too.

    ``[N]`` frames have times in seconds and coded bytes; the thumbnail ``[9, 16, 3]`` is of the
    first. ``[K]`` of them, spread over the video, are hashed (see ``difference_hashes``) unless
    they are flat.
    """

    __pydantic_config__ = STRICT

    native_fps: float  # 1 / median gap between frames
    width: int
    height: int
    codec: str  # FFmpeg's name of it, or "images"
    pixels: str  # how its samples are kept: see collision.video.index.VideoIndex
    duration: Seconds  # to the end of the last frame
    file_bytes: int  # of the whole file, or of all images of a folder
    frame_times: Annotated[NDArray[np.float64], _from_lists(np.float64, list[float])]
    frame_bytes: Annotated[NDArray[np.int64], _from_lists(np.int64, list[int])]
    thumbnail: Annotated[NDArray[np.uint8], _from_lists(np.uint8, list[list[list[int]]])]
    hash_times: Annotated[NDArray[np.float64], _from_lists(np.float64, list[float])]
    hashes: Annotated[NDArray[np.uint64], _from_lists(np.uint64, list[int])]
    notes: tuple[str, ...]  # what is odd about the file
    version: Literal[3] = VERSION  # which files have that were written before it was

    @property
    def end(self) -> Seconds:
        """When the last frame is first shown: where a clip that was cut ends."""
        return float(self.frame_times[-1])


# By the record's id; a video that could not be read has no facts.
Facts: TypeAlias = Mapping[str, VideoFacts]
Records: TypeAlias = Mapping[str, VideoRecord]


def read_facts(job: Job) -> VideoFacts:
    """Read a video's facts from the file; VideoDecodeError: it cannot be read."""
    index = job.index()
    count = min(MAX_HASHES, int(index.frame_times[-1] / HASH_EVERY) + 1)
    spread = np.linspace(index.frame_times[0], index.frame_times[-1], count)
    chosen = np.unique(latest_visible(index.frame_times, spread))
    chosen = chosen[chosen >= 0]  # in a hole nothing is shown
    frames = read_frames(index, chosen, _HEIGHT, _WIDTH, check=False)
    hashes, is_flat = difference_hashes(frames)
    files = index.images or (job.path,)
    return VideoFacts(
        native_fps=float(index.native_fps),
        width=index.width,
        height=index.height,
        codec=index.codec,
        pixels=index.pixels,
        duration=float(index.duration),
        file_bytes=sum(file.stat().st_size for file in files),
        frame_times=index.frame_times,
        frame_bytes=index.sizes,
        thumbnail=_shrink(frames[0], *THUMBNAIL_SHAPE[:2]).round().astype(np.uint8),
        hash_times=index.frame_times[chosen][~is_flat],
        hashes=hashes[~is_flat],
        notes=index.notes,
    )


def difference_hashes(frames: NDArray[np.uint8]) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Hash ``[K, 72, 144, 3]``: is each of 8 x 9 cells darker than its right neighbour?

    Copies in another size or quality differ in few of the 64 bits (N. Krawetz's "dHash", 2013).
    Gives ``[K]`` hashes, and whether a picture is too flat to be told from others.
    """
    cells = np.stack([_shrink(frame, 8, 9) @ LUMA for frame in frames])
    steps = np.diff(cells, axis=2).reshape(len(frames), 64)
    hashes = np.packbits(steps > 0, axis=1).view(">u8")[:, 0].astype(np.uint64)
    return hashes, np.sum(np.abs(steps) >= 1, axis=1) < _MIN_STEPS


def _shrink(frame: NDArray[np.uint8], rows: int, columns: int) -> NDArray[np.float64]:
    """Average the pixels of each cell: ``[rows, columns, 3]``."""
    return frame.reshape(rows, _HEIGHT // rows, columns, _WIDTH // columns, 3).mean(axis=(1, 3))


def gather_facts(
    jobs: Mapping[str, Job], cache_root: Path, pool: Pool
) -> tuple[dict[str, VideoFacts], list[Failure]]:
    """Give the facts of each record by its id, and the videos that cannot be read.

    Each video's facts are kept in the cache as soon as they are read: an interrupted pass goes on.

    Raises:
        Interrupted: A signal asked to stop.
        CollisionError: The disk is full. In a cache that may only be read, facts are not kept.
    """
    folder = FannedFolder(cache_root / "facts" / f"v{VERSION}", ".json")
    facts: dict[str, VideoFacts] = {}
    failed: dict[str, str] = {}
    for job in jobs.values():
        if job.digest not in facts and (known := _load(folder, job.digest)):
            facts[job.digest] = known
    new = [job for job in jobs.values() if job.digest not in facts]
    for job, result in look_at_all(new, read_facts, "Reading file facts", pool):
        if isinstance(result, Failure):
            failed[job.digest] = result.reason
        else:
            _save(folder, job.digest, result)
            facts[job.digest] = result
    found = {video: facts[job.digest] for video, job in jobs.items() if job.digest in facts}
    unread = {video: job for video, job in jobs.items() if job.digest in failed}
    return found, [Failure(video, job.path, failed[job.digest]) for video, job in unread.items()]


def _save(folder: FannedFolder, digest: str, facts: VideoFacts) -> None:
    fields = {
        name: value.tolist() if isinstance(value, np.ndarray) else value
        for name, value in vars(facts).items()
    }
    with kept_in_cache(folder.place(digest), folder.folder) as file:
        write_whole(file, json.dumps({"version": VERSION} | fields))
        folder.settle(digest)


def _load(folder: FannedFolder, digest: str) -> VideoFacts | None:
    """Read facts from the cache; None where there are none, or the file is damaged."""
    try:
        fields = load_json(folder.find(digest))
        facts: VideoFacts = typed(VideoFacts, fields)
    except (OSError, ValueError, OverflowError, ConfigError):
        return None
    fits = (
        len(facts.frame_times) > 0
        and facts.frame_bytes.shape == facts.frame_times.shape
        and facts.thumbnail.shape == THUMBNAIL_SHAPE
        and facts.hashes.shape == facts.hash_times.shape
    )
    return facts if fits else None


@dataclass(frozen=True)
class _SavedDurations:
    """What earlier versions wrote, all durations in one file."""

    __pydantic_config__ = STRICT

    durations: dict[str, float] = field(default_factory=dict)
    version: Literal[2] = 2  # 1: counted from 0 by the file's own clock, whenever that begins


class DurationCache:
    """A ``DurationStore`` in a cache folder: ``durations/``, by digest."""

    def __init__(self, cache_root: Path, digests: VideoDigests):
        """Read what is known when it is asked for; what is damaged is found anew."""
        self.folder = cache_root / DURATIONS
        self.digests, self.looks = digests, VideoLooks(digests)
        self._known = ShardedIndex(self.folder, 3, _duration)

    def recall(self, file: TimedFile) -> Seconds | None:
        """Give the time of the last frame, if the file's content is known."""
        try:
            digest = self.digests.digest(*file)
        except VideoDecodeError:
            return None  # whoever opens the file says why
        known = self._known.get(digest)
        return self._before.get(digest) if known is None else known

    def look(self, file: TimedFile) -> VideoIndex:
        """Give the file's index; what is found is remembered for all who read it."""
        return self.looks.index(*file)

    def keep(self, durations: Mapping[TimedFile, Seconds]) -> None:
        """Remember durations; in a cache that may only be read, for as long as this lives.

        CollisionError: the disk is full.
        """
        for file, duration in durations.items():
            self._known.put(self.digests.digest(*file), duration)
        with kept_in_cache(self.folder / "durations", self.folder):
            self._known.save()
        with suppress(CollisionError):  # extraction saves them, too, and says what is wrong
            self.digests.save()

    @cached_property
    def _before(self) -> dict[str, Seconds]:
        try:
            saved: _SavedDurations = typed(
                _SavedDurations, load_json(self.folder.with_suffix(".json"))
            )
        except (OSError, ValueError, ConfigError):
            return {}
        return saved.durations

    def refresh(self) -> None:
        """See what other processes have saved meanwhile."""
        self.digests.refresh()
        self._known.refresh()


def _duration(content: object) -> Seconds | None:
    return content if isinstance(content, float) and np.isfinite(content) else None
