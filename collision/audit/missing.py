"""Examples that have no frames, counted by split, class and reason; and wrong units, guessed.

Shapes: N frames of a file, W windows of an example, T frames a window.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from collision.audit.inventory import CLASSES
from collision.errors import CollisionError, VideoDecodeError
from collision.features.sources import Source
from collision.sampling.policy import SamplingPolicy
from collision.sampling.windows import example_window_ends
from collision.types import BackboneSpec, Example, Seconds, VideoRecord
from collision.video.frames import window_frame_indices

FOUND = ""
UNREADABLE = "unreadable"
BEYOND = "event beyond the end"
BEFORE = "before the first frame"
SHORT = "before the first whole window"
HOLE = "in a hole"
# By reason, what to do.
_WAYS_OUT = {
    UNREADABLE: "Mend the files: `collision data` lists them.",
    BEYOND: "Give event times in seconds from the first moment shown: `collision data` lists them.",
    BEFORE: "Give longer videos, or train with other sampling.horizons.",
    SHORT: "Give longer videos, or train with other sampling.horizons or shorter windows.",
    HOLE: "Mend the files: `collision data` lists them.",
}
# Of the times of a class, so many and such a share beyond their files' ends are no slips.
_MIN_BEYOND, _SHARE_BEYOND, _SHARE_INSIDE = 3, 0.5, 0.9


class Timed(Protocol):
    """How long a file is, and how fast."""

    @property
    def duration(self) -> Seconds:
        """To the end of the last frame."""

    @property
    def native_fps(self) -> float:
        """Frames a second."""


class TimedFrames(Timed, Protocol):
    """What is asked of a file; a ``VideoIndex`` has it, and so have ``VideoFacts``."""

    @property
    def frame_times(self) -> NDArray[np.float64]:
        """When each of the ``[N]`` frames is first shown, in seconds."""


@dataclass(frozen=True)
class Clock:
    """What is kept of a file that was looked at: all frames of 100,000 files take gigabytes."""

    duration: Seconds
    native_fps: float


def why_unseen(
    file: TimedFrames, end_time: Seconds, ends: NDArray[np.float64], num_frames: int, fps: float
) -> str:
    """Say why no window of an example has its newest ``num_frames``; FOUND if one has.

    The example is cut at ``end_time``; its windows end at ``ends [W]``, or -1 where they would
    reach too far back.
    """
    seen = window_frame_indices(file.frame_times, ends, num_frames, fps) >= 0  # [W, T]
    if seen.all(axis=1).any():
        return FOUND
    first, last = file.frame_times[[0, -1]]
    if end_time < first:
        return BEFORE
    if end_time > last and not seen[-1, -1]:
        return BEYOND
    begins_before = ends[-1] - (num_frames - 1) / fps < first and not seen[-1, 0]
    return SHORT if begins_before and (seen[-1, -1] or ends[-1] < 0) else HOLE


class Reasons:
    """Says why examples have no frames; a file is looked at only if need be.

    Once, if its examples come one after the other.
    """

    def __init__(
        self,
        source: Source,
        policy: SamplingPolicy,
        records: Mapping[str, VideoRecord],
        unreadable: Iterable[str],
    ):
        """Take videos by id, and the ids of those that gave no features."""
        self.source, self.policy, self.records = source, policy, records
        self.unreadable = frozenset(unreadable)
        self.files: dict[str, Timed | None] = dict.fromkeys(self.unreadable)
        self._latest: tuple[str, TimedFrames | None] = ("", None)

    def __call__(self, example: Example) -> str:
        """Give the reason; FOUND if there are frames."""
        if example.end_time < 0:
            return UNREADABLE if example.video in self.unreadable else BEFORE
        file = self._look(self.records[example.video])
        if file is None:
            return UNREADABLE
        by_backbone = (self._reason(example, file, part.spec) for part in self.source.parts)
        return next(filter(None, by_backbone), FOUND)

    def _reason(self, example: Example, file: TimedFrames, spec: BackboneSpec) -> str:
        reasons = []
        for view in self.policy.views:
            ends = example_window_ends(example, self.policy, view, spec)
            fps = spec.fps / view.stride
            reasons.append(why_unseen(file, example.end_time, ends, spec.least_frames, fps))
        return FOUND if FOUND in reasons else reasons[0]

    def _look(self, record: VideoRecord) -> TimedFrames | None:
        if record.id in self.unreadable:
            return None
        if record.id != self._latest[0]:
            try:
                timing = record.frame_rate, record.video_stream
                found = self.source.looks.index(record.path, *timing)
                self.files[record.id] = Clock(float(found.duration), float(found.native_fps))
                self._latest = record.id, found
            except VideoDecodeError:
                self.files[record.id] = None
                self._latest = record.id, None
        return self._latest[1]


@dataclass
class Missing:
    """How many examples have frames (FOUND), and why others have none.

    Attributes:
        counts: By split, label and horizon: examples by reason.
        units: What wrong times look like, a sentence for each class.
    """

    counts: dict[tuple[str, int, Seconds], Counter[str]] = field(default_factory=dict)
    units: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Give by split and class how many were ``wanted`` and are ``left``, and ``reasons``."""
        result: dict[str, dict[str, dict[str, Any]]] = {}
        for split, label in dict.fromkeys(key[:2] for key in self.counts):
            total = sum(self._by_horizon(split, label).values(), Counter())
            reasons = {reason: total[reason] for reason in _WAYS_OUT}
            if any(reasons.values()):
                part = {"wanted": total.total(), "left": total[FOUND], "reasons": reasons}
                result.setdefault(split, {})[CLASSES[label]] = part
        return result

    def check(self, *splits: str) -> None:
        """Refuse (CollisionError) a class, or a horizon of it, that had examples and has none left.

        Training is not judged by horizon, so there only classes count.
        """
        for split, label in ((split, label) for split in splits for label in (1, 0)):
            by_horizon = self._by_horizon(split, label)
            gone = {horizon: count for horizon, count in by_horizon.items() if not count[FOUND]}
            if not gone or (split == "train" and len(gone) < len(by_horizon)):
                continue
            total = sum(gone.values(), Counter())
            reasons = ", ".join(f"{count} {reason}" for reason, count in total.most_common())
            horizons = ", ".join(f"{horizon:g}" for horizon in sorted(gone))
            where = "" if split == "train" else f" {horizons} s before the event"
            said = [
                f"No {CLASSES[label]} example is left in the {split} split{where}: all "
                f"{total.total()} are without frames ({reasons}).",
                *self.units,
                _WAYS_OUT[total.most_common(1)[0][0]],
            ]
            raise CollisionError(" ".join(said))

    def _by_horizon(self, split: str, label: int) -> dict[Seconds, Counter[str]]:
        return {key[2]: c for key, c in self.counts.items() if key[:2] == (split, label)}


