"""Compute the features that a store lacks.

One item of work is one video's windows: decoded by a worker process, embedded here in batches, and
stored. With several devices or nodes each process has its part of the videos.

Shapes: M distinct frames, N windows, T frames a window, S steps a window, D feature dim, H W image.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from collision.devices import threads_at_most
from collision.errors import ConfigError
from collision.features.clip_datamodule import ClipDataModule
from collision.features.clips import Clip, WindowRequest, split_long
from collision.features.failures import record_failures
from collision.features.fingerprint import Fingerprint
from collision.features.interruption import OutOfTime, StopSignals
from collision.features.missing import WantedVideo, decoded_together, look_up
from collision.features.planning import write_speed
from collision.features.progress import ExtractionProgress
from collision.features.ranks import Ranks, rank_part
from collision.features.store import NotFiniteError
from collision.types import Failure, Seconds
from collision.video.readers import load_reader

if TYPE_CHECKING:
    from collision.features.source import FeatureSource
    from collision.options import ExtractionOptions

# Windows at once where the user names no number. A core's caches like few: a frame of 128x224 took
# tf_efficientnet_lite0 22 ms alone, 15.3 in batches of 4, 14.6 of 8, 16.7 of 16 and 19 of 32.
BATCH_SIZE = {"cpu": 8, "cuda": 32}

# A slow backbone's features are stored at least this often, so that a kill costs no more.
_STORE_EVERY: Seconds = 30.0


@dataclass
class ExtractionReport:
    """What an extraction did, and which signal ended it early.

    Attributes:
        num_reused: Stored, or found not to exist, before.
        num_unavailable: Found not to exist: begin before their video or lie past its end.
        num_outdated: Videos computed anew, for an older version of the reader saw other frames.
        failures: Videos that gave no features or not all, one each.
        notes: What is odd about videos that were read, by id.
    """

    num_windows: int = 0
    num_reused: int = 0
    num_unavailable: int = 0
    num_outdated: int = 0
    failures: list[Failure] = field(default_factory=list)
    notes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    seconds: Seconds = 0.0
    signal: int | None = None

    @classmethod
    def of_all(cls, reports: Sequence[ExtractionReport]) -> ExtractionReport:
        """Put together what several processes did at the same time."""
        names = ("num_windows", "num_reused", "num_unavailable", "num_outdated")
        counts = {name: sum(getattr(report, name) for report in reports) for name in names}
        failures = [failure for report in reports for failure in report.failures]
        notes = {video: notes for report in reports for video, notes in report.notes.items()}
        seconds = max(report.seconds for report in reports)
        return cls(**counts, failures=failures, notes=notes, seconds=seconds)


def extract(
    source: FeatureSource,
    requests: Sequence[WindowRequest],
    options: ExtractionOptions,
    *,
    devices: int | str = 1,
    num_nodes: int = 1,
    progress: bool = True,
) -> ExtractionReport:
    """Compute and store the windows that the store lacks; done twice it computes nothing.

    A video that cannot be read, has features that are not finite, or kills or hangs its worker is
    one failure of the report and a line of ``failures.csv`` in the store's folder; it is tried
    again next time. After SIGTERM or SIGINT the video in flight is finished, or what there is of
    it after 8 s is stored, and the report is of this process alone.

    Args:
        source: Its backbone is built if something is missing.
        requests: What is wanted.
        options: How it is computed; they do not change the features.
        devices: A number, or ``auto``. With more than one, Lightning starts the command again for
            each, or a cluster's launcher (SLURM, torchrun) has.
        num_nodes: Machines; the launcher starts the command on each.
        progress: Show a bar on standard error.

    Raises:
        ConfigError: An option that cannot work, or too large a batch for the device.
        CacheMismatchError: The store is not of this backbone and precision.
        CollisionError: The disk is full or not writable; or another process ended early.
    """
    started = time.monotonic()
    _check_options(options, source.fingerprint)
    ranks = Ranks(options.accelerator, source.fingerprint.precision, devices, num_nodes)
    is_shown = progress and ranks.fabric.is_global_zero
    try:
        with StopSignals() as stop, ExtractionProgress(is_shown) as display:
            run = _Run(source, options, ranks, stop, display)
            run.extract(rank_part(requests, ranks.fabric.global_rank, ranks.fabric.world_size))
            run.report.seconds = time.monotonic() - started
            report = ExtractionReport.of_all(ranks.gather(run.report, stop.is_requested))
            report.signal = stop.signal
    except BaseException:
        ranks.leave()
        raise
    return report


class _Run:
    def __init__(
        self,
        source: FeatureSource,
        options: ExtractionOptions,
        ranks: Ranks,
        stop: StopSignals,
        display: ExtractionProgress,
    ):
        self.source, self.store, self.options = source, source.store, options
        self.ranks, self.fabric, self.stop, self.display = ranks, ranks.fabric, stop, display
        self.batch_size = options.batch_size or BATCH_SIZE[self.fabric.device.type]
        self.reader = source.fingerprint.reader
        self.report = ExtractionReport()
        self.tried: set[Path] = set()

    def extract(self, requests: Sequence[WindowRequest]) -> None:
        steps = Counter(request.video for request in requests)
        self.display.start("Looking up videos", steps, len(requests), "videos")
        on_video, looks = self.display.advance, self.source.looks
        found = look_up(requests, self.store, looks, on_video, self.should_stop)
        videos, self.report.failures = found
        self.report.num_outdated = sum(video.is_outdated for video in videos)
        self.report.num_reused = sum(video.num_reused for video in videos)
        self.tried = {failure.path for failure in self.report.failures}
        self.tried |= {r.path for video in videos if not len(video.missing) for r in video.requests}
        videos = [video for video in videos if len(video.missing)]
        try:
            if videos:
                load_reader(self.reader)
                with self.store.changing():
                    pass  # a folder that nobody may write to is found before hours of work
                self.backbone = self.fabric.to_device(self.source.backbone()).eval()
                # Threads that share cores with the workers slowed the backbone up to five times.
                free = len(os.sched_getaffinity(0)) - self.options.num_workers
                with threads_at_most(free):
                    self.compute(videos)
        finally:
            record_failures(self.store, self.source.digests, self.tried, self.report.failures)

    def should_stop(self) -> bool:
        """Whether a signal came, or the process that the others depend on has ended."""
        return self.stop.is_requested() or self.ranks.lost_first()

    def compute(self, videos: Sequence[WantedVideo]) -> None:
        spec = self.source.spec
        pieces = [
            (same_frames, piece)
            for same_frames in decoded_together(videos)
            for piece in split_long(same_frames[0].unmirrored, spec)
        ]
        options, requests = self.options, [piece for _, piece in pieces]
        clips = ClipDataModule(
            requests,
            spec,
            options.num_workers,
            options.timeout,
            self.should_stop,
            self.source.looks.index,
            self.reader,
        )
        steps = Counter(str(same_frames[0].path) for same_frames, _ in pieces)
        num_windows = sum(len(video.missing) for video in videos)
        self.display.start("Extracting", steps, num_windows, "windows")
        started = time.monotonic()
        for index, result in clips.predict_dataloader():
            same_frames, piece = pieces[index]
            for video in same_frames:
                self.tried.update(request.path for request in video.requests)
                if isinstance(result, Failure):
                    self._fail(video, result.reason)
                else:
                    self._embed_and_store(video, result)
            self.display.advance(str(piece.path), len(same_frames) * len(piece.end_times))
        if self.report.num_windows and not self.should_stop():
            seconds = time.monotonic() - started
            write_speed(self.store, self.options, self.report.num_windows / seconds)

    def _embed_and_store(self, video: WantedVideo, clip: Clip) -> None:
        if clip.notes:
            self.report.notes[video.requests[0].video] = clip.notes
        try:
            for end_times, features, num_steps in self._embed(clip, video.requests[0].view.flip):
                name, unavailable = video.path.name, clip.unavailable
                self.store.write(
                    video.digest, end_times, features, unavailable, name, clip.revision, num_steps
                )
                self.report.num_windows += len(end_times)
            self.report.num_unavailable += len(clip.unavailable)
        except NotFiniteError as error:
            self._fail(video, str(error))

    def _embed(
        self, clip: Clip, flip: bool
    ) -> Iterator[tuple[NDArray[np.float64], NDArray[np.floating], NDArray[np.int64]]]:
        """Yield what is due to be stored: ``end_times [n]``, ``features [n, S, D]``, ``steps [n]``.

        So many of a window's steps are real, its newest; the others are zero.
        """
        spec = self.backbone.spec
        frames = torch.from_numpy(clip.frames).to(self.fabric.device)
        if flip:
            frames = frames.flip(2)  # [M, H, W, 3]: left to right
        done = np.zeros(0, np.int64)
        features = [np.zeros((0, spec.num_steps, spec.feature_dim), np.float32)]
        num_steps = [done]
        stored = time.monotonic()
        for batch in _batches((clip.windows >= 0).sum(axis=1), self.batch_size):
            seen = clip.windows[batch][:, clip.windows[batch[0]] >= 0]
            windows = torch.from_numpy(seen).to(self.fabric.device)
            try:
                with self.stop.interruptible():
                    found = self._forward(frames[windows])
            except OutOfTime:
                break
            missing = spec.num_steps - found.shape[1]
            features.append(np.pad(found, ((0, 0), (missing, 0), (0, 0))))
            num_steps.append(np.full(len(found), found.shape[1]))
            done = np.append(done, batch)
            if time.monotonic() - stored > _STORE_EVERY:
                yield clip.end_times[done], np.concatenate(features), np.concatenate(num_steps)
                done, features, num_steps = done[:0], features[:1], num_steps[:1]
                stored = time.monotonic()
        yield clip.end_times[done], np.concatenate(features), np.concatenate(num_steps)

    @torch.inference_mode()
    def _forward(self, windows: torch.Tensor) -> NDArray[np.floating]:
        """Embed ``uint8 [B, T, H, W, 3]``; gives float32 ``[B, S, D]`` in main memory.

        Fewer steps for windows that are cut short.
        """
        spec = self.backbone.spec
        try:
            with self.fabric.autocast():
                features = self.backbone(windows).float().cpu().numpy()
        except torch.OutOfMemoryError as error:
            raise ConfigError(
                f"extraction.batch_size={self.batch_size} windows of this backbone do not fit into "
                f"the memory of {self.fabric.device}. Run the same command with a smaller one: it "
                "goes on from what is stored, and the features are the same."
            ) from error

        wanted = (len(windows), spec.num_steps, spec.feature_dim)
        if windows.shape[1] < spec.num_frames and features.ndim == len(wanted):
            given = features.shape[1]
            is_right = features.shape == (wanted[0], given, wanted[2]) and 1 <= given <= wanted[1]
        else:
            is_right = features.shape == wanted
        if not is_right:
            raise ConfigError(
                f"The backbone {spec.name!r} gives features of shape {features.shape}; its spec "
                f"promises {wanted}: windows, num_steps, feature_dim."
            )
        return features

    def _fail(self, video: WantedVideo, reason: str) -> None:
        known = {failure.video for failure in self.report.failures}
        new = [request for request in video.requests if request.video not in known]
        self.report.failures += [Failure(one.video, one.path, reason) for one in new]


def _batches(num_frames: NDArray[np.int64], batch_size: int) -> Iterator[NDArray[np.int64]]:
    """Give the numbers of windows that go through the backbone together: all of one length."""
    for length in np.unique(num_frames):
        alike = np.flatnonzero(num_frames == length)
        yield from (alike[n : n + batch_size] for n in range(0, len(alike), batch_size))


def _check_options(options: ExtractionOptions, made: Fingerprint) -> None:
    for name, least in (("batch_size", 1), ("num_workers", 0), ("timeout", 1)):
        value = getattr(options, name)
        if value is not None and value < least:
            raise ConfigError(f"extraction.{name}={value}: give {least} or more.")
    if options.precision not in (None, made.precision):
        raise ConfigError(
            f"extraction.precision={options.precision}, but these features are computed in "
            f"{made.precision}, which is part of their fingerprint: leave the option out."
        )
    if options.reader not in (None, made.reader):
        raise ConfigError(
            f"extraction.reader={options.reader}, but these features are made with "
            f"reader={made.reader}, which is part of their fingerprint: leave the option out."
        )
