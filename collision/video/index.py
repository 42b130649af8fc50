"""Which frames a video holds and when each is shown; ``collision.video.frames`` reads them.

The time table comes from the packets that PyAV (FFmpeg) finds. decord decodes, because it seeks and
resizes while decoding, but only where it hands out the right frames. It was found to hand out wrong
ones, without a word, where an edit list hides frames, where a key frame has frames that are shown
before it (open GOPs; MPEG-4 part 2 with B frames), and in AVI and MPEG-TS. PyAV decodes those.

Shapes: N frames of a file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import av
import decord
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from collision.errors import VideoDecodeError
from collision.types import Seconds
from collision.video.folder import list_frames, read_image

decord.logging.set_level(decord.logging.QUIET)

# FFmpeg's names of the containers that are read. The list also keeps out formats that name other
# files or URLs (playlists) and those that turn any text into a picture.
_CONTAINERS = {
    "mov,mp4,m4a,3gp,3g2,mj2": "mp4",
    "matroska,webm": "mkv",
    "avi": "avi",
    "mpegts": "ts",
    "mpeg": "mpg",
}
_OPTIONS = {"format_whitelist": ",".join(_CONTAINERS), "protocol_whitelist": "file"}

# decord keeps times as 32-bit floats, counted from the first frame.
_DECORD_TIME_NOISE: Seconds = 2e-3


@dataclass(frozen=True, eq=False)
class VideoIndex:
    """What a video file holds, found without decoding more than its first frame.

    Attributes:
        frame_times: float64 [N], when each frame that decodes is first shown: seconds, increasing,
            in the file's own time or by the frame rate that was asked for. Frames at negative times
            (before an edit list) are left out.
        height: Of the picture as it is shown, that is after the file's rotation.
        codec: FFmpeg's name of it: ``h264``, ``mpeg4``, ...; of a folder ``images``.
        native_fps: 1 / median gap between frames. Of a single frame: 1 / its declared duration.
        duration: When the last frame's display ends: its time and one median gap.
        reader: ``decord``, ``pyav`` or, for a folder, ``images``.
        file_times: float64 [N], the frames' times by the file's own clock.
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
    file_times: np.ndarray = field(repr=False)
    images: tuple[Path, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class _Packet:
    """One coded frame; packets come in the order in which they are decoded."""

    time: Seconds
    duration: Seconds
    is_keyframe: bool
    is_hidden: bool


def index_video(path: Path, frame_rate: float | None = None) -> VideoIndex:
    """List the frames of a file or folder of images and the times at which they are shown.

    With a ``frame_rate``, which a folder of images needs, frame n is shown at n / frame_rate.

    Raises:
        VideoDecodeError: There is no such file, it is no video, or part of it is missing.
    """
    path = Path(path).absolute()
    if path.is_dir():
        return _index_folder(path, frame_rate)
    index = _index_file(path)
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
    height, width = read_image(path, images[0], None, None).shape[:2]
    times, duration = np.arange(len(images)) / frame_rate, len(images) / frame_rate
    shown = path, times, height, width, "images", frame_rate, duration
    return VideoIndex(*shown, "images", notes=(), file_times=times, images=tuple(images))


def _index_file(path: Path) -> VideoIndex:
    with open_video(path) as (container, stream):
        packets = _read_packets(path, container, stream)
        container_name = _CONTAINERS[container.format.name]
        notes = _check_complete(path, container, stream, packets)
        rate = stream.average_rate
    frame_times, time_notes = _shown_times(path, packets)
    notes += time_notes
    with open_video(path) as (container, stream):
        first = next(container.decode(stream), None)
    if first is None:
        raise VideoDecodeError(path, "none of its frames decodes")
    codec = stream.codec_context.codec.canonical_name
    gap = frame_gap(frame_times)
    if gap == 0:
        gap = packets[0].duration or (1 / float(rate) if rate else 0)
    if gap == 0:
        raise VideoDecodeError(path, "it holds one frame and does not say how long it is shown")
    rotation = rotation_of(first)
    height, width = first.height, first.width
    if rotation % 180:
        height, width = width, height
    reader, duration = "decord", float(frame_times[-1]) + gap
    if why := _why_not_decord(path, container_name, codec, packets, frame_times, rotation):
        reader = "pyav"
        notes.append(f"read by PyAV: {why}")
    shown = path, frame_times, height, width, codec, 1 / gap, duration
    return VideoIndex(*shown, reader, tuple(notes), file_times=frame_times)


@contextmanager
def open_video(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file's main video stream; whatever FFmpeg raises inside becomes our error."""
    # Opening a pipe or a device would wait forever.
    if not path.is_file():
        raise VideoDecodeError(path, "it is not a file" if path.exists() else "no such file")
    if path.stat().st_size == 0:
        raise VideoDecodeError(path, "the file is empty")
    try:
        with av.open(str(path), options=_OPTIONS, metadata_errors="replace") as container:
            stream = container.streams.best("video")
            if not isinstance(stream, VideoStream):
                raise VideoDecodeError(path, "it holds no video stream")
            if stream.codec_context is None:
                raise VideoDecodeError(path, "no decoder is installed for its codec")
            # Parallelism is one process per video; threads inside would fight over the cores.
            stream.codec_context.thread_count = 1
            yield container, stream
    except (av.FFmpegError, OSError) as error:
        kinds = ", ".join(_CONTAINERS.values())
        reason = f"damaged, cut off, or no video ({kinds} can be read). FFmpeg: {error.strerror}"
        raise VideoDecodeError(path, reason) from error


def _read_packets(path: Path, container: InputContainer, stream: VideoStream) -> list[_Packet]:
    packets = []
    for packet in container.demux(stream):
        if not packet.size:
            continue
        if packet.pts is None or packet.time_base is None:
            raise VideoDecodeError(path, "a frame has no time; write the file anew with FFmpeg")
        time = float(packet.pts * packet.time_base)
        if packet.is_corrupt:
            raise VideoDecodeError(path, f"it is cut off: the frame at {time:.3f} s is incomplete")
        if not any(memoryview(packet)[:64]):
            raise VideoDecodeError(path, f"the frame at {time:.3f} s contains only zeros")
        duration = float((packet.duration or 0) * packet.time_base)
        is_hidden = packet.is_discard or packet.pts < 0
        packets.append(_Packet(time, duration, packet.is_keyframe, is_hidden))
    if not packets:
        raise VideoDecodeError(path, "it holds no frame")
    return packets


def _check_complete(
    path: Path, container: InputContainer, stream: VideoStream, packets: list[_Packet]
) -> list[str]:
    """Compare what the file declares with the packets found; give a note where it declares nothing.

    An mp4 lists the place of every frame, a fragmented one piece by piece. (Its frame count says
    less: an edit list may rightly leave frames out.) Other containers declare a duration at most.
    """
    kind = _CONTAINERS[container.format.name]
    end = max(packet.time + packet.duration for packet in packets)
    if kind == "mp4":
        listed = sum(entry.size > 0 for entry in stream.index_entries)
        if missing := max(0, listed - len(packets)):
            reason = f"it is cut off: {missing} of {listed} frames lie beyond its end"
            raise VideoDecodeError(path, reason)
        if stream.frames:
            return []
    declared = None
    if kind == "avi" and stream.frames and stream.time_base:
        declared = float(stream.frames * stream.time_base)
    elif kind == "mkv" and container.duration:
        declared = container.duration / av.time_base
    if declared is None:
        return [f"this {kind} file declares no length: a cut file cannot be told from a whole one"]
    gap = frame_gap(np.unique([packet.time for packet in packets]))
    # A Matroska file declares the longest stream's length, and sound may outlast the picture.
    tolerance = 2.5 * gap + 0.05 if len(container.streams) == 1 else 1.0
    if end < declared - tolerance:
        ends = f"it declares {declared:.2f} s and its frames end at {end:.2f} s"
        raise VideoDecodeError(path, f"it is cut off: {ends}")
    return []


def _shown_times(path: Path, packets: list[_Packet]) -> tuple[np.ndarray, list[str]]:
    """List the times of the frames that a decoder shows, and what was left out."""
    notes = []
    first_key = next((n for n, packet in enumerate(packets) if packet.is_keyframe), None)
    if first_key is None:
        raise VideoDecodeError(path, "it holds no key frame, so nothing decodes")
    # What comes before the first key frame, in the file or on the screen, lacks its reference.
    decodable = [packet for packet in packets[first_key:] if packet.time >= packets[first_key].time]
    if len(decodable) < len(packets):
        notes.append(f"{len(packets) - len(decodable)} frames before the first key frame left out")
    shown = [packet.time for packet in decodable if not packet.is_hidden]
    if len(shown) < len(decodable):
        num_hidden = len(decodable) - len(shown)
        notes.append(f"{num_hidden} frames hidden by an edit list or before 0 s left out")
    frame_times = np.unique(np.array(shown, dtype=np.float64))
    if len(frame_times) == 0:
        raise VideoDecodeError(path, "every frame is hidden by its edit list")
    if len(frame_times) < len(shown):
        notes.append(f"{len(shown) - len(frame_times)} frames share another's time")
    return frame_times, notes


def frame_gap(frame_times: np.ndarray) -> Seconds:
    """Give the median time between frames; 0 for a single frame."""
    return float(np.median(np.diff(frame_times))) if len(frame_times) > 1 else 0.0


def rotation_of(frame: av.VideoFrame) -> int:
    """Give the file's display rotation: 0, 90, 180 or 270 degrees counterclockwise."""
    return round(frame.rotation / 90) % 4 * 90


def _why_not_decord(
    path: Path,
    container_name: str,
    codec: str,
    packets: list[_Packet],
    frame_times: np.ndarray,
    rotation: int,
) -> str | None:
    if container_name != "mp4" or codec not in ("h264", "mpeg4"):
        return f"decord is trusted with h264 and mpeg4 in mp4, this is {codec} in {container_name}"
    if rotation:
        return f"the picture is to be shown turned by {rotation} degrees counterclockwise"
    if len(frame_times) != len(packets):
        return "some of its frames are not shown"
    if _has_leading_frames(packets):
        return "frames are shown before the key frame that they follow in the file (open GOP)"
    try:
        reader = decord.VideoReader(str(path), num_threads=1)
        times = reader.get_frame_timestamp(np.arange(len(reader)))[:, 0]
    except (decord.DECORDError, RuntimeError):
        return "decord cannot open it"
    if len(times) != len(frame_times):
        return f"decord counts {len(times)} frames, the file's index {len(frame_times)}"
    difference = np.abs((times - times[0]) - (frame_times - frame_times[0])).max()
    if difference > _DECORD_TIME_NOISE:
        return f"decord's frame times are off by up to {difference:.3f} s"
    return None


def _has_leading_frames(packets: list[_Packet]) -> bool:
    """Tell whether a frame that is stored after a key frame is shown before it."""
    keys = np.maximum.accumulate([p.time if p.is_keyframe else -np.inf for p in packets])
    return bool((np.array([packet.time for packet in packets]) < keys).any())


def packet_sizes(index: VideoIndex) -> np.ndarray:
    """Give the coded bytes of each frame of an index: int64 [N]; of images, their files' sizes."""
    if index.images:
        return np.array([image.stat().st_size for image in index.images], dtype=np.int64)
    sizes = dict.fromkeys(index.file_times.tolist(), 0)
    with open_video(index.path) as (container, stream):
        for packet in container.demux(stream):
            if packet.pts is not None and packet.time_base is not None:
                time = float(packet.pts * packet.time_base)
                if time in sizes:  # hidden frames and those that do not decode have no place
                    sizes[time] += packet.size
    return np.array(list(sizes.values()), dtype=np.int64)
