"""What there is in a data set: counts, distributions, groups, and what cannot be right."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collision.audit.facts import Facts, VideoFacts
from collision.records.splits import shared_groups
from collision.types import SPLITS, Seconds, VideoRecord
from collision.video.frames import latest_visible

CLASSES = {1: "positive", 0: "negative", -1: "unlabelled"}
# Of a tag with more values than that, such as a free text, only the most frequent ones are listed.
MAX_VALUES = 20
_LISTED_OF_MANY = 5
_DIFFERENT = 0.9  # from this share of distinct values on a tag tells nothing by its values
_QUANTILES = {"min": 0.0, "p5": 0.05, "median": 0.5, "p95": 0.95, "max": 1.0}

# What is measured of a video, by name as it stands in reports; None where it has no such thing.
# The anchor (of ``collision.sampling.anchors``, by id) is what cuts are counted from: the event,
# the mock event or a cut clip's end.
_MEASURES: dict[str, Callable[[VideoRecord, VideoFacts, Seconds | None], float | None]] = {
    "duration [s]": lambda r, f, anchor: f.duration,
    "anchor [s]": lambda r, f, anchor: anchor,
    "anchor / duration": lambda r, f, anchor: None if anchor is None else anchor / f.duration,
    "alert [s]": lambda r, f, anchor: r.alert_time,
    "alert / duration": lambda r, f, anchor: (
        None if r.alert_time is None else r.alert_time / f.duration
    ),
    "alert to event [s]": lambda r, f, anchor: (
        None if r.alert_time is None or r.event_time is None else r.event_time - r.alert_time
    ),
    "frames/s": lambda r, f, anchor: round(f.native_fps, 2),
    "kB/s": lambda r, f, anchor: f.frame_bytes.sum() / f.duration / 1000,
}
_KINDS: dict[str, Callable[[VideoRecord, VideoFacts], str]] = {
    "frames/s": lambda r, f: f"{f.native_fps:.4g}",
    "size": lambda r, f: f"{f.width}x{f.height}",
    "codec": lambda r, f: f.codec,
    "file": lambda r, f: r.path.suffix.lower() or "folder",
    "pixels": lambda r, f: f.pixels,
}


def count_videos(records: Iterable[VideoRecord]) -> dict[str, dict[str, int]]:
    """Count videos by split and class, and the groups of each split."""
    records = list(records)
    counts: dict[str, dict[str, int]] = {}
    for split in SPLITS:
        if rows := [record for record in records if record.split == split]:
            by_class = {
                name: sum(r.label == label for r in rows) for label, name in CLASSES.items()
            }
            groups = len({record.group for record in rows})
            counts[split] = {**by_class, "videos": len(rows), "groups": groups}
    return counts


def count_tags(records: Iterable[VideoRecord]) -> dict[str, dict[str, dict[str, int]]]:
    """Count classes by tag and value, the most frequent values first.

    A tag that names videos rather than kinds of them, such as a checksum, is not listed.
    """
    counts = _counted((record, *tag) for record in records for tag in record.tags.items())
    return {tag: _if_different(values) or _most_frequent(values) for tag, values in counts.items()}


def count_kinds(
    records: Iterable[VideoRecord], facts: Facts
) -> dict[str, dict[str, dict[str, int]]]:
    """Count classes by rate, size, codec, file type and pixels, the most frequent first."""
    known = [record for record in records if record.id in facts]
    counts = _counted(
        (record, kind, value_of(record, facts[record.id]))
        for record in known
        for kind, value_of in _KINDS.items()
    )
    return {kind: _most_frequent(counts.get(kind, {})) for kind in _KINDS}


def _counted(
    values: Iterable[tuple[VideoRecord, str, str]],
) -> dict[str, dict[str, Counter[str]]]:
    """Count classes by what was found of each record, and its value."""
    counts: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for record, what, value in values:
        counts[what][value][CLASSES[record.label]] += 1
    return {what: dict(by_value) for what, by_value in counts.items()}


def _if_different(values: Mapping[str, Counter[str]]) -> dict[str, dict[str, int]]:
    """Sum up values of which (nearly) every video has its own; else give nothing."""
    total = sum(values.values(), Counter())
    if len(values) <= _LISTED_OF_MANY or len(values) < _DIFFERENT * total.total():
        return {}
    is_all = len(values) == total.total()
    return {"all different" if is_all else f"{len(values)} different values": dict(total)}


def _most_frequent(values: Mapping[str, Counter[str]]) -> dict[str, dict[str, int]]:
    order = sorted(values.items(), key=lambda item: (-item[1].total(), item[0]))
    listed = order if len(order) <= MAX_VALUES else order[:_LISTED_OF_MANY]
    found = {value: dict(count) for value, count in listed}
    if others := order[len(listed) :]:
        found[f"{len(others)} other values"] = dict(sum((count for _, count in others), Counter()))
    return found


def measure(
    records: Iterable[VideoRecord], facts: Facts, anchor_of: Mapping[str, Seconds]
) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Collect durations, times and rates of records with facts: ``[videos]`` by name and class."""
    known = [record for record in records if record.id in facts]
    measured = {}
    for name, value_of in _MEASURES.items():
        by_class: dict[str, list[float]] = defaultdict(list)
        for record in known:
            anchor = anchor_of.get(record.id, record.event_time)
            value = value_of(record, facts[record.id], anchor)
            if value is not None:
                by_class[CLASSES[record.label]].append(float(value))
        if by_class:
            measured[name] = {group: np.array(found) for group, found in by_class.items()}
    return measured


