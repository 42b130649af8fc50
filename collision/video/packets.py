"""The coded pictures of a file: where each lies, when it is shown, and where decoding can begin.

A picture is known by its number (in the order in which packets are stored and decoded) and by its
rank (in the order in which pictures are shown), never by its time: a clock may start again.

Shapes: P packets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, islice, pairwise
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from collision.errors import VideoDecodeError
from collision.types import Seconds
from collision.video import h264
from collision.video.h264 import PictureCount, length_size, nal_units
from collision.video.streams import CONTAINERS

# FFmpeg's own bound (dts_delta_threshold): a clock that leaps further has been set anew.
_LEAP: Seconds = 10.0
_LEAPING = ("ts", "mpg")  # containers whose clock may be set anew

_HEVC_ENTRIES = range(16, 24)
# Where a picture's header begins, and whether its next two bytes say that it refers to no other.
_INTRA: dict[str, tuple[bytes, Callable[[bytes], bool]]] = {
    "mpeg4": (b"\0\0\1\xb6", lambda data: data[0] >> 6 == 0),
    "mpeg1video": (b"\0\0\1\0", lambda data: data[1] >> 3 & 7 == 1),
    "mpeg2video": (b"\0\0\1\0", lambda data: data[1] >> 3 & 7 == 1),
}


@dataclass(frozen=True)
class Entry:
    """A packet at which decoding can begin; pictures from rank ``good_from`` on come out whole.

    Those that are shown before it, or until an intra refresh is over, lack what they refer to.
    """

    number: int
    good_from: int
    is_clean: bool  # nothing behind it refers to anything before it


@dataclass(frozen=True, eq=False)
class Packets:
    """A file's packets in the order in which they are stored.

    ``times`` are seconds, of joined segments put in a row; ``places`` are bytes in the file. Of
    packets at which decoding can begin, ``sync`` has the number, and how many pictures that others
    refer to must come until all is whole: None, if nothing behind refers to anything before. Before
    those in ``gaps`` one is missing that they may refer to, as far as the codec counts them.
    """

    times: NDArray[np.float64]
    durations: NDArray[np.float64]
    sizes: NDArray[np.int64]
    places: NDArray[np.int64]
    clock: NDArray[np.int64]  # in the stream's own units, as the container seeks
    hidden: NDArray[np.bool_]
    gaps: tuple[int, ...]
    sync: tuple[tuple[int, int | None], ...]
    num_flagged: int  # as key packets
    num_references: NDArray[np.int64]  # packets up to each that others refer to, where known
    num_segments: int
    is_seekable: bool


def read_packets(path: Path, container: InputContainer, stream: VideoStream) -> Packets:
    """Read all packets of a stream, without decoding them.

    VideoDecodeError: one has no time, is cut off or blank; or there is none.
    """
    kind = CONTAINERS[container.format.name]
    codec, length = stream.codec_context.codec.canonical_name, length_size(stream)
    rows: list[tuple[int, ...]] = []
    sync: list[tuple[int, int | None]] = []
    references, gaps, incomplete = [], [], []
    pictures = PictureCount(stream.codec_context.extradata or b"", length)
    num_flagged = 0
    for packet in container.demux(stream):
        if not packet.size:
            continue
        pts, time = _time(path, packet)
        if packet.is_corrupt:
            incomplete.append((len(rows), time))
        data = memoryview(packet)
        if packet.is_keyframe:
            num_flagged += 1
            sync += [(len(rows), count) for count in _waits(codec, bytes(data), length)]
        is_reference, is_gap = pictures.follow(data) if codec == "h264" else (False, False)
        references.append(is_reference)
        gaps += [len(rows)] if is_gap else []
        is_hidden = packet.is_discard or (kind == "mp4" and pts < 0)
        found_by = pts if kind == "mkv" or packet.dts is None else packet.dts
        row = pts, found_by, packet.duration or 0, packet.size, packet.pos or 0, is_hidden
        rows.append(row)
    if not rows:
        raise VideoDecodeError(path, "it holds no frame")
    # The container may flag more than FFmpeg believes; decord believes the container.
    num_flagged = max(num_flagged, sum(entry.is_keyframe for entry in stream.index_entries))
    shown, clock, durations, sizes, places, hidden = np.array(rows, np.int64).T
    base = float(stream.time_base or 0)
    starts = _segments(clock * base) if kind in _LEAPING else [0]
    for number, time in incomplete:
        # The last of a part that another was joined to are whole: only their count breaks off.
        if not {number + 1, number + 2} & {*starts}:
            raise VideoDecodeError(path, f"it is cut off: the frame at {time:.3f} s is incomplete")
    times = _in_a_row(shown * base, starts)
    return Packets(
        times, durations * base, sizes, places, clock, hidden > 0,
        tuple(gap for gap in gaps if gap not in dict(sync)), tuple(sync),
        num_flagged, np.cumsum(references), len(starts),
        kind != "mpg" and not _is_hidden_between(hidden > 0),
    )  # fmt: skip


def _time(path: Path, packet: av.Packet) -> tuple[int, Seconds]:
    """Give when a picture is shown, in the stream's units and in seconds.

    VideoDecodeError: it has no time, or is blank.
    """
    if packet.pts is None or packet.time_base is None:
        raise VideoDecodeError(path, "a frame has no time; write the file anew with FFmpeg")
    time = float(packet.pts * packet.time_base)
    if not any(memoryview(packet)[:64]):
        raise VideoDecodeError(path, f"the frame at {time:.3f} s contains only zeros")
    return packet.pts, time


def _is_hidden_between(hidden: NDArray[np.bool_]) -> bool:
    """Whether hidden packets lie between shown ones: an edit list of several parts."""
    shown = np.flatnonzero(~hidden)
    return bool(len(shown)) and bool(hidden[shown[0] : shown[-1]].any())


def _segments(clock: NDArray[np.float64]) -> list[int]:
    """Find the packets at which the clock was set anew: it falls, or leaps ahead."""
    steps = np.diff(clock)
    return [0, *(np.flatnonzero((steps < 0) | (steps > _LEAP)) + 1).tolist()]


def _in_a_row(times: NDArray[np.float64], starts: Sequence[int]) -> NDArray[np.float64]:
    """Let each segment begin where the one before it ends."""
    times = times.copy()
    for begin, end in pairwise([*starts[1:], len(times)]):
        before = np.unique(times[:begin])
        gap = float(np.median(np.diff(before))) if len(before) > 1 else 0.0
        times[begin:end] += before[-1] + gap - times[begin:end].min()
    return times


def entries(packets: Packets, ranks: NDArray[np.int64]) -> list[Entry]:
    """List where decoding can begin; ``ranks [P]`` are of all packets."""
    found = []
    for number, count in packets.sync:
        whole = _after_references(packets.num_references, number, count or 0)
        if whole is not None:
            found.append(Entry(number, int(ranks[[number, whole]].max()), count is None))
    return found


def _waits(codec: str, data: bytes, length: int) -> list[int | None]:
    """Give a flagged packet's count for ``Packets.sync``; none where it only claims to be an entry.

    A flagged picture of H.264 that is neither IDR nor a recovery point may be followed by others
    that refer to what was before it.
    """
    if codec == "hevc":
        is_entry = any(unit[0] >> 1 & 63 in _HEVC_ENTRIES for unit in nal_units(data, length))
        return [None] if is_entry else []
    if codec in _INTRA:
        header, is_intra = _INTRA[codec]
        begin = data.find(header) + len(header)
        return [None] if is_intra(data[begin : begin + 2]) else []
    if codec != "h264":
        return [None]
    units = list(nal_units(data, length))
    if any(unit[0] & 31 == h264.IDR for unit in units):
        return [None]
    return list(islice(chain.from_iterable(map(h264.recovery_counts, units)), 1))


def _after_references(num_references: NDArray[np.int64], number: int, count: int) -> int | None:
    """Find the packet by which ``count`` more pictures came that others refer to."""
    if not count:
        return number
    behind = np.flatnonzero(num_references >= num_references[number] + count)
    return int(behind[0]) if len(behind) else None


def clock_start(container: InputContainer, stream: VideoStream, first: Seconds) -> Seconds:
    """Give when a player begins by the file's clock; ``first`` is when the picture does."""
    if container.start_time is None:
        return first
    start = container.start_time / av.time_base
    # Microseconds, rounded: where the picture comes first, its own time is exact.
    return first if abs(start - first) < 1e-3 or start > first else start
