"""The anchor of a video: the moment that cuts are counted from.

Its event, its mock event, or the end of a file that was cut before its event. Plain functions of
plain data: nothing here opens a video. Times are seconds in the time of the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from collision.errors import ConfigError
from collision.records.splits import fraction_from
from collision.sampling.policy import SamplingPolicy
from collision.types import Seconds, Split, VideoRecord


def side_of(record: VideoRecord) -> tuple[Split, ...]:
    """Say which splits draw their mock events together: the test split is apart from the others."""
    return ("test",) if record.split == "test" else ("train", "val")


def needs_durations(records: Iterable[VideoRecord], policy: SamplingPolicy) -> bool:
    """Say whether moments depend on how long the files are."""
    return (
        policy.whole_clip
        or policy.dense is not None
        or any(
            r.cut_horizon is not None or (r.label == 0 and r.mock_event_time is None)
            for r in records
        )
    )


def anchors(
    records: Sequence[VideoRecord],
    durations: Mapping[str, Seconds],
    policy: SamplingPolicy,
    *,
    by_side: bool = True,
) -> dict[str, Seconds]:
    """Give each video's anchor by its id.

    Negatives without a mock event draw one from the positives' relative positions, else position
    in the file would tell the label. A video that needs a duration that is not in ``durations``
    (its file can't be read) is left out.

    Args:
        records: Of all wanted splits.
        durations: By id.
        policy: How mock events are found.
        by_side: Negatives of the test split draw from positives of the test split alone, all others
            from all others, where there are any: so a test is cut the same way whether training
            videos are at hand or not. False draws from all.

    Raises:
        ConfigError: Negatives need mock events and there is no positive to draw from, or a
            positive has neither event time nor cut.
    """
    position_of = {
        r.id: min(1.0, r.event_time / durations[r.id])
        for r in records
        if r.event_time is not None and r.id in durations
    }
    everywhere = sorted(position_of.values())
    on_side: dict[tuple[Split, ...], list[float]] = {}
    for record in sorted(records, key=lambda r: position_of.get(r.id, 0.0)):
        if record.id in position_of:
            on_side.setdefault(side_of(record), []).append(position_of[record.id])
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
        elif record.id in durations and policy.mock_events == "midpoint":
            result[record.id] = durations[record.id] / 2
        elif record.id in durations:
            positions = (on_side.get(side_of(record)) if by_side else None) or everywhere
            if not positions:
                raise ConfigError(
                    f"Negative {record.id!r} has no event to be cut before, and there is no "
                    "positive with an event time to draw one from. Give negatives an event time "
                    "(it becomes their mock event), or say that the clips are already cut "
                    "(cut_horizon)."
                )
            draw = fraction_from(f"mock/{policy.seed}/{record.id}")
            result[record.id] = positions[int(draw * len(positions))] * durations[record.id]
    return result
