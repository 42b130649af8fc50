"""Extraction of a folder of videos with the tiny backbone, here or in another process."""

import functools
import multiprocessing
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch

from collision.errors import Interrupted
from collision.features import extract as extract_module
from collision.features.clips import WindowRequest
from collision.features.digest import VideoDigests
from collision.features.extract import ExtractionReport
from collision.features.fingerprint import fingerprint
from collision.features.interruption import StopSignals
from collision.features.source import FeatureSource
from collision.features.store import FeatureStore
from tests.kit.backbone import TinyBackbone
from tests.kit.video import numbered_frames, write_video

_FORK = multiprocessing.get_context("fork")

END_TIMES = np.arange(-1, 13) / 4  # of a video of 2.5 s: the first and last few have no window


@functools.cache
def _video(number: int) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        frames = numbered_frames(number + 50)[number:]
        return write_video(Path(folder) / "video.mp4", frames).read_bytes()


def write_videos(folder: Path, count: int) -> list[Path]:
    """Write short videos that differ from each other."""
    paths = [folder / f"{number}.mp4" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(_video(number))
    return paths


def requests_of(folder: Path, end_times: np.ndarray = END_TIMES) -> list[WindowRequest]:
    """Ask for the same windows of every video of a folder."""
    return [WindowRequest(path.stem, path, end_times) for path in sorted(folder.glob("*.mp4"))]


@dataclass(frozen=True)
class Options:
    """As ``collision.options.ExtractionOptions``, small."""

    batch_size: int | None = 4
    num_workers: int = 1
    timeout: float = 60
    accelerator: str = "cpu"
    precision: str | None = None
    reader: str | None = None
    compile: bool = False
    channels_last: bool = False


def open_store(folder: Path, backbone: TinyBackbone) -> FeatureStore:
    return FeatureStore(folder / "cache", fingerprint(backbone))


def open_source(folder: Path, backbone: TinyBackbone, precision: str = "32-true") -> FeatureSource:
    """Give a backbone that is built already, with a cache beside the videos."""
    store = FeatureStore(folder / "cache", fingerprint(backbone, precision))
    digests = VideoDigests(folder / "cache" / "videos.json")
    return FeatureSource(store, digests, part=None, _backbone=backbone)


def run(
    folder: Path,
    backbone: TinyBackbone,
    requests: list[WindowRequest] | None = None,
    **options: Any,
) -> ExtractionReport:
    """Extract the videos of a folder into a cache beside them."""
    machines = {name: options.pop(name) for name in ("devices", "num_nodes") if name in options}
    return open_source(folder, backbone).extract(
        requests_of(folder) if requests is None else requests,
        Options(**options),
        progress=False,
        **machines,
    )


class SlowBackbone(TinyBackbone):
    """Takes its time, in small steps as a model of many layers does, and tells when it begins."""

    def __init__(self, seconds: float, connection: Connection):
        super().__init__()
        self.seconds, self.connection = seconds, connection

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        self.connection.send("forward")
        end = time.monotonic() + self.seconds
        while time.monotonic() < end:
            time.sleep(0.01)
        return super().forward(frames)


class Job:
    """An extraction in a process of its own, forked because importing torch takes seconds.

    Args:
        folder: Of the videos.
        seconds: That a forward takes.
        grace: Of ``StopSignals``.
    """

    def __init__(self, folder: Path, seconds: float, grace: float = 8.0):
        self.connection, theirs = _FORK.Pipe()
        self.process = _FORK.Process(target=_job, args=(folder, seconds, grace, theirs))
        self.process.start()
        theirs.close()

    def wait_for_forwards(self, count: int) -> None:
        for _ in range(count):
            assert self.connection.recv() == "forward"

    def kill(self) -> None:
        self.process.kill()
        self.process.join()

    def finish(self) -> tuple[int | None, ExtractionReport]:
        """Wait; give exit code and report."""
        while (message := self.connection.recv()) == "forward":
            pass
        self.process.join(30)
        return self.process.exitcode, message


def _job(folder: Path, seconds: float, grace: float, connection: Connection) -> None:
    os.setsid()
    torch.set_num_threads(1)  # OpenMP's threads do not survive a fork
    extract_module.StopSignals = functools.partial(StopSignals, grace=grace)
    report = run(folder, SlowBackbone(seconds, connection))
    connection.send(report)
    sys.exit(0 if report.signal is None else Interrupted(report.signal).exit_code)
