"""What an extraction would cost, told before it starts."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from collision.devices import device_of
from collision.features.clips import ClipDataset, WindowRequest, num_distinct_frames
from collision.features.digest import VideoDigests
from collision.features.missing import WantedVideo, decoded_together, look_up
from collision.features.store import FeatureStore
from collision.types import Backbone, Failure, Seconds

_SPEED_FILE = "speed.json"
_PROBE_WINDOWS = 8
_PROBE_VIDEOS = 3  # tried in turn, in case the first ones cannot be read


@dataclass(frozen=True)
class Plan:
    """What an extraction would do.

    Attributes:
        num_videos: With windows to compute.
        num_windows: To compute.
        num_reused: Windows that are stored, or known not to exist.
        num_frames: To decode, estimated from above.
        num_bytes: Of the features to store.
        expected_seconds: At the speed of the last extraction into this store; before one, at that
            of a few windows decoded and embedded now. None if no video could be read.
        failures: Files that cannot be opened.
    """

    num_videos: int
    num_windows: int
    num_reused: int
    num_frames: int
    num_bytes: int
    expected_seconds: Seconds | None
    failures: list[Failure]


def plan(
    requests: Sequence[WindowRequest],
    store: FeatureStore,
    digests: VideoDigests,
    backbone: Backbone,
    accelerator: str = "auto",
) -> Plan:
    """Count what ``extract`` would compute; stores nothing."""
    spec = backbone.spec
    videos, failures = look_up(requests, store, digests)
    todo = [video for video in videos if len(video.missing)]
    num_windows = sum(len(video.missing) for video in todo)
    speed = _read_speed(store) or _measure_speed(todo[:_PROBE_VIDEOS], backbone, accelerator)
    return Plan(
        num_videos=len({video.path for video in todo}),
        num_windows=num_windows,
        num_reused=sum(video.num_reused for video in videos),
        num_frames=sum(
            num_distinct_frames(twins[0].missing, spec) for twins in decoded_together(todo)
        ),
        num_bytes=num_windows * spec.num_steps * spec.feature_dim * np.dtype(spec.dtype).itemsize,
        expected_seconds=num_windows / speed if speed else (None if todo else 0.0),
        failures=failures,
    )


def write_speed(store: FeatureStore, windows_per_second: float) -> None:
    """Remember how fast an extraction went, for the next plan."""
    with store.lock():
        store.write_text(_SPEED_FILE, json.dumps({"windows_per_second": windows_per_second}))


def _read_speed(store: FeatureStore) -> float | None:
    try:
        return float(json.loads((store.folder / _SPEED_FILE).read_text())["windows_per_second"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _measure_speed(
    videos: Sequence[WantedVideo], backbone: Backbone, accelerator: str
) -> float | None:
    """Decode and embed a few windows; gives windows a second."""
    assert isinstance(backbone, torch.nn.Module)
    device = device_of(accelerator)
    backbone.to(device)
    for video in videos:
        # The last ones: the first may begin before the video does.
        request = replace(video.requests[0], end_times=video.missing[-_PROBE_WINDOWS:])
        started = time.monotonic()
        clip = ClipDataset([request], backbone.spec)[0]
        decoding = time.monotonic() - started
        if isinstance(clip, Failure) or not len(clip.end_times):
            continue
        windows = torch.from_numpy(clip.frames[clip.windows]).to(device)
        with torch.inference_mode():
            backbone(windows[:1]).cpu()  # the first call sets things up
            started = time.monotonic()
            backbone(windows).cpu()
        return len(windows) / (decoding + time.monotonic() - started)
    return None
