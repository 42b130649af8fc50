"""Compute the features that a store lacks.

One item of work is one video's windows: decoded by a worker process, embedded here in batches, and
stored. Lightning Fabric gives device, precision and, on several devices or nodes, the share of
this process.

Shapes: M distinct frames, N windows, T frames a window, S steps a window, D feature dim, H W image.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from lightning.fabric import Fabric
from lightning.fabric.utilities.exceptions import MisconfigurationException
from numpy.typing import NDArray

from collision.errors import ConfigError
from collision.features.clip_datamodule import ClipDataModule
from collision.features.clips import Clip, WindowRequest, split_long
from collision.features.digest import VideoDigests
from collision.features.failures import record_failures
from collision.features.fingerprint import check_same, fingerprint
from collision.features.interruption import OutOfTime, StopSignals
from collision.features.missing import WantedVideo, decoded_together, look_up
from collision.features.planning import Plan, plan, write_speed
from collision.features.progress import ExtractionProgress
from collision.features.store import FeatureStore, NotFiniteError
from collision.types import Backbone, Failure, Seconds, View

__all__ = ["PRECISIONS", "ExtractionReport", "Plan", "extract", "plan"]

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")

# A slow backbone's features are stored at least this often, so that a kill costs no more.
_STORE_EVERY: Seconds = 30.0


@dataclass
class ExtractionReport:
    """What an extraction did.

    Attributes:
        num_windows: Computed and stored.
        num_reused: Stored, or found not to exist, before.
        num_unavailable: Found not to exist: begin before their video or lie past its end.
        failures: Videos that gave no features or not all, one each.
        notes: What is odd about videos that were read, by its id.
        seconds: Wall time.
        signal: The signal that ended it early, or None.
    """

    num_windows: int = 0
    num_reused: int = 0
    num_unavailable: int = 0
    failures: list[Failure] = field(default_factory=list)
    notes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    seconds: Seconds = 0.0
    signal: int | None = None

    @property
    def interrupted(self) -> bool:
        """Whether a signal ended it early; running it again goes on from there."""
        return self.signal is not None

    @property
    def exit_code(self) -> int:
        """What a command that was interrupted exits with: 143 after SIGTERM, 130 after SIGINT."""
        return 0 if self.signal is None else 128 + self.signal


def extract(
    backbone: Backbone,
    store: FeatureStore,
    requests: Sequence[WindowRequest],
    digests: VideoDigests,
    *,
    batch_size: int,
    num_workers: int,
    timeout: Seconds,
    accelerator: str = "auto",
    precision: str = "32-true",
    devices: int | str = 1,
    num_nodes: int = 1,
    progress: bool = True,
) -> ExtractionReport:
    """Compute and store the windows that the store lacks; done twice it computes nothing.

    A video that cannot be read, has features that are not finite, or kills or hangs its worker is
    one failure of the report and a line of ``failures.csv`` in the store's folder; it is tried
    again next time. After SIGTERM or SIGINT the video in flight is finished, or what there is of
    it after 8 s is stored, and the report says ``interrupted``.

    Args:
        backbone: A frozen module; it is moved to the device and stays there.
        store: Of this backbone's fingerprint.
        requests: What is wanted. With several devices each process takes its share of the files.
        digests: Of the videos' contents.
        batch_size: Windows at a time on the device; it does not change the features.
        num_workers: Decoding processes; 0 decodes in this process, where a video that crashes or
            hangs ends the run.
        timeout: Seconds after which decoding a video (or a piece of a long one) counts as hanging.
        accelerator: ``auto``, ``cpu``, ``cuda``, ... as in Lightning.
        precision: ``32-true``, ``bf16-mixed`` or ``16-mixed``; part of the fingerprint.
        devices: As in Lightning. With more than one, Lightning starts the command again for each.
        num_nodes: Machines; a cluster's launcher (SLURM, torchrun) starts the command on each.
        progress: Show a bar on standard error.

    Raises:
        ConfigError: An option that cannot work, or too large a batch for the device.
        CacheMismatchError: The store is not of this backbone and precision.
        CollisionError: The features cannot be written, for instance because the disk is full.
    """
    started = time.monotonic()
    _check_options(batch_size, num_workers, timeout)
    fabric = _fabric(accelerator, precision, devices, num_nodes)
    share = share_of(requests, fabric.global_rank, fabric.world_size)
    report = ExtractionReport()
    is_shown = progress and fabric.is_global_zero
    with StopSignals() as stop, ExtractionProgress(is_shown) as display:
        _start_looking_up(display, share)
        videos, report.failures = look_up(
            share, store, digests, lambda r: display.advance(r.video, 1), stop.is_requested
        )
        report.num_reused = sum(video.num_reused for video in videos)
        videos = [video for video in videos if len(video.missing)]
        try:
            if videos:
                check_same(fingerprint(backbone, precision), store.fingerprint, str(store.folder))
                run = _Run(backbone, store, fabric, batch_size, report, stop, display)
                with _cores_left_to(num_workers):
                    run.compute(videos, num_workers, timeout)
        finally:
            record_failures(store, [request.path for request in share], report.failures)
        report.signal = stop.signal
    report.seconds = time.monotonic() - started
    if not report.interrupted:
        fabric.barrier()  # whoever goes on finds the features of all
    return report


class _Run:
    """The loop over decoded videos, and what it works with."""

    def __init__(
        self,
        backbone: Backbone,
        store: FeatureStore,
        fabric: Fabric,
        batch_size: int,
        report: ExtractionReport,
        stop: StopSignals,
        display: ExtractionProgress,
    ):
        self.backbone = fabric.to_device(backbone).eval()
        self.store = store
        self.fabric = fabric
        self.batch_size = batch_size
        self.report = report
        self.stop = stop
        self.display = display

    def compute(self, videos: Sequence[WantedVideo], num_workers: int, timeout: Seconds) -> None:
        """Decode, embed and store the missing windows, in the order in which decoding ends."""
        spec = self.backbone.spec
        pieces = [
            (twins, piece)
            for twins in decoded_together(videos)
            for piece in split_long(
                replace(twins[0].requests[0], end_times=twins[0].missing, view=_unmirrored(twins)),
                spec,
            )
        ]
        clips = ClipDataModule(
            [piece for _, piece in pieces], spec, num_workers, timeout, self.stop.is_requested
        )
        steps = Counter(str(twins[0].path) for twins, _ in pieces)
        num_windows = sum(len(video.missing) for video in videos)
        self.display.start("Extracting", steps, num_windows, "windows")
        started = time.monotonic()
        for index, result in clips.predict_dataloader():
            twins, piece = pieces[index]
            for video in twins:
                if isinstance(result, Failure):
                    self._fail(video, result.reason)
                else:
                    self._embed_and_store(video, result)
            self.display.advance(str(twins[0].path), len(twins) * len(piece.end_times))
        if self.report.num_windows and not self.stop.is_requested():
            write_speed(self.store, self.report.num_windows / (time.monotonic() - started))

    def _embed_and_store(self, video: WantedVideo, clip: Clip) -> None:
        if clip.notes:
            self.report.notes[video.requests[0].video] = clip.notes
        try:
            for end_times, features in self._embed(clip, video.requests[0].view.flip):
                self.store.write(
                    video.digest, end_times, features, clip.unavailable, video.path.name
                )
                self.report.num_windows += len(end_times)
            self.report.num_unavailable += len(clip.unavailable)
        except NotFiniteError as error:
            self._fail(video, str(error))

    def _embed(
        self, clip: Clip, flip: bool
    ) -> Iterator[tuple[NDArray[np.float64], NDArray[np.floating]]]:
        """Yield ``end_times [n]`` and ``features [n, S, D]`` whenever they are due to be stored."""
        spec = self.backbone.spec
        frames = torch.from_numpy(clip.frames).to(self.fabric.device)
        if flip:
            frames = frames.flip(2)  # [M, H, W, 3]: left to right
        windows = torch.from_numpy(clip.windows).to(self.fabric.device)
        first, last = 0, 0
        features = [np.zeros((0, spec.num_steps, spec.feature_dim), np.float32)]
        stored = time.monotonic()
        for batch in windows.split(self.batch_size) if len(windows) else ():
            try:
                with self.stop.interruptible():
                    features.append(self._forward(frames[batch]))
            except OutOfTime:
                break
            last += len(batch)
            if time.monotonic() - stored > _STORE_EVERY:
                yield clip.end_times[first:last], np.concatenate(features)
                first, features, stored = last, features[:1], time.monotonic()
        yield clip.end_times[first:last], np.concatenate(features)

    @torch.inference_mode()
    def _forward(self, windows: torch.Tensor) -> NDArray[np.floating]:
        """Embed ``uint8 [B, T, H, W, 3]``; gives float32 ``[B, S, D]`` in main memory."""
        try:
            with self.fabric.autocast():
                return self.backbone(windows).float().cpu().numpy()
        except torch.OutOfMemoryError as error:
            raise ConfigError(
                f"batch_size={self.batch_size} windows of this backbone do not fit into the memory "
                f"of {self.fabric.device}. Run the same command with a smaller batch_size: it goes "
                "on from what is stored, and the features are the same."
            ) from error

    def _fail(self, video: WantedVideo, reason: str) -> None:
        """Note one failure a record that names the video, however many of its pieces fail."""
        known = {failure.video for failure in self.report.failures}
        self.report.failures += [
            Failure(request.video, request.path, reason)
            for request in video.requests
            if request.video not in known
        ]


def share_of(
    requests: Sequence[WindowRequest], rank: int, num_processes: int
) -> list[WindowRequest]:
    """Give one process its files, each with all its views.

    Parted, a file's views would be decoded twice, and the process that reads one of them would
    strike the other's failure off the list.
    """
    files = list(dict.fromkeys(request.path for request in requests))
    mine = set(files[rank::num_processes])
    return [request for request in requests if request.path in mine]


def _unmirrored(twins: Sequence[WantedVideo]) -> View:
    return replace(twins[0].requests[0].view, flip=False)


@contextmanager
def _cores_left_to(num_workers: int) -> Iterator[None]:
    """Let torch use the cores that the workers leave.

    Its threads wait for each other spinning: where they share cores with the workers, the backbone
    ran up to five times slower.
    """
    before = torch.get_num_threads()
    free = len(os.sched_getaffinity(0)) - num_workers
    torch.set_num_threads(max(1, min(before, free)))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _check_options(batch_size: int, num_workers: int, timeout: Seconds) -> None:
    for name, value, least in (
        ("batch_size", batch_size, 1),
        ("num_workers", num_workers, 0),
        ("timeout", timeout, 1),
    ):
        if value < least:
            raise ConfigError(f"{name}={value}: it must be at least {least}.")


def _fabric(accelerator: str, precision: str, devices: int | str, num_nodes: int) -> Fabric:
    if precision not in PRECISIONS:
        raise ConfigError(f"precision={precision}: extraction can use {', '.join(PRECISIONS)}.")
    try:
        fabric = Fabric(
            accelerator=accelerator,
            devices=devices,
            num_nodes=num_nodes,
            precision=precision,  # type: ignore[arg-type]
        )
        fabric.launch()
    except (ValueError, MisconfigurationException) as error:
        raise ConfigError(
            f"accelerator={accelerator} devices={devices} num_nodes={num_nodes}: {error}"
        ) from error
    return fabric


def _start_looking_up(display: ExtractionProgress, requests: Sequence[WindowRequest]) -> None:
    steps = Counter(request.video for request in requests)
    display.start("Looking up videos", steps, len(requests), "videos")
