"""From a data set and a backbone to feature data sets: the steps that every command shares."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from collision.devices import device_of
from collision.errors import ConfigError, VideoDecodeError
from collision.features.clips import WindowRequest
from collision.features.digest import VideoDigests
from collision.features.extract import ExtractionReport, extract
from collision.features.failures import read_failures
from collision.features.fingerprint import Fingerprint, fingerprint
from collision.features.missing import store_key
from collision.features.store import FeatureStore
from collision.sampling.index import DataIndex
from collision.sampling.policy import SamplingPolicy
from collision.sampling.windows import needed_windows
from collision.types import (
    Backbone,
    BackboneSpec,
    Failure,
)

# Windows at once where the user names no number. A CPU's caches like few: tf_efficientnet_lite0 at
# 224x224 ran at 44 frames/s in batches of 8 and at 22 in batches of 32.
BATCH_SIZE = {"cpu": 8, "cuda": 32}


def requests_for(
    index: DataIndex, spec: BackboneSpec, policy: SamplingPolicy
) -> list[WindowRequest]:
    """List the windows that an index's examples need, video by video."""
    everything = [example for members in index.examples.values() for example in members]
    return [
        WindowRequest(
            video=video,
            path=index.records[video].path,
            end_times=times,
            frame_rate=index.records[video].frame_rate,
            view=view,
        )
        for (video, view), times in needed_windows(everything, policy, spec).items()
    ]


@dataclass
class FeatureSource:
    """A backbone with its cache.

    Attributes:
        backbone: Frozen, on the CPU until extraction moves it.
        fingerprint: Of its features.
        store: Where they lie.
        digests: Content digests of video files.
    """

    backbone: Backbone
    fingerprint: Fingerprint
    store: FeatureStore
    digests: VideoDigests

    @property
    def spec(self) -> BackboneSpec:
        """What the backbone wants and gives."""
        return self.backbone.spec

    def digest_of(self, index: DataIndex, failures: Iterable[Failure]) -> dict[str, str]:
        """Give the digest of each readable video's content and clock by id."""
        failed = {failure.video for failure in failures}
        found = {}
        for video, record in index.records.items():
            # A video of which no moment is wanted may be missing: no one has tried to read it.
            with contextlib.suppress(VideoDecodeError):
                if video not in failed:
                    found[video] = self.digests.digest(record.path, record.frame_rate)
        return found


def open_features(backbone: Backbone, cache_root: Path, precision: str) -> FeatureSource:
    """Find or make the cache folder of a backbone's features.

    Args:
        backbone: On the CPU.
        cache_root: Holds one folder a fingerprint.
        precision: That the backbone computes in, in Lightning's words (``bf16-mixed``).

    Raises:
        ConfigError: The folder can't be made.
        CacheMismatchError: Its features were made otherwise.
    """
    print_of = fingerprint(backbone, precision)
    try:
        cache_root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"Cannot make the cache folder {str(cache_root)!r}: {error.strerror}. "
            "Give cache_root=FOLDER."
        ) from error
    store = FeatureStore(cache_root, print_of)
    return FeatureSource(backbone, print_of, store, VideoDigests(cache_root / "videos.json"))


def run_extraction(
    source: FeatureSource,
    index: DataIndex,
    policy: SamplingPolicy,
    options: Mapping[str, Any],
    *,
    devices: int | str = 1,
    num_nodes: int = 1,
) -> ExtractionReport:
    """Extract what is missing for an index; see ``extract_windows``."""
    requests = requests_for(index, source.spec, policy)
    return extract_windows(source, requests, options, devices=devices, num_nodes=num_nodes)


def extract_windows(
    source: FeatureSource,
    requests: Sequence[WindowRequest],
    options: Mapping[str, Any],
    *,
    progress: bool = True,
    devices: int | str = 1,
    num_nodes: int = 1,
) -> ExtractionReport:
    """Extract what is missing of some windows.

    Args:
        source: Backbone and cache; the precision is the fingerprint's.
        requests: The windows, video by video.
        options: As in ``configs/extraction``.
        progress: Show a bar.
        devices: As in Lightning: a number, or ``auto`` for all.
        num_nodes: Machines that share the work.
    """
    device = device_of(options["accelerator"])
    return extract(
        source.backbone,
        source.store,
        requests,
        source.digests,
        batch_size=options["batch_size"] or BATCH_SIZE[device.type],
        num_workers=options["num_workers"],
        timeout=options["timeout"],
        accelerator=options["accelerator"],
        precision=str(source.fingerprint.fields["precision"]),
        progress=progress,
        devices=devices,
        num_nodes=num_nodes,
    )


def look_in_cache(
    source: FeatureSource, requests: Iterable[WindowRequest]
) -> tuple[int, list[Failure]]:
    """Say what extraction still has to do, without doing it.

    Returns:
        The number of windows that were never extracted, and the videos that extraction tried and
        could not read: their windows are not counted.
    """
    failed = {failure.path: failure for failure in read_failures(source.store.folder)}
    num_missing = 0
    failures = []
    for request in requests:
        try:
            key = store_key(source.digests, request)
        except VideoDecodeError as error:
            failures.append(Failure(request.video, request.path, error.reason))
            continue
        missing = len(source.store.missing(key, np.asarray(request.end_times)))
        if missing and request.path in failed:
            failures.append(replace(failed[request.path], video=request.video))
        else:
            num_missing += missing
    return num_missing, failures
