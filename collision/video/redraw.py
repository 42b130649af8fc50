"""Writes a video anew, frame by frame: each at its own time, with the sound that it had.

Shapes: H W image.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.video.reformatter import Colorspace, Interpolation

from collision.types import Seconds
from collision.video.frames import pictures
from collision.video.index import VideoIndex
from collision.video.streams import open_video

# Gives the picture to show, ``uint8 RGB [H, W, 3]``, from the one that was filmed and its time.
Draw: TypeAlias = Callable[[np.ndarray, Seconds], np.ndarray]

_TICK = Fraction(1, 90_000)
_COPIED = ("aac", "mp3", "ac3", "eac3", "opus", "alac", "flac")  # what an mp4 holds as it is
_BT709 = 1  # H.273's number of its matrix, primaries and transfer
_LEAD: Seconds = 0.25  # of sound before the first moment, from which decoders make what follows
_LEAP: Seconds = 10.0  # further apart are two clocks, or what is no sound of this picture


def redraw(
    index: VideoIndex, target: Path, draw: Draw | None = None, *, height: int | None = None
) -> str:
    """Write an mp4 (H.264) of all frames at their times; say what became of its sound, if odd.

    Sound is copied as it is coded, or coded as AAC where an mp4 cannot hold it.

    Args:
        index: Of the file; times are those of ``frame_times``.
        target: Takes its name when it is whole.
        draw: What is done to each picture, at its own size.
        height: Of the result, where it is less than the video's; None: its own size.

    Raises:
        VideoDecodeError: A frame does not decode, or is damaged.
        OSError: It cannot be written.
    """
    size = _smaller(index, height)
    tick = _tick_of(index)
    with _new_mp4(target) as container:
        stream = container.add_stream("libx264", rate=_rate(index))
        # The pictures' own chroma; odd sizes have no halves.
        form = "yuv444p" if size[0] % 2 or size[1] % 2 else "yuv420p"
        stream.height, stream.width, stream.pix_fmt = *size, form
        stream.options = {"crf": "20" if height is None else "28", "preset": "veryfast", "bf": "0"}
        coder: Any = stream.codec_context
        coder.time_base, stream.time_base = tick, tick
        coder.colorspace = coder.color_primaries = coder.color_trc = _BT709
        with ExitStack() as stack:
            sound = stack.enter_context(_sound(index, container))
            for number, picture in pictures(index, _all(index), index.height, index.width):
                time = float(index.frame_times[number])
                sound.write_until(time)
                shown = picture if draw is None else draw(picture, time)
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(shown), "rgb24")
                frame = frame.reformat(
                    *size[::-1],
                    form,
                    dst_colorspace=Colorspace.ITU709,
                    interpolation=Interpolation.BILINEAR,
                )
                frame.pts, frame.time_base = round(time / tick), tick
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
            sound.write_until(np.inf)
            return sound.note


def _all(index: VideoIndex) -> np.ndarray:
    return np.arange(len(index.frame_times))


def _smaller(index: VideoIndex, height: int | None) -> tuple[int, int]:
    if height is None:
        return index.height, index.width
    share = min(1.0, height / min(index.height, index.width))
    return tuple(max(2, 2 * round(side * share / 2)) for side in (index.height, index.width))  # type: ignore[return-value]


def _rate(index: VideoIndex) -> Fraction:
    """Frames a second, in round numbers: what the encoder spends bits by; times are exact."""
    return Fraction(min(max(index.native_fps, 1), 240)).limit_denominator(1001)


def _tick_of(index: VideoIndex) -> Fraction:
    """Give the file's own unit of time, in which its times are whole numbers."""
    if index.coded is None or not np.allclose(
        np.diff(index.coded.times), np.diff(index.frame_times)
    ):
        return _TICK
    with open_video(index.path, index.video_stream) as (_, stream):
        tick = stream.time_base
    return tick if tick is not None and tick.denominator <= 10_000_000 else _TICK


