"""Decoding every frame of every video, once: an unchanged file that was checked is not read again.

Results are appended to ``checks.csv`` in the cache folder as they come, so a check that was
interrupted goes on.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from collision.audit.jobs import Job, Pool, look_at_all
from collision.errors import VideoDecodeError
from collision.features.saved import kept_in_cache
from collision.files import locked
from collision.types import Failure, Seconds
from collision.video.frames import frame_checksums

FILE_NAME = "checks.csv"
# Raise it whenever the check finds other things: results of other versions are not used.
VERSION = 2
_COLUMNS = ("version", "digest", "reason", "notes")

_STANDSTILL: Seconds = 1.0


@dataclass(frozen=True)
class CheckResult:
    """Why a video cannot be read whole (empty if it can), and what is odd about it."""

    reason: str = ""
    notes: tuple[str, ...] = ()


def check_video(job: Job) -> CheckResult:
    """Decode every frame that the video's index promises."""
    reason = ""
    notes: list[str] = []
    try:
        index = job.index()
        notes += index.notes
        notes += _standstill(frame_checksums(index), index.frame_times)
    except VideoDecodeError as error:
        reason = error.reason
    return CheckResult(reason, tuple(notes))


def _standstill(checksums: NDArray[np.int64], times: NDArray[np.float64]) -> list[str]:
    """Note the longest stretch of equal pictures: their numbers ``[N]`` at seconds ``[N]``."""
    same = checksums[1:] == checksums[:-1]
    longest, start = 0.0, 0.0
    for is_same, run in groupby(range(len(same)), key=lambda n: bool(same[n])):
        steps = list(run)
        length = float(times[steps[-1] + 1] - times[steps[0]])
        if is_same and length > longest:
            longest, start = length, float(times[steps[0]])
    if longest < _STANDSTILL:
        return []
    return [f"the picture stands still for {longest:.1f} s from {start:.1f} s on"]


def check_all(
    jobs: Mapping[str, Job], cache_root: Path, pool: Pool
) -> tuple[dict[str, CheckResult], int]:
    """Check every video that was not checked before, by record id; count those decoded now.

    Raises:
        Interrupted: A signal asked to stop.
        CollisionError: The disk is full.
    """
    file = cache_root / FILE_NAME
    results = _read(file)
    new = [job for job in jobs.values() if job.digest not in results]
    num_decoded = 0
    for job, result in look_at_all(new, check_video, "Decoding every frame", pool):
        num_decoded += 1
        if isinstance(result, Failure):
            # The process died or hung: perhaps for want of memory, so the next check tries again.
            results[job.digest] = CheckResult(result.reason)
        else:
            _append(file, job.digest, result)
            results[job.digest] = result
    return {video: results[job.digest] for video, job in jobs.items()}, num_decoded


def _append(file: Path, digest: str, result: CheckResult) -> None:
    reason = " ".join(result.reason.split())  # a result is one line
    lock = locked(file.with_suffix(".lock"))
    with kept_in_cache(file), lock, file.open("a+", newline="") as lines:
        writer = csv.writer(lines, lineterminator="\n")
        if not lines.tell():
            writer.writerow(_COLUMNS)
        elif not file.read_bytes().endswith(b"\n"):  # of a process that was killed while writing
            lines.write("\n")
        writer.writerow([VERSION, digest, reason, "; ".join(result.notes)])


def _read(file: Path) -> dict[str, CheckResult]:
    """Read results by digest; lines that are none, such as half a line, are left out."""
    results: dict[str, CheckResult] = {}
    try:
        text = file.read_text(errors="replace").replace("\0", "")
    except OSError:
        return results
    for line in text.splitlines():
        try:
            fields = next(csv.reader([line]), [])
        except csv.Error:  # of a line without end
            continue
        if len(fields) == len(_COLUMNS) and fields[0] == str(VERSION):
            _, digest, reason, notes = fields
            results[digest] = CheckResult(reason, tuple(notes.split("; ")) if notes else ())
    return results
