"""The probability of a collision over the time of one video.

Shapes: N moments.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image

from collision.errors import Interrupted, VideoDecodeError
from collision.features.sources import Source, in_turn
from collision.learning.alignment import load_features
from collision.learning.predictor import PAINTED, Predictor
from collision.metrics.alarms import DEFAULT_RULE, Alarm, AlarmRule, alarms_in
from collision.option_groups import ExtractionOptions
from collision.report.timeline import Timeline, draw_timeline, moments_to_show
from collision.sampling.index import DataIndex
from collision.sampling.policy import SamplingPolicy
from collision.sampling.windows import example_window_ends
from collision.types import UNLABELLED, BackboneSpec, Example, Seconds, VideoRecord
from collision.video.frames import (
    TIME_NOISE,
    newest_frames,
    read_frames,
    window_frame_indices,
)
from collision.video.index import VideoIndex, index_video
from collision.video.redraw import Draw

LARGEST_SHOWN = 640  # pixels along a frame in a picture
_QUALITY = {"JPEG": 70, "WEBP": 62}


@dataclass(frozen=True, eq=False)
class Prediction:
    """Probability of a collision over a video's time.

    Attributes:
        path: The video.
        times: Seconds, float64 ``[N]``: what each probability knows ends there.
        probabilities: float64 ``[N]``; NaN before ``first_time``, and where nothing is seen.
        first_time: Before it there is not enough video yet.
        threshold: Suggested on validation; None where none is known.
        event_time: Where the user said so.
        index: Of the video's frames, for ``plot``.
        from_part: bool ``[N]``: the file's beginning, or a hole in it, left less to see than the
            head looks at. False where nothing is given.
        distance: From the videos that the predictor learned from; 1 is the limit that 19 of 20
            videos like them keep. None where the predictor does not know them.
        warnings: Why its scores should not be believed, a sentence each.
        rule: What makes an alarm.
    """

    path: Path
    times: np.ndarray
    probabilities: np.ndarray
    first_time: Seconds
    threshold: float | None = None
    event_time: Seconds | None = None
    index: VideoIndex | None = field(default=None, repr=False)
    from_part: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    distance: float | None = None
    warnings: tuple[str, ...] = ()
    rule: AlarmRule = DEFAULT_RULE

    def __post_init__(self) -> None:
        """Fill in ``from_part``."""
        if len(self.from_part) != len(self.times):
            object.__setattr__(self, "from_part", np.zeros(len(self.times), bool))

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
        """The alarms, in order; none where there is no threshold. See ``AlarmRule``."""
        if self.threshold is None:
            return []
        return alarms_in(self.times, self.probabilities, self.threshold, self.rule)

    def __str__(self) -> str:
        return f"{self.path.name}: {self.words}"

    @property
    def words(self) -> str:
        """What came out, without the video's name."""
        text = f"highest {self.probabilities[self.peak]:.2f} at {self._moment(self.peak)}"
        if self.threshold is None:
            return text
        if not self.alarms:
            return f"{text}, never at the threshold {self.threshold:.2f}"
        first = self._moment(int(np.searchsorted(self.times, self.alarms[0].start)))
        return f"{text}, first at or above the threshold {self.threshold:.2f} at {first}"

    def _moment(self, place: int) -> str:
        part = " (from part of the window)" if self.from_part[place] else ""
        return f"{self.times[place]:.2f} s{part}"

    def plot(self, path: Path | str) -> Path:
        """Draw the curve over frames, the first alarm's among them; give the picture's path."""
        index = self.index or index_video(self.path)
        alarms = self.alarms
        around = alarms[0].start if alarms else float(self.times[self.peak])
        timeline = Timeline(
            self.times,
            self.probabilities,
            first_time=self.first_time,
            threshold=self.threshold,
            event_time=self.event_time,
            title=self.path.name,
            from_part=self.from_part,
            end=float(index.frame_times[-1]),
        )
        moments = moments_to_show(timeline.span(), (index.height, index.width), around)
        # Where nothing is seen, what was seen before, under its own time.
        found = np.searchsorted(
            index.frame_times, np.append(moments, around) + TIME_NOISE, side="right"
        )
        *_, marked = places = (found - 1).clip(0)
        shown = np.unique(places)
        times = index.frame_times[shown]
        frames = read_frames(index, shown, *_shrunk(index, LARGEST_SHOWN))
        alarm_time = float(index.frame_times[marked]) if alarms else None
        draw_timeline(replace(timeline, alarm_time=alarm_time), path, list(frames), times)
        return Path(path)

    def _repr_png_(self) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            return self.plot(Path(folder) / "timeline.png").read_bytes()


def small_picture(
    index: VideoIndex,
    time: Seconds,
    largest: int = 320,
    draw: Draw | None = None,
    kind: Literal["JPEG", "WEBP"] = "JPEG",
) -> bytes:
    """Give the frame that is shown at a time as a picture, at most so many pixels along a side."""
    place = int(np.searchsorted(index.frame_times, time + TIME_NOISE, side="right")) - 1
    (frame,) = read_frames(index, np.array([max(0, place)]), *_shrunk(index, largest))
    frame = frame if draw is None else draw(frame, time)
    coded = io.BytesIO()
    Image.fromarray(frame).save(coded, kind, quality=_QUALITY[kind])
    return coded.getvalue()


