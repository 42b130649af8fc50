"""Which frames a video holds and when each is shown; ``collision.video.frames`` reads them.

The time table comes from the packets that PyAV (FFmpeg) finds (``collision.video.packets``). No
frame is decoded but the first.

Shapes: N frames of a file, P packets.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.reformatter import ColorRange
from av.video.stream import VideoStream
from numpy.typing import NDArray

from collision.errors import VideoDecodeError
from collision.types import Seconds
from collision.video.folder import list_frames, look_at_image
from collision.video.packets import Entry, Packets, clock_start, entries, read_packets
from collision.video.streams import CONTAINERS, open_video, video_streams
from collision.video.turn import Turn, turn_of

# Raise it when some files' frames come out otherwise than before, and let ``revision`` name them.
VERSION = 3


@dataclass(frozen=True, eq=False)
class CodedFrames:
    """How a file's packets make its frames.

    Attributes:
        times: float64 [N], when each frame is shown by the file's own clock.
        ranks: int64 [P], which frame each packet is, by the order in which they are shown; -1 of
            what is not shown.
        places: int64 [P], where each lies: bytes in the file.
        clock: int64 [P], what the container finds each by: time in the stream's own units.
        needed: int64 [P], the highest rank of the packets up to each: when a decoder has given it,
            it has given all frames of those packets.
        gaps: Packets before which one is missing that they may refer to.
        entries: Where decoding can begin.
        is_seekable: Not of program streams, whose times are interpolated anew after a seek, and not
            of edit lists of several parts, at whose seams FFmpeg then loses frames: these are
            decoded from their first packet on.
        num_flagged: Packets that the file calls key packets.
    """

    times: NDArray[np.float64]
    ranks: NDArray[np.int64]
    places: NDArray[np.int64]
    clock: NDArray[np.int64]
    needed: NDArray[np.int64]
    gaps: tuple[int, ...]
    entries: tuple[Entry, ...]
    is_seekable: bool
    num_flagged: int

    @property
    def is_flagged_right(self) -> bool:
        """Whether nothing behind any flagged packet refers to anything before it."""
        return sum(entry.is_clean for entry in self.entries) >= self.num_flagged

    @cached_property
    def number_of(self) -> NDArray[np.int64]:
        """The number of each frame's packet, ``[N]``; the last, where several make one."""
        numbers = np.zeros(int(self.ranks.max()) + 1, np.int64)
        shown = np.flatnonzero(self.ranks >= 0)
        numbers[self.ranks[shown]] = shown
        return numbers

    @cached_property
    def number_at(self) -> dict[int, int]:
        """The number of the packet that lies at each place; empty where seeking is not exact."""
        found = {place: number for number, place in enumerate(self.places.tolist())}
        return found if self.is_seekable and len(found) == len(self.places) else {}


@dataclass(frozen=True, eq=False)
class VideoIndex:
    """What a video file holds, found without decoding more than its first frame.

    Attributes:
        frame_times: float64 [N], when each frame that decodes is first shown: seconds, increasing,
            since the first moment that a player shows, or by the frame rate that was asked for.
        height: Of the picture as it is shown, that is after the file's turn.
        codec: FFmpeg's name of it: ``h264``, ``mpeg4``, ...; of a folder ``images``.
        pixels: FFmpeg's name of how its samples are kept, with chroma and bits, such as
            ``yuv420p10le``; and ``, full range`` where black is not 16. Of a folder ``rgb24``.
        native_fps: 1 / median gap between frames. Of a single frame: 1 / its declared duration.
        duration: When the last frame's display ends: its time and one median gap.
        reader: ``pyav``, or, of a folder, ``images``; where ``read_by`` chose another, that.
        not_by_decord: Why decord would hand out wrong frames; empty where it would not.
        video_stream: Which of its video streams is read, counted from 0.
        revision: The VERSION since which this file's frames come out as they do now.
        sizes: int64 [N], coded bytes of each frame.
    """

    path: Path
    frame_times: np.ndarray
    height: int
    width: int
    codec: str
    native_fps: float
    duration: Seconds
    reader: str
    notes: tuple[str, ...]
    sizes: np.ndarray = field(repr=False)
    video_stream: int = 0
    revision: int = 1
    pixels: str = "rgb24"
    not_by_decord: str = ""
    coded: CodedFrames | None = field(default=None, repr=False)
    images: tuple[Path, ...] = field(default=(), repr=False)


