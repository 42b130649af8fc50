"""What a video's file tells without any model: one cheap pass a video, remembered by content.

Shapes: N frames of a video, K hashed frames.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from collision.audit.jobs import Job, Pool, look_at_all
from collision.checks import STRICT, typed
from collision.errors import ConfigError
from collision.features.saved import is_read_only, not_written
from collision.files import write_whole
from collision.records.annotations import warn_once
from collision.types import Failure, Seconds
from collision.video.frames import latest_visible, read_frames
from collision.video.index import index_video, packet_sizes

# Part of the folder's name: raise it whenever the same video gives other facts.
VERSION: Literal[1] = 1

# Dense enough for a copy that begins a moment later to share pictures; see tests/audit.
HASH_EVERY: Seconds = 0.5
MAX_HASHES = 16

# A multiple of both the thumbnail's 9 x 16 and the hash's 8 x 9 cells.
_HEIGHT, _WIDTH = 72, 144
THUMBNAIL_SHAPE = (9, 16, 3)
_LUMA = np.array([0.299, 0.587, 0.114])

# A picture with fewer steps of a grey level between its cells is flat: its bits are noise.
_MIN_STEPS = 32

_ARRAYS: dict[str, type] = {
    "frame_times": np.float64,
    "frame_bytes": np.int64,
    "thumbnail": np.uint8,
    "hash_times": np.float64,
    "hashes": np.uint64,
}


@dataclass(frozen=True, eq=False)
class VideoFacts:
    """Facts of one video.

    Attributes:
        native_fps: 1 / median gap between frames.
        width: Of the picture in pixels.
        height: Likewise.
        codec: FFmpeg's name of it, or ``images``.
        reader: What decodes it: see ``collision.video.frames.VideoIndex``.
        duration: Seconds, to the end of the last frame.
        file_bytes: Of the whole file, or of all images of a folder.
        frame_times: float64 ``[N]``, seconds.
        frame_bytes: int64 ``[N]``, coded bytes of each frame.
        thumbnail: uint8 ``[9, 16, 3]``, the first frame.
        hash_times: float64 ``[K]``, seconds: of some frames, spread over the video.
        hashes: uint64 ``[K]``, what these look like: see ``difference_hashes``. Flat pictures are
            left out.
        notes: What is odd about the file.
    """

    native_fps: float
    width: int
    height: int
    codec: str
    reader: str
    duration: Seconds
    file_bytes: int
    frame_times: NDArray[np.float64]
    frame_bytes: NDArray[np.int64]
    thumbnail: NDArray[np.uint8]
    hash_times: NDArray[np.float64]
    hashes: NDArray[np.uint64]
    notes: tuple[str, ...]

    @property
    def end(self) -> Seconds:
        """When the last frame is first shown: where a clip that was cut ends."""
        return float(self.frame_times[-1])


def read_facts(job: Job) -> VideoFacts:
    """Read a video's facts from the file.

    Raises:
        VideoDecodeError: It cannot be read.
    """
    index = index_video(job.path, job.frame_rate)
    count = min(MAX_HASHES, int(index.frame_times[-1] / HASH_EVERY) + 1)
    spread = np.linspace(index.frame_times[0], index.frame_times[-1], count)
    chosen = np.unique(latest_visible(index.frame_times, spread))
    frames = read_frames(index, chosen, _HEIGHT, _WIDTH)
    hashes, is_flat = difference_hashes(frames)
    files = index.images or (job.path,)
    return VideoFacts(
        native_fps=float(index.native_fps),
        width=index.width,
        height=index.height,
        codec=index.codec,
        reader=index.reader,
        duration=float(index.duration),
        file_bytes=sum(file.stat().st_size for file in files),
        frame_times=index.frame_times,
        frame_bytes=packet_sizes(index),
        thumbnail=_shrink(frames[0], *THUMBNAIL_SHAPE[:2]).round().astype(np.uint8),
        hash_times=index.frame_times[chosen][~is_flat],
        hashes=hashes[~is_flat],
        notes=index.notes,
    )


def difference_hashes(
    frames: NDArray[np.uint8],
) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Hash what pictures look like: is each of 8 x 9 cells darker than its right neighbour?

    Copies in another size or quality differ in few of the 64 bits (N. Krawetz's "dHash", 2013).

    Args:
        frames: uint8 ``[K, 72, 144, 3]``.

    Returns:
        uint64 ``[K]``, and whether a picture is too flat to be told from others.
    """
    cells = np.stack([_shrink(frame, 8, 9) @ _LUMA for frame in frames])
    steps = np.diff(cells, axis=2).reshape(len(frames), 64)
    hashes = np.packbits(steps > 0, axis=1).view(">u8")[:, 0].astype(np.uint64)
    return hashes, np.sum(np.abs(steps) >= 1, axis=1) < _MIN_STEPS


