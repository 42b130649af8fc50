"""The examples of a split: moments, labels, horizons and weights.

Every cut lies on the grid ``anchor - j * stride``, so that 0.5, 1.0 and 1.5 s are exact at any
frame rate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from collision.records.splits import fraction_from
from collision.sampling.policy import SamplingPolicy
from collision.types import UNLABELLED, Example, Seconds, Split, VideoRecord

_EPSILON = 1e-6
_NOWHERE: Seconds = -1.0  # as an anchor: every cut lies before the start of the file


def build_examples(
    records: Sequence[VideoRecord],
    anchor_of: Mapping[str, Seconds],
    policy: SamplingPolicy,
    split: Split,
    durations: Mapping[str, Seconds] | None = None,
) -> list[Example]:
    """List the examples of one split, in the order of the records; see ``wanted_examples``."""
    wanted = wanted_examples(records, anchor_of, policy, split, durations)
    return [example for example in wanted if example.end_time >= 0]


def wanted_examples(
    records: Sequence[VideoRecord],
    anchor_of: Mapping[str, Seconds],
    policy: SamplingPolicy,
    split: Split,
    durations: Mapping[str, Seconds] | None = None,
) -> list[Example]:
    """List what a split should have, also examples that cannot be: their ``end_time`` is below 0.

    They lie before the start of their file, or the file has no anchor, for it can't be read.
    Validation and test are cut alike: ``policy.horizons`` before the anchor, and validation in
    equal numbers of both classes. A clip whose label is secret is scored at its end. ``durations``
    are needed for whole clips.
    """
    all_of_split = [r for r in records if r.split == split]
    if split != "test":
        all_of_split = [r for r in all_of_split if r.label != UNLABELLED]
    chosen = [r for r in all_of_split if r.id in anchor_of]
    if split == "val" and policy.within is None:
        chosen = equal_classes(chosen, policy.seed)
    examples: list[Example] = []
    for record in [*chosen, *(r for r in all_of_split if r.id not in anchor_of)]:
        anchor = anchor_of.get(record.id, _NOWHERE)
        if policy.whole_clip:
            examples += _whole_clip(record, durations or {}, policy)
        elif policy.within is not None:
            examples += _within_examples(record, anchor, policy, split)
        elif record.cut_horizon is not None:
            examples.append(Example(record.id, anchor, record.label, record.cut_horizon))
        elif split == "train":
            examples += _train_examples(record, anchor, policy)
        else:
            examples += [Example(record.id, anchor - h, record.label, h) for h in policy.horizons]
    return examples


def dense_examples(
    records: Sequence[VideoRecord],
    anchor_of: Mapping[str, Seconds],
    durations: Mapping[str, Seconds],
    policy: SamplingPolicy,
    split: Split,
) -> list[Example]:
    """List moments all along each video of a split, oldest first, for the curve of its scores.

    A positive's end before its event, on the grid that is counted from it. A negative's, and those
    of a clip that was cut, reach to the last frame. A negative's ``horizon`` is counted from its
    last frame and means nothing.
    """
    assert policy.dense is not None
    examples = []
    for record in records:
        if record.split != split or record.id not in anchor_of or record.label == UNLABELLED:
            continue
        to_the_end = record.label == 0 or record.cut_horizon is not None
        if to_the_end and record.id not in durations:
            continue
        last = durations[record.id] if to_the_end else anchor_of[record.id]
        beyond = record.cut_horizon or 0.0  # of the event, after the last frame
        first = 0 if to_the_end else 1
        steps = range(math.floor(last / policy.dense + _EPSILON), first - 1, -1)
        examples += [
            Example(record.id, last - j * policy.dense, record.label, j * policy.dense + beyond)
            for j in steps
        ]
    return examples


def _whole_clip(
    record: VideoRecord, durations: Mapping[str, Seconds], policy: SamplingPolicy
) -> list[Example]:
    end = durations.get(record.id, _NOWHERE)
    spacing = end / max(1, round((policy.context or 0.0) / policy.window_stride))
    return [Example(record.id, end, record.label, 0.0, window_stride=spacing)]


def _within_examples(
    record: VideoRecord, anchor: Seconds, policy: SamplingPolicy, split: Split
) -> list[Example]:
    """Cuts near the event (label 1) and far from it (label 0) of one video.

    A crash video that begins later than its far cut is left out whole. All examples carry ``near``
    as their horizon, so that they are judged together. A near cut looks no farther back than its
    far cut can: else the number of its windows would tell the label.
    """
    assert policy.within is not None
    near, far = policy.within
    moves = (-policy.stride, 0.0, policy.stride) if split == "train" else (0.0,)
    if record.label == 1 and record.cut_horizon is not None:
        return []
    if record.label == 1 and anchor < far:
        anchor = _NOWHERE
    near_cuts = [
        Example(record.id, anchor - near - move, record.label, near, context=anchor - far - move)
        for move in moves
    ]
    if record.label == 0:
        return near_cuts
    return near_cuts + [
        Example(record.id, anchor - far - move, 0, near, hard_negative=True) for move in moves
    ]


def _train_examples(record: VideoRecord, anchor: Seconds, policy: SamplingPolicy) -> list[Example]:
    nearest, farthest = policy.train_range
    first = math.ceil(nearest / policy.stride - _EPSILON)
    last = math.floor(farthest / policy.stride + _EPSILON)
    if policy.positives_from == "alert" and record.label == 1 and record.alert_time is not None:
        alert = math.floor((anchor - record.alert_time) / policy.stride + _EPSILON)
        last = max(first, min(last, alert))
    examples = []
    for horizon in (j * policy.stride for j in range(first, last + 1)):
        weight = _weight(record, anchor, horizon, policy)
        examples.append(Example(record.id, anchor - horizon, record.label, horizon, weight))
    if record.label == 1 and policy.hard_negatives:
        alert_time = anchor if record.alert_time is None else record.alert_time
        limit = min(anchor - farthest, alert_time) - policy.hard_negative_gap
        nearest_step = math.ceil((anchor - limit) / policy.stride - _EPSILON)
        steps = range(nearest_step, math.floor(anchor / policy.stride + _EPSILON) + 1)
        seed = int(fraction_from(f"hard/{policy.seed}/{record.id}") * 2**53)
        count = min(policy.hard_negatives, len(steps))
        drawn = np.random.default_rng(seed).choice(steps, count, replace=False)
        for horizon in (int(j) * policy.stride for j in sorted(drawn)):
            examples.append(Example(record.id, anchor - horizon, 0, horizon, hard_negative=True))
    return examples


def _weight(
    record: VideoRecord, anchor: Seconds, horizon: Seconds, policy: SamplingPolicy
) -> float:
    if record.label != 1:
        return 1.0
    weight = 1.0 if policy.fade is None else math.exp(-horizon / policy.fade)
    if record.alert_time is not None and anchor - horizon >= record.alert_time - _EPSILON:
        weight *= policy.alert_weight
    return weight


def equal_classes(records: Sequence[VideoRecord], seed: int = 0) -> list[VideoRecord]:
    """Leave out videos of the larger class, chosen by a hash of their ids, until both are equal."""
    by_class = [[r for r in records if r.label == label] for label in (0, 1)]
    count = min(len(members) for members in by_class)
    drawn = [sorted(m, key=lambda r: fraction_from(f"equal/{seed}/{r.id}")) for m in by_class]
    kept = {record.id for members in drawn for record in members[:count]}
    return [record for record in records if record.id in kept]
