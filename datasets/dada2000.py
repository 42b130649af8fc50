"""DADA-2000, driver attention in driving accidents (Fang et al., arXiv 1904.12634).

See docs/dada2000.md. Three forms are in circulation; which one the root holds is seen by itself.

small    github.com/Cogito2012/DRIVE (data/reduce_dada2k.py, src/DADA2KS.py): videos, cut shorter,
         ``testing/rgb_videos/<class>/<video>.avi`` and lists ``testing/testing.txt`` with lines
         ``class/video label start end accident``: frames from 0, label 0 a normal part of a video.
lists    github.com/JWFangit/LOTVS-DADA, half of the set: frames ``<class>/<video>/images/0001.png``
         and split lists ``train_file.json`` ... of ``[[class, video], index]``. It brings no times.
whole    The whole set as part of MM-AU: frames as above and ``dada_text_annotations.xlsx``, here
         saved as CSV, a row a clip: ``video,type,abnormal start frame,accident frame, ...``. Its
         frames are the numbers in the images' names, from 1 (tue-mps/simple-tad, dada.py).

The classes of the first two (1 to 54) are not the types of the last (1 to 62): class 34 has 109
clips in the lists, type 34 a single one in the table.
All have 30 frames a second, and every clip shows an accident or nearly one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from collision.checks import user_path
from collision.errors import AnnotationError, ConfigError, DatasetNotFoundError, Rejected
from collision.records.annotations import (
    ErrorCollector,
    parse_csv,
    parse_lines,
    path_below,
    read_text,
    reject,
    reject_repeated,
    warn_once,
)
from collision.records.badas import ego_clips, with_consensus
from collision.records.files import ListedVideos, check_rate, first_present, parse_entries
from collision.types import SPLITS, Split, VideoRecord

SMALL: dict[Split, str] = {"train": "training", "val": "validation", "test": "testing"}
LISTS: dict[Split, str] = {split: f"{split}_file.json" for split in SPLITS}
TABLE = "dada_text_annotations.csv"
COLUMNS = ("video", "type", "abnormal start frame", "accident frame")
NUM_CLASSES = 54  # in the lists; the table goes on to 61
# What the numbers in the columns whose names begin so mean; the names themselves say it, as in
# "light(day,night)1-2".
CODES = {
    "weather": ("sunny", "rainy", "snowy", "foggy"),
    "light": ("day", "night"),
    "scenes": ("highway", "tunnel", "mountain", "urban", "rural"),
}
# In these the camera's own car is involved (tue-mps/simple-tad, dada.py; DRIVE, src/DADALoader.py).
# 204 of the 221 clips of the lists that BADAS looked at agree.
EGO_CLASSES = {*range(1, 19), 61, 62}
REMEDY = "give dataset.annotations=FILE, dataset.badas=FILE or dataset.leave_out_unannotated=true"
WHERE = "docs/dada2000.md says where to get it and how to lay it out."

Listed = tuple[Path, int, VideoRecord]


@dataclass(eq=False)
class Dada2000(ListedVideos):
    """The clips of the lists, or of the table.

    Args:
        root: The folder that holds lists and clips.
        annotations: The table as CSV; null: ``dada_text_annotations.csv`` in the root, if there.
        badas: The BADAS consensus of the test clips; overrides other times.
        ego_only: Only the clips that involve the camera's own car.
        leave_out_unannotated: Leave out clips of which nothing says when the accident happens;
            otherwise each is an error.
        frame_rate, allow_links, name: As in ``collision.types.Dataset``.
    """

    root: Path
    annotations: Path | None = None
    badas: Path | None = None
    ego_only: bool = False
    leave_out_unannotated: bool = False
    frame_rate: float = 30
    allow_links: bool = False
    name: str = "dada2000"

    def __post_init__(self) -> None:
        self.remedy = WHERE
        self.root = self.folder = user_path(self.root)
        self.annotations = user_path(self.annotations) if self.annotations else None
        self.table = self.annotations or self.root / TABLE
        self.badas = user_path(self.badas) if self.badas else None
        self.frame_rate = check_rate(self.frame_rate)
        if self.annotations and self.table.suffix.lower() in (".xlsx", ".xls"):
            raise ConfigError(
                f"dataset.annotations={self.table}: save its sheet of clips (Sheet1) as a CSV "
                "file and give that; docs/dada2000.md has the lines that do it."
            )
        if self.annotations and not self.table.is_file():
            raise ConfigError(f"dataset.annotations={self.table}: there is no such file. {WHERE}")

    def records(self) -> list[VideoRecord]:
        """Read lists or table: train, val, test, each in its own order.

        CollisionError: there is none; lines cannot be read, or clips have no time of the accident
        (it lists all); or ``ego_only`` leaves none.
        """
        listed = _each_once(self._listed())
        records = [record for _, _, record in listed]
        if self.badas is not None:
            records = with_consensus(records, self.badas, lambda record: record.id)
        without_time = [
            Rejected(file, line, f"clip {record.id} has no time of its accident: {REMEDY}")
            for (file, line, _), record in zip(listed, records, strict=True)
            if record.event_time is None
        ]
        if not self.leave_out_unannotated:
            reject(without_time)
        if num_left_out := len(without_time):
            warn_once(f"{self.root}: left out {num_left_out} clips without an accident's time.")
            records = [record for record in records if record.event_time is not None]
        return ego_clips(records) if self.ego_only else records

    def _listed(self) -> list[Listed]:
        small = {split: self.root / name / f"{name}.txt" for split, name in SMALL.items()}
        lists = {split: self.root / name for split, name in LISTS.items()}
        for files, read in ((small, self._read_small), (lists, self._read_list)):
            if found := {split: file for split, file in files.items() if file.is_file()}:
                tables = ErrorCollector()
                listed = [tables.try_read(read, *one, default=[]) for one in found.items()]
                tables.check()
                return [clip for part in listed for clip in part]
        if self.table.is_file():
            return [(self.table, line, record) for line, record in self._read_table().items()]
        expected = [
            "testing/testing.txt, testing/rgb_videos/<class>/<video>.avi (small)",
            "test_file.json, <class>/<video>/images/0001.png (the owners' half)",
            f"{TABLE}, <type>/<video>/images/0001.png (whole)",
        ]
        raise DatasetNotFoundError(self.root, expected, f"One of these is enough. {WHERE}")

    def _read_small(self, split: Split, file: Path) -> list[Listed]:
        if self.annotations is not None:
            raise ConfigError(
                f"dataset.annotations={self.annotations}: {str(file)!r} has the times of these "
                "videos, which were cut; a table counts frames of the whole ones. Leave it out."
            )
        lines = parse_lines(file, read_text(file), partial(self._small_line, split))
        listed: list[Listed] = []
        seen: dict[str, VideoRecord] = {}
        for line, record in lines.items():
            # The same accident comes again where its video was cut in several ways.
            if record is not None and seen.get(record.id) != record:
                seen[record.id] = record
                listed.append((file, line, record))
        return listed

    def _small_line(self, split: Split, text: str) -> VideoRecord | None:
        """Read ``1/002 1 0 149 136``; what follows a comma is a description."""
        fields = text.partition(",")[0].split()
        if len(fields) != 5 or not all(_is_whole(field) for field in fields[1:4]):
            raise ValueError(f"{text[:60]!r} is not of the form '1/002 1 0 149 136'")
        clip, label, start, end, accident = fields
        number, video = _names(clip.split("/"))
        if label == "0":
            return None  # a normal part of a video that another line calls an accident
        if label != "1":
            raise ValueError(f"label {label!r} is neither 0 nor 1")
        if not _is_whole(accident) or not int(start) <= int(accident) <= int(end):
            raise ValueError(f"accident frame {accident!r} is not within {start} to {end}")
        place = f"{SMALL[split]}/rgb_videos/{number}/{video}.avi"
        record = self._record(split, number, video, self._below(place))
        return self._timed(record, int(accident), None)

    def _read_list(self, split: Split, file: Path) -> list[Listed]:
        table = self._read_table() if self.table.is_file() else {}
        if foreign := [r.id for r in table.values() if int(r.tags["class"]) > NUM_CLASSES]:
            raise AnnotationError(
                f"{str(self.table)!r} is the table of the whole set ({foreign[0]} is in it), whose "
                f"types are not the classes of {str(file)!r}: clips of one number are different "
                "clips. Move the lists away to read the whole set, or the table to read the lists."
            )
        by_id = {record.id: record for record in table.values()}

        def read(entry: Any) -> VideoRecord:
            if not isinstance(entry, list) or len(entry) != 2 or not isinstance(entry[0], list):
                raise ValueError(f"{str(entry)[:60]} is not of the form [[class, video], index]")
            number, video = _names(entry[0])
            record = self._record(split, number, video, self._find(number, video))
            return replace(by_id.get(record.id, record), split=split)

        return [(file, line, record) for line, record in parse_entries(file, list, read)]

    def _read_table(self) -> dict[int, VideoRecord]:
        """Read the table: a record of each clip, by line; all in the test split."""
        return parse_csv(self.table, COLUMNS, self._row, key=lambda record: record.id)

    def _row(self, field: Mapping[str, str]) -> VideoRecord:
        number, video = _whole(field, "type"), _whole(field, "video")
        if number is None or video is None or number < 1 or video < 1:
            raise ValueError(f"type {field['type']!r}, video {field['video']!r} name no clip")
        names = str(number), f"{video:03d}"
        record = self._record("test", *names, self._find(*names))
        tags = {**record.tags, **_conditions(field)}
        record = replace(record, tags=tags)
        accident, abnormal = _whole(field, "accident frame"), _whole(field, "abnormal start frame")
        if accident is None or accident < 1:  # -1: the accident was avoided
            return record
        if abnormal is not None and not 1 <= abnormal <= accident:
            abnormal = None
        # Images are numbered from 1, frames are timed from 0.
        return self._timed(record, accident - 1, None if abnormal is None else abnormal - 1)

    def _record(self, split: Split, number: str, video: str, path: Path) -> VideoRecord:
        name = f"{number}_{video}"  # a group of its own: nobody published which share a source
        tags = {"class": number, "ego": "yes" if int(number) in EGO_CLASSES else "no"}
        return VideoRecord(name, path, 1, split, group=name, frame_rate=self.frame_rate, tags=tags)

    def _timed(self, record: VideoRecord, accident: int, abnormal: int | None) -> VideoRecord:
        return replace(
            record,
            event_time=accident / self.frame_rate,
            alert_time=None if abnormal is None else abnormal / self.frame_rate,
            tags={**record.tags, "event_from": "annotation"},
        )

    def _find(self, number: str, video: str) -> Path:
        folder = f"{number}/{video}"
        flat = f"{number}_{video}"
        names = (f"{folder}/images", folder, f"frames/{folder}/images", f"frames/{folder}")
        return self._below(first_present(self.root, (*names, f"{flat}.mp4", flat)))

    def _below(self, place: str) -> Path:
        return path_below(self.root, place, self.allow_links)


def _each_once(listed: list[Listed]) -> list[Listed]:
    """Leave a clip of several lists to the last of them: the owners' val and test share 5."""
    for name in {file: None for file, _, _ in listed}:
        reject_repeated(name, ((line, one.id) for file, line, one in listed if file == name))
    last = {record.id: file for file, _, record in listed}
    kept = [one for one in listed if last[one[2].id] == one[0]]
    if twice := len(listed) - len(kept):
        warn_once(f"{listed[0][0].parent}: {twice} clips are in two lists; the later list counts.")
    return kept


def _names(parts: list[Any]) -> tuple[str, str]:
    if len(parts) != 2 or not all(isinstance(part, str) and _is_whole(part) for part in parts):
        raise ValueError(f"{str(parts)[:60]} is no class and video, such as 10 and 068")
    number, video = parts
    return number, video


def _is_whole(text: str) -> bool:
    return re.fullmatch(r"[0-9]{1,6}", text) is not None


def _whole(field: Mapping[str, str], name: str) -> int | None:
    """Read a whole number; spreadsheets write ``34.0``, too, and leave fields empty."""
    text = field[name]
    if not text:
        return None
    if re.fullmatch(r"-?[0-9]{1,6}(\.0*)?", text) is None:
        raise ValueError(f"{name} {text!r} is no whole number")
    return int(text.partition(".")[0])


def _conditions(field: Mapping[str, str]) -> dict[str, str]:
    tags = {}
    for column, text in field.items():
        name = column.partition("(")[0].strip()
        if name in CODES and text:
            code = _whole(field, column)
            if code is None or not 1 <= code <= len(CODES[name]):
                raise ValueError(f"{column} {text!r} is none of 1 to {len(CODES[name])}")
            tags[name] = CODES[name][code - 1]
    return tags
