"""Which windows an example needs, when they end, and how their frames are looked at.

Shapes: E examples, V views, W windows of one example, N distinct windows, G videos in their views.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from collision.sampling.policy import SamplingPolicy
from collision.types import PLAIN, BackboneSpec, Example, Seconds, View

_ROUNDING: Seconds = 2e-6  # both ends of a stretch of time are rounded to a microsecond


def window_grid(end_time: ArrayLike, num_windows: int, window_stride: ArrayLike) -> np.ndarray:
    """Give the end times of an example's windows, ``float64 [..., num_windows]``, oldest first."""
    end, stride = (np.asarray(one, np.float64)[..., None] for one in (end_time, window_stride))
    return end - stride * np.arange(num_windows - 1, -1, -1, dtype=np.float64)


def window_spacing(
    example: Example, policy: SamplingPolicy, view: View, spec: BackboneSpec
) -> Seconds:
    """Seconds between the ends of an example's windows; a frame model's are spread by the view."""
    spacing = example.window_stride or policy.window_stride
    return spacing * view.stride if spec.num_frames == 1 else spacing


def window_spacings(
    examples: Sequence[Example], policy: SamplingPolicy, view: View, spec: BackboneSpec
) -> NDArray[np.float64]:
    """As ``window_spacing``, of many examples: ``[E]``."""
    own = np.array([one.window_stride or policy.window_stride for one in examples], np.float64)
    return own * view.stride if spec.num_frames == 1 else own


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
    fitting = np.floor(seconds / spacing).clip(max=spec.num_frames).astype(np.int64) + 1
    return np.where(seconds >= 0, fitting, 0).clip(max=spec.num_frames)


def step_times(
    spec: BackboneSpec, num_windows: int, window_stride: ArrayLike, view: View = PLAIN
) -> np.ndarray:
    """Give the nominal time of each feature step, ``float32 [..., num_windows * S]``.

    Seconds relative to the cut, oldest first. The S steps of a clip model's window are spread
    over its frames; what each knows reaches to the window's end all the same.
    """
    ends = window_grid(0.0, num_windows, window_stride)
    seconds_a_step = spec.num_frames / spec.num_steps / spec.fps * view.stride
    within = -np.arange(spec.num_steps - 1, -1, -1) * seconds_a_step
    times = ends[..., None] + within
    return times.reshape(*ends.shape[:-1], times.shape[-2] * times.shape[-1]).astype(np.float32)


@dataclass(frozen=True, eq=False)
class NeededWindows:
    """The distinct windows that some examples need, and which of them each example needs.

    Attributes:
        keys: ``[G]`` ids of videos with the views of their frames, in the order of first need.
        firsts: ``int64 [G + 1]`` where the windows of each begin among all.
        ends: ``float64 [N]`` seconds, ascending within each of ``keys``.
        places: ``int64 [E, V, W]`` numbers of windows, oldest first; -1 where one would begin
            before the file, or farther back than the example may look.
    """

    keys: list[tuple[str, View]]
    firsts: NDArray[np.int64]
    ends: NDArray[np.float64]
    places: NDArray[np.int64]

    def ends_of(self, group: int) -> NDArray[np.float64]:
        """Give the ends of one of ``keys``."""
        return self.ends[self.firsts[group] : self.firsts[group + 1]]


def index_windows(
    examples: Sequence[Example], policy: SamplingPolicy, spec: BackboneSpec
) -> NeededWindows:
    """Number the windows that examples need, for all of them at once; see ``example_windows``."""
    videos = list(dict.fromkeys(example.video for example in examples))
    number_of = {video: number for number, video in enumerate(videos)}
    video = np.array([number_of[example.video] for example in examples], np.int64)
    bases = list(dict.fromkeys(stored_view(view, spec) for view in policy.views))
    ends, codes = _ends_and_codes(examples, policy, spec, bases)
    num_codes = len(bases) * (spec.num_frames + 1)
    codes += video[:, None, None] * num_codes
    exists = ends >= 0
    places = np.full(ends.shape, -1)
    groups, firsts, distinct, places[exists] = _numbered(codes[exists], ends[exists])
    keys = []
    for code in groups.tolist():
        number, within = divmod(code, num_codes)
        base, num_frames = divmod(within, spec.num_frames + 1)
        keys.append((videos[number], shortened(bases[base], num_frames, spec)))
    return NeededWindows(keys, firsts, distinct, places)


def needed_windows(
    examples: Iterable[Example], policy: SamplingPolicy, spec: BackboneSpec
) -> dict[tuple[str, View], np.ndarray]:
    """Collect the sorted, distinct window ends that each video needs, ``float64 [N]``.

    By the video's id and the view of its frames. Ends before the start of the file are left out.
    """
    needed = index_windows(list(examples), policy, spec)
    return {key: needed.ends_of(group) for group, key in enumerate(needed.keys)}


def _ends_and_codes(
    examples: Sequence[Example],
    policy: SamplingPolicy,
    spec: BackboneSpec,
    bases: Sequence[View],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Give ends ``[E, V, W]`` of windows, -1 for none, and numbers for the views of their frames.

    Such a number is the place of the stored view, with the most frames that it may have.
    """
    end_time = np.array([example.end_time for example in examples], np.float64)
    own = [example.context for example in examples]
    context = np.array([np.inf if one is None else one for one in own], np.float64)
    ends, codes = [], []
    for view in policy.views:
        spacing = window_spacings(examples, policy, view, spec)
        grid = np.round(window_grid(end_time, policy.num_windows(spec), spacing), 6)
        back = context[:, None] - (end_time[:, None] - grid)
        num_frames = frames_within(back, view, spec)
        is_any = np.isinf(context)[:, None] | (num_frames >= spec.least_frames)
        ends.append(np.where(is_any, grid, -1.0))
        codes.append(bases.index(stored_view(view, spec)) * (spec.num_frames + 1) + num_frames)
    return np.stack(ends, axis=1), np.stack(codes, axis=1)


def _numbered(
    codes: NDArray[np.int64], ends: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Sort distinct windows by code, in the order in which codes appear first, and by end.

    Gives the codes ``[G]``, where each one's windows begin ``[G + 1]``, the windows' ends ``[N]``,
    and the number of the window of each row.
    """
    groups, appears, group = np.unique(codes, return_index=True, return_inverse=True)
    rank = np.empty(len(groups), np.int64)
    rank[np.argsort(appears)] = np.arange(len(groups))
    order = np.lexsort((ends, rank[group]))
    sorted_ends, sorted_ranks = ends[order], rank[group][order]
    is_new = np.ones(len(order), bool)
    is_new[1:] = (np.diff(sorted_ends) != 0) | (np.diff(sorted_ranks) != 0)
    number = np.empty(len(order), np.int64)
    number[order] = np.cumsum(is_new) - 1
    sizes = np.bincount(sorted_ranks[is_new], minlength=len(groups))
    firsts = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
    return groups[np.argsort(rank)], firsts, sorted_ends[is_new], number
