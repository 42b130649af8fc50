"""Frames by torchcodec (``extraction.reader=torchcodec``), held to those that PyAV gives.

It decodes from the key packet before a frame on, as the file flags them, mirrors nothing, and was
found to give wrong frames of MPEG-TS. So it reads a file only where all key packets are real
entries, where it counts the frames of our index at the same times, and where its pictures are
PyAV's; else PyAV does.

Shapes: N frames of a file, M frames wanted, H W image.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from av.video.reformatter import Interpolation

from collision.errors import ConfigError
from collision.types import Seconds
from collision.video.decode import decoded_frames
from collision.video.index import VideoIndex
from collision.video.streams import CONTAINERS, open_video
from collision.video.turn import Turn, turn_of

# Grey levels by which a picture may differ on average from PyAV's, both in their own size. On a CPU
# none was found to differ at all; a GPU turns colours into RGB otherwise.
TOLERANCE = 1.0

_NUM_COMPARED = 3  # frames of each request
_TIME_NOISE: Seconds = 1e-3
_AT_ONCE = 16  # pictures of full size in memory


def load_torchcodec() -> Any:
    """Give its decoder; ConfigError where it, or FFmpeg's libraries, do not load."""
    try:
        import torchcodec.decoders

        if torchcodec.ffmpeg_major_version is None:
            raise ImportError("it finds no libraries of FFmpeg")
    except (ImportError, OSError, RuntimeError) as error:
        why = str(error).strip().partition("\n")[0]
        raise ConfigError(
            f"extraction.reader=torchcodec does not load here ({type(error).__name__}: {why}). "
            "Install FFmpeg's shared libraries (`apt install ffmpeg`) and the torchcodec that "
            "belongs to the installed torch (`uv sync --extra torchcodec`), or leave the option "
            "out."
        ) from error
    return torchcodec.decoders.VideoDecoder


def exact_frames(index: VideoIndex, wanted: np.ndarray) -> Iterator[np.ndarray]:
    """Decode frames [M] (increasing numbers): uint8 RGB [H, W, 3] each, in their own size.

    ValueError: it sees other frames than the index. RuntimeError: it cannot decode them.
    """
    import torch

    assert index.coded is not None
    times = index.coded.times
    with open_video(index.path, index.video_stream) as (_, stream):
        number = stream.index
    decoder = load_torchcodec()(
        str(index.path),
        stream_index=number,
        dimension_order="NHWC",
        # Where this process computes on a GPU; a forked worker cannot.
        device="cuda" if torch.cuda.is_initialized() else "cpu",
        seek_mode="exact",
    )
    if len(decoder) != len(times):
        raise ValueError("torchcodec counts other frames")
    for some in np.array_split(wanted, -(-len(wanted) // _AT_ONCE)):
        batch = decoder.get_frames_at(some.tolist())
        shown = batch.pts_seconds.cpu().numpy() - decoder.metadata.begin_stream_seconds
        if np.abs(shown - (times[some] - times[0])).max() > _TIME_NOISE:
            raise ValueError("torchcodec gives frames other times")
        yield from batch.data.cpu().numpy()


def why_not_torchcodec(index: VideoIndex, wanted: np.ndarray) -> str:
    """Say why it cannot be trusted with frames [M] (increasing); empty where it can.

    VideoDecodeError: a frame to compare is damaged.
    """
    places = np.linspace(0, len(wanted) - 1, _NUM_COMPARED).astype(int)
    few = np.unique(wanted[places])
    assert index.coded is not None
    with open_video(index.path, index.video_stream) as (container, _):
        kind = CONTAINERS[container.format.name]
    if kind not in ("mp4", "mkv"):
        return f"torchcodec is trusted with mp4 and mkv, this is {kind}"
    if not index.coded.is_flagged_right:
        return "some of its key frames build on what came before (open GOP, intra refresh)"
    try:
        pictures = list(exact_frames(index, few))
    except (RuntimeError, ValueError) as error:
        return str(error) if isinstance(error, ValueError) else "torchcodec cannot decode it"
    for place, frame in decoded_frames(index, few):
        if turn_of(frame) != Turn():
            return "the picture is to be shown turned or mirrored"
        ours = frame.reformat(format="rgb24", interpolation=Interpolation.BILINEAR).to_ndarray()
        if ours.shape != pictures[place].shape:
            return "torchcodec gives pictures of another size"
        if np.abs(ours.astype(int) - pictures[place]).mean() > TOLERANCE:
            return f"torchcodec's pictures differ from PyAV's by more than {TOLERANCE:g} grey level"
    return ""