def _shrunk(index: VideoIndex, largest: int) -> tuple[int, int]:
    """Give height and width of frames of which no side is longer."""
    share = min(1.0, largest / max(index.height, index.width))
    return max(1, round(index.height * share)), max(1, round(index.width * share))


def history(policy: SamplingPolicy, specs: Sequence[BackboneSpec]) -> Seconds:
    """Say how much video there must be before a moment can be scored: a window, in a view.

    Of several backbones the longest.
    """
    shortest = min(view.stride for view in policy.views)
    return max((spec.least_frames - 1) / spec.fps * shortest for spec in specs)


def windows_seen(
    frame_times: np.ndarray,
    examples: Sequence[Example],
    policy: SamplingPolicy,
    specs: Sequence[BackboneSpec],
) -> tuple[np.ndarray, np.ndarray]:
    """Say of each example whether it has a window at all, and whether all are whole: bool ``[N]``.

    Of several backbones it is to have one of each. ``frame_times``: of the video's frames, in
    seconds.
    """
    exist, whole = np.ones(len(examples), bool), np.ones(len(examples), bool)
    for spec in specs:
        has_any = np.zeros(len(examples), bool)
        for view in policy.views:
            ends = np.array([example_window_ends(e, policy, view, spec) for e in examples])
            fps = spec.fps / view.stride
            wanted = window_frame_indices(frame_times, ends.ravel(), spec.num_frames, fps)
            num_frames = newest_frames(wanted).reshape(len(examples), -1)
            has_any |= (num_frames >= spec.least_frames).any(axis=1)
            whole &= (num_frames == spec.num_frames).all(axis=1)
        exist &= has_any
    return exist, whole


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
    source: Source,
    path: Path,
    moments: Moments,
    extraction: ExtractionOptions,
    progress: bool = False,
) -> Prediction:
    """Score a video along its length, wherever there is a window to see, as evaluation does.

    Raises:
        VideoDecodeError: It can't be read, or has no stretch as long as the shortest window.
        Interrupted: A signal asked to stop.
    """
    policy, specs = predictor.policy, [part.spec for part in source.parts]
    rate, stream = moments.frame_rate, moments.video_stream
    index = source.looks.index(path, rate, stream)
    start, end = float(index.frame_times[0]), float(index.frame_times[-1])
    clip = index.path, UNLABELLED
    record = VideoRecord(path.stem, *clip, "test", "", frame_rate=rate, video_stream=stream)
    times = np.round(np.arange(start, end + 1e-6, moments.every), 6)
    everything = [Example(record.id, float(time), UNLABELLED, 0.0) for time in times]
    exist, whole = windows_seen(index.frame_times, everything, policy, specs)
    if not exist.any():  # not at these moments, but at the last frame there may be
        times = np.append(times[times < round(end, 6)], round(end, 6))
        everything = [Example(record.id, float(time), UNLABELLED, 0.0) for time in times]
        exist, whole = windows_seen(index.frame_times, everything, policy, specs)
    if not exist.any():
        raise VideoDecodeError(
            index.path,
            f"it is {end - start:.2f} s long; this predictor needs {history(policy, specs):.2f} s "
            "without a hole",
        )
    examples = [everything[place] for place in np.flatnonzero(exist)]
    clips = DataIndex("clip", {record.id: record}, {"test": examples})
    report = in_turn(
        source,
        lambda part: part.extract(part.requests(clips, policy), extraction, progress=progress),
    )
    if report.signal is not None:
        raise Interrupted(report.signal)
    if report.failures:
        raise VideoDecodeError(index.path, report.failures[0].reason)
    data = load_features(clips, source, policy, [])["test"]
    probabilities = np.full(len(times), np.nan)
    probabilities[exist] = predictor.probabilities(data, torch.device("cpu"))
    threshold = predictor.threshold.threshold if predictor.threshold else None
    first_time, from_part = start + history(policy, specs), exist & ~whole
    distance = predictor.known.distances(data).get(record.id) if predictor.known else None
    content = source.digests.content(path, rate, stream)
    every_byte = source.digests.whole(path, rate, stream) if predictor.knows_whole else ""
    doubted = doubts(predictor, distance, content, every_byte)
    known = threshold, moments.event_time, index, from_part, distance, doubted
    return Prediction(path, times, probabilities, first_time, *known)


# How a kind of doubt begins, whatever its numbers are.
KNOWN = "The predictor knows this very video from its own training"
UNLIKE = "This video is unlike those that the predictor learned from"


def doubts(
    predictor: Predictor, distance: float | None, content: str | None = None, whole: str = ""
) -> tuple[str, ...]:
    """Say why the scores of a video so far from a predictor's own should not be believed.

    ``content``: the video's digest, by which a predictor knows one that it has learned from;
    ``whole``: that of every byte, which one needs that ``knows_whole``.
    """
    found = []
    if content and (seen := predictor.seen((), [content], [whole])):
        splits = " and ".join(split for split, count in seen.items() if count)
        if splits:
            found.append(
                f"{KNOWN} ({splits}): its scores flatter. Judge the predictor on videos "
                "that it has not seen."
            )
    if predictor.known and distance is not None and distance > 1:
        share = predictor.known.share_beyond(distance)
        of_own = f"{share:.1%}" if share else "none"
        found.append(
            f"{UNLIKE}: its distance is "
            f"{distance:.2f}, where 19 of 20 videos like them stay within 1 and {of_own} of its "
            "own goes so far. Its scores need not mean here what they meant there."
        )
    return (*found, PAINTED) if predictor.origin.is_painted else tuple(found)
