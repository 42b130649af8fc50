"""What is wanted of each video, and what of it the store lacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from collision.devices import num_cores
from collision.errors import VideoDecodeError
from collision.features.clips import WindowRequest
from collision.features.digest import VideoDigests
from collision.features.looks import VideoLooks
from collision.features.store import FeatureStore
from collision.features.stored import StoredTimes
from collision.types import Failure
from collision.video.index import VERSION as READER

# Videos that are looked up before it is asked whether to stop.
_TOGETHER = 256


@dataclass(frozen=True, eq=False)
class WantedVideo:
    """One content in one view. Several records may name it, by one path or by copies of the file.

    Attributes:
        digest: Of the content, its clock and the view: the store's key.
        missing: Seconds, ascending: end times of the windows to compute.
        num_reused: Windows that are stored, or known not to exist.
        is_outdated: Whether an older reader, which saw other frames, made what is stored.
        revision: What is stored counts if it was read by this version of the reader, or later.
    """

    digest: str
    requests: tuple[WindowRequest, ...]
    missing: NDArray[np.float64]
    num_reused: int
    is_outdated: bool = False
    revision: int = 1

    @property
    def path(self) -> Path:
        """The file to read: the first of its copies."""
        return self.requests[0].path

    @property
    def unmirrored(self) -> WindowRequest:
        """What of it is decoded: mirroring comes after."""
        request = self.requests[0]
        return replace(request, end_times=self.missing, view=replace(request.view, flip=False))


def store_key(digests: VideoDigests, request: WindowRequest) -> str:
    """The store's name of a request's features; VideoDecodeError where the file cannot be read."""
    timing = request.frame_rate, request.video_stream
    return digests.digest(request.path, *timing) + request.view.suffix


def revision(stored: StoredTimes, looks: VideoLooks, request: WindowRequest) -> int:
    """Give the reader's version that stored features must be of, or later, to be used.

    VideoDecodeError: the file cannot be read as it would be read now.
    """
    if stored.reader == READER:
        return READER
    return looks.index(request.path, request.frame_rate, request.video_stream).revision


def look_up(
    requests: Sequence[WindowRequest],
    store: FeatureStore,
    looks: VideoLooks,
    on_video: Callable[[str, int], None] = lambda video, units: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> tuple[list[WantedVideo], list[Failure]]:
    """Find what the store lacks; a file that cannot be opened is a failure.

    ``on_video`` is called after each request; ``should_stop`` leaves out those that follow. Several
    files are read at once: on a network's disk most of the time is waiting.
    """
    by_digest: dict[str, list[WindowRequest]] = {}
    stored: dict[str, tuple[StoredTimes, int]] = {}  # with the revision that counts
    failures = []

    def find(request: WindowRequest) -> str | VideoDecodeError:
        try:
            key = store_key(looks.digests, request)
            if key not in stored:
                times = store.times(key)
                stored[key] = times, revision(times, looks, request)
            return key
        except VideoDecodeError as error:
            return error

    with ThreadPoolExecutor(2 * num_cores()) as pool:
        for begin in range(0, len(requests), _TOGETHER):
            some = requests[begin : begin + _TOGETHER]
            for request, found in zip(some, pool.map(find, some), strict=True):
                if should_stop():
                    break
                if isinstance(found, VideoDecodeError):
                    failures.append(Failure(request.video, request.path, found.reason))
                else:
                    by_digest.setdefault(found, []).append(request)
                on_video(request.video, 1)
            if should_stop():
                break
    looks.digests.save()
    wanted = [_wanted(key, group, *stored[key]) for key, group in by_digest.items()]
    return wanted, failures


def decoded_together(videos: Sequence[WantedVideo]) -> list[list[WantedVideo]]:
    """Group what differs by mirroring alone: its frames are decoded once."""
    together: dict[tuple[object, ...], list[WantedVideo]] = {}
    for video in videos:
        request = video.requests[0]
        timing = request.frame_rate, request.video_stream
        view = replace(request.view, flip=False)
        key = (video.path, *timing, view, video.missing.tobytes())
        together.setdefault(key, []).append(video)
    return list(together.values())


def _wanted(
    digest: str, requests: list[WindowRequest], stored: StoredTimes, since: int
) -> WantedVideo:
    end_times = np.unique(np.concatenate([request.end_times for request in requests]))
    missing = stored.missing(end_times, since)
    is_outdated = stored.reader < since
    num_reused = len(end_times) - len(missing)
    return WantedVideo(digest, tuple(requests), missing, num_reused, is_outdated, since)
