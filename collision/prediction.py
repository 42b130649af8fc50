"""The probability of a collision over the time of one video.

Shapes: N moments.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from collision.errors import Interrupted, VideoDecodeError
from collision.features.source import FeatureSource
from collision.learning.datamodule import load_features
from collision.learning.predictor import Predictor
from collision.options import ExtractionOptions
from collision.report.timeline import Timeline, draw_timeline
from collision.sampling.index import DataIndex
from collision.sampling.policy import SamplingPolicy
from collision.sampling.windows import window_spacing
from collision.types import UNLABELLED, BackboneSpec, Example, Seconds, VideoRecord
from collision.video.frames import read_frames
from collision.video.index import VideoIndex, index_video

NUM_PICTURES = 8


@dataclass(frozen=True)
class Alarm:
    """A stretch of moments at or above the threshold: its ends and highest moment, in seconds."""

    start: Seconds
    end: Seconds
    peak: Seconds


@dataclass(frozen=True, eq=False)
class Prediction:
    """Probability of a collision over a video's time.

    Attributes:
        path: The video.
        times: Seconds, float64 ``[N]``: what each probability knows ends there.
        probabilities: float64 ``[N]``; NaN before ``first_time``.
        first_time: Before it there is not enough video yet.
        threshold: Suggested on validation; None where none is known.
        event_time: Where the user said so.
        index: Of the video's frames, for ``plot``.
    """

    path: Path
    times: np.ndarray
    probabilities: np.ndarray
    first_time: Seconds
    threshold: float | None = None
    event_time: Seconds | None = None
    index: VideoIndex | None = field(default=None, repr=False)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is odd about the file."""
        return self.index.notes if self.index else ()

    @property
    def peak(self) -> int:
        """Place of the highest probability."""
        return int(np.nanargmax(self.probabilities))

    @property
    def alarms(self) -> list[Alarm]:
        """Stretches at or above the threshold, in order; none where there is no threshold."""
        if self.threshold is None:
            return []
        over = np.nan_to_num(self.probabilities, nan=-1.0) >= self.threshold
        edges = np.flatnonzero(np.diff(np.concatenate([[False], over, [False]]).astype(int)))
        return [
            Alarm(
                float(self.times[first]),
                float(self.times[last - 1]),
                float(self.times[first + np.argmax(self.probabilities[first:last])]),
            )
            for first, last in edges.reshape(-1, 2)
        ]

    def __str__(self) -> str:
        highest = self.probabilities[self.peak]
        text = f"{self.path.name}: highest {highest:.2f} at {self.times[self.peak]:.2f} s"
        if self.threshold is None:
            return text
        if not self.alarms:
            return f"{text}, never at the threshold {self.threshold:.2f}"
        first = self.alarms[0].start
        return f"{text}, first at or above the threshold {self.threshold:.2f} at {first:.2f} s"

    def plot(self, path: Path | str) -> Path:
        """Draw the curve over a strip of frames; give the picture's path."""
        index = self.index or index_video(self.path)
        moments = np.linspace(index.frame_times[0], index.frame_times[-1], NUM_PICTURES)
        # Where nothing is seen, what was seen before, under its own time.
        shown = np.searchsorted(index.frame_times, moments, side="right") - 1
        times, frames = index.frame_times[shown], read_frames(index, shown)
        timeline = Timeline(
            self.times,
            self.probabilities,
            first_time=self.first_time,
            threshold=self.threshold,
            event_time=self.event_time,
            title=self.path.name,
        )
        draw_timeline(timeline, path, list(frames), times)
        return Path(path)

    def _repr_png_(self) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            return self.plot(Path(folder) / "timeline.png").read_bytes()


def history(policy: SamplingPolicy, spec: BackboneSpec) -> Seconds:
    """Say how much video there must be before a moment can be scored, in the shortest view."""
    example = Example("", 0.0, UNLABELLED, 0.0)
    return min(
        (policy.num_windows(spec) - 1) * window_spacing(example, policy, view, spec)
        + (spec.num_frames - 1) / spec.fps * view.stride
        for view in policy.views
    )


@dataclass(frozen=True)
class Moments:
    """Which moments of a video are scored: one ``every`` so many seconds.

    Attributes:
        frame_rate: By which frames are timed; None: by the file's own clock.
        event_time: Where known: drawn, not used.
        video_stream: Which of the file's video streams, counted from 0; None: as players choose.
    """

    every: Seconds = 0.25
    frame_rate: float | None = None
    event_time: Seconds | None = None
    video_stream: int | None = None


def predict(
    predictor: Predictor,
    source: FeatureSource,
    path: Path,
    moments: Moments,
    extraction: ExtractionOptions,
    progress: bool = False,
) -> Prediction:
    """Score a video along its length.

    Raises:
        VideoDecodeError: It can't be read, or is shorter than what the head has to see.
        Interrupted: A signal asked to stop.
    """
    policy, spec = predictor.policy, source.spec
    rate, stream = moments.frame_rate, moments.video_stream
    index = source.looks.index(path, rate, stream)
    start, end = float(index.frame_times[0]), float(index.frame_times[-1])
    first_time = start + history(policy, spec)
    if end + 1e-6 < first_time:
        raise VideoDecodeError(
            index.path,
            f"it is {end - start:.2f} s long; this predictor needs {first_time - start:.2f} s",
        )
    times = np.round(np.arange(start, end + 1e-6, moments.every), 6)
    scored = times[times >= first_time - 1e-6]
    if not len(scored):
        scored = np.array([round(end, 6)])
        times = np.append(times[times < end], scored)
    clip = index.path, UNLABELLED
    record = VideoRecord(path.stem, *clip, "test", "", frame_rate=rate, video_stream=stream)
    examples = [Example(record.id, float(time), UNLABELLED, 0.0) for time in scored]
    clips = DataIndex("clip", {record.id: record}, {"test": examples})
    report = source.extract(source.requests(clips, policy), extraction, progress=progress)
    if report.signal is not None:
        raise Interrupted(report.signal)
    if report.failures:
        raise VideoDecodeError(index.path, report.failures[0].reason)
    data = load_features(clips, source, policy, [])["test"]
    probabilities = np.full(len(times), np.nan)
    probabilities[-len(scored) :] = predictor.probabilities(data, torch.device("cpu"))
    threshold = predictor.threshold.threshold if predictor.threshold else None
    return Prediction(path, times, probabilities, first_time, threshold, moments.event_time, index)