def count_missing(
    wanted: Mapping[str, Iterable[Example]], why: Callable[[Example], str], policy: SamplingPolicy
) -> Missing:
    """Count examples by split.

    Within clips, a video is judged only if all its cuts have frames; see ``scored_examples``.
    """
    missing = Missing()
    for split, examples in wanted.items():
        reasons = [(example, why(example)) for example in examples]
        is_whole = policy.within is not None and split != "train"
        lost = {example.video: reason for example, reason in reasons if reason and is_whole}
        for example, reason in reasons:
            key = (split, example.label, round(example.horizon, 3))
            count = missing.counts.setdefault(key, Counter())
            count[reason or lost.get(example.video, FOUND)] += 1
    return missing


def guess_units(records: Iterable[VideoRecord], files: Mapping[str, Timed | None]) -> list[str]:
    """Say of each class most of whose times lie beyond their files' ends what they look like.

    The time of a video that is not in ``files`` fits; one that is None there does not count.
    """
    said = []
    timed = [(r, r.event_time if r.label == 1 else r.mock_event_time) for r in records]
    for label, whose in ((1, "positives'"), (0, "negatives'")):
        own = [(files.get(r.id), r, t) for r, t in timed if r.label == label and t is not None]
        own = [(file, r, t) for file, r, t in own if file is not None or r.id not in files]
        beyond = [(file, t) for file, _, t in own if file is not None and t > file.duration]
        if len(beyond) < max(_MIN_BEYOND, _SHARE_BEYOND * len(own)):
            continue
        guesses = {
            "they look like frame numbers (divide by the frame rate)": [
                t / file.native_fps <= file.duration for file, t in beyond
            ],
            "they look like milliseconds (divide by 1000)": [
                t / 1000 <= file.duration for file, t in beyond
            ],
        }
        for guess, fits in guesses.items():
            if sum(fits) >= _SHARE_INSIDE * len(fits):
                where = f"{len(beyond)} of {len(own)} {whose} event times lie beyond their files'"
                said.append(f"{where} ends: {guess}.")
                break
    return said
