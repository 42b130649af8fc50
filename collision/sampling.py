"""Which moments of which video are scored, with what label, and which windows each one needs.

Plain functions of plain data: nothing here opens a video. Times are seconds in the time of the
file. The anchor of a video is the moment that cuts are counted from: its event, its mock event,
or the end of a file that was cut before its event. Every cut and every window's end lies on the
grid ``anchor - j * stride``, so that 0.5, 1.0 and 1.5 s are exact at any frame rate.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from collision.errors import ConfigError
from collision.types import BackboneSpec, Example, Seconds, Split, VideoRecord

_EPSILON = 1e-6


@dataclass(frozen=True)
class SamplingPolicy:
    """How videos become examples; the YAML files in ``configs/sampling`` are instances of it.

    Attributes:
        name: Of the policy, for reports.
        horizons: Cuts of validation and test examples, in seconds before the anchor.
        train_range: Nearest and farthest training cut before the anchor.
        stride: Between neighbouring training cuts.
        hard_negatives: At most so many moments of each crash video, from long before its event,
            as further negatives.
        hard_negative_gap: They end at least this long before ``min(alert, event - train_range)``.
        context: Seconds of features the head sees. None: 2 s of a frame model's frames, a single
            window of a clip model.
        window_stride: Between the ends of neighbouring windows within the context.
        seed: Of the draws of mock events and hard negatives.
        within: (near, far): cuts of crash videos near their event against cuts of the same videos
            far from it, instead of ``horizons``; in training also one stride to either side.
            Normal videos, cut at ``near``, are further negatives.
    """

    name: str = "nexar"
    horizons: tuple[Seconds, ...] = (0.5, 1.0, 1.5)
    train_range: tuple[Seconds, Seconds] = (0.25, 1.5)
    stride: Seconds = 0.25
    hard_negatives: int = 1
    hard_negative_gap: Seconds = 1.5
    context: Seconds | None = None
    window_stride: Seconds = 0.25
    seed: int = 0
    within: tuple[Seconds, Seconds] | None = None

    def __post_init__(self) -> None:
        """Take lists from YAML and refuse what cannot work."""
        for option in ("horizons", "train_range", "within"):
            values = getattr(self, option)
            if values is None and option == "within":
                continue
            try:
                object.__setattr__(self, option, tuple(float(value) for value in values))
            except (TypeError, ValueError):
                raise ConfigError(
                    f"sampling.{option}={values!r}: give a list of seconds, such as [0.5, 1.0]."
                ) from None
        if self.within is not None and (
            len(self.within) != 2 or not 2 * self.stride <= self.within[0] < self.within[1]
        ):
            raise ConfigError(
                f"within={list(self.within)}: give [near, far] in seconds before the event, "
                f"near at least two strides ({2 * self.stride} s), such as [0.5, 2.0]."
            )
        if not self.horizons or min(self.horizons) <= 0:
            raise ConfigError(f"sampling.horizons={list(self.horizons)}: give seconds above 0.")
        if len(self.train_range) != 2 or not 0 < self.train_range[0] <= self.train_range[1]:
            raise ConfigError(
                f"sampling.train_range={list(self.train_range)}: give [nearest, farthest] in "
                "seconds before the event, such as [0.25, 1.5]."
            )
        for option in ("stride", "window_stride"):
            if getattr(self, option) <= 0:
                raise ConfigError(f"sampling.{option}={getattr(self, option)}: must be above 0.")
        for horizon in self.horizons:
            if abs(horizon / self.stride - round(horizon / self.stride)) > _EPSILON:
                raise ConfigError(
                    f"sampling.stride={self.stride} does not divide the horizon {horizon}: "
                    "windows would miss the cut. Use 0.25 or 0.125."
                )
        if self.hard_negatives < 0:
            raise ConfigError(f"sampling.hard_negatives={self.hard_negatives}: give 0 or more.")
        if self.context is not None and self.context < 0:
            raise ConfigError(f"sampling.context={self.context}: give seconds, 0 or more.")

    def num_windows(self, spec: BackboneSpec) -> int:
        """Say how many windows of ``spec`` one example needs."""
        context = self.context
        if context is None:
            context = 2.0 if spec.num_frames == 1 else 0.0
        return max(1, round(context / self.window_stride))


def fraction_from(text: str) -> float:
    """Map text to [0, 1) evenly and for ever: draws that no other video's presence can change."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64


def needs_durations(records: Iterable[VideoRecord]) -> bool:
    """Say whether anchors depend on how long the files are."""
    return any(
        r.cut_horizon is not None or (r.label == 0 and r.mock_event_time is None) for r in records
    )


