"""Senders of live video on the loopback: painted frames, at the rate at which they are filmed."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tests.kit.video import numbered_frames

FPS = 20
ROOT = Path(__file__).resolve().parents[2]


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def send(
    place: str | Path,
    form: str,
    *,
    count: int = 60,
    speed: float = 1.0,
    first: int = 0,
    keyframe_every: int = 10,
) -> None:
    """Encode ``count`` frames, numbered from ``first``, and send each when its time has come.

    A receiver that listens is waited for, and one that goes away ends it.
    """
    container = None
    for _ in range(200):
        try:
            container = av.open(str(place), "w", format=form)
            break
        except (av.FFmpegError, OSError):
            time.sleep(0.05)
    assert container is not None, place
    with contextlib.suppress(av.FFmpegError, OSError), container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.options = {"tune": "zerolatency", "preset": "ultrafast"}
        stream.codec_context.gop_size = keyframe_every
        stream.codec_context.thread_count = 1
        begun = time.monotonic()
        for number, array in enumerate(numbered_frames(first + count)[first:]):
            if speed:
                time.sleep(max(0.0, begun + number / FPS / speed - time.monotonic()))
            frame = av.VideoFrame.from_ndarray(array, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@contextlib.contextmanager
def sending(place: str | Path, form: str, **how) -> Iterator[subprocess.Popen]:
    """Send from another process: opening an RTSP sender holds up all threads of its own."""
    code = f"from tests.kit.senders import send; send({str(place)!r}, {form!r}, **{how!r})"
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.kill()


def encoded(path: Path, count: int = 60, form: str = "mpegts") -> bytes:
    """Give what is sent, all at once."""
    send(path, form, count=count, speed=0)
    return path.read_bytes()


def distinct(pictures: list[np.ndarray]) -> int:
    return len({picture.tobytes() for picture in pictures})
