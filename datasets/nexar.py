"""Nexar's collision prediction set, as Hugging Face or as Kaggle hands it out.

Files, columns and units follow the data set's card (huggingface.co/datasets/nexar-ai/
nexar_collision_prediction) and the paper, arXiv 2503.03848; docs/nexar.md shows both layouts.
Train videos are whole. Test clips end 0.5, 1.0 or 1.5 s before their event; the event times that
the Hugging Face tables give for them count in the uncut video, so no record carries those.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

from collision.checks import user_path
from collision.errors import AnnotationError, ConfigError, DatasetNotFoundError
from collision.files import list_folder
from collision.records.annotations import (
    ErrorCollector,
    binary,
    parse_csv,
    parse_lines,
    path_below,
    reject_repeated,
    seconds,
)
from collision.records.files import ListedVideos, with_unique_ids
from collision.records.splits import fraction_from
from collision.records.submission import write_scores
from collision.types import UNLABELLED, Seconds, VideoRecord

HORIZONS: tuple[Seconds, ...] = (0.5, 1.0, 1.5)  # of the groups 0, 1, 2 in solution.csv
LONGEST = 120.0  # seconds; train videos last up to a minute, a later event is a typing error
LABELS = {"negative": 0, "positive": 1}
USAGES = {"test-public": "Public", "test-private": "Private"}
TAGS = {"light": "light_conditions", "weather": "weather", "scene": "scene"}
SOURCES = "time_to_accident_test_map.csv"

EXPECTED = [
    "Hugging Face: train/positive/*.mp4, train/negative/*.mp4, test-public/..., test-private/...",
    "              with a metadata.csv in each of those folders; solution.csv",
    "or Kaggle:    train/*.mp4 and train.csv, test/*.mp4 and test.csv, if you have it solution.csv",
]
WHERE = (
    "Get it from https://huggingface.co/datasets/nexar-ai/nexar_collision_prediction or "
    "https://www.kaggle.com/competitions/nexar-collision-prediction, then set data_root=FOLDER "
    "(it lies in FOLDER/nexar) or dataset.root=FOLDER. docs/nexar.md shows how."
)


@dataclass(frozen=True, slots=True)
class Row:
    """What a line of one of the tables says of a video; None where it does not say.

    Attributes:
        stem: Of the file's name: the id, in 5 digits.
        video: The file, where the table knows its folder.
        label: 1 for a collision or near collision.
        event_time, alert_time: In the uncut video; positives only.
        horizon: How long before its event the clip was cut; test clips only.
        usage: ``Public`` or ``Private``: the part of the test set.
        tags: Light, weather and scene.
    """

    stem: str
    video: Path | None = None
    label: int | None = None
    event_time: Seconds | None = None
    alert_time: Seconds | None = None
    horizon: Seconds | None = None
    usage: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


# Split, file, and what reads it.
Table: TypeAlias = tuple[str, Path, Callable[[Path], dict[int, Row]]]


@dataclass(eq=False)
class Nexar(ListedVideos):
    """Nexar's videos of collisions, near collisions and normal driving.

    A train video is a group of its own. Test clips that were cut from one source event share a
    group: that of the owners' list (time_to_accident_test_map.csv). Without it positives that agree
    in event time, alert time, light, weather and scene are one event, where tables give those
    (Hugging Face's do, Kaggle's don't); all other clips are groups of their own, and
    ``unknown_groups`` says that intervals are too narrow then.

    Args:
        root: The folder; its layout is recognised by what is there.
        test_fraction: Of the train videos, set apart as test split (tag ``usage`` Held-out) where
            Nexar's own test clips are not there.
        allow_links, name: As in ``collision.types.Dataset``.
    """

    root: Path
    test_fraction: float = 0.2
    allow_links: bool = False
    name: str = "nexar"
    has_near_collisions: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self.root = self.folder = user_path(self.root).absolute()
        if not 0 <= self.test_fraction < 1:
            found = repr(self.test_fraction)
            raise ConfigError(f"dataset.test_fraction={found}: give 0 or more, below 1.")

    @property
    def unknown_groups(self) -> str:
        """As in ``collision.types.Dataset``."""
        has_test_clips = any((self.root / name).exists() for name in ("test", *USAGES))
        if (self.root / SOURCES).exists() or not has_test_clips:
            return ""
        return (
            f"{SOURCES} is not in {str(self.root)!r}, so test clips that were cut from one event "
            "or drive count as independent; the file is in the data set at Hugging Face"
        )

    def records(self) -> list[VideoRecord]:
        """Read the tables; train videos first, each table in its own order.

        CollisionError: folders or tables are missing, lines cannot be read (it lists all), or both
        layouts are there.
        """
        tables = ErrorCollector()
        groups = tables.try_read(self._read, SOURCES, read_sources, {}, default={})
        solutions = tables.try_read(self._read, "solution.csv", read_solution, None, default=None)
        rows = {
            table: (split, tables.try_read(read, table, default={}))
            for split, table, read in self._tables()
        }
        tables.check()
        solved = None if solutions is None else {row.stem: row for row in solutions.values()}
        test_record = partial(self._test_record, solved, groups)
        records: list[VideoRecord] = []
        for table, (split, lines) in rows.items():
            make = self._train_record if split == "train" else test_record
            made = tables.try_read(parse_lines, table, lines.items(), make, default={})
            records += made.values()
        tables.check()
        if not records:
            raise AnnotationError(f"The tables in {str(self.root)!r} list no video.")
        if all(record.split == "train" for record in records):
            records = [self._held_out(record) for record in records]
        return with_unique_ids(records, self.root)

    def write_submission(self, path: Path | str, scores: Mapping[str, float]) -> None:
        """Write the test clips' scores (probability by record id) in Kaggle's form: id, score.

        Ids are spelled as in sample_submission.csv or test.csv, and every one of them is there.

        Raises:
            MetricError: a score of no video of this set, or one that is no probability.
        """
        listing = self._read("sample_submission.csv", read_ids, None)
        listing = self._read("test.csv", read_ids, {}) if listing is None else listing
        write_scores(Path(path), self.records(), dict(listing.values()), scores)

    def _tables(self) -> list[Table]:
        classes = [f"train/{name}" for name in LABELS]
        hub = [name for name in [*classes, *USAGES] if (self.root / name).is_dir()]
        names = ("train.csv", "test.csv", "test")
        kaggle = [name for name in names if (self.root / name).exists()]
        kaggle += [f"train/{path.name}" for path in list_folder(self.root / "train", [".mp4"])]
        if hub and kaggle:
            raise ConfigError(
                f"{str(self.root)!r} holds both layouts: {hub[0]} is from Hugging Face, "
                f"{kaggle[0]} from Kaggle. Keep each in a folder of its own and choose with "
                "dataset.root=FOLDER."
            )
        if hub:
            return self._hugging_face_tables()
        if not kaggle:
            raise DatasetNotFoundError(self.root, EXPECTED, WHERE)
        tables: list[Table] = []
        for split, read in (("train", read_train), ("test", read_test)):
            folder, table = self.root / split, self.root / f"{split}.csv"
            if folder.exists() or table.exists():
                self._need(folder, table)
                tables.append((split, table, read))
        return tables

    def _hugging_face_tables(self) -> list[Table]:
        """Find each split's metadata.csv: one a class folder, or one for both above them."""
        tables: list[Table] = []
        for split in ("train", *USAGES):
            if not (self.root / split).exists():
                continue
            folders = [self.root / split / name for name in LABELS]
            found = [folder / "metadata.csv" for folder in folders]
            above = self.root / split / "metadata.csv"
            if above.exists() and not any(table.exists() for table in found):
                found = [above]
            self._need(*folders, *found)
            tables += [(split, table, read_metadata) for table in found]
        return tables

    def _need(self, *paths: Path) -> None:
        missing = [p.relative_to(self.root).as_posix() for p in paths if not p.exists()]
        if missing:
            raise DatasetNotFoundError(self.root, missing, f"The download is incomplete. {WHERE}")

    def _read(self, name: str, read: Callable[[Path], Any], absent: Any) -> Any:
        file = self.root / name
        return read(file) if file.exists() else absent

    def _train_record(self, row: Row) -> VideoRecord:
        assert row.label is not None
        if row.label == 1 and row.event_time is None:
            raise ValueError("a positive needs a time_of_event")
        return VideoRecord(
            id=row.stem,
            path=path_below(self.root, str(row.video), self.allow_links),
            label=row.label,
            split="train",
            group=row.stem,
            event_time=row.event_time,
            alert_time=row.alert_time,
            tags=row.tags,
        )

    def _test_record(
        self, solved: Mapping[str, Row] | None, groups: Mapping[str, str], row: Row
    ) -> VideoRecord:
        """Put together what a clip's table and solution.csv say; they must agree."""
        if solved is not None:
            solution = solved.get(row.stem)
            if solution is None:
                raise ValueError(f"id {row.stem!r} is not in solution.csv: complete that file")
            for name in ("label", "horizon", "usage"):
                here, there = getattr(row, name), getattr(solution, name)
                if None not in (here, there) and here != there:
                    raise ValueError(f"{name} {here} here, but {there} in solution.csv")
                row = replace(row, **{name: there if here is None else here})
        if row.horizon is None and row.label is not None:
            raise ValueError("time_to_accident is empty, and there is no solution.csv")
        usage = {} if row.usage is None else {"usage": row.usage}
        return VideoRecord(
            id=row.stem,
            path=path_below(self.root, str(row.video), self.allow_links),
            label=UNLABELLED if row.label is None else row.label,
            split="test",
            group=groups.get(row.stem) or _source_event(row) or row.stem,
            cut_horizon=row.horizon or 0.0,
            tags={**row.tags, **usage},
        )

    def _held_out(self, record: VideoRecord) -> VideoRecord:
        if fraction_from(f"nexar/test/{record.id}") >= self.test_fraction:
            return record
        return replace(record, split="test", tags={**record.tags, "usage": "Held-out"})


# The readers of tables give what each line holds by its number. All of them raise AnnotationError
# with every line that cannot be read, or that names what an earlier one does.


def read_train(file: Path) -> dict[int, Row]:
    """Read Kaggle's train.csv; other columns are not looked at."""

    def row(fields: Mapping[str, str]) -> Row:
        stem, label = _stem(fields["id"]), binary("target", fields["target"])
        return Row(stem, _kaggle_video(file, stem), label, *_times(fields, label))

    columns = ("id", "target", "time_of_event", "time_of_alert")
    return parse_csv(file, columns, row, key=lambda row: row.stem)


def read_test(file: Path) -> dict[int, Row]:
    """Read Kaggle's test.csv, which holds ids alone."""
    ids = read_ids(file).items()
    return {line: Row(stem, _kaggle_video(file, stem)) for line, (stem, _) in ids}


def read_metadata(file: Path) -> dict[int, Row]:
    """Read a metadata.csv of Hugging Face. The label is the video's folder."""

    def row(fields: Mapping[str, str]) -> Row:
        video = file.parent / fields["file_name"]
        label = LABELS.get(video.parent.name)
        if label is None or video.suffix.lower() != ".mp4":
            raise ValueError(
                f"file_name {fields['file_name']!r} is no .mp4 in a folder positive or negative"
            )
        # An earlier revision has no such column; train videos leave it empty.
        horizon = seconds("time_to_accident", fields.get("time_to_accident", ""))
        if horizon is not None and horizon not in HORIZONS:
            raise ValueError(f"time_to_accident {horizon:g} is none of 0.5, 1, 1.5 s")
        usage = USAGES.get(video.parent.parent.name)
        tags = {tag: fields[name] for tag, name in TAGS.items() if fields[name]}
        return Row(_stem(video.stem), video, label, *_times(fields, label), horizon, usage, tags)

    columns = ("file_name", "time_of_event", "time_of_alert", *TAGS.values())
    return parse_csv(file, columns, row, key=lambda row: str(row.video))


def read_solution(file: Path) -> dict[int, Row]:
    """Read solution.csv. The column Usage may be absent."""

    def row(fields: Mapping[str, str]) -> Row:
        if fields["group"] not in ("0", "1", "2"):
            raise ValueError(f"group {fields['group']!r} is none of 0, 1, 2")
        usage = fields.get("Usage") or None
        if usage not in (None, *USAGES.values()):
            raise ValueError(f"Usage {usage!r} is neither Public nor Private")
        stem, label = _stem(fields["id"]), binary("target", fields["target"])
        return Row(stem, label=label, horizon=HORIZONS[int(fields["group"])], usage=usage)

    return parse_csv(file, ("id", "target", "group"), row, key=lambda row: row.stem)


def read_ids(file: Path) -> dict[int, tuple[str, str]]:
    """Read the column id of test.csv or sample_submission.csv: file stem and spelling."""
    return parse_csv(file, ("id",), lambda f: (_stem(f["id"]), f["id"]), key=lambda names: names[0])


def read_sources(file: Path) -> dict[str, str]:
    """Read time_to_accident_test_map.csv, a line for each source event: group by file stem."""
    cuts = [str(horizon) for horizon in HORIZONS]

    def stems(fields: Mapping[str, str]) -> list[str]:
        return [_stem(fields[cut]) for cut in cuts if fields[cut]]

    lines = parse_csv(file, cuts, stems)
    clips = [(line, stem) for line, members in lines.items() for stem in members]
    reject_repeated(file, clips)
    return {stem: f"source_{line}" for line, stem in clips}


def _stem(text: str) -> str:
    """Pad an id to the 5 digits of the file names."""
    # pandas writes a column of ids that has gaps as 123.0
    match = re.fullmatch(r"([0-9]{1,5})(\.0)?", text)
    if not match:
        raise ValueError(f"id {text!r} is no number of up to 5 digits")
    return match[1].zfill(5)


def _kaggle_video(table: Path, stem: str) -> Path:
    return table.with_suffix("") / f"{stem}.mp4"


def _times(fields: Mapping[str, str], label: int) -> tuple[Seconds | None, Seconds | None]:
    event = seconds("time_of_event", fields["time_of_event"])
    alert = seconds("time_of_alert", fields["time_of_alert"])
    if label == 0 and (event, alert) != (None, None):
        raise ValueError("a negative has no time_of_event and no time_of_alert")
    if event is not None and event > LONGEST:
        raise ValueError(f"time_of_event {event:g} is beyond any video, which last up to a minute")
    if alert is not None and event is None:
        raise ValueError(f"time_of_alert {alert:g} without a time_of_event")
    if alert is not None and event is not None and alert > event:
        raise ValueError(f"time_of_alert {alert:g} is after time_of_event {event:g}")
    return event, alert


def _source_event(row: Row) -> str | None:
    """Name a positive's source event by all that its clips have in common; see ``Nexar``."""
    if row.event_time is None:
        return None
    return "_".join(["event", str(row.event_time), str(row.alert_time), *row.tags.values()])