def quantiles(values: NDArray[np.float64]) -> dict[str, float]:
    """Sum up a distribution: number, minimum, 5 %, median, 95 % and maximum."""
    levels = {name: float(np.quantile(values, level)) for name, level in _QUANTILES.items()}
    return {"number": len(values), **levels}


def describe_groups(records: Sequence[VideoRecord]) -> dict[str, Any]:
    """Count groups; name the largest and those that lie in several splits."""
    sizes = Counter(record.group for record in records)
    return {
        "number": len(sizes),
        "largest": dict(sizes.most_common(5)),
        "in several splits": shared_groups(records),
    }


def find_faults(
    records: Iterable[VideoRecord],
    facts: Facts,
    anchor_of: Mapping[str, Seconds],
    horizons: Iterable[Seconds],
) -> list[dict[str, str]]:
    """List (``video``, ``fault``) whose annotation and file do not fit, or cannot be used whole.

    Without facts, only times are compared with each other.
    """
    longest = max(horizons)
    faults = []
    for record in records:
        found = list(_wrong_times(record, facts.get(record.id)))
        anchor = anchor_of.get(record.id)
        if anchor is not None and record.cut_horizon is None and anchor < longest:
            found.append(
                f"only {anchor:.2f} s before its event: no cut {longest:g} s before it exists"
            )
        faults += [{"video": record.id, "fault": fault} for fault in found]
    return faults


def _wrong_times(record: VideoRecord, facts: VideoFacts | None) -> Iterable[str]:
    times = {
        "event": record.event_time,
        "alert": record.alert_time,
        "mock event": record.mock_event_time,
    }
    for name, time in times.items():
        if facts is None or time is None:
            continue
        if time > facts.duration:
            yield f"its {name} at {time:.2f} s is beyond the video's end at {facts.duration:.2f} s"
        elif time < facts.frame_times[0]:
            yield f"its {name} at {time:.2f} s is before the first frame"
        elif time <= facts.end and latest_visible(facts.frame_times, np.array(time)) < 0:
            yield f"its {name} at {time:.2f} s is in a hole: no frame is shown then"
    event, alert = record.event_time, record.alert_time
    if record.label == 1 and event is None and record.cut_horizon is None:
        yield "a positive without an event time"
    if alert is not None and event is not None and alert > event:
        yield f"its alert at {alert:.2f} s comes after its event"