def anchors(
    records: Sequence[VideoRecord], durations: Mapping[str, Seconds], seed: int = 0
) -> dict[str, Seconds]:
    """Give each video's anchor by its id.

    Negatives without a mock event draw one from the positives' relative positions, else position
    in the file would tell the label. A video that needs a duration that is not in ``durations``
    (its file can't be read) is left out.

    Raises:
        ConfigError: Negatives need mock events and there is no positive to draw from, or a
            positive has neither event time nor cut.
    """
    positions = sorted(
        min(1.0, r.event_time / durations[r.id])
        for r in records
        if r.event_time is not None and r.id in durations
    )
    result: dict[str, Seconds] = {}
    for record in records:
        if record.cut_horizon is not None:
            if record.id in durations:
                result[record.id] = durations[record.id]
        elif record.label == 1:
            if record.event_time is None:
                raise ConfigError(f"Video {record.id!r} is a positive without an event time.")
            result[record.id] = record.event_time
        elif record.mock_event_time is not None:
            result[record.id] = record.mock_event_time
        elif record.id in durations:
            if not positions:
                raise ConfigError(
                    f"Negative {record.id!r} has no event to be cut before, and there is no "
                    "positive with an event time to draw one from. Give negatives an event time "
                    "(it becomes their mock event), or say that the clips are already cut "
                    "(cut_horizon)."
                )
            draw = fraction_from(f"mock/{seed}/{record.id}")
            result[record.id] = positions[int(draw * len(positions))] * durations[record.id]
    return result


def build_examples(
    records: Sequence[VideoRecord],
    anchor_of: Mapping[str, Seconds],
    policy: SamplingPolicy,
    split: Split,
) -> list[Example]:
    """List the examples of one split, in the order of the records.

    Validation and test are cut alike: ``policy.horizons`` before the anchor, and validation in
    equal numbers of both classes.
    """
    chosen = [r for r in records if r.split == split and r.id in anchor_of]
    if split == "val" and policy.within is None:
        chosen = equal_classes(chosen, policy.seed)
    examples: list[Example] = []
    for record in chosen:
        anchor = anchor_of[record.id]
        if policy.within is not None:
            examples += _within_examples(record, anchor, policy, split)
        elif record.cut_horizon is not None:
            examples.append(Example(record.id, anchor, record.label, record.cut_horizon))
        elif split == "train":
            examples += _train_examples(record, anchor, policy)
        else:
            examples += [
                Example(record.id, anchor - horizon, record.label, horizon)
                for horizon in policy.horizons
            ]
    return [example for example in examples if example.end_time >= 0]


def _within_examples(
    record: VideoRecord, anchor: Seconds, policy: SamplingPolicy, split: Split
) -> list[Example]:
    """Cuts near the event (label 1) and far from it (label 0) of one video.

    A crash video that begins later than its far cut is left out whole. All examples carry ``near``
    as their horizon, so that they are judged together.
    """
    assert policy.within is not None
    near, far = policy.within
    moves = (-policy.stride, 0.0, policy.stride) if split == "train" else (0.0,)
    if record.label == 0:
        return [Example(record.id, anchor - near - move, 0, near) for move in moves]
    if record.cut_horizon is not None or anchor < far:
        return []
    return [Example(record.id, anchor - near - move, 1, near) for move in moves] + [
        Example(record.id, anchor - far - move, 0, near, hard_negative=True) for move in moves
    ]


def _train_examples(record: VideoRecord, anchor: Seconds, policy: SamplingPolicy) -> list[Example]:
    nearest, farthest = policy.train_range
    first = math.ceil(nearest / policy.stride - _EPSILON)
    last = math.floor(farthest / policy.stride + _EPSILON)
    examples = [
        Example(record.id, anchor - j * policy.stride, record.label, j * policy.stride)
        for j in range(first, last + 1)
    ]
    if record.label == 1 and policy.hard_negatives:
        limit = anchor - farthest
        if record.alert_time is not None:
            limit = min(limit, record.alert_time)
        limit -= policy.hard_negative_gap
        steps = range(
            math.ceil((anchor - limit) / policy.stride - _EPSILON),
            math.floor(anchor / policy.stride + _EPSILON) + 1,
        )
        generator = np.random.default_rng(
            int(fraction_from(f"hard/{policy.seed}/{record.id}") * 2**53)
        )
        count = min(policy.hard_negatives, len(steps))
        examples += [
            Example(record.id, anchor - j * policy.stride, 0, j * policy.stride, hard_negative=True)
            for j in sorted(int(j) for j in generator.choice(steps, count, replace=False))
        ]
    return examples


def equal_classes(records: Sequence[VideoRecord], seed: int = 0) -> list[VideoRecord]:
    """Leave out videos of the larger class, chosen by a hash of their ids, until both are equal."""
    by_class = [[r for r in records if r.label == label] for label in (0, 1)]
    count = min(len(members) for members in by_class)
    kept = {
        record.id
        for members in by_class
        for record in sorted(members, key=lambda r: fraction_from(f"equal/{seed}/{r.id}"))[:count]
    }
    return [record for record in records if record.id in kept]


