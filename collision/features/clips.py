"""From videos to the frames of their windows: what decoding workers do.

Shapes: N windows, K windows that do not exist, T frames a window, M distinct frames, H W image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from collision.errors import VideoDecodeError
from collision.features.memory import Place, SharedMemory
from collision.types import PLAIN, BackboneSpec, Failure, View
from collision.video.frames import newest_frames, read_frames, window_frame_indices
from collision.video.index import VideoIndex, index_video
from collision.video.readers import read_by

# A worker's piece of a long video is held in memory this big, once in the worker and once here.
MAX_PIECE_BYTES = 256 * 2**20

# Says what a file holds: path, frame rate and video stream as of ``index_video``.
IndexVideo: TypeAlias = Callable[[Path, float | None, int | None], VideoIndex]


@dataclass(frozen=True, eq=False)
class WindowRequest:
    """Windows of one video that are wanted; at each end time, the frames visible up to it.

    ``frame_rate`` times the frames, if not the file's own clock; ``video_stream`` is which stream
    of the file is read, if not the one that players show. Decoding heeds the stride of the view;
    whoever embeds the frames mirrors them.
    """

    video: str
    path: Path
    end_times: NDArray[np.float64]
    frame_rate: float | None = None
    view: View = PLAIN
    video_stream: int | None = None


@dataclass(frozen=True, eq=False)
class Clip:
    """The decoded windows of one request. A frame that several windows share is held once.

    Attributes:
        frames: ``uint8 [M, H, W, 3]``.
        windows: ``int64 [N, T]``, indices into ``frames``, oldest first; -1 where a window that
            the beginning of its file, or a hole, cuts short has none.
        end_times: Seconds, ``[N]``: of the windows that exist.
        unavailable: Seconds, ``[K]``: of those that begin before the video or end after it.
        revision: Of the file's index.
    """

    frames: NDArray[np.uint8]
    windows: NDArray[np.int64]
    end_times: NDArray[np.float64]
    unavailable: NDArray[np.float64]
    notes: tuple[str, ...]
    revision: int


class ClipDataset:
    """Decodes one request an item, each in one pass over its file; runs in worker processes."""

    def __init__(
        self,
        requests: Sequence[WindowRequest],
        spec: BackboneSpec,
        index: IndexVideo = index_video,
        reader: str = "pyav",
    ):
        """Ask ``index`` what a file holds; ``reader`` as of ``read_by``."""
        self.requests, self.spec, self.index, self.reader = requests, spec, index, reader
        self.memory = SharedMemory(0)

    def __len__(self) -> int:
        return len(self.requests)

    def __getitem__(self, index: int) -> Clip | Failure:
        """Decode a request; whatever is wrong with its video comes back as a ``Failure``."""
        request = self.requests[index]
        try:
            return self.decode(request)
        except VideoDecodeError as error:
            return Failure(request.video, request.path, error.reason)
        except Exception as error:  # one odd file must not end a night's job
            return Failure(request.video, request.path, f"{type(error).__name__}: {error}")

    def num_bytes(self, index: int) -> int:
        """Bound what the frames of a request take."""
        spec = self.spec
        frame = spec.height * spec.width * 3
        return max_distinct_frames(self.requests[index], spec) * frame

    def into(self, index: int, place: Place) -> Clip | tuple[Clip, tuple[int, ...]] | Failure:
        """Decode a request, its frames into shared memory: ``seen`` finds them by their shape."""
        result = self[index]
        if isinstance(result, Failure):
            return result
        shape = result.frames.shape
        self.memory.view(place, shape)[:] = result.frames
        return replace(result, frames=np.zeros((0, *shape[1:]), np.uint8)), shape

    def seen(self, result: Clip | tuple[Clip, tuple[int, ...]], place: Place) -> Clip:
        """Give what ``into`` made, in another process: its frames lie in shared memory."""
        if isinstance(result, Clip):
            return result
        clip, shape = result
        return replace(clip, frames=self.memory.view(place, shape))

    def decode(self, request: WindowRequest) -> Clip:
        """Decode the windows of a request; VideoDecodeError where their frames cannot be read."""
        spec = self.spec
        index = self.index(request.path, request.frame_rate, request.video_stream)
        fps, ends = spec.fps / request.view.stride, request.end_times
        wanted = window_frame_indices(index.frame_times, ends, spec.num_frames, fps)
        num_frames = newest_frames(wanted).clip(max=request.view.frames or spec.num_frames)
        exists = num_frames >= spec.least_frames
        wanted[np.arange(spec.num_frames) < spec.num_frames - num_frames[:, None]] = -1
        windows = wanted[exists]
        is_seen = windows >= 0
        distinct, windows[is_seen] = np.unique(windows[is_seen], return_inverse=True)
        index = read_by(self.reader, index, distinct)
        frames = read_frames(index, distinct, spec.height, spec.width)
        return Clip(frames, windows, ends[exists], ends[~exists], index.notes, index.revision)


def max_distinct_frames(request: WindowRequest, spec: BackboneSpec) -> int:
    """Bound how many frames the windows need: the distinct moments at which they look."""
    num_frames = request.view.frames or spec.num_frames
    steps_back = np.arange(num_frames) * (request.view.stride / spec.fps)
    moments = request.end_times[:, None] - steps_back
    return len(np.unique(moments.round(9)))  # sums of floats that mean the same moment


def split_long(request: WindowRequest, spec: BackboneSpec) -> Iterator[WindowRequest]:
    """Cut a request into pieces whose frames fit into ``MAX_PIECE_BYTES``; times ascend."""
    room = max(1, MAX_PIECE_BYTES // (spec.height * spec.width * 3))
    left = request
    while len(left.end_times):
        piece = left
        while len(piece.end_times) > 1 and max_distinct_frames(piece, spec) > room:
            piece = replace(piece, end_times=piece.end_times[: len(piece.end_times) // 2])
        yield piece
        left = replace(left, end_times=left.end_times[len(piece.end_times) :])
