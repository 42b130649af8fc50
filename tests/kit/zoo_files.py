"""How the files of the zoo are encoded and put into containers.

Each frame is painted with its number. What is odd about a kind is done where it happens in real
life: by the encoder, to the packets on their way into the container, or to the bytes of the file.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from av.container import OutputContainer
from av.video.stream import VideoStream

from tests.kit import zoo_bytes
from tests.kit.video import numbered_frames

if TYPE_CHECKING:
    from tests.kit.zoo import Kind

HEIGHT, WIDTH = 64, 96
FPS = 25
KEYFRAME_EVERY = 12
# SVT-AV1 prints a banner for each file.
os.environ.setdefault("SVT_LOG", "1")


@dataclass(frozen=True)
class Coder:
    """An encoder and its options; ``params`` are those that x264, x265 and SVT-AV1 read alone."""

    encoder: str
    pixels: str = "yuv420p"
    options: dict[str, str] = field(default_factory=dict)
    params: str = ""


_NO_SCENES = {"sc_threshold": "1000000000"}
_VPX = {"deadline": "good", "cpu-used": "5", "keyint_min": str(KEYFRAME_EVERY)}
CODERS = {
    "h264": Coder(
        "libx264", options={"preset": "ultrafast"}, params="scenecut=0:b-adapt=0:threads=1"
    ),
    "hevc": Coder(
        "libx265",
        options={"preset": "ultrafast"},
        params="log-level=none:scenecut=0:b-adapt=0:pools=none:frame-threads=1",
    ),
    "mpeg4": Coder("mpeg4", options=_NO_SCENES),
    "mpeg2video": Coder("mpeg2video", options=_NO_SCENES),
    "mpeg1video": Coder("mpeg1video", options=_NO_SCENES),
    "vp8": Coder("libvpx", options=_VPX),
    "vp9": Coder("libvpx-vp9", options=_VPX),
    "av1": Coder("libsvtav1", options={"preset": "12", "crf": "20"}, params="lp=1"),
    "mjpeg": Coder("mjpeg", "yuvj420p"),
    "ffv1": Coder("ffv1"),
    "prores": Coder("prores_ks", "yuv422p10le"),
    "msmpeg4": Coder("msmpeg4", options=_NO_SCENES),
}
_PARAMS = {"h264": "x264-params", "hevc": "x265-params", "av1": "svtav1-params"}

# How a codec is told to make a kind of GOP: options, and what goes into its own parameters.
_MPEG = ("mpeg1video", "mpeg2video", "mpeg4")
_PLAIN = {codec: {"bf": "0"} for codec in (*_MPEG, "msmpeg4")}
GOPS: dict[str, dict[str, dict[str, str] | str]] = {
    "plain": {"h264": "bframes=0", "hevc": "bframes=0:open-gop=0", "av1": "pred-struct=1"}
    | _PLAIN
    | {codec: {"auto-alt-ref": "0", "lag-in-frames": "0"} for codec in ("vp8", "vp9")},
    "closed": {"h264": "bframes=2", "hevc": "bframes=2:open-gop=0", "av1": ""}
    | {codec: {"bf": "2", "flags": "+cgop"} for codec in _MPEG},
    "open": {
        "h264": "bframes=2:open-gop=1",
        "hevc": "bframes=2:open-gop=1",
        "av1": "irefresh-type=1",
    }
    | {codec: {"bf": "2"} for codec in _MPEG},
    "intra": {"h264": "bframes=0", "hevc": "bframes=0", "av1": "", "mjpeg": {}, "prores": {}}
    | _PLAIN,
    "refresh": {"h264": "intra-refresh=1:bframes=0", "hevc": "intra-refresh=1:bframes=0"},
    "sliced": {
        "h264": "slices=4:bframes=2",
        "mpeg2video": {"slices": "4", "bf": "2", "flags": "+cgop"},
    },
    "interlaced": {
        "h264": "interlaced=1:bframes=2",
        "mpeg2video": {"flags": "+ildct+ilme+cgop", "bf": "2"},
        "mpeg4": {"flags": "+ildct+ilme", "bf": "0"},
    },
    "pyramid": {
        "h264": "bframes=5:b-pyramid=normal:ref=6",
        "hevc": "bframes=4:b-pyramid=1:open-gop=0",
    },
    "long": {"h264": "bframes=0", "hevc": "bframes=3", "av1": "", "vp9": {}} | _PLAIN,
    "altref": {
        codec: {"auto-alt-ref": "1", "lag-in-frames": "16", "arnr-maxframes": "7"}
        for codec in ("vp8", "vp9")
    },
    "lossless": {"ffv1": {}},
}
_KEYFRAME_EVERY = {"intra": 1, "long": 250}

FORMATS = {
    **{name: name for name in ("mp4", "mov", "webm", "avi")},
    **{"fmp4": "mp4", "mkv": "matroska", "ts": "mpegts", "mpg": "mpeg"},
}
PIXELS = {"10bit": "yuv420p10le", "full": "yuvj420p", "444": "yuv444p", "422": "yuv422p10le"}
SKIPPED = (Fraction(1), Fraction(8, 5))  # what an edit list of two parts leaves out
REAR = 100  # the first number of the rear camera's frames


def write(kind: Kind, path: Path) -> Path:
    """Write a kind's file."""
    with scheduled_as_before():
        _mux(kind, path)
    if kind.clock in ("joined", "spliced"):
        first = path.read_bytes()
        with scheduled_as_before():
            _mux(kind, path, first_number=len(kind.raw_times))
        path.write_bytes(first + path.read_bytes())
    if kind.clock == "edit":
        zoo_bytes.hide_first_second(path)
    if kind.extra == "allkeys":
        zoo_bytes.call_all_keys(path)
    if kind.clock == "parts":
        zoo_bytes.leave_out_middle(path, *SKIPPED)
    if kind.turn and kind.container in ("mp4", "mov"):
        zoo_bytes.turn(path, *kind.orientation)
    if kind.damage == "cut":
        zoo_bytes.cut(path)
    if kind.damage == "zeros":
        zoo_bytes.blank(path)
    return path