def index_video(
    path: Path, frame_rate: float | None = None, video_stream: int | None = None
) -> VideoIndex:
    """List the frames of a file or folder of images and the times at which they are shown.

    With a ``frame_rate``, which a folder of images needs, frame n is shown at n / frame_rate.
    ``video_stream`` counts a file's video streams from 0; None takes the default one, or the first.

    VideoDecodeError: there is no such file, it is no video, or part of it is missing.
    """
    path = Path(path).absolute()
    if path.is_dir():
        return _index_folder(path, frame_rate)
    return at_rate(_index_file(path, video_stream), frame_rate)


def at_rate(index: VideoIndex, frame_rate: float | None) -> VideoIndex:
    """Show frame n at n / frame_rate; None leaves the file's own clock."""
    if frame_rate is None:
        return index
    count = len(index.frame_times)
    times, duration = np.arange(count) / frame_rate, count / frame_rate
    return replace(index, frame_times=times, native_fps=frame_rate, duration=duration)


def _index_folder(path: Path, frame_rate: float | None) -> VideoIndex:
    images = list_frames(path)
    if frame_rate is None:
        reason = "a folder of images does not say its frame rate; give frame_rate=FPS"
        raise VideoDecodeError(path, reason)
    height, width, revision = look_at_image(path, images[0])
    times, duration = np.arange(len(images)) / frame_rate, len(images) / frame_rate
    sizes = np.array([image.stat().st_size for image in images], dtype=np.int64)
    shown = path, times, height, width, "images", frame_rate, duration
    return VideoIndex(*shown, "images", (), sizes, revision=revision, images=tuple(images))


def _index_file(path: Path, video_stream: int | None) -> VideoIndex:
    with open_video(path, video_stream) as (container, stream):
        packets = read_packets(path, container, stream)
        kind, codec = CONTAINERS[container.format.name], stream.codec_context.codec.canonical_name
        num_videos = len(video_streams(container))
        notes = _check_complete(path, container, stream, packets)
        number = container.streams.video.index(stream)
        if num_videos > 1:
            notes.append(f"of its {num_videos} video streams, number {number} is read")
        times, coded = _shown(path, packets, notes)
        start = clock_start(container, stream, float(times[0]))
        if kind == "avi":  # without a clock: where B frames may come, FFmpeg begins a frame late
            start = float(packets.times.min())
        rate = stream.average_rate
        turn, height, width, pixels = _first_picture(path, container, stream)
    if abs(start) > 0.5:
        notes.append(f"its clock begins at {start:.3f} s: times count from there")
    gap = frame_gap(times) or float(packets.durations[0]) or (1 / float(rate) if rate else 0)
    if gap == 0:
        raise VideoDecodeError(path, "it holds one frame and does not say how long it is shown")
    sizes = np.zeros(len(times), np.int64)
    np.add.at(sizes, coded.ranks[coded.ranks >= 0], packets.sizes[coded.ranks >= 0])
    times = times - start
    why = _why_not_decord(kind, codec, packets, times, coded, turn)
    if num_videos > 1:
        why = "it holds several video streams"
    is_as_before = num_videos == 1 and _came_out_in_1(packets, start, times, coded, turn)
    revision = 3 if not why else 1 if is_as_before else 2  # 3: decord's pictures are others
    shown = path, times, height, width, codec, 1 / gap, float(times[-1]) + gap
    known = "pyav", tuple(notes), sizes, number, revision, pixels, why
    return VideoIndex(*shown, *known, coded=coded)


