"""Paints and encodes the scenes of a set, in processes, in any order, as often as interrupted.

A clip is trusted if its sidecar says so: ``NNNN_x.state.json`` is written after the video and
holds the video's digest. Both appear under their names in one step (rename), so a process killed
at any moment leaves nothing that looks finished.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import cv2
import numpy as np

from collision.datasets.synthetic.encode import ClipWriter, to_planes
from collision.datasets.synthetic.painter import Painter
from collision.datasets.synthetic.scene import Clip, Scene, play_of
from collision.datasets.synthetic.setting import Domain
from collision.datasets.synthetic.state import COLUMNS, states
from collision.errors import ConfigError


def write_atomically(path: Path, text: str) -> None:
    """Write a text file that is either whole or not there."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        draft.write_text(text)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


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

    Raises:
        ConfigError: The folder cannot be written, or a worker process was killed.
    """
    context = multiprocessing.get_context("spawn")  # fork would copy the threads of torch
    pool = ProcessPoolExecutor(num_workers, mp_context=context, initializer=_start_worker)
    try:
        # A few scenes ahead of the workers: a cancelled run has little to wait for.
        waiting = iter(scenes)
        running = set()
        for scene in waiting:
            running.add(pool.submit(write_scene, folder, scene, domain))
            if len(running) < 2 * num_workers:
                continue
            done, running = wait(running, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
    except BrokenProcessPool as error:
        raise ConfigError(
            f"A process that painted {str(folder)!r} was killed, perhaps for want of memory. "
            "Run again: what is finished is kept. dataset.num_workers=1 needs the least memory."
        ) from error
    except OSError as error:
        raise ConfigError(
            f"Cannot write the synthetic data set to {str(folder)!r}: {error.strerror or error}. "
            "Make room or choose another dataset.root, and run again: what is finished is kept."
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
                        if number / scene.fps <= scene.divergence and len(shared) == number:
                            shared.append(planes)
                    writer.write(planes)
            digest = digest_of(drafts[clip])
            drafts[clip].replace(folder / f"{clip.stem}.mp4")
            write_atomically(folder / f"{clip.stem}.state.json", _sidecar(scene, clip, digest))
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