@contextmanager
def scheduled_as_before() -> Iterator[None]:
    """Undo what SVT-AV1 does where it may, as root: its caller then runs in real time, at 99 of 99.

    Whatever such a process starts, a browser say, would leave no core to anybody else.
    """
    policy, priority = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, priority)


def _mux(kind: Kind, path: Path, first_number: int = 0) -> None:
    with av.open(str(path), "w", FORMATS[kind.container], options=_muxer_options(kind)) as output:
        size = (HEIGHT, WIDTH)
        front = _add_stream(output, kind, size)
        rear = _add_stream(output, kind, (HEIGHT * 2, WIDTH * 2)) if "rear" in kind.extra else None
        sound = _add_sound(output, kind) if kind.extra == "sound" else None
        titles = _open_titles() if kind.extra == "subtitles" else None
        spoken = output.add_stream_from_template(titles.streams[0]) if titles else None
        frames = numbered_frames(first_number + len(kind.raw_times), *size)[first_number:]
        packets = [*_encode(front, frames, kind)]
        if kind.turn and kind.container == "ts":
            packets = [
                _changed(packet, zoo_bytes.turn_inside(bytes(packet), *kind.orientation))
                for packet in packets
            ]
        for packet in _damage(kind, packets):
            output.mux(packet)
        if rear:
            frames = numbered_frames(REAR + len(kind.raw_times), HEIGHT * 2, WIDTH * 2)[REAR:]
            output.mux([*_encode(rear, frames, kind)])
        if sound:
            output.mux(sound)
        if titles:
            for packet in titles.demux():
                if packet.size:
                    packet.stream = spoken
                    output.mux(packet)


