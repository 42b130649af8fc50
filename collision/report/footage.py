"""Pictures and short clips of videos, small enough to stand on a page.

Shapes: M frames, H W image.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from collision.errors import VideoDecodeError
from collision.report.clips import Clip, size_of
from collision.types import Seconds
from collision.video.frames import read_frames
from collision.video.index import VideoIndex, index_video

WIDTH, STRIP_WIDTH = 320, 144  # pixels of a clip and of a picture in the strip
FPS = 10  # of a clip, at most
LONGEST: Seconds = 8.0
AFTER: Seconds = 1.0  # shown after the event, or after the last cut
_QUALITY, _CRF = 62, "32"


@dataclass(frozen=True)
class Footage:
    """What is seen of a video, from ``start`` to ``stop`` (seconds of the file).

    Attributes:
        picture: WebP at the cut; None where the video cannot be shown, and ``why`` says why.
        strip: WebP by time, seconds.
        clip: An mp4 (H.264) whose time 0 is ``start``; None if none was asked for.
    """

    start: Seconds = 0.0
    stop: Seconds = 0.0
    picture: bytes | None = None
    strip: list[tuple[Seconds, bytes]] = field(default_factory=list)
    clip: bytes | None = None
    why: str = ""


def footage_of(clip: Clip, cut: Seconds, seen: Seconds, with_clip: bool = True) -> Footage:
    """Look at a clip around a cut, of which the last ``seen`` seconds were looked at.

    A video that is gone, unreadable or another one than was scored gives a reason instead.
    """
    path = Path(clip.path)
    if not path.exists():
        return Footage(why=f"The video is gone: there is no {clip.path}")
    if clip.size is not None and size_of(path) != clip.size:
        return Footage(why=f"Another file than the one that was scored lies at {clip.path}")
    try:
        index = index_video(path, clip.frame_rate, clip.video_stream)
        return _looked_at(index, clip, cut, seen, with_clip)
    except VideoDecodeError as error:
        return Footage(why=f"The video cannot be shown: {error}")
    except Exception as error:  # one odd clip must not cost the page
        return Footage(why=f"The video cannot be shown: {type(error).__name__}: {error}")


def span(index: VideoIndex, clip: Clip, cut: Seconds, seen: Seconds) -> tuple[Seconds, Seconds]:
    """Give the stretch that is shown: what was looked at, and what came of it."""
    cuts = [cut, *clip.cuts.values()]
    last = float(index.frame_times[-1])
    stop = min(last, max(clip.event_time or 0.0, *cuts) + AFTER)
    start = max(float(index.frame_times[0]), min(cuts) - max(seen, 1.0) - 0.5, stop - LONGEST)
    return min(start, stop), stop


def _looked_at(
    index: VideoIndex, clip: Clip, cut: Seconds, seen: Seconds, with_clip: bool
) -> Footage:
    start, stop = span(index, clip, cut, seen)
    after = cut + AFTER if clip.event_time is None else clip.event_time
    back = max(seen, 1.0)
    moments = [time for time in (cut - back, cut - back / 2, cut, after) if start <= time <= stop]
    height, width = _size(index, WIDTH)
    rate = min(float(FPS), index.native_fps)
    times = np.arange(start, stop + 1e-9, 1 / rate) if with_clip else np.zeros(0)
    wanted = np.concatenate([[cut], moments, times])
    shown = np.searchsorted(index.frame_times, wanted + 1e-6, side="right") - 1  # as a player does
    frames = read_frames(index, np.maximum(shown, 0), height, width)
    strip = [
        (time, _webp(frame, STRIP_WIDTH)) for time, frame in zip(moments, frames[1:], strict=False)
    ]
    coded = encoded(frames[1 + len(moments) :], rate) if with_clip else None
    return Footage(start, stop, _webp(frames[0], width), strip, coded)


def encoded(frames: Sequence[np.ndarray] | np.ndarray, rate: float) -> bytes:
    """Encode ``uint8 [M, H, W, 3]`` of even sizes as H.264 in an mp4 that starts at once."""
    with tempfile.TemporaryDirectory() as folder:  # the index goes to the front of a file alone
        path = Path(folder) / "clip.mp4"
        with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
            stream = container.add_stream("libx264", rate=Fraction(rate).limit_denominator(1001))
            stream.height, stream.width = frames[0].shape[:2]
            stream.pix_fmt = "yuv420p"
            stream.codec_context.thread_count = 1
            # An entry point a second: a click on the curve is answered at once.
            stream.codec_context.gop_size = max(1, round(rate))
            stream.options = {"crf": _CRF, "preset": "veryfast", "bf": "0"}
            for frame in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode(None))
        return path.read_bytes()


def _size(index: VideoIndex, width: int) -> tuple[int, int]:
    """Give height and width, both even, of at most so many pixels across."""
    scale = min(1.0, width / max(index.width, index.height))
    return tuple(max(2, 2 * round(side * scale / 2)) for side in (index.height, index.width))  # type: ignore[return-value]


def _webp(frame: np.ndarray, width: int) -> bytes:
    image = Image.fromarray(frame)
    if image.width > width:
        height = max(1, round(image.height * width / image.width))
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    target = io.BytesIO()
    image.save(target, "WEBP", quality=_QUALITY, method=4)
    return target.getvalue()