def _came_out_in_1(
    packets: Packets, start: Seconds, times: NDArray[np.float64], coded: CodedFrames, turn: Turn
) -> bool:
    """Tell whether VERSION 1 read a file of one video stream as it is read now; if in doubt, no."""
    is_mirrored = turn.is_transposed ^ turn.flips_columns ^ turn.flips_rows
    has_holes = bool((np.diff(times) > hole_from(frame_gap(times))).any())
    has_plain_entries = coded.entries[0].number == 0 and coded.is_flagged_right
    is_odd = packets.num_segments > 1 or packets.gaps or is_mirrored or has_holes
    return start == 0 and has_plain_entries and not is_odd


def _first_picture(
    path: Path, container: InputContainer, stream: VideoStream
) -> tuple[Turn, int, int, str]:
    """Decode a frame; give its turn, height and width as it is shown, and ``pixels``."""
    first = None
    if CONTAINERS[container.format.name] in ("mp4", "mkv"):  # others find no way back to 0
        container.seek(0)
        first = next(container.decode(stream), None)
    if first is None:
        number = container.streams.video.index(stream)
        with open_video(path, number) as (anew, same):
            first = next(anew.decode(same), None)
    if first is None:
        raise VideoDecodeError(path, "none of its frames decodes")
    turn = turn_of(first)
    is_full = first.color_range == ColorRange.JPEG or first.format.name.startswith("yuvj")
    pixels = first.format.name + ", full range" * is_full
    size = (first.width, first.height) if turn.is_transposed else (first.height, first.width)
    return turn, *size, pixels


def _check_complete(
    path: Path, container: InputContainer, stream: VideoStream, packets: Packets
) -> list[str]:
    """Compare what the file declares with the packets found; give a note where it declares nothing.

    An mp4 lists the place of every frame, a fragmented one piece by piece. (Its frame count says
    less: an edit list may rightly leave frames out.) Other containers declare a duration at most.
    """
    kind, count = CONTAINERS[container.format.name], len(packets.times)
    if kind == "mp4":
        listed = sum(entry.size > 0 for entry in stream.index_entries)
        if missing := max(0, listed - count):
            reason = f"it is cut off: {missing} of {listed} frames lie beyond its end"
            raise VideoDecodeError(path, reason)
        if stream.frames:
            return []
    declared = None
    if kind == "avi" and stream.frames > count and packets.sync[:1] != ((0, None),):
        # Its frames have no times: what is lost moves all that follow.
        lack = f"{stream.frames - count} of {stream.frames} frames are not found"
        raise VideoDecodeError(path, f"it is damaged: {lack}, among them the first")
    if kind == "avi" and stream.frames and stream.time_base:
        declared = float(stream.frames * stream.time_base)
    elif kind == "mkv":
        declared = _declared_length(container, stream)
    end = float((packets.times + packets.durations).max())
    gap = frame_gap(np.unique(packets.times))
    if declared is None:
        return [f"this {kind} file declares no length: a cut file cannot be told from a whole one"]
    if end < declared - 2.5 * gap - 0.05:
        ends = f"it declares {declared:.2f} s and its frames end at {end:.2f} s"
        raise VideoDecodeError(path, f"it is cut off: {ends}")
    return []


def _declared_length(container: InputContainer, stream: VideoStream) -> Seconds | None:
    """Give the length that a Matroska file declares of its picture, where it does.

    The file itself is as long as its longest stream: sound, or subtitles that tell places.
    """
    tag = {name.upper(): text for name, text in stream.metadata.items()}.get("DURATION", "")
    try:
        hours, minutes, seconds = map(float, tag.strip("\0").split(":"))
        return hours * 3600 + minutes * 60 + seconds
    except ValueError:
        alone = len(container.streams) == 1 and container.duration
        return container.duration / av.time_base if alone and container.duration else None


