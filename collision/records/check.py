"""What every data set's records keep to, whoever wrote its class."""

from __future__ import annotations

import math
from collections import Counter

from collision.errors import MOST_LINES_SHOWN, AnnotationError
from collision.types import SPLITS, UNLABELLED, Dataset, VideoRecord

_TIMES = ("event_time", "alert_time", "mock_event_time", "cut_horizon")


def records_of(dataset: Dataset) -> list[VideoRecord]:
    """List a data set's videos; an AnnotationError where they are not what a record promises."""
    records = dataset.records()
    count = Counter(record.id for record in records)
    wrong = [f"{name!r} is the id of {n} videos" for name, n in count.items() if n > 1]
    wrong += [f"{record.id!r}: {why}" for record in records for why in _faults(record)]
    if wrong:
        shown = "\n  ".join(wrong[:MOST_LINES_SHOWN])
        more = f" ({len(wrong)}, of which the first are)" if len(wrong) > MOST_LINES_SHOWN else ""
        raise AnnotationError(f"Records of {dataset.name!r} cannot be used{more}:\n  {shown}")
    return records


def _faults(record: VideoRecord) -> list[str]:
    times = [(name, getattr(record, name)) for name in _TIMES]
    wrong = [one for one in times if one[1] is not None and not 0 <= one[1] < math.inf]
    faults = [f"{name} is {time}: give seconds, 0 or more" for name, time in wrong]
    if record.split not in SPLITS:
        faults.append(f"split is {record.split!r}: give {', '.join(SPLITS)}")
    if record.label not in (0, 1, UNLABELLED):
        faults.append(f"label is {record.label!r}: give 0, 1 or {UNLABELLED}")
    if record.label == 0 and record.event_time is not None:
        faults.append("a negative has an event_time; its stand-in is mock_event_time")
    return faults
