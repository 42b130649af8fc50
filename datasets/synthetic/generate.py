"""Paints and encodes the scenes of a set, in processes, in any order, as often as interrupted.

A clip is trusted if its sidecar says so: ``NNNN_x.state.json`` is written after the video and
holds the video's digest. Both appear under their names in one step (rename), so a process killed
at any moment leaves nothing that looks finished.
"""

from __future__ import annotations

import hashlib
import json
import math
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import cv2
import numpy as np

from collision.datasets.synthetic.paint.encode import ClipWriter, to_planes
from collision.datasets.synthetic.paint.painter import Painter
from collision.datasets.synthetic.scene import Clip, Scene, play_of
from collision.datasets.synthetic.setting import Domain
from collision.datasets.synthetic.state import COLUMNS, states
from collision.errors import ConfigError
from collision.files import write_whole


def digest_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_complete(folder: Path, clip: Clip) -> bool:
    """Whether a clip and its sidecar are there and whole."""
    try:
        sidecar = json.loads((folder / f"{clip.stem}.state.json").read_text())
        return digest_of(folder / f"{clip.stem}.mp4") == sidecar["video_sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return False


def generate(
    folder: Path, scenes: Sequence[Scene], domain: Domain, num_workers: int
) -> Iterator[int]:
    """Write the clips of ``scenes`` into ``folder``; yields the frames of each scene once done.

    A single worker is this process: to start another takes as long as some scenes.

    Raises:
        ConfigError: A worker process was killed.
        OSError: The folder cannot be written.
    """
    if num_workers == 1:
        yield from (write_scene(folder, scene, domain) for scene in scenes)
        return
    context = multiprocessing.get_context("spawn")  # fork would copy the threads of torch
    pool = ProcessPoolExecutor(num_workers, mp_context=context, initializer=_start_worker)
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


def _start_worker() -> None:
    cv2.setNumThreads(1)


def write_scene(folder: Path, scene: Scene, domain: Domain) -> int:
    """Write both clips of a scene; gives the number of frames encoded.

    Up to the moment at which the clips part, a frame is painted once and encoded in both.
    """
    painter = Painter(scene, domain)
    drafts = {clip: folder / f".{clip.stem}.{os.getpid()}.part" for clip in scene.clips}
    shared: list[np.ndarray] = []
    parted = math.floor(scene.divergence * scene.fps)
    try:
        for clip in scene.clips:
            play = play_of(scene, clip)
            size = (domain.width, domain.height)
            with ClipWriter(drafts[clip], scene.fps, clip.crf, *size) as writer:
                for number in range(clip.num_frames):
                    if number < len(shared):
                        planes = shared[number]
                    else:
                        planes = to_planes(painter.paint(play, number))
                        if number <= parted and len(shared) == number:
                            shared.append(planes)
                    writer.write(planes)
            digest = digest_of(drafts[clip])
            drafts[clip].replace(folder / f"{clip.stem}.mp4")
            write_whole(folder / f"{clip.stem}.state.json", _sidecar(scene, clip, digest))
    finally:
        for draft in drafts.values():
            draft.unlink(missing_ok=True)
    return sum(clip.num_frames for clip in scene.clips)


def _sidecar(scene: Scene, clip: Clip, digest: str) -> str:
    """The true state of a clip at each of its frames, as JSON; what is not defined is null."""
    times = np.arange(clip.num_frames) / scene.fps
    rows = np.round(states(play_of(scene, clip), times), 5)
    return json.dumps(
        {
            "video_sha256": digest,
            "columns": COLUMNS,
            "rows": [
                [None if np.isnan(value) else value for value in row] for row in rows.tolist()
            ],
        }
    )