def _muxer_options(kind: Kind) -> dict[str, str]:
    options = {"strict": "-2"}
    if kind.container in ("mp4", "mov") and kind.clock != "parts":
        options["movflags"] = "+faststart"
    if kind.container == "fmp4":
        options["movflags"] = "frag_keyframe+empty_moov+default_base_moof"
    if kind.container == "ts" and kind.clock == "late":
        options["max_delay"] = "700000"  # what the ffmpeg command does: such files start at 1.4 s
    if kind.extra == "live":
        options["live"] = "1"  # Matroska without lengths and without an index
    if kind.clock == "spliced":
        options["mpegts_flags"] = "+initial_discontinuity"
    return options


def _add_stream(output: OutputContainer, kind: Kind, size: tuple[int, int]) -> VideoStream:
    coder = CODERS[kind.codec]
    stream = output.add_stream(coder.encoder, rate=FPS)
    stream.height, stream.width = size
    stream.pix_fmt = PIXELS.get(kind.extra, coder.pixels)
    told = GOPS[kind.gop].get(kind.codec, {})
    own, params = (told, "") if isinstance(told, dict) else ({}, told)
    options = coder.options | own
    if kind.codec in _PARAMS:
        options = options | {_PARAMS[kind.codec]: ":".join(filter(None, (coder.params, params)))}
    if "intra" in kind.gop or "long" in kind.gop:
        options = {name: value for name, value in options.items() if name != "keyint_min"}
    stream.options = options
    stream.codec_context.gop_size = _KEYFRAME_EVERY.get(kind.gop, KEYFRAME_EVERY)
    stream.codec_context.thread_count = 1
    stream.codec_context.time_base = kind.time_base
    if kind.turn and kind.container == "mkv":
        a, b, c, d = (value << 16 for value in zoo_bytes.display_matrix(*kind.orientation))
        stream.set_display_matrix((a, b, 0, c, d, 0, 0, 0, 1 << 30))
    return stream


def _encode(stream: VideoStream, frames: np.ndarray, kind: Kind) -> Iterator[av.Packet]:
    for array, time in zip(frames, kind.raw_times, strict=True):
        frame = av.VideoFrame.from_ndarray(array, format="rgb24")
        frame.pts, frame.time_base = int(time / kind.time_base), kind.time_base
        yield from stream.encode(frame)
    yield from stream.encode(None)


def _damage(kind: Kind, packets: list[av.Packet]) -> list[av.Packet]:
    """Overwrite or leave out a packet; the other damages are done to the finished file."""
    if kind.damage not in ("key", "inner", "missing", "missingkey"):
        return packets
    painted = [round(packet.pts * packet.time_base * FPS) for packet in packets]
    place = painted.index(kind.damaged_frame)
    if kind.damage.startswith("missing"):
        return packets[:place] + packets[place + 1 :]
    new = _changed(packets[place], zoo_bytes.spoil(bytes(packets[place])))
    return [*packets[:place], new, *packets[place + 1 :]]


def _changed(old: av.Packet, data: bytes) -> av.Packet:
    new = av.Packet(data)
    new.pts, new.dts, new.time_base, new.duration = old.pts, old.dts, old.time_base, old.duration
    new.stream, new.is_keyframe = old.stream, old.is_keyframe
    return new


def _add_sound(output: OutputContainer, kind: Kind) -> list[av.Packet]:
    """Three seconds of silence more than there are pictures."""
    encoder, layout = ("pcm_s16le", "s16") if kind.container == "avi" else ("aac", "fltp")
    stream = output.add_stream(encoder, rate=8000, layout="mono")
    packets = []
    for start in range(0, int(8000 * (kind.raw_times[-1] + 3)), 1000):
        silence = np.zeros((1, 1000), np.int16 if layout == "s16" else np.float32)
        frame = av.AudioFrame.from_ndarray(silence, layout, "mono")
        frame.sample_rate, frame.pts, frame.time_base = 8000, start, Fraction(1, 8000)
        packets += stream.encode(frame)
    return [*packets, *stream.encode(None)]


def _open_titles():
    """Give subtitles that go on when the picture has ended, as the tracks of GPS loggers do."""
    text = "".join(
        f"{number}\n00:00:0{number},000 --> 00:00:0{number},900\nN 48 E 11\n\n"
        for number in range(1, 7)
    )
    return av.open(io.BytesIO(text.encode()), format="srt")