def _shown(
    path: Path, packets: Packets, notes: list[str]
) -> tuple[NDArray[np.float64], CodedFrames]:
    """List the times of the frames that a decoder shows; add what was left out to the notes."""
    if not packets.num_flagged:
        raise VideoDecodeError(path, "it holds no key frame, so nothing decodes")
    count = len(packets.times)
    distinct, everything = np.unique(packets.times, return_inverse=True)
    found = entries(packets, everything)
    if not found:
        raise VideoDecodeError(path, "none of its key frames is one from which it can be decoded")
    # What comes before, in the file or on the screen, lacks its reference.
    decodes = (np.arange(count) >= found[0].number) & (everything >= found[0].good_from)
    if early := count - int(decodes.sum()):
        notes.append(f"{early} frames before the first key frame left out")
    is_shown = decodes & ~packets.hidden
    if hidden := int((decodes & packets.hidden).sum()):
        notes.append(f"{hidden} frames hidden by an edit list or before 0 s left out")
    if not is_shown.any():
        raise VideoDecodeError(path, "every frame is hidden by its edit list")
    times, ranks_of_shown = np.unique(packets.times[is_shown], return_inverse=True)
    if same := int(is_shown.sum()) - len(times):
        notes.append(f"{same} packets share another's time: one frame is shown of them")
    if packets.num_segments > 1:
        notes.append(f"its clock is set anew {packets.num_segments - 1} times: put in a row")
    steps = np.diff(times)
    if holes := int((steps > hole_from(frame_gap(times))).sum()):
        notes.append(f"{holes} holes, the longest of {steps.max():.2f} s: nothing is seen in them")
    ranks = np.full(count, -1, np.int64)
    ranks[is_shown] = ranks_of_shown
    needed = np.maximum.accumulate(ranks)
    # Of hidden frames, the next that is shown.
    first_good = np.searchsorted(times, distinct[[entry.good_from for entry in found]])
    starts = [replace(e, good_from=int(n)) for e, n in zip(found, first_good, strict=True)]
    if packets.gaps:
        notes.append(f"pictures are missing at {len(packets.gaps)} places: damaged from there on")
    where = packets.places, packets.clock, needed, packets.gaps
    how = tuple(starts), packets.is_seekable, packets.num_flagged
    return times, CodedFrames(times, ranks, *where, *how)


def frame_gap(frame_times: np.ndarray) -> Seconds:
    """Give the median time between frames; 0 for a single frame."""
    return float(np.median(np.diff(frame_times))) if len(frame_times) > 1 else 0.0


def hole_from(gap: Seconds) -> Seconds:
    """Give the longest time that a frame may stand in a video of this median gap.

    Cameras that follow the light stretch gaps, by two or three times; what is longer was not filmed
    or not written, and to show the frame before it would be to invent what happened.
    """
    return max(5 * gap, 0.25)


def _why_not_decord(
    kind: str, codec: str, packets: Packets, frame_times: np.ndarray, coded: CodedFrames, turn: Turn
) -> str:
    if kind != "mp4" or codec not in ("h264", "mpeg4"):
        return f"decord is trusted with h264 and mpeg4 in mp4, this is {codec} in {kind}"
    if turn != Turn():
        return "the picture is to be shown turned or mirrored"
    if len(frame_times) != len(packets.times):
        return "some of its frames are not shown"
    if not coded.is_flagged_right:
        return "some of its key frames build on what came before (open GOP, intra refresh)"
    if _has_leading_frames(coded):
        return "frames are shown before the key frame that they follow in the file (open GOP)"
    return ""


def _has_leading_frames(coded: CodedFrames) -> bool:
    """Tell whether a frame that is stored after a key frame is shown before it."""
    return any(coded.ranks[one.number :].min() < one.good_from for one in coded.entries)
