"""Which windows an example needs, when they end, and how their frames are looked at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from collision.sampling.policy import SamplingPolicy
from collision.types import PLAIN, BackboneSpec, Example, Seconds, View

_ROUNDING: Seconds = 2e-6  # both ends of a stretch of time are rounded to a microsecond


def window_grid(end_time: Seconds, num_windows: int, window_stride: Seconds) -> np.ndarray:
    """Give the end times of an example's windows, ``float64 [num_windows]``, oldest first."""
    return end_time - window_stride * np.arange(num_windows - 1, -1, -1, dtype=np.float64)


def window_spacing(
    example: Example, policy: SamplingPolicy, view: View, spec: BackboneSpec
) -> Seconds:
    """Seconds between the ends of an example's windows; a frame model's are spread by the view."""
    spacing = example.window_stride or policy.window_stride
    return spacing * view.stride if spec.num_frames == 1 else spacing


def stored_view(view: View, spec: BackboneSpec) -> View:
    """Say how the frames of single windows are looked at: a frame model's have no stride."""
    return replace(view, stride=1.0) if spec.num_frames == 1 else view


def shortened(view: View, num_frames: int, spec: BackboneSpec) -> View:
    """Look at the newest ``num_frames`` of a window; a whole window is the view itself."""
    return view if num_frames >= spec.num_frames else replace(view, frames=int(num_frames))


def example_window_ends(
    example: Example, policy: SamplingPolicy, view: View, spec: BackboneSpec
) -> np.ndarray:
    """End times of an example's windows, ``float64 [num_windows]``, rounded to a microsecond.

    -1 where a window would begin farther back than the example may look.
    """
    return example_windows(example, policy, view, spec)[0]


def example_windows(
    example: Example, policy: SamplingPolicy, view: View, spec: BackboneSpec
) -> tuple[np.ndarray, np.ndarray]:
    """Give the ends of an example's windows, and how many frames each may have at most, ``[W]``.

    Fewer than the backbone's where a whole window would begin farther back than the example may
    look. Where too few are left for the backbone, the end is -1.
    """
    spacing = window_spacing(example, policy, view, spec)
    ends = np.round(window_grid(example.end_time, policy.num_windows(spec), spacing), 6)
    if example.context is None:
        return ends, np.full(len(ends), spec.num_frames)
    num_frames = frames_within(example.context - (example.end_time - ends), view, spec)
    return np.where(num_frames >= spec.least_frames, ends, -1.0), num_frames


def frames_within(seconds: np.ndarray, view: View, spec: BackboneSpec) -> np.ndarray:
    """Count the frames of a window that lie within some seconds before its end, itself included."""
    seconds = np.asarray(seconds) + _ROUNDING
    spacing = view.stride / spec.fps if spec.num_frames > 1 else 1.0
    fitting = np.floor(seconds / spacing).astype(np.int64) + 1
    return np.where(seconds >= 0, fitting, 0).clip(max=spec.num_frames)


def step_times(
    spec: BackboneSpec, num_windows: int, window_stride: Seconds, view: View = PLAIN
) -> np.ndarray:
    """Give the nominal time of each feature step, ``float32 [num_windows * S]``.

    Seconds relative to the cut, oldest first. The S steps of a clip model's window are spread
    over its frames; what each knows reaches to the window's end all the same.
    """
    ends = window_grid(0.0, num_windows, window_stride)
    seconds_a_step = spec.num_frames / spec.num_steps / spec.fps * view.stride
    within = -np.arange(spec.num_steps - 1, -1, -1) * seconds_a_step
    return (ends[:, None] + within[None, :]).reshape(-1).astype(np.float32)


def needed_windows(
    examples: Iterable[Example], policy: SamplingPolicy, spec: BackboneSpec
) -> dict[tuple[str, View], np.ndarray]:
    """Collect the sorted, distinct window ends that each video needs, ``float64 [N]``.

    By the video's id and the view of its frames. Ends before the start of the file are left out.
    """
    ends: dict[tuple[str, View], set[float]] = {}
    for example in examples:
        for view in policy.views:
            base = stored_view(view, spec)
            for end, num_frames in zip(*example_windows(example, policy, view, spec), strict=True):
                if end >= 0:
                    key = (example.video, shortened(base, num_frames, spec))
                    ends.setdefault(key, set()).add(float(end))
    return {key: np.array(sorted(times)) for key, times in ends.items()}
