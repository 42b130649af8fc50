"""One look at every video of a data set, in worker processes; copies of a file are looked at once.

A video that cannot be read, or whose worker dies or hangs, is a ``Failure`` and the rest go on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from collision.errors import Interrupted, VideoDecodeError
from collision.features.digest import VideoDigests
from collision.features.interruption import StopSignals
from collision.features.looks import VideoLooks
from collision.features.progress import ExtractionProgress
from collision.features.workers import decode_all
from collision.types import Failure, Seconds, VideoRecord
from collision.video.index import VideoIndex, index_video

Found = TypeVar("Found")


@dataclass(frozen=True)
class Job:
    """A video to look at."""

    digest: str  # of its content and clock: the name under which findings are kept
    video: str  # the id of a record that names it
    path: Path  # the file, or the folder of images
    frame_rate: float | None
    video_stream: int | None = None
    looks: VideoLooks | None = field(default=None, repr=False, compare=False)

    def index(self) -> VideoIndex:
        """Index the video, from what is remembered; VideoDecodeError: it cannot be read."""
        index = index_video if self.looks is None else self.looks.index
        return index(self.path, self.frame_rate, self.video_stream)


@dataclass(frozen=True)
class Pool:
    """How jobs are run."""

    num_workers: int | None = None  # processes; None: one a core; 0: in this one
    timeout: Seconds = 600.0  # after which a video counts as hanging
    progress: bool = True


class Looks(Generic[Found]):
    """One look at each job: the ``Work`` that worker processes share out."""

    def __init__(self, jobs: Sequence[Job], look: Callable[[Job], Found]):
        self.requests = jobs
        self.look = look

    def __len__(self) -> int:
        return len(self.requests)

    def __getitem__(self, index: int) -> Found | Failure:
        job = self.requests[index]
        try:
            return self.look(job)
        except VideoDecodeError as error:
            return Failure(job.video, job.path, error.reason)
        except Exception as error:  # one odd file must not end a night's job
            return Failure(job.video, job.path, f"{type(error).__name__}: {error}")


def find_jobs(
    records: Sequence[VideoRecord], digests: VideoDigests, progress: bool
) -> tuple[dict[str, Job], list[Failure]]:
    """Give the job of each record by its id; files that are missing come back as failures.

    Interrupted: A signal asked to stop.
    """
    jobs: dict[str, Job] = {}
    looks = VideoLooks(digests)
    failures: list[Failure] = []
    with StopSignals() as stop, ExtractionProgress(progress) as display:
        display.start("Finding videos", {r.id: 1 for r in records}, len(records), "videos")
        for record in records:
            if stop.is_requested():
                break
            try:
                timing = record.frame_rate, record.video_stream
                digest = digests.digest(record.path, *timing)
                jobs[record.id] = Job(digest, record.id, record.path, *timing, looks)
            except VideoDecodeError as error:
                failures.append(Failure(record.id, record.path, error.reason))
            display.advance(record.id, 1)
    digests.save()
    if stop.signal is not None:
        raise Interrupted(stop.signal)
    return jobs, failures


def look_at_all(
    jobs: Iterable[Job], look: Callable[[Job], Found], description: str, pool: Pool
) -> Iterator[tuple[Job, Found | Failure]]:
    """Look at each content once; give the results in the order in which they are ready.

    Interrupted: A signal asked to stop; what was given before can be kept.
    """
    distinct = list({job.digest: job for job in jobs}.values())
    if not distinct:
        return
    cores = len(os.sched_getaffinity(0))
    num_workers = cores if pool.num_workers is None else pool.num_workers
    with StopSignals() as stop, ExtractionProgress(pool.progress) as display:
        display.start(description, {job.digest: 1 for job in distinct}, len(distinct), "videos")
        work = Looks(distinct, look)
        for index, result in decode_all(work, num_workers, pool.timeout, stop.is_requested):
            yield distinct[index], result
            display.advance(distinct[index].digest, 1)
    if stop.signal is not None:
        raise Interrupted(stop.signal)