@contextmanager
def _new_mp4(target: Path) -> Iterator[OutputContainer]:
    """Give a container whose file takes its name once the block has ended well."""
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    options = {"movflags": "+faststart"}
    try:
        with av.open(str(partial), "w", format="mp4", options=options) as container:
            yield container
        partial.replace(target)
    except av.FFmpegError as error:
        raise OSError(error.errno, error.strerror, str(target)) from error
    finally:
        partial.unlink(missing_ok=True)


class _Silence:
    """No sound, with the reason where there is one."""

    def __init__(self, note: str = ""):
        self.note = note

    def write_until(self, time: Seconds) -> None:
        """Write nothing."""


class _Sound(_Silence):
    """The sound of a file, written along with the pictures."""

    def __init__(self, given: InputContainer, container: OutputContainer, start: Seconds):
        source: AudioStream = given.streams.audio[0]
        self.given = given
        name = source.codec_context.codec.canonical_name
        self.is_copied = name in _COPIED
        super().__init__("" if self.is_copied else f"its sound ({name}) is coded anew, as AAC")
        self.source, self.container = source, container
        if self.is_copied:
            self.stream: Any = container.add_stream_from_template(source)
        else:
            self.stream = container.add_stream("aac", rate=source.rate or 48_000)
            self.stream.layout = "mono" if source.channels == 1 else "stereo"
        assert source.time_base is not None
        self.start = round(start / source.time_base)
        self.least = round((start - _LEAD) / source.time_base)
        self._waiting: deque[Any] = deque()
        self._coming = self._units()

    def write_until(self, time: Seconds) -> None:
        """Write all that sounds up to a time."""
        while True:
            if not self._waiting:
                unit = next(self._coming, None)
                if unit is None:
                    return
                self._waiting.append(unit)
            unit = self._waiting[0]
            if unit.pts is not None and float(unit.pts * unit.time_base) > time:
                return
            self.container.mux(self._waiting.popleft())

    def _units(self) -> Iterator[av.Packet]:
        for packet in self.given.demux(self.source):
            if self.is_copied:
                yield from self._moved(packet)
            else:
                for frame in packet.decode():
                    if frame.pts is not None and frame.pts >= self.start:
                        frame.pts -= self.start
                        yield from self.stream.encode(frame)
        if not self.is_copied:
            yield from self.stream.encode(None)

    def _moved(self, packet: av.Packet) -> Iterator[av.Packet]:
        if not packet.size or packet.pts is None or packet.dts is None:
            return
        if packet.pts < self.least:
            return
        packet.pts, packet.dts = packet.pts - self.start, packet.dts - self.start
        packet.stream = self.stream
        yield packet


@contextmanager
def _sound(index: VideoIndex, container: OutputContainer) -> Iterator[_Silence]:
    if index.coded is None:
        yield _Silence()
        return
    own = index.coded.times
    if not np.allclose(own - own[0], index.frame_times - index.frame_times[0], atol=1e-4):
        yield _Silence("its sound is left out: its frames are not shown at its own rate")
        return
    if (why := _why_no_sound(index)) is not None:
        yield _Silence(why)
        return
    with open_video(index.path, index.video_stream) as (source, _):
        start = float(own[0] - index.frame_times[0])
        yield _Sound(source, container, start)


def _why_no_sound(index: VideoIndex) -> str | None:
    """Say why there is none, None where there is; sound whose clock leaps would be misplaced."""
    with open_video(index.path, index.video_stream) as (source, _):
        streams = source.streams.audio
        if not streams:
            return ""
        if streams[0].codec_context is None:
            return "its sound is left out: nothing here decodes it"
        unit = float(streams[0].time_base or 1)
        times = [p.dts * unit for p in source.demux(streams[0]) if p.size and p.dts is not None]
    if not times:
        return "its sound is left out: it is empty"
    if any(not 0 <= later - earlier < _LEAP for earlier, later in pairwise(times)):
        return "its sound is left out: its clock leaps"
    return None
