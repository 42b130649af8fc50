"""Frames by decord (``extraction.reader=decord``), where it hands out the right ones.

It was found to hand out wrong ones, without a word, where an edit list hides frames, where a key
frame has frames that are shown before it (open GOPs; MPEG-4 part 2 with B frames), where refreshes
are no key frames (intra refresh), and in AVI and MPEG-TS: ``VideoIndex.not_by_decord`` says so.

Shapes: N frames of a file, M frames wanted.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from collision.errors import ConfigError
from collision.types import Seconds
from collision.video.index import VideoIndex

# decord keeps times as 32-bit floats, counted from the first frame.
_TIME_NOISE: Seconds = 2e-3


def load_decord() -> Any:
    """Give the module; ConfigError where it is not installed."""
    try:
        import decord
    except ImportError as error:
        raise ConfigError(
            "extraction.reader=decord: decord is not installed here (it has wheels for Linux on "
            "x86 and for Windows). Leave the option out: PyAV reads all files."
        ) from error
    decord.logging.set_level(decord.logging.QUIET)
    return decord


def frames_by_decord(
    index: VideoIndex, wanted: np.ndarray, height: int, width: int
) -> np.ndarray | None:
    """Decode frames [M] (increasing); None where decord's answer cannot be trusted.

    decord cannot make some small sizes, and at the end of a damaged file repeats a frame. So if it
    fails, or hands out one picture twice, PyAV has the last word. It conceals damage, too: PyAV
    looks for that, with the steps of decoding left out that find none.
    """
    decord = load_decord()
    try:
        reader = decord.VideoReader(str(index.path), width=width, height=height, num_threads=1)
        if index.coded is None or not _counts_alike(reader, index.coded.times):
            return None
        frames = reader.get_batch(wanted.tolist()).asnumpy()
    except (decord.DECORDError, RuntimeError, UnicodeEncodeError):
        return None
    if any(np.array_equal(one, following) for one, following in pairwise(frames)):
        return None
    return frames


def _counts_alike(reader: Any, frame_times: np.ndarray) -> bool:
    """Whether decord counts as many frames, at the same times since the first."""
    if len(reader) != len(frame_times):
        return False
    times = reader.get_frame_timestamp(np.arange(len(reader)))[:, 0]
    off = np.abs((times - times[0]) - (frame_times - frame_times[0]))
    return bool(off.max() <= _TIME_NOISE)
