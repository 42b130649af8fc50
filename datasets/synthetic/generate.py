"""Paints and encodes the scenes of a set, in processes, in any order, as often as interrupted.

A clip is trusted if its sidecar says so: ``NNNN_x.state.json`` is written after the video and
holds the video's digest. Both appear under their names in one step (rename), so a process killed
at any moment leaves nothing that looks finished. A video cannot tell the future: what
a packet holds depends on earlier frames alone.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from fractions import Fraction
from itertools import count
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from collision.datasets.synthetic.paint.painter import Painter
from collision.datasets.synthetic.scene import Clip, Scene
from collision.datasets.synthetic.setting import Domain
from collision.datasets.synthetic.sidecar import digest_of
from collision.datasets.synthetic.traffic import states
from collision.errors import ConfigError
from collision.files import write_whole

# No B-frames, no look-ahead, no macroblock tree: each of them spends bits by what comes later.
# The fastest preset leaves out deblocking, too: seams of its blocks were seven times as strong.
_OPTIONS = {
    "preset": "ultrafast",
    "tune": "zerolatency",
    "x264-params": "bframes=0:rc-lookahead=0:sync-lookahead=0:mbtree=0:scenecut=0:threads=1"
    ":deblock=0,0",
}
_SECONDS_BETWEEN_KEY_FRAMES = 2

Picture = NDArray[np.uint8]


def generate(
    folder: Path, scenes: Sequence[Scene], domain: Domain, num_workers: int
) -> Iterator[int]:
    """Write the clips of ``scenes`` into ``folder``; yields the frames of each scene once done.

    A single worker is this process: to start another takes as long as some scenes.

    Raises:
        ConfigError: a worker process was killed.
        OSError: The folder cannot be written.
    """
    if num_workers == 1:
        yield from (write_scene(folder, scene, domain) for scene in scenes)
        return
    context = multiprocessing.get_context("spawn")  # fork would copy the threads of torch
    pool = ProcessPoolExecutor(
        num_workers, mp_context=context, initializer=cv2.setNumThreads, initargs=(1,)
    )
    try:
        jobs = [pool.submit(write_scene, folder, scene, domain) for scene in scenes]
        yield from (job.result() for job in as_completed(jobs))
    except BrokenProcessPool as error:
        raise ConfigError(
            f"A process that painted {str(folder)!r} was killed, perhaps for want of memory. "
            "Run again: what is finished is kept. dataset.num_workers=1 needs the least memory."
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def write_scene(folder: Path, scene: Scene, domain: Domain) -> int:
    """Write both clips of a scene; gives the number of frames encoded.

    Up to the moment at which the clips part, a frame is painted once and encoded in both.
    """
    painter = Painter(scene, domain)
    shared: list[np.ndarray] = []
    num_shared = math.floor(scene.divergence * scene.fps) + 1
    for clip in scene.clips:
        draft = folder / f".{clip.stem}.{os.getpid()}.part"
        try:
            with clip_writer(draft, scene.fps, clip.crf, domain.width, domain.height) as write:
                for number in range(clip.num_frames):
                    if number < len(shared):
                        planes = shared[number]
                    else:
                        planes = to_planes(painter.paint(clip.play, number))
                    if number == len(shared) < num_shared:
                        shared.append(planes)
                    write(planes)
            digest = digest_of(draft)
            draft.replace(folder / f"{clip.stem}.mp4")
            write_whole(folder / f"{clip.stem}.state.json", _sidecar(scene, clip, digest))
        finally:
            draft.unlink(missing_ok=True)
    return sum(clip.num_frames for clip in scene.clips)


@contextmanager
def clip_writer(
    path: Path, fps: float, crf: int, width: int, height: int
) -> Iterator[Callable[[Picture], None]]:
    """Open a video file; gives what appends a frame as ``to_planes`` makes it.

    ``crf`` is H.264's quality factor, 0 (best) to 51.
    """
    rate = Fraction(fps).limit_denominator(1000)
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = 1 / rate
        stream.gop_size = round(_SECONDS_BETWEEN_KEY_FRAMES * fps)
        stream.options = {**_OPTIONS, "crf": str(crf)}
        stream.thread_count = 1
        numbers = count()

        def write(planes: Picture) -> None:
            frame = av.VideoFrame.from_numpy_buffer(planes, format="yuv420p")
            frame.pts, frame.time_base = next(numbers), stream.codec_context.time_base
            container.mux(stream.encode(frame))

        yield write
        container.mux(stream.encode(None))


def to_planes(picture: Picture) -> Picture:
    """BGR ``[H, W, 3]`` to the planes of yuv420p, ``[3H/2, W]``."""
    return cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420)


def _sidecar(scene: Scene, clip: Clip, digest: str) -> str:
    """The true state of a clip at each of its frames, as JSON; what is not defined is null."""
    columns = states(clip.play, np.arange(clip.num_frames) / scene.fps)
    table = np.round(np.stack(list(columns.values()), axis=1), 5).tolist()
    rows = [[None if math.isnan(value) else value for value in row] for row in table]
    return json.dumps({"video_sha256": digest, "columns": list(columns), "rows": rows})
