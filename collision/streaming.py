"""Scores a stream moment by moment, from the newest windows alone: as a file of it would be scored.

What is embedded once is kept as long as a later moment can need it; memory does not grow. Heads are
asked for whole windows, also those that could take one step after the other (``step``): such a head
remembers what lies before the window, and its scores are not those that were measured.

Shapes: N frames or windows, S steps a window, D feature dim.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from collision.devices import device_of
from collision.features.source import FeatureSource
from collision.features.sources import Source
from collision.features.store import FeatureStore
from collision.features.stored import StoredVideo
from collision.learning.alignment import features_of_stores
from collision.learning.predictor import Predictor
from collision.prediction import windows_seen
from collision.sampling.windows import needed_windows, window_grid
from collision.types import UNLABELLED, BackboneSpec, Example, Seconds, VideoRecord, View
from collision.video.frames import newest_frames, window_frame_indices

_VIDEO = "stream"
_HALF = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


@dataclass(frozen=True)
class Moment:
    """What is known at a moment: NaN where nothing is seen; ``is_whole``: all that it looks at."""

    time: Seconds
    probability: float
    is_whole: bool


class WindowMemory:
    """The newest windows of a stream, which are asked for as those of a ``FeatureStore``."""

    def __init__(self, spec: BackboneSpec):
        self.spec, self.dtype = spec, np.dtype(spec.dtype)
        self._windows: dict[str, dict[int, tuple[np.ndarray, int] | None]] = defaultdict(dict)

    def missing(self, key: str, end_times: np.ndarray) -> np.ndarray:
        """Give those of the end times ``[N]`` that were never put."""
        known = self._windows[key]
        return np.array([end for end in end_times.tolist() if _tick(end) not in known])

    def put(self, key: str, end: Seconds, window: tuple[np.ndarray, int] | None) -> None:
        """Keep a window ``[S, D]`` with its number of real steps; None: there is none."""
        self._windows[key][_tick(end)] = window

    def take(self, key: str, end_times: ArrayLike) -> tuple[StoredVideo, NDArray[np.int64]]:
        """As ``FeatureStore.take``."""
        ends = np.asarray(end_times, np.float64)
        known = [self._windows[key][_tick(end)] for end in ends.tolist()]
        there = [window for window in known if window is not None]
        is_there = np.array([window is not None for window in known], bool)
        shape = (0, self.spec.num_steps, self.spec.feature_dim)
        features = np.stack([one for one, _ in there]) if there else np.zeros(shape, self.dtype)
        count = np.array([number for _, number in there], np.int64)
        stored = StoredVideo(features, ends[is_there], ends[~is_there], num_steps=count)
        return stored, np.where(is_there, np.cumsum(is_there) - 1, -1)

    def forget_before(self, time: Seconds) -> None:
        """Let go of windows that ended before a time."""
        for windows in self._windows.values():
            for tick in [tick for tick in windows if tick < _tick(time)]:
                del windows[tick]

    def __len__(self) -> int:
        return sum(map(len, self._windows.values()))


class StreamScorer:
    """Scores moments of one stream, in rising order."""

    def __init__(self, predictor: Predictor, source: Source, accelerator: str = "auto"):
        """Build the backbones; errors as of ``FeatureSource.backbone``."""
        self.predictor, self.parts = predictor, source.parts
        self.device = device_of(accelerator, "extraction")
        self.specs = [part.spec for part in self.parts]
        self.backbones = [cast(Any, part.backbone()).to(self.device).eval() for part in self.parts]
        self.memories = [WindowMemory(spec) for spec in self.specs]

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Height and width of the pictures that each backbone wants."""
        return [(spec.height, spec.width) for spec in self.specs]

    @property
    def reach(self) -> Seconds:
        """How far back from a moment anything is looked at."""
        policy = self.predictor.policy
        longest = 0.0
        for spec in self.specs:
            for view in policy.views:
                stride = policy.window_stride * (view.stride if spec.num_frames == 1 else 1.0)
                first = window_grid(0.0, policy.num_windows(spec), stride)[0]
                longest = max(longest, -first + (spec.num_frames - 1) / spec.fps * view.stride)
        return longest

    def score(
        self,
        time: Seconds,
        frame_times: np.ndarray,
        pictures: Sequence[tuple[np.ndarray, ...]],
    ) -> Moment:
        """Score a moment by frames ``[N]``, among them all that are shown within ``reach`` of it.

        ``pictures`` of each frame are those of ``sizes``.
        """
        policy = self.predictor.policy
        example = Example(_VIDEO, round(time, 6), UNLABELLED, 0.0)
        exists, whole = windows_seen(frame_times, [example], policy, self.specs)
        if not exists[0]:
            return Moment(time, np.nan, False)
        for number, spec in enumerate(self.specs):
            own = [of_frame[number] for of_frame in pictures]
            for (_, view), ends in needed_windows([example], policy, spec).items():
                self._embed(number, view, ends, frame_times, own)
            self.memories[number].forget_before(time - self.reach - 1.0)
        record = VideoRecord(_VIDEO, self.parts[0].store.folder, UNLABELLED, "test", "")
        stores = cast(Sequence[FeatureStore], self.memories)
        known = {_VIDEO: record}, stores, {_VIDEO: _VIDEO}, policy
        data = features_of_stores([example], *known)
        (probability,) = self.predictor.probabilities(data, torch.device("cpu"))
        return Moment(time, float(probability), bool(whole[0]))

    def _embed(
        self,
        number: int,
        view: View,
        ends: np.ndarray,
        frame_times: np.ndarray,
        pictures: Sequence[np.ndarray],
    ) -> None:
        """Embed the windows of one backbone in one view that are not kept yet."""
        spec, memory, key = self.specs[number], self.memories[number], _VIDEO + view.suffix
        wanted = memory.missing(key, ends)
        if not len(wanted):
            return
        frames = window_frame_indices(frame_times, wanted, spec.num_frames, spec.fps / view.stride)
        counts = newest_frames(frames).clip(max=view.frames or spec.num_frames)
        for count in np.unique(counts):
            of_count = np.flatnonzero(counts == count)
            if count < spec.least_frames:
                for place in of_count:
                    memory.put(key, wanted[place], None)
                continue
            chosen = frames[of_count, spec.num_frames - count :]
            batch = np.stack([[pictures[place] for place in window] for window in chosen])
            features = self._forward(number, batch, view.flip)
            given = features.shape[1]
            padded = np.zeros((len(features), spec.num_steps, spec.feature_dim), memory.dtype)
            padded[:, spec.num_steps - given :] = features
            for place, window in zip(of_count, padded, strict=True):
                memory.put(key, wanted[place], (window, given))

    @torch.inference_mode()
    def _forward(self, number: int, frames: np.ndarray, flip: bool) -> np.ndarray:
        """Embed ``uint8 [N, T, H, W, 3]``: ``[N, S', D]``."""
        part: FeatureSource = self.parts[number]
        batch = torch.from_numpy(frames).to(self.device)
        batch = batch.flip(-2) if flip else batch
        half = _HALF.get(part.fingerprint.precision)
        with torch.autocast(self.device.type, half) if half else nullcontext():
            features = self.backbones[number](batch)
        return features.float().cpu().numpy()


def _tick(time: Seconds) -> int:
    return round(time * 1e6)
