"""Your own videos: a CSV file with a line for each.

    video,label,event_time,group
    monday/0001.mp4,1,12.4,drive_7
    monday/0002.mp4,0,,drive_8

``video`` and ``label`` (1: it shows a collision or near collision) must be there. The others may:

- ``event_time``: seconds from the start of the file. Positives need it, unless ``cut_horizon`` says
  that the clips end that long before their event. A negative's is its mock event: the moment to cut
  it at; negatives without one get it drawn.
- ``alert_time``: when a positive's event could first be foreseen.
- ``group``: videos of one event or one drive. A group never meets in two splits, and intervals
  resample groups. A video without one is a group of its own: name groups if videos share a drive.
- ``split``: ``train``, ``val`` or ``test``.

Every other column is a tag to slice results by. Columns of other names are mapped in the
configuration: ``dataset.columns.event_time=event_time_corrected``.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

from collision.errors import AnnotationError, ConfigError, DatasetNotFoundError
from collision.types import SPLITS, Seconds, Split, VideoRecord

REQUIRED = ("video", "label")
OPTIONAL = ("event_time", "alert_time", "group", "split")
MOST_LINES_SHOWN = 20


class Manifest:
    """Videos listed in a CSV file.

    Args:
        csv: The file: UTF-8, commas, a header line.
        root: The folder that paths in it are relative to, and must not leave; default: its own.
        columns: From a name above to the column that holds it; None: do not read it at all.
        cut_horizon: The clips without an event time, of both classes, were cut this many seconds
            before their event (or mock event): their end is the cut.
        name: Of the data set, in reports.
        split: Of every video, if the file has no ``split`` column.

    Raises:
        ConfigError: One of these cannot be.
    """

    def __init__(
        self,
        csv: str,
        root: str | None = None,
        columns: Mapping[str, str | None] | None = None,
        cut_horizon: Seconds | None = None,
        name: str = "manifest",
        split: str = "test",
    ):
        self.csv = Path(csv).expanduser()
        self.root = Path(root).expanduser() if root is not None else self.csv.parent
        self.name = name
        self.split = split
        self.cut_horizon = cut_horizon
        self.columns: dict[str, str | None] = {key: key for key in REQUIRED + OPTIONAL}
        self.columns |= columns or {}
        unknown = sorted(set(self.columns) - set(REQUIRED + OPTIONAL))
        if unknown:
            raise ConfigError(
                f"columns.{unknown[0]}: a manifest has {', '.join(REQUIRED + OPTIONAL)}. "
                "Any other column becomes a tag by itself."
            )
        if split not in SPLITS:
            raise ConfigError(f"split={split!r}: give {', '.join(SPLITS)}.")
        is_number = isinstance(cut_horizon, (int, float)) and 0 <= cut_horizon < math.inf
        if cut_horizon is not None and not is_number:
            raise ConfigError(f"cut_horizon={cut_horizon!r}: give seconds, 0 or more.")

    def prepare(self) -> None:
        """Check every line, and that the videos are there.

        Raises:
            DatasetNotFoundError: The CSV file or videos are missing; lists them.
            AnnotationError: Lines that cannot be read; lists them.
        """
        missing = [record.path for record in self.records() if not _is_file(record.path)]
        if missing:
            raise DatasetNotFoundError(
                self.root,
                _shortened([str(path.relative_to(self.root.resolve())) for path in missing]),
                f"{str(self.csv)!r} lists them. If they lie elsewhere, set root=FOLDER.",
            )

    def records(self) -> list[VideoRecord]:
        """Read the file; the order is its own.

        Raises:
            DatasetNotFoundError: There is no such file.
            AnnotationError: Lines that cannot be read, all of them, by number.
        """
        if not self.csv.is_file():
            raise DatasetNotFoundError(
                self.csv.parent, [self.csv.name], "Give the path of your list as dataset.csv=FILE."
            )
        records: dict[int, VideoRecord] = {}
        faults: dict[int, str] = {}
        for line, header, fields in self._lines():
            try:
                records[line] = self._record(header, fields)
            except ValueError as error:
                faults[line] = str(error)
        faults |= _repeated_videos(records) | _split_groups(records)
        if faults:
            listing = [f"line {line}: {faults[line]}" for line in sorted(faults)]
            raise AnnotationError(
                f"{str(self.csv)!r}: {len(faults)} of its lines cannot be used:\n  "
                + "\n  ".join(_shortened(listing))
            )
        if not records:
            raise AnnotationError(f"{str(self.csv)!r} lists no video.")
        return self._with_ids(list(records.values()))

    def _lines(self) -> Iterator[tuple[int, list[str], list[str]]]:
        """Give each line's number, the names of the file's columns, and the line's fields."""
        # utf-8-sig: Excel begins its files with a byte order mark.
        with self.csv.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            try:
                header = [name.strip() for name in next(reader, [])]
                self._check_header(header)
                for row in reader:
                    fields = [field.strip() for field in row]
                    if any(fields):
                        yield reader.line_num, header, fields
            except csv.Error as error:
                raise AnnotationError(
                    f"{str(self.csv)!r}, line {reader.line_num}: {error}."
                ) from error
            except UnicodeDecodeError as error:
                raise AnnotationError(
                    f"{str(self.csv)!r} is not UTF-8 text, after line {reader.line_num}."
                ) from error

    def _check_header(self, header: list[str]) -> None:
        there = ", ".join(header) or "none"
        twice = [name for name, count in Counter(header).items() if count > 1]
        if twice:
            raise AnnotationError(f"{str(self.csv)!r} has two columns {twice[0]!r}. All: {there}.")
        for key, column in self.columns.items():
            if key in REQUIRED and column is None:
                raise ConfigError(f"columns.{key}=null: a manifest needs this column.")
            # An optional column may be absent, but not if the user went to the trouble to name it.
            expected = key in REQUIRED or column not in (None, key)
            if expected and column not in header:
                raise AnnotationError(
                    f"{str(self.csv)!r} has no column {column!r} for {key}. "
                    f"It has: {there}. Map one with columns.{key}=NAME."
                )

    def _record(self, header: list[str], fields: list[str]) -> VideoRecord:
        """Make a record of one line; its id, not yet unique, is the path below the root.

        Raises:
            ValueError: Says what is wrong with the line.
        """
        if len(fields) != len(header):
            raise ValueError(
                f"{len(fields)} fields where the header has {len(header)}; "
                "quote those that contain a comma"
            )
        row = dict(zip(header, fields, strict=True))
        field = {key: row.get(column or "", "") for key, column in self.columns.items()}
        path = self._path(field["video"])
        if field["label"] not in ("0", "1"):
            raise ValueError(f"label {field['label']!r} is neither 0 nor 1")
        label = int(field["label"])
        event_time = _seconds("event_time", field["event_time"])
        alert_time = _seconds("alert_time", field["alert_time"])
        if label == 1 and event_time is None and self.cut_horizon is None:
            raise ValueError(
                "a positive needs an event_time. If the clips end a known time before their event, "
                "set cut_horizon=SECONDS"
            )
        if alert_time is not None and label == 0:
            raise ValueError(f"a negative has no alert_time, this is {alert_time:g}")
        if alert_time is not None and event_time is not None and alert_time > event_time:
            raise ValueError(f"alert_time {alert_time:g} is after event_time {event_time:g}")
        split = field["split"] if self.columns["split"] in row else self.split
        if split not in SPLITS:
            raise ValueError(f"split {split!r} is none of {', '.join(SPLITS)}")
        relative = path.relative_to(self.root.resolve()).as_posix()
        used = set(self.columns.values())
        return VideoRecord(
            id=relative,
            path=path,
            label=label,
            split=cast(Split, split),
            group=field["group"] or relative,
            event_time=event_time if label == 1 else None,
            alert_time=alert_time,
            mock_event_time=event_time if label == 0 else None,
            cut_horizon=self.cut_horizon if event_time is None else None,
            tags={column: text for column, text in row.items() if text and column not in used},
        )

    def _path(self, text: str) -> Path:
        """Find a video below the root; links are followed first."""
        if not text:
            raise ValueError("no video is named")
        root = self.root.resolve()
        try:
            path = (root / text).resolve()
        except (OSError, RuntimeError, ValueError) as error:
            raise ValueError(f"video {text!r} is no path: {error}") from error
        if not path.is_relative_to(root) or path == root:
            raise ValueError(f"video {text!r} lies outside the root {str(root)!r}")
        return path

    def _with_ids(self, records: list[VideoRecord]) -> list[VideoRecord]:
        """Name each by its file's stem where no other has it, else by its path below the root."""
        stems = Counter(record.path.stem for record in records)
        ids = [r.path.stem if stems[r.path.stem] == 1 else r.id for r in records]
        if len(set(ids)) < len(ids):  # a stem such as "a.mp4" equals another's path
            return records
        return [replace(record, id=name) for record, name in zip(records, ids, strict=True)]


def _seconds(name: str, text: str) -> Seconds | None:
    """Read a time; an empty field is none."""
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        raise ValueError(f"{name} {text!r} is not a number of seconds") from None
    if not 0 <= seconds < math.inf:
        raise ValueError(f"{name} {text!r} is not a time in the video")
    return seconds


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


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name too long for the file system, for instance
        return False


def _shortened(lines: list[str]) -> list[str]:
    rest = len(lines) - MOST_LINES_SHOWN
    return lines if rest <= 0 else [*lines[:MOST_LINES_SHOWN], f"... and {rest} more"]
