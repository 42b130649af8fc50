"""Writes H.264 that cannot tell the future: what a packet holds depends on earlier frames alone."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import cv2
import numpy as np
from numpy.typing import NDArray

# No B-frames, no look-ahead, no macroblock tree: each of them spends bits by what comes later.
# The fastest preset leaves out deblocking, too: seams of its blocks were seven times as strong.
_OPTIONS = {
    "preset": "ultrafast",
    "tune": "zerolatency",
    "x264-params": "bframes=0:rc-lookahead=0:sync-lookahead=0:mbtree=0:scenecut=0:threads=1"
    ":deblock=0,0",
}
_SECONDS_BETWEEN_KEY_FRAMES = 2


class ClipWriter:
    """A video file in the making; closes it when the ``with`` block ends."""

    def __init__(self, path: Path, fps: float, crf: int, width: int, height: int):
        """Open ``path``; ``crf`` is H.264's quality factor, 0 (best) to 51."""
        rate = Fraction(fps).limit_denominator(1000)
        self._container = av.open(str(path), "w", format="mp4")
        self._stream = self._container.add_stream("libx264", rate=rate)
        self._stream.width, self._stream.height = width, height
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = 1 / rate
        self._stream.gop_size = round(_SECONDS_BETWEEN_KEY_FRAMES * fps)
        self._stream.options = {**_OPTIONS, "crf": str(crf)}
        self._stream.thread_count = 1
        self._number = 0

    def __enter__(self) -> ClipWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self._container.mux(self._stream.encode(None))
        self._container.close()

    def write(self, planes: NDArray[np.uint8]) -> None:
        """Append a frame as ``to_planes`` gives it."""
        frame = av.VideoFrame.from_numpy_buffer(planes, format="yuv420p")
        frame.pts = self._number
        frame.time_base = self._stream.codec_context.time_base
        self._number += 1
        self._container.mux(self._stream.encode(frame))


def to_planes(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """BGR ``[H, W, 3]`` to the planes of yuv420p, ``[3H/2, W]``."""
    return cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420)
