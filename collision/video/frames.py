"""The only place that reads frames.

``index_video`` (``collision.video.index``) says which frames a file holds and when each is shown;
``window_frame_indices`` says which of them are visible at the moments that are asked for;
``read_frames`` decodes those. A folder of images is a video too (``collision.video.folder``).

Shapes: N frames of a file or N windows, T frames a window, M frames read, H W image.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from collision.types import Seconds
from collision.video.decode import decoded_frames
from collision.video.decord import frames_by_decord
from collision.video.folder import read_image, squashed
from collision.video.index import VideoIndex, frame_gap, hole_from
from collision.video.torchcodec import exact_frames
from collision.video.turn import turn_of

# A frame may be shown this much after the asked-for time: floating point noise, no more.
TIME_NOISE: Seconds = 1e-6


def latest_visible(frame_times: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Find the latest frame that is visible at each time: the floor, never the nearest.

    A frame is visible at ``t`` if its presentation time is <= ``t``. The last frame is visible for
    one and a half median gaps and no longer: beyond that the video is over, and no frame is
    repeated to fill. The same holds before a hole: a gap that is longer than ``hole_from``. A
    single frame is visible at its own time only.

    Args:
        frame_times: float64 [N], increasing, at least one.
        times: Seconds, any shape: that of the result, int64. -1 where nothing is visible.
    """
    times = np.asarray(times, dtype=np.float64)
    indices = np.searchsorted(frame_times, times + TIME_NOISE, side="right") - 1
    gap = frame_gap(frame_times)
    before_hole = np.append(np.diff(frame_times) > hole_from(gap), True)
    over = before_hole[indices] & (times > frame_times[indices] + 1.5 * gap + TIME_NOISE)
    return np.where(over, -1, indices).astype(np.int64)


def window_frame_indices(
    frame_times: np.ndarray, end_times: np.ndarray, num_frames: int, fps: float
) -> np.ndarray:
    """List the frames of windows that end at ``end_times``: those visible at end - k / fps.

    int64 [N, T], oldest first (k = T - 1 .. 0); -1 where nothing is visible.
    """
    steps_back = np.arange(num_frames - 1, -1, -1) / fps
    end_times = np.asarray(end_times, dtype=np.float64)
    return latest_visible(frame_times, end_times[:, None] - steps_back)


def newest_frames(indices: np.ndarray) -> np.ndarray:
    """Count the frames of each window back to its start, or to where nothing is visible: int64 [N].

    ``indices`` [N, T] as of ``window_frame_indices``. 0 where nothing is visible at the end.
    """
    missing = indices[:, ::-1] < 0
    return np.where(missing.any(axis=1), missing.argmax(axis=1), indices.shape[1])


def read_frames(
    index: VideoIndex,
    frame_indices: np.ndarray,
    height: int | None = None,
    width: int | None = None,
    *,
    check: bool = True,
) -> np.ndarray:
    """Decode frames in one pass over the file: uint8 RGB [M, H, W, 3], in the order asked for.

    The whole picture is squashed to ``height`` x ``width`` (default: its own) by FFmpeg's bilinear
    filter, which averages over all the pixels that fall on one when it shrinks. decord's pictures
    differ from PyAV's by a tenth of a grey level on average, torchcodec's by one: they are RGB
    before they are shrunk. Indices may repeat. One that does not decode is a VideoDecodeError; no
    other frame takes its place. Without ``check`` damage in a file that decord or torchcodec reads
    goes unnoticed.
    """
    height, width = height or index.height, width or index.width
    wanted, order = np.unique(np.asarray(frame_indices, dtype=np.int64), return_inverse=True)
    if len(wanted) == 0:
        return np.empty((0, height, width, 3), np.uint8)
    if wanted[0] < 0 or wanted[-1] >= len(index.frame_times):
        raise IndexError(f"frames {wanted[0]}..{wanted[-1]} of {len(index.frame_times)}")
    frames = None
    if index.reader == "torchcodec":
        frames = _read_with_torchcodec(index, wanted, height, width)
    elif index.reader == "decord":
        frames = frames_by_decord(index, wanted, height, width)
    if frames is not None and check:
        for _ in decoded_frames(index, wanted, only_check=True):
            pass
    if frames is None:
        frames = np.empty((len(wanted), height, width, 3), np.uint8)
        for place, picture in pictures(index, wanted, height, width):
            frames[place] = picture
    return frames[order]


def pictures(
    index: VideoIndex, wanted: np.ndarray, height: int, width: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Decode frames [M] (increasing numbers) with PyAV, one after the other, as ``read_frames``.

    Gives each with its place among them: ``uint8 RGB [H, W, 3]``.
    """
    if index.images:
        for place, number in enumerate(wanted):
            image = read_image(index.path, index.images[number], (index.height, index.width))
            yield place, squashed(image, height, width)
        return
    reformatter = VideoReformatter()  # one for all: it keeps what it has worked out of the sizes
    for place, frame in decoded_frames(index, wanted):
        turn = turn_of(frame)
        rows, columns = (width, height) if turn.is_transposed else (height, width)
        picture = reformatter.reformat(
            frame, columns, rows, "rgb24", interpolation=Interpolation.BILINEAR
        )
        yield place, turn(picture.to_ndarray())


def frame_checksums(index: VideoIndex) -> np.ndarray:
    """Decode every frame, and give a number for each picture that equal pictures share: int64 [N].

    PyAV decodes, for it tells which frames FFmpeg found damaged (VideoDecodeError). The number is
    of every eighth pixel of every eighth line, as coded: this costs nothing beside decoding.
    """
    if index.images:
        size = index.height, index.width
        pictures = (read_image(index.path, image, size) for image in index.images)
        return np.array([zlib.crc32(picture[::8, ::8].tobytes()) for picture in pictures])
    checksums = np.zeros(len(index.frame_times), np.int64)
    for number, frame in decoded_frames(index, np.arange(len(checksums))):
        plane = frame.planes[0]
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
        checksums[number] = zlib.crc32(rows[::8, : frame.width : 8].tobytes())
    return checksums


def _read_with_torchcodec(
    index: VideoIndex, wanted: np.ndarray, height: int, width: int
) -> np.ndarray | None:
    """Decode frames [M] (increasing); None where torchcodec fails, or gives others."""
    frames = np.empty((len(wanted), height, width, 3), np.uint8)
    reformatter, bilinear = VideoReformatter(), Interpolation.BILINEAR
    try:
        for place, picture in enumerate(exact_frames(index, wanted)):
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            shrunk = reformatter.reformat(frame, width, height, "rgb24", interpolation=bilinear)
            frames[place] = shrunk.to_ndarray()
    except (RuntimeError, ValueError):
        return None
    return frames
