"""Your own videos: a CSV file with a line for each.

    video,label,event_time,group
    monday/0001.mp4,1,12.4,drive_7
    monday/0002.mp4,0,,drive_8

``video`` and ``label`` (1: it shows a collision or near collision) must be there. The others may:

- ``event_time``: seconds from the start of the file, or ``mm:ss``. Positives need it, unless
  ``cut_horizon`` says that the clips end that long before their event. A negative's is its mock
  event: the moment to cut it at; negatives without one get it drawn.
- ``alert_time``: when a positive's event could first be foreseen.
- ``group``: videos of one event or one drive. A group never meets in two splits, and intervals
  resample groups. A video without one is a group of its own: name groups if videos share a drive.
- ``split``: ``train``, ``val`` or ``test``.

Every other column is a tag to slice results by. Columns of other names are mapped in the
configuration: ``dataset.columns.event_time=event_time_corrected``.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

from collision.checks import user_path
from collision.errors import AnnotationError, ConfigError, DatasetNotFoundError, Rejected
from collision.records.annotations import (
    binary,
    is_missing,
    parse_csv,
    path_below,
    read_header,
    reject,
    require_columns,
    seconds,
)
from collision.records.files import ListedVideos
from collision.types import SPLITS, Seconds, Split, VideoRecord

REQUIRED = ("video", "label")
OPTIONAL = ("event_time", "alert_time", "group", "split")


@dataclass(eq=False)
class Manifest(ListedVideos):
    """Videos listed in a CSV file.

    Args:
        csv: The file, as in ``parse_csv``.
        root: The folder that paths in it are relative to, and must not leave; default: its own.
        columns: From a name above to the column that holds it; None: do not read it at all.
        cut_horizon: The clips without an event time, of both classes, were cut this many seconds
            before their event (or mock event): their end is the cut.
        split: Of every video, if the file has no ``split`` column.
        video_stream: Which of each file's video streams is meant, counted from 0; None: the default
            one, or the first.
        allow_links, name: As in ``collision.types.Dataset``.
    """

    csv: Path
    root: Path | None = None
    columns: Mapping[str, str | None] = field(default_factory=dict)
    cut_horizon: Seconds | None = None
    split: str = "test"
    video_stream: int | None = None
    allow_links: bool = False
    name: str = "manifest"

    def __post_init__(self) -> None:
        self.csv = user_path(self.csv)
        self.folder = user_path(self.root) if self.root is not None else self.csv.parent
        self.remedy = f"{str(self.csv)!r} lists them. If they lie elsewhere: dataset.root=FOLDER."
        self.columns = {key: key for key in REQUIRED + OPTIONAL} | dict(self.columns)
        if unknown := sorted(set(self.columns) - set(REQUIRED + OPTIONAL)):
            raise ConfigError(
                f"dataset.columns.{unknown[0]}: a manifest has {', '.join(REQUIRED + OPTIONAL)}. "
                "Any other column becomes a tag by itself."
            )
        if self.split not in SPLITS:
            raise ConfigError(f"dataset.split={self.split}: give {', '.join(SPLITS)}.")
        horizon = self.cut_horizon
        is_time = isinstance(horizon, (int, float)) and 0 <= horizon < math.inf
        if horizon is not None and not is_time:
            raise ConfigError(f"dataset.cut_horizon={horizon}: give seconds, 0 or more.")
        if self.video_stream is not None and self.video_stream < 0:
            raise ConfigError(f"dataset.video_stream={self.video_stream}: give 0 or more.")

    def records(self) -> list[VideoRecord]:
        """Read the file; the order is its own.

        CollisionError: there is no such file, lines cannot be read (it lists all), or videos are
        links out of the root.
        """
        if self.csv.is_dir():
            raise ConfigError(
                f"dataset.csv={self.csv}: that is a folder; give a CSV file. To make one of the "
                f"videos in it: collision data {self.csv} write=clips.csv"
            )
        if not self.csv.is_file():
            remedy = "Give the path of your list as dataset.csv=FILE."
            raise DatasetNotFoundError(self.csv.parent, [self.csv.name], remedy)
        self._check_header(read_header(self.csv))
        records = parse_csv(self.csv, (), self._record)
        faults = _repeated_videos(records) | _split_groups(records)
        reject([Rejected(self.csv, line, faults[line]) for line in sorted(faults)])
        if not records:
            raise AnnotationError(f"{str(self.csv)!r} lists no video.")
        return self._with_ids(list(records.values()))

    def _check_header(self, header: list[str]) -> None:
        for key, column in self.columns.items():
            if key in REQUIRED and column is None:
                raise ConfigError(f"dataset.columns.{key}=null: a manifest needs this column.")
            # An optional column may be absent, but not if the user went to the trouble to name it.
            if column is not None and (key in REQUIRED or column != key):
                remedy = f" Name the one that holds it: dataset.columns.{key}=NAME."
                require_columns(self.csv, header, [column], remedy)

    def _record(self, row: Mapping[str, str]) -> VideoRecord:
        """Make a record of one line; its id is the path below the root."""
        fields = {key: row.get(column or "", "") for key, column in self.columns.items()}
        path = path_below(self.folder, fields["video"], self.allow_links)
        label = binary("label", fields["label"])
        event_time = seconds("event_time", fields["event_time"])
        alert_time = seconds("alert_time", fields["alert_time"])
        if label == 1 and event_time is None and self.cut_horizon is None:
            raise ValueError(
                "a positive needs an event_time; for clips that end a known time before their "
                "event: dataset.cut_horizon=SECONDS"
            )
        if alert_time is not None and label == 0:
            raise ValueError(f"a negative has no alert_time, this is {alert_time:g}")
        if alert_time is not None and event_time is not None and alert_time > event_time:
            raise ValueError(f"alert_time {alert_time:g} is after event_time {event_time:g}")
        split = fields["split"] if self.columns["split"] in row else self.split
        if split not in SPLITS:
            raise ValueError(f"split {split!r} is none of {', '.join(SPLITS)}")
        relative = path.relative_to(self.folder.resolve()).as_posix()
        used = set(self.columns.values())
        return VideoRecord(
            id=relative,
            path=path,
            label=label,
            split=cast(Split, split),
            group=relative if is_missing(fields["group"]) else fields["group"],
            event_time=event_time if label == 1 else None,
            alert_time=alert_time,
            mock_event_time=event_time if label == 0 else None,
            cut_horizon=self.cut_horizon if event_time is None else None,
            video_stream=self.video_stream,
            tags={column: text for column, text in row.items() if text and column not in used},
        )

    def _with_ids(self, records: list[VideoRecord]) -> list[VideoRecord]:
        """Name each by its file's stem where no other has it, else by its path below the root."""
        stems = Counter(record.path.stem for record in records)
        ids = [r.path.stem if stems[r.path.stem] == 1 else r.id for r in records]
        if len(set(ids)) < len(ids):  # a stem such as "a.mp4" equals another's path
            return records
        return [replace(record, id=name) for record, name in zip(records, ids, strict=True)]


def _repeated_videos(records: Mapping[int, VideoRecord]) -> dict[int, str]:
    first: dict[Path, int] = {}
    return {
        line: f"video {record.id!r} is in line {first[record.path]} already"
        for line, record in records.items()
        if first.setdefault(record.path, line) != line
    }


def _split_groups(records: Mapping[int, VideoRecord]) -> dict[int, str]:
    first: dict[str, tuple[int, str]] = {}
    faults = {}
    for line, record in records.items():
        first_line, split = first.setdefault(record.group, (line, record.split))
        if split != record.split:
            faults[line] = (
                f"group {record.group!r} is in {record.split} here and in {split} in line "
                f"{first_line}: a group belongs to one split"
            )
    return faults
