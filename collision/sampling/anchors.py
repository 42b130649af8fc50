"""The anchor of a video, which cuts are counted from: (mock) event, or the end of a cut file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from collision.errors import ConfigError
from collision.records.splits import fraction_from
from collision.sampling.policy import SamplingPolicy
from collision.types import Seconds, Split, VideoRecord


def mock_event_pool(record: VideoRecord) -> tuple[Split, ...]:
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


def lengths_of_others(
    own: Sequence[VideoRecord], others: Sequence[VideoRecord], policy: SamplingPolicy
) -> list[VideoRecord]:
    """List whose lengths move the moments of ``own``, beside their own.

    Mock events are drawn from the positions of all positives, and of validation's videos some are
    left out until both classes are equal: of those that have an anchor.
    """
    equal = policy.within is None and any(r.split == "val" for r in own)
    beside = [r for r in others if equal and r.split == "val" and r.event_time is None]
    timed = [r for r in beside if _is_drawn(r) or r.cut_horizon is not None]
    draws = policy.mock_events == "drawn" and any(map(_is_drawn, [*own, *beside]))
    return timed + [r for r in others if draws and r.event_time is not None]


def _is_drawn(record: VideoRecord) -> bool:
    """Whether a record's anchor is drawn from others'."""
    has_anchor = record.mock_event_time is not None or record.cut_horizon is not None
    return record.label != 1 and not has_anchor


def anchors(
    records: Sequence[VideoRecord],
    durations: Mapping[str, Seconds],
    policy: SamplingPolicy,
    *,
    separate_pools: bool = True,
) -> dict[str, Seconds]:
    """Give each video's anchor by its id.

    Negatives without a mock event draw one from the positives' relative positions, else position
    in the file would tell the label. A video that needs a duration that is not in ``durations``
    (its file can't be read) is left out. ``separate_pools``: negatives of the test split
    draw from positives of the test split alone, all others from all others, where there are any: so
    a test is cut the same way whether training videos are at hand or not.

    Raises:
        ConfigError: There is no positive to draw from, or one without event time or cut.
    """
    positions = _event_positions(records, durations)
    everywhere = sorted(position for found in positions.values() for position in found)
    result: dict[str, Seconds] = {}
    for record in records:
        anchor = _own_anchor(record, durations)
        if anchor is None and record.cut_horizon is None and record.id in durations:
            pool = positions.get(mock_event_pool(record)) if separate_pools else None
            anchor = _mock_position(record, policy, pool or everywhere) * durations[record.id]
        if anchor is not None:
            result[record.id] = anchor
    return result


def _event_positions(
    records: Iterable[VideoRecord], durations: Mapping[str, Seconds]
) -> dict[tuple[Split, ...], list[float]]:
    """Give where in their files the events lie, 0 to 1 ascending, by pool."""
    positions: dict[tuple[Split, ...], list[float]] = {}
    for record in records:
        if record.event_time is not None and record.id in durations:
            position = min(1.0, record.event_time / durations[record.id])
            positions.setdefault(mock_event_pool(record), []).append(position)
    return {pool: sorted(found) for pool, found in positions.items()}


def _own_anchor(record: VideoRecord, durations: Mapping[str, Seconds]) -> Seconds | None:
    """Give the anchor that a video has by itself; None: it is drawn, or cannot be known."""
    if record.cut_horizon is not None:
        return durations.get(record.id)
    if record.label == 1 and record.event_time is None:
        raise ConfigError(f"Video {record.id!r} is a positive without an event time.")
    return record.event_time if record.label == 1 else record.mock_event_time


def _mock_position(record: VideoRecord, policy: SamplingPolicy, positions: list[float]) -> float:
    """Say where in a negative's file its mock event lies, 0 to 1."""
    if policy.mock_events == "midpoint":
        return 0.5
    if not positions:
        raise ConfigError(
            f"Negative {record.id!r} has no event to be cut before, and there is no positive with "
            "an event time to draw one from. Give negatives an event time (it becomes their mock "
            "event), or say that the clips are already cut (dataset.cut_horizon=SECONDS)."
        )
    return positions[int(fraction_from(f"mock/{policy.seed}/{record.id}") * len(positions))]
