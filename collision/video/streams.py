"""Opening a file with FFmpeg (PyAV), and which of its pictures is the video."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from collision.errors import VideoDecodeError

# FFmpeg's names of the containers that are read. The list also keeps out formats that name other
# files or URLs (playlists) and those that turn any text into a picture.
CONTAINERS = {
    "mov,mp4,m4a,3gp,3g2,mj2": "mp4",
    "matroska,webm": "mkv",
    "avi": "avi",
    "mpegts": "ts",
    "mpeg": "mpg",
}
_OPTIONS = {"format_whitelist": ",".join(CONTAINERS), "protocol_whitelist": "file"}


@contextmanager
def open_video(
    path: Path, number: int | None = None
) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a video stream of a file; whatever FFmpeg raises inside becomes our error.

    ``number`` counts the file's video streams from 0, as FFmpeg's ``v:0`` does; None takes the one
    that a player shows first.
    """
    # Opening a pipe or a device would wait forever.
    if not path.is_file():
        raise VideoDecodeError(path, "it is not a file" if path.exists() else "no such file")
    if path.stat().st_size == 0:
        raise VideoDecodeError(path, "the file is empty")
    try:
        with av.open(str(path), options=_OPTIONS, metadata_errors="replace") as container:
            videos = video_streams(container)
            if not videos:
                raise VideoDecodeError(path, "it holds no video stream")
            every = container.streams.video
            if number is not None and not 0 <= number < len(every):
                lack = f"it has {len(every)} video streams, counted from 0"
                raise VideoDecodeError(path, f"no video_stream={number}: {lack}")
            stream = videos[0] if number is None else every[number]
            if stream.codec_context is None:
                raise VideoDecodeError(path, "no decoder is installed for its codec")
            # Parallelism is one process per video; threads inside would fight over the cores.
            stream.codec_context.thread_count = 1
            yield container, stream
    except (av.FFmpegError, OSError) as error:
        kinds = ", ".join(CONTAINERS.values())
        reason = f"damaged, cut off, or no video ({kinds} can be read). FFmpeg: {error.strerror}"
        raise VideoDecodeError(path, reason) from error


def video_streams(container: InputContainer) -> list[VideoStream]:
    """List the video streams, the one that a player shows first: the default one, or the first.

    Cover pictures are none, unless there is nothing else.
    """
    videos = list(container.streams.video)
    moving = [one for one in videos if not one.disposition & Disposition.attached_pic]
    return sorted(moving or videos, key=lambda one: not one.disposition & Disposition.default)
