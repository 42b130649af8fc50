"""Reads a stream as it comes: a pipe, a camera, or an address. Memory stays within bounds.

One thread takes packets in, a second decodes them and shrinks the pictures; whoever scores them
asks for the newest. A reader that may drop never falls behind: where decoding is slower than the
stream, packets up to the next key frame are left out, and counted. A reader of a pipe waits
instead, and so does its writer.

Shapes: N frames that are kept, H W image.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream

from collision.types import Seconds
from collision.video.addresses import PIPE, SCHEMES, scheme_of, shown
from collision.video.turn import turn_of

# What may come in a stream. As of files, no playlists, which name other files and addresses.
_FORMATS = (
    *("mpegts", "matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2", "avi", "flv", "mpeg", "h264", "hevc"),
    *("mjpeg", "mpjpeg", "rtsp", "rtp", "sdp", "video4linux2,v4l2"),
)
_PROTOCOLS = {
    "rtsp": "rtsp,rtp,udp,tcp",
    "rtsps": "rtsp,rtsps,rtp,srtp,udp,tcp,tls",
    "udp": "udp",
    "tcp": "tcp",
    "": "pipe,file",
}
_LAG: Seconds = 1.0  # a stream that is further behind is caught up with
_MOST_PACKETS = 4096
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0  # s, before a stream is opened anew
_ENDED = "it ended"
_PIPED = (
    "A plain mp4 cannot, for its index lies at its end: give the file's name instead, or send it "
    "as MPEG-TS or Matroska, as `ffmpeg -i FILE -c copy -f mpegts -` does"
)
_LEAP: Seconds = 10.0  # a clock that leaps further has been set anew


@dataclass(frozen=True)
class Reading:
    """How a stream is read.

    Attributes:
        drop: Leave frames out rather than fall behind.
        listen: Wait for a sender that connects.
        timeout: After which a stream that gives nothing is opened anew.
        reconnects: How often in a row, at most; None: for ever.
        frame_rate: By which frames are timed; None: by the stream's own clock.
        video_stream: Which of its video streams, counted from 0; None: the first.
    """

    drop: bool = True
    listen: bool = False
    timeout: Seconds = 10.0
    reconnects: int | None = None
    frame_rate: float | None = None
    video_stream: int | None = None


@dataclass(frozen=True, eq=False)
class Frames:
    """The newest frames: ``times [N]`` in seconds since the first, when each arrived, pictures.

    ``pictures`` of each frame are as many as sizes were asked for, ``uint8 [H, W, 3]`` each.
    """

    times: np.ndarray
    arrived: np.ndarray
    pictures: Sequence[tuple[np.ndarray, ...]]
    num_dropped: int


@dataclass
class _Item:
    """A packet, or what happens between packets: a new connection (a decoder), or the end."""

    packet: av.Packet | None
    arrived: Seconds
    decoder: Any = None
    begins: bool = False


class LiveVideo:
    """A stream that is being read; use it as a context."""

    def __init__(
        self,
        name: str,
        sizes: Iterable[tuple[int, int]],
        seconds: Seconds,
        reading: Reading,
        tell: Callable[[str], None],
    ):
        """Keep the newest ``seconds`` of pictures of some ``sizes``; ``tell`` what happens."""
        self.name, self.sizes, self.seconds = name, tuple(sizes), seconds
        self.reading, self.tell = reading, tell
        self.is_pipe = scheme_of(name) not in SCHEMES
        self._changed = threading.Condition()
        self._packets: deque[_Item] = deque()
        self._frames: deque[tuple[float, float, tuple[np.ndarray, ...]]] = deque()
        self._num_dropped = 0
        self._wants_key = True
        self._needed_until = 0.0
        self._is_over = self._is_closed = False
        self._error: BaseException | None = None
        self.reason = ""  # why it ended, where it did not end well

    def __enter__(self) -> LiveVideo:
        for work in (self._take_in, self._decode):
            threading.Thread(target=self._guarded, args=(work,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def wait_for(self, moment: Seconds) -> Frames | None:
        """Give the newest frames once one is at or behind a moment; None: the stream has ended.

        All frames up to the moment have come by then. Nothing before it is asked for again but what
        lies within ``seconds``.
        """
        with self._changed:
            self._needed_until = moment
            self._changed.notify_all()
            while not (self._frames and self._frames[-1][0] >= moment - 1e-6):
                if self._error is not None:
                    raise self._error
                if self._is_over:
                    return None
                self._changed.wait(0.5)  # so that Ctrl-C is heard
            times, arrived, pictures = zip(*self._frames, strict=True)
            return Frames(np.array(times), np.array(arrived), pictures, self._num_dropped)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # whoever waits raises it
            with self._changed:
                self._error = error
                self._changed.notify_all()

    # What the first thread does.

    def _take_in(self) -> None:
        failures = 0
        while not self._is_closed:
            begun = time.monotonic()
            reason = _ENDED
            try:
                with self._opened() as (container, stream):
                    self._put(_Item(None, time.monotonic(), _decoder_of(stream), True))
                    for packet in container.demux(stream):
                        if self._is_closed:
                            return
                        if packet.size:
                            failures = 0
                            self._put(_Item(packet, time.monotonic()))
            except av.error.ExitError:
                reason = f"nothing came for {self.reading.timeout:g} s"
            except (av.FFmpegError, OSError) as error:
                reason = error.strerror or str(error)
                if self.is_pipe:
                    self.reason = f"it cannot be read as it comes ({reason}). {_PIPED}"
            if self.is_pipe or self._gives_up(failures, reason):
                break
            failures += 1
            wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** min(failures - 1, 8))
            if time.monotonic() - begun < wait or failures > 1:
                self._sleep(wait)
            self.tell(f"{shown(self.name)}: {reason}. Opening it again (number {failures}).")
        self._put(_Item(None, time.monotonic()))

    def _gives_up(self, failures: int, reason: str) -> bool:
        most = self.reading.reconnects
        if most is None or failures < most:
            return False
        self.reason = "" if reason == _ENDED else f"{reason} (stream.reconnects={most})"
        return True

    def _sleep(self, seconds: Seconds) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed, seconds)

    @contextmanager
    def _opened(self) -> Iterator[tuple[InputContainer, VideoStream]]:
        scheme, reading = scheme_of(self.name), self.reading
        options = {
            "format_whitelist": ",".join(_FORMATS),
            "protocol_whitelist": _PROTOCOLS.get(scheme, "file"),
        }
        form, place = None, self.name
        if scheme in SCHEMES:
            options |= {"analyzeduration": "1000000"}
        if scheme in ("rtsp", "rtsps"):
            options |= {"rtsp_transport": "tcp"}
            # Without a time, in s, FFmpeg gives its own socket one that it refuses.
            waits = {"rtsp_flags": "listen", "listen_timeout": "86400"}
            options |= waits if reading.listen else {}
        elif scheme == "tcp" and reading.listen:
            options |= {"listen": "1"}
        elif scheme == "udp":
            options |= {"overrun_nonfatal": "1", "fifo_size": "50000"}
        elif self.name == PIPE:
            place = "pipe:0"
        elif self.name.startswith("/dev/video"):
            form = "v4l2"
        opening = None if reading.listen or self.is_pipe else reading.timeout
        limits = (opening, None if self.is_pipe else reading.timeout)
        with av.open(
            place, format=form, options=options, timeout=limits, metadata_errors="replace"
        ) as container:
            videos = container.streams.video
            number = reading.video_stream or 0
            if number >= len(videos):
                raise OSError(f"it has {len(videos)} video streams, counted from 0")
            yield container, videos[number]

    def _put(self, item: _Item) -> None:
        """Hand on a packet; where one waits too long already, leave out all up to a key frame."""
        with self._changed:
            if self.reading.drop and item.packet is not None:
                self._catch_up(item)
            elif not self.reading.drop:
                self._changed.wait_for(
                    lambda: self._is_closed or len(self._packets) < _MOST_PACKETS // 64
                )
            if item.begins:
                self._wants_key = True
            elif item.packet is not None and self._wants_key:
                if not item.packet.is_keyframe:
                    self._num_dropped += 1
                    return
                self._wants_key, item.begins = False, True
            self._packets.append(item)
            self._changed.notify_all()

    def _catch_up(self, item: _Item) -> None:
        waiting = self._packets
        is_late = bool(waiting) and item.arrived - waiting[0].arrived > _LAG
        if not is_late and len(waiting) < _MOST_PACKETS:
            return
        decoders = [one for one in waiting if one.decoder is not None]
        self._num_dropped += sum(one.packet is not None for one in waiting)
        waiting.clear()
        waiting.extend(decoders[-1:])
        self._wants_key = True

    # What the second one does.

    def _decode(self) -> None:
        clock, decoder = _Clock(self.reading.frame_rate), None
        reformatters = [VideoReformatter() for _ in self.sizes]
        while (item := self._next()) is not None:
            if item.decoder is not None:
                decoder = item.decoder
                clock.begin(item.arrived)
                continue
            if decoder is None:  # it ended before it began
                break
            if item.begins:
                decoder.flush_buffers()
            for frame in self._decoded(decoder, item.packet):
                moment = clock.time_of(frame, item.arrived)
                turn = turn_of(frame)
                pictures = tuple(
                    _shrunk(frame, size, turn, one)
                    for size, one in zip(self.sizes, reformatters, strict=True)
                )
                self._keep(moment, item.arrived, pictures)
            if item.packet is None:
                break
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def _next(self) -> _Item | None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or bool(self._packets))
            if self._is_closed:
                return None
            item = self._packets.popleft()
            self._changed.notify_all()
            return item

    def _decoded(self, decoder: Any, packet: av.Packet | None) -> Iterator[av.VideoFrame]:
        try:
            frames = decoder.decode(packet)
        except (av.FFmpegError, EOFError):  # damaged on its way
            frames, self._num_dropped = [], self._num_dropped + 1
        for frame in frames:
            if frame.is_corrupt:
                self._num_dropped += 1
            else:
                yield frame

    def _keep(self, moment: Seconds, arrived: Seconds, pictures: tuple[np.ndarray, ...]) -> None:
        with self._changed:
            if not self.reading.drop:  # nothing that is still to be scored may go
                self._changed.wait_for(
                    lambda: (
                        self._is_closed
                        or not self._frames
                        or self._frames[-1][0] < self._needed_until - 1e-6
                    )
                )
            self._frames.append((moment, arrived, pictures))
            newest = moment if self.reading.drop else min(moment, self._needed_until)
            while self._frames[0][0] < newest - self.seconds:
                self._frames.popleft()
            self._changed.notify_all()


class _Clock:
    """Times frames in seconds since the first, over connections and clocks that are set anew."""

    def __init__(self, frame_rate: float | None):
        self.frame_rate = frame_rate
        self.first: Seconds | None = None  # when the first frame arrived
        self.last, self.gap = -1.0, 0.04
        self.offset: Seconds | None = None
        self.unit, self.count = Fraction(1), 0

    def begin(self, arrived: Seconds) -> None:
        """Begin a connection."""
        self.offset = None

    def time_of(self, frame: av.VideoFrame, arrived: Seconds) -> Seconds:
        if self.first is None:
            self.first = arrived
        self.unit = frame.time_base or self.unit  # what comes out last does not say it
        own = None if frame.pts is None else float(frame.pts * self.unit)
        if self.frame_rate is not None:
            own = self.count / self.frame_rate
        elif own is None:
            own = (
                self.last + self.gap if self.offset is None else self.last - self.offset + self.gap
            )
        self.count += 1
        expected = 0.0 if self.last < 0 else max(self.last + self.gap, arrived - self.first)
        if self.offset is None:
            self.offset = expected - own
        moment = own + self.offset
        if not self.last < moment < self.last + _LEAP:
            self.offset = (0.0 if self.last < 0 else self.last + self.gap) - own
            moment = own + self.offset
        if 0 < moment - self.last < 0.5:
            self.gap = moment - self.last
        self.last = moment
        return moment


def _shrunk(
    frame: av.VideoFrame, size: tuple[int, int], turn: Any, reformatter: VideoReformatter
) -> np.ndarray:
    rows, columns = size[::-1] if turn.is_transposed else size
    how = Interpolation.BILINEAR
    picture = reformatter.reformat(frame, columns, rows, "rgb24", interpolation=how)
    return np.ascontiguousarray(turn(picture.to_ndarray()))


def _decoder_of(stream: VideoStream) -> Any:
    """Make a decoder of the stream's own kind, which outlives the connection."""
    given = stream.codec_context
    decoder: Any = av.CodecContext.create(given.codec.name, "r")
    decoder.extradata = given.extradata
    decoder.width, decoder.height = given.width, given.height
    if given.codec.name == "rawvideo":
        decoder.pix_fmt = given.pix_fmt
    decoder.thread_type = "SLICE"  # threads that take a frame each hand it out later
    return decoder
