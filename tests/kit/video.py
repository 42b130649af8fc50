"""Small real videos, and videos that are broken in known ways.

Every frame of :func:`numbered_frames` carries its number as black and white blocks that survive
lossy coding and resizing, so a test can tell *which* frame came back, not only how many.
"""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TypedDict, Unpack

import av
import numpy as np

NUM_BITS = 8
_TIME_BASE = Fraction(1, 90_000)
_ENCODERS = {"h264": "libx264", "hevc": "libx265", "mpeg4": "mpeg4"}


def numbered_frames(num_frames: int, height: int = 48, width: int = 64) -> np.ndarray:
    """Paint ``uint8 [N, H, W, 3]``: the number's bits in the top half, their opposites below."""
    assert num_frames <= 2**NUM_BITS
    bits = (np.arange(num_frames)[:, None] >> np.arange(NUM_BITS)) & 1
    columns = np.arange(width) * NUM_BITS // width
    top = np.where(bits[:, columns], 225, 30).astype(np.uint8)
    frames = np.empty((num_frames, height, width, 3), np.uint8)
    frames[:, : height // 2] = top[:, None, :, None]
    frames[:, height // 2 :] = 255 - top[:, None, :, None]
    return frames


def read_number(frame: np.ndarray) -> int:
    """Read the number back from ``uint8 [H, W, 3]``.

    Raises:
        ValueError: The frame carries no clear number: black, grey, or a blend of two frames.
    """
    height, width = frame.shape[:2]
    grey = frame.astype(float).mean(axis=2)
    centres = ((np.arange(NUM_BITS) + 0.5) * width / NUM_BITS).astype(int)
    top = grey[height // 6 : height // 3][:, centres].mean(axis=0)
    bottom = grey[-(height // 3) : -(height // 6)][:, centres].mean(axis=0)
    if np.abs(top - bottom).min() < 80:
        raise ValueError(f"no number in this frame: top {top.round()}, bottom {bottom.round()}")
    return int(((top > bottom) << np.arange(NUM_BITS)).sum())


def read_numbers(frames: np.ndarray) -> list[int]:
    """Read the numbers of ``uint8 [M, H, W, 3]``."""
    return [read_number(frame) for frame in frames]


class Coding(TypedDict, total=False):
    """How a video is encoded.

    Keys:
        codec: ``h264`` (if not given), ``hevc`` or ``mpeg4`` (part 2).
        faststart: Put an mp4's index before the media data instead of behind it.
        keyframe_every: Largest distance between key frames; 12 if not given.
        encoder_options: More options of the encoder, such as ``{"bf": "3"}``.
        muxer_options: More options of the container, such as ``{"movflags": "frag_keyframe"}``.
    """

    codec: str
    faststart: bool
    keyframe_every: int
    encoder_options: dict[str, str] | None
    muxer_options: dict[str, str] | None


def write_video(
    path: Path,
    frames: np.ndarray,
    fps: float = 20,
    times: Sequence[float] | None = None,
    **coding: Unpack[Coding],
) -> Path:
    """Encode ``uint8 [N, H, W, 3]``; the suffix of the path chooses the container.

    Args:
        path: The file to write.
        frames: RGB; odd sizes are allowed (4:4:4 chroma, H.264 only).
        fps: Rate at which frames follow each other if ``times`` is not given.
        times: Presentation time of each frame in seconds, increasing; the first ones may be
            negative, which an mp4 keeps as frames before the start of its edit list.
        coding: See ``Coding``.
    """
    height, width = frames.shape[1:3]
    times = np.arange(len(frames)) / fps if times is None else times
    codec = coding.get("codec", "h264")
    options = {"movflags": "+faststart"} if coding.get("faststart") else {}
    options |= coding.get("muxer_options") or {}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(_ENCODERS[codec], rate=Fraction(fps).limit_denominator(1001))
        stream.width, stream.height = width, height
        stream.pix_fmt = "yuv444p" if height % 2 or width % 2 else "yuv420p"
        stream.options = coding.get("encoder_options") or {}
        stream.codec_context.gop_size = coding.get("keyframe_every", 12)
        stream.codec_context.thread_count = 1
        # MPEG-4 part 2 cannot count finer than 1/65535 s.
        time_base = Fraction(1, 60_000) if codec == "mpeg4" else _TIME_BASE
        stream.codec_context.time_base = time_base
        for array, time in zip(frames, times, strict=True):
            frame = av.VideoFrame.from_ndarray(array, format="rgb24")
            frame.pts, frame.time_base = round(time / time_base), time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_audio_only(path: Path) -> Path:
    """Write a second of silence without a picture."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        for start in range(0, 8000, 1000):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1000), np.float32), "fltp", "mono")
            frame.sample_rate, frame.pts = 8000, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def truncate(source: Path, target: Path, fraction: float) -> Path:
    """Copy the first part of a file: a download that broke off."""
    data = source.read_bytes()
    target.write_bytes(data[: int(len(data) * fraction)])
    return target


def truncate_media(source: Path, target: Path, fraction: float) -> Path:
    """Copy an index-first mp4 up to a fraction of its media data."""
    data = source.read_bytes()
    start = data.index(b"mdat") + 4
    assert data.index(b"moov") < start, "the index lies behind the media data"
    target.write_bytes(data[: start + int((len(data) - start) * fraction)])
    return target


def zero_media(source: Path, target: Path, begin: float, end: float) -> Path:
    """Copy a file with part of its media data blanked: a full-length file with a hole."""
    data = bytearray(source.read_bytes())
    start = data.index(b"mdat") + 4
    behind = data.find(b"moov", start)
    length = (len(data) if behind < 0 else behind - 4) - start
    first, last = start + int(length * begin), start + int(length * end)
    data[first:last] = bytes(last - first)
    target.write_bytes(data)
    return target


def rotate(source: Path, target: Path, degrees: int) -> Path:
    """Copy an mp4 with a display rotation written into its track header (90, 180 or 270)."""
    matrices = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}
    return set_display_matrix(source, target, matrices[degrees])


def set_display_matrix(source: Path, target: Path, abcd: tuple[int, int, int, int]) -> Path:
    """Copy an mp4 whose track header sends points to (a x + c y, b x + d y), y downwards."""
    a, b, c, d = (value * 0x10000 for value in abcd)
    matrix = b"".join(
        value.to_bytes(4, "big", signed=True) for value in (a, b, 0, c, d, 0, 0, 0, 0x40000000)
    )
    data = bytearray(source.read_bytes())
    offset = data.index(b"tkhd") + 4 + 40  # version 0: the matrix follows 40 bytes of fields
    data[offset : offset + 36] = matrix
    target.write_bytes(data)
    return target


def shorten_edit(source: Path, target: Path, fraction: float) -> Path:
    """Copy an mp4 whose edit list ends the video early, as a trim in a phone's gallery does."""
    data = bytearray(source.read_bytes())
    offset = data.index(b"elst") + 12  # after version and flags, and the number of entries
    duration = int.from_bytes(data[offset : offset + 4], "big")
    data[offset : offset + 4] = int(duration * fraction).to_bytes(4, "big")
    target.write_bytes(data)
    return target
