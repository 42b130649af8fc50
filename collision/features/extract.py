"""Compute the features that a store lacks.

What is missing is looked up here; ``collision.features.pipeline`` decodes, embeds and stores it.
With several devices or nodes each process has its part of the videos.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from collision.errors import ConfigError
from collision.features.batches import Piece, Target
from collision.features.claims import Claims
from collision.features.clips import WindowRequest, split_long
from collision.features.compiling import faster
from collision.features.embedding import suitable_batch_size
from collision.features.failures import record_failures
from collision.features.fingerprint import Fingerprint
from collision.features.interruption import StopSignals
from collision.features.missing import WantedVideo, decoded_together, look_up
from collision.features.pipeline import Listener, Pipeline
from collision.features.planning import write_speed
from collision.features.progress import ExtractionProgress
from collision.features.ranks import Ranks, rank_part
from collision.features.sharing import SharedPieces
from collision.features.storing import Stored
from collision.types import Failure, Seconds
from collision.video.readers import load_reader

if TYPE_CHECKING:
    from collision.features.source import FeatureSource
    from collision.option_groups import ExtractionOptions


@dataclass
class ExtractionReport:
    """What an extraction did, and which signal ended it early.

    Attributes:
        num_reused: Stored, or found not to exist, before.
        num_unavailable: Found not to exist: begin before their video or lie past its end.
        num_outdated: Videos computed anew, for an older version of the reader saw other frames.
        failures: Videos that gave no features or not all, one each.
        notes: What is odd about videos that were read, by id.
        num_batches: That went through the backbone.
        batch_size: Windows that each of them had room for.
        num_workers: Processes that decoded, at the end.
        num_elsewhere: Clips that nodes without a GPU decoded.
        waited: How long the backbone had nothing to do.
        rank: Of the process whose report this is.
        device: That the backbone was on; empty if it was not needed.
    """

    num_windows: int = 0
    num_reused: int = 0
    num_unavailable: int = 0
    num_outdated: int = 0
    failures: list[Failure] = field(default_factory=list)
    notes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    num_batches: int = 0
    batch_size: int = 0
    num_workers: int = 0
    num_elsewhere: int = 0
    waited: Seconds = 0.0
    device: str = ""
    rank: int = 0
    seconds: Seconds = 0.0
    signal: int | None = None

    @classmethod
    def of_all(cls, reports: Sequence[ExtractionReport]) -> ExtractionReport:
        """Put together what several processes did at the same time."""
        names = ["num_windows", "num_reused", "num_unavailable", "num_outdated", "num_batches"]
        names += ["num_workers", "num_elsewhere"]
        counts = {name: sum(getattr(report, name) for report in reports) for name in names}
        failures = [failure for report in reports for failure in report.failures]
        notes = {video: notes for report in reports for video, notes in report.notes.items()}
        whole = cls(**counts, failures=failures, notes=notes)
        whole.seconds = max(report.seconds for report in reports)
        whole.waited = sum(report.waited for report in reports)
        whole.batch_size = max(report.batch_size for report in reports)
        whole.device = next((report.device for report in reports if report.device), "")
        return whole


def extract(
    source: FeatureSource,
    requests: Sequence[WindowRequest],
    options: ExtractionOptions,
    *,
    devices: int | str = 1,
    num_nodes: int = 1,
    is_task: bool = False,
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
        is_task: The requests are what this task of several is to do: no launcher is asked.
        progress: Show a bar on standard error.

    Raises:
        ConfigError: An option that cannot work, or too large a batch for the device.
        CacheMismatchError: The store is not of this backbone and precision.
        CollisionError: The disk is full or not writable; or another process ended early.
    """
    started = time.monotonic()
    _check_options(options, source.fingerprint)
    where = devices, num_nodes
    ranks = Ranks(options.accelerator, source.fingerprint.precision, *where, is_task=is_task)
    is_shown = progress and ranks.rank == 0
    try:
        with StopSignals() as stop, ExtractionProgress(is_shown) as display:
            run = _Run(source, options, ranks, stop, display)
            run.extract(rank_part(requests, ranks.rank, ranks.world_size))
            run.report.seconds = time.monotonic() - started
            report = ExtractionReport.of_all(ranks.gather(run.report, stop.is_requested))
            report.signal, report.rank = stop.signal, ranks.rank
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
        self.ranks, self.stop, self.display = ranks, stop, display
        self.reader = source.fingerprint.reader
        self.report = ExtractionReport()
        self.tried: set[Path] = set()
        self.failed: set[str] = set()

    def extract(self, requests: Sequence[WindowRequest]) -> None:
        steps = Counter(request.video for request in requests)
        self.display.start("Looking up videos", steps, len(requests), "videos")
        on_video, looks = self.display.advance, self.source.looks
        found = look_up(requests, self.store, looks, on_video, self.should_stop)
        videos, self.report.failures = found
        self.report.num_outdated = sum(video.is_outdated for video in videos)
        self.report.num_reused = sum(video.num_reused for video in videos)
        self.tried = {failure.path for failure in self.report.failures}
        self.failed = {failure.video for failure in self.report.failures}
        self.tried |= {r.path for video in videos if not len(video.missing) for r in video.requests}
        videos = [video for video in videos if len(video.missing)]
        try:
            if videos:
                load_reader(self.reader)
                with self.store.changing():
                    pass  # a folder that nobody may write to is found before hours of work
                self.fabric = self.ranks.fabric
                self.backbone = self.fabric.to_device(self.source.backbone()).eval()
                self.compute(videos)
        finally:
            record_failures(self.store, self.source.digests, self.tried, self.report.failures)

    def should_stop(self) -> bool:
        """Whether a signal came, or the process that the others depend on has ended."""
        return self.stop.is_requested() or self.ranks.lost_first()

    def compute(self, videos: Sequence[WantedVideo]) -> None:
        from collision.features.clip_datamodule import ClipDataModule  # needs Lightning

        spec = self.source.spec
        parts = [
            (tuple(same_frames), part)
            for same_frames in decoded_together(videos)
            for part in split_long(same_frames[0].unmirrored, spec)
        ]
        options = self.options
        clips = ClipDataModule(
            [part for _, part in parts],
            spec,
            options.num_workers,
            options.timeout,
            self.should_stop,
            self.source.looks.index,
            self.reader,
        )
        pieces = [Piece(n, videos, part.end_times) for n, (videos, part) in enumerate(parts)]
        steps = Counter(str(video.path) for same_frames, _ in parts for video in same_frames)
        num_windows = sum(len(video.missing) for video in videos)
        self.display.start("Extracting", steps, num_windows, "windows")
        batch_size = options.batch_size or suitable_batch_size(self.backbone, self.fabric)
        listener = Listener(self.on_clip, self.on_stored, self.on_failure, self.display.slowest)
        backbone = faster(
            self.backbone,
            self.source.fingerprint.precision,
            compile=options.compile,
            channels_last=options.channels_last,
        )
        what = clips, backbone, self.fabric, self.store, batch_size
        pipeline = Pipeline(*what, listener, self.stop)
        started = time.monotonic()
        with Claims(self.store.folder / "claims") as claims:
            self.shared = SharedPieces(pieces, claims, self.store, self.on_found)
            try:
                pipeline.run(self.shared, options.num_workers, self.source.elsewhere)
            finally:
                self.report.num_batches = pipeline.embedder.num_batches
                self.report.batch_size = batch_size
                self.report.waited = pipeline.embedder.waited
                self.report.num_workers = pipeline.num_workers
                self.report.num_elsewhere = pipeline.num_elsewhere
                self.report.device = str(self.fabric.device)
        if self.report.num_windows and not self.should_stop():
            seconds = time.monotonic() - started
            write_speed(self.store, self.options, self.report.num_windows / seconds)

    def on_found(self, piece: Piece) -> None:
        """Count what another process has computed since it was looked up."""
        for video in piece.videos:
            self.tried.update(request.path for request in video.requests)
            self.report.num_reused += len(piece.end_times)
            self.display.advance(str(video.path), len(piece.end_times))

    def on_clip(self, target: Target) -> None:
        self.tried.update(request.path for request in target.video.requests)
        if target.clip.notes:
            self.report.notes[target.video.requests[0].video] = target.clip.notes

    def on_stored(self, stored: Stored) -> None:
        target, video = stored.target, stored.target.video
        if stored.failure is not None:
            self._fail(video, stored.failure)
        else:
            self.report.num_windows += stored.num_windows
        if stored.is_complete:
            if stored.failure is None:
                self.report.num_unavailable += len(target.clip.unavailable)
            self.shared.done(video)
            self.display.advance(str(video.path), target.num_wanted)

    def on_failure(self, piece: Piece, reason: str) -> None:
        for video in piece.videos:
            self.tried.update(request.path for request in video.requests)
            self._fail(video, reason)
            self.shared.done(video)
            self.display.advance(str(video.path), len(piece.end_times))

    def _fail(self, video: WantedVideo, reason: str) -> None:
        new = [request for request in video.requests if request.video not in self.failed]
        self.failed.update(request.video for request in new)
        self.report.failures += [Failure(one.video, one.path, reason) for one in new]


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
