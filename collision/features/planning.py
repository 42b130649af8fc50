"""What an extraction would cost, measured before it starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from collision.devices import device_of
from collision.features.clips import WindowRequest, max_distinct_frames
from collision.features.missing import WantedVideo, decoded_together, look_up
from collision.features.store import FeatureStore
from collision.files import load_json, write_json
from collision.types import Failure, Seconds

if TYPE_CHECKING:
    from collision.features.source import FeatureSource
    from collision.option_groups import ExtractionOptions

# A note for the next plan: what it does not know, or cannot read, is measured again.
_SPEED_FILE = "speed.json"
_OF_THE_LAST = "that of the last extraction into this cache with the same options"
_PROBE_WINDOWS = 4  # of each of some videos
_PROBE_VIDEOS = 3


@dataclass(frozen=True)
class Plan:
    """What an extraction would do; ``num_frames`` is a bound.

    ``expected_seconds`` are at the speed of the last extraction into this store with the same
    options; before one, at that of a few windows extracted now. None if none could be. ``rate``
    says which of the two, and how it was measured.
    """

    num_videos: int
    num_windows: int
    num_reused: int
    num_frames: int
    num_bytes: int
    expected_seconds: Seconds | None
    failures: list[Failure]
    rate: str = ""

    @property
    def is_done(self) -> bool:
        """Whether there is nothing to compute."""
        return self.num_windows == 0


def plan(
    source: FeatureSource, requests: Sequence[WindowRequest], options: ExtractionOptions
) -> Plan:
    """Count what ``extract`` would compute with the same options; stores no features."""
    spec = source.spec
    videos, failures = look_up(requests, source.store, source.looks)
    todo = [video for video in videos if len(video.missing)]
    num_windows = sum(len(video.missing) for video in todo)
    speed, how = _read_speed(source.store, options), _OF_THE_LAST
    if speed is None:
        speed, how = _measure_speed(source, todo, options)
    decoded = [same_frames[0].unmirrored for same_frames in decoded_together(todo)]
    num_bytes = spec.num_steps * spec.feature_dim * np.dtype(spec.dtype).itemsize
    return Plan(
        num_videos=len({video.path for video in todo}),
        num_windows=num_windows,
        num_reused=sum(video.num_reused for video in videos),
        num_frames=sum(max_distinct_frames(request, spec) for request in decoded),
        num_bytes=num_windows * num_bytes,
        expected_seconds=num_windows / speed if speed else (None if todo else 0.0),
        failures=failures,
        rate=f"{speed:,.1f} windows a second: {how}" if todo and speed else "",
    )


def write_speed(store: FeatureStore, options: ExtractionOptions, windows_per_second: float) -> None:
    """Remember how fast an extraction went, for the next plan with the same options."""
    with store.changing():
        content = {"windows_per_second": windows_per_second, **asdict(options)}
        write_json(store.folder / _SPEED_FILE, content)


def _read_speed(store: FeatureStore, options: ExtractionOptions) -> float | None:
    try:
        content = load_json(store.folder / _SPEED_FILE)
        speed = float(content.pop("windows_per_second"))
        return speed if content == asdict(options) else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def _measure_speed(
    source: FeatureSource, videos: Sequence[WantedVideo], options: ExtractionOptions
) -> tuple[float | None, str]:
    """Extract a few windows into a folder that is thrown away.

    Gives windows a second, and how that was measured.
    """
    # The last ones: the first may begin before the video does.
    probes = [
        replace(video.unmirrored, end_times=video.missing[-_PROBE_WINDOWS:])
        for video in videos[: max(_PROBE_VIDEOS, options.num_workers or 0)]
    ]
    if not probes:
        return None, ""
    first = replace(probes[0], end_times=probes[0].end_times[:1])
    source.backbone()
    with TemporaryDirectory() as folder:
        probe = replace(source, store=FeatureStore(Path(folder), source.fingerprint))
        probe.extract([first], options, progress=False)  # sets up the device
        probe.extract(probes, options, progress=False)
        speed = _read_speed(probe.store, options)
    count = sum(len(request.end_times) for request in probes)
    of = f"{len(probes)} video{'s' * (len(probes) > 1)}"
    where = _device_name(options)
    return speed, f"measured now on the last {count} missing windows of {of}, on {where}"


def _device_name(options: ExtractionOptions) -> str:
    """Name the device that extracts."""
    device = device_of(options.accelerator)
    if device.type != "cuda":
        return "the CPU" if device.type == "cpu" else device.type
    import torch

    return torch.cuda.get_device_name(device)