def window_ends(end_time: Seconds, num_windows: int, window_stride: Seconds) -> np.ndarray:
    """Give the end times of an example's windows, ``float64 [num_windows]``, oldest first."""
    return end_time - window_stride * np.arange(num_windows - 1, -1, -1, dtype=np.float64)


def step_times(spec: BackboneSpec, num_windows: int, window_stride: Seconds) -> np.ndarray:
    """Give the nominal time of each feature step, ``float32 [num_windows * S]``.

    Seconds relative to the cut, oldest first. The S steps of a clip model's window are spread
    over its frames; what each knows reaches to the window's end all the same.
    """
    ends = window_ends(0.0, num_windows, window_stride)
    frames_a_step = spec.num_frames / spec.num_steps
    within = -np.arange(spec.num_steps - 1, -1, -1) * frames_a_step / spec.fps
    return (ends[:, None] + within[None, :]).reshape(-1).astype(np.float32)


def needed_windows(
    examples: Iterable[Example], num_windows: int, window_stride: Seconds
) -> dict[str, np.ndarray]:
    """Collect the sorted, distinct window ends that each video needs, ``float64 [N]`` by id.

    Ends before the start of the file are left out; times are rounded to a microsecond.
    """
    ends: dict[str, set[float]] = {}
    for example in examples:
        wanted = np.round(window_ends(example.end_time, num_windows, window_stride), 6)
        ends.setdefault(example.video, set()).update(float(t) for t in wanted if t >= 0)
    return {video: np.array(sorted(times)) for video, times in ends.items()}


def with_validation(
    records: Sequence[VideoRecord], fraction: float, seed: int = 0
) -> list[VideoRecord]:
    """Move whole groups from train to validation where a data set has no validation split.

    Groups are chosen by a hash of their name, separately among those that hold a positive and
    those that do not, so that both classes are in both splits.
    """
    if any(r.split == "val" for r in records) or not any(r.split == "train" for r in records):
        return list(records)
    positive_groups = {r.group for r in records if r.label == 1}
    moved: set[str] = set()
    for holds_positive in (True, False):
        groups = {
            r.group
            for r in records
            if r.split == "train" and (r.group in positive_groups) == holds_positive
        }
        order = sorted(groups, key=lambda g: fraction_from(f"validation/{seed}/{g}"))
        moved.update(order[: max(1, round(fraction * len(order)))] if len(order) > 1 else [])
    return [
        replace(r, split="val") if r.split == "train" and r.group in moved else r for r in records
    ]


def folded(records: Sequence[VideoRecord], folds: int, fold: int, seed: int) -> list[VideoRecord]:
    """Make one fold the test split and all else training, whatever the splits were.

    Whole groups, dealt by a hash of their names, apart for those that hold a positive.

    Raises:
        ConfigError: There are fewer groups with positives, or without, than folds need.
    """
    positive_groups = {r.group for r in records if r.label == 1}
    fold_of: dict[str, int] = {}
    for groups in (positive_groups, {r.group for r in records} - positive_groups):
        order = sorted(groups, key=lambda g: fraction_from(f"fold/{seed}/{g}"))
        for position, group in enumerate(order):
            fold_of[group] = position % folds
    if not 2 <= folds <= len(positive_groups):
        raise ConfigError(
            f"folds={folds}: give 2 to {len(positive_groups)}, the number of groups with positives."
        )
    return [replace(r, split="test" if fold_of[r.group] == fold else "train") for r in records]


def limited(records: Sequence[VideoRecord], limit: int | None) -> list[VideoRecord]:
    """Keep whole groups of each split, both classes in turn, until ``limit`` videos a split."""
    if limit is None:
        return list(records)
    if limit < 1:
        raise ConfigError(f"limit={limit}: give a number of videos a split, 1 or more, or null.")
    kept: set[tuple[str, str]] = set()
    for split in ("train", "val", "test"):
        groups: dict[str, list[VideoRecord]] = {}
        for record in records:
            if record.split == split:
                groups.setdefault(record.group, []).append(record)
        waiting = {
            label: [g for g, members in groups.items() if any(r.label == label for r in members)]
            for label in (0, 1)
        }
        count, turn = 0, 1
        while count < limit and any(waiting.values()):
            queue = waiting[turn] or waiting[1 - turn]
            group = queue.pop(0)
            turn = 1 - turn
            if (split, group) not in kept:
                kept.add((split, group))
                count += len(groups[group])
    return [r for r in records if (r.split, r.group) in kept]


def check_groups(records: Iterable[VideoRecord]) -> None:
    """Refuse an index in which a group lies in two splits.

    Raises:
        ConfigError: With the first few groups that do.
    """
    splits: dict[str, set[str]] = {}
    for record in records:
        splits.setdefault(record.group, set()).add(record.split)
    shared = [group for group, found in splits.items() if len(found) > 1]
    if shared:
        raise ConfigError(
            f"{len(shared)} group(s) lie in more than one split, such as {shared[:3]}: what is "
            "learned on one would be tested on its twin. Give all videos of a group one split."
        )