def _shrink(frame: NDArray[np.uint8], rows: int, columns: int) -> NDArray[np.float64]:
    """Average the pixels of each cell: ``[rows, columns, 3]``."""
    blocks = frame.reshape(rows, _HEIGHT // rows, columns, _WIDTH // columns, 3)
    return blocks.mean(axis=(1, 3))


def gather_facts(
    jobs: Mapping[str, Job], cache_root: Path, pool: Pool
) -> tuple[dict[str, VideoFacts], list[Failure]]:
    """Give the facts of each record by its id, from the cache where they are there.

    Each video's facts are kept as soon as they are read, so an interrupted pass goes on.

    Args:
        jobs: By record id, from ``find_jobs``.
        cache_root: Facts lie in its folder ``facts``.
        pool: How files are read.

    Returns:
        Facts, and the videos that cannot be read.

    Raises:
        Interrupted: A signal asked to stop.
        CollisionError: The disk is full. In a cache that may only be read, facts are not kept.
    """
    folder = cache_root / "facts" / f"v{VERSION}"
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
    failures = [
        Failure(video, job.path, failed[job.digest])
        for video, job in jobs.items()
        if job.digest in failed
    ]
    return {
        video: facts[job.digest] for video, job in jobs.items() if job.digest in facts
    }, failures


@dataclass(frozen=True)
class _SavedFacts:
    """``VideoFacts`` as they stand in a file."""

    __pydantic_config__ = STRICT

    native_fps: float
    width: int
    height: int
    codec: str
    reader: str
    duration: float
    file_bytes: int
    frame_times: list[float]
    frame_bytes: list[int]
    thumbnail: list[list[list[int]]]
    hash_times: list[float]
    hashes: list[int]
    notes: tuple[str, ...]
    version: Literal[1] = VERSION  # files of before it was written have this one


def _save(folder: Path, digest: str, facts: VideoFacts) -> None:
    """Keep facts in the cache; in one that nobody may write to, they are only not kept."""
    fields: dict[str, Any] = {"version": VERSION} | {
        name: value.tolist() if isinstance(value, np.ndarray) else value
        for name, value in vars(facts).items()
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / f"{digest}.json", json.dumps(fields))
    except OSError as error:
        keep_going_if_read_only(folder, error)


def keep_going_if_read_only(path: Path, error: OSError) -> None:
    """Say once that what was found is not kept, where the cache may only be read.

    Raises:
        CollisionError: The disk is full or broken.
    """
    if not is_read_only(error):
        raise not_written(path, error) from error
    warn_once(f"{path} may only be read: what was found in the files is not kept for next time.")


def _load(folder: Path, digest: str) -> VideoFacts | None:
    """Read facts from the cache; None where there are none, or the file is damaged."""
    try:
        fields = json.loads((folder / f"{digest}.json").read_bytes())
        saved: _SavedFacts = typed(_SavedFacts, fields)
        arrays: dict[str, Any] = {
            name: np.array(getattr(saved, name), kind) for name, kind in _ARRAYS.items()
        }
    except (OSError, ValueError, OverflowError, ConfigError):
        return None
    plain: dict[str, Any] = {
        name: getattr(saved, name) for name in VideoFacts.__annotations__ if name not in arrays
    }
    facts = VideoFacts(**plain, **arrays)
    fits = (
        len(facts.frame_times) > 0
        and facts.frame_bytes.shape == facts.frame_times.shape
        and facts.thumbnail.shape == THUMBNAIL_SHAPE
        and facts.hashes.shape == facts.hash_times.shape
    )
    return facts if fits else None
