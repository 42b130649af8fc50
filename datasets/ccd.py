"""The Car Crash Dataset (CCD): crashes from YouTube against normal driving from BDD100K.

Files and columns follow the data set's README (github.com/Cogito2012/CarCrashDataset; Bao, Yu and
Kong, 2020). Every clip has 50 frames, 10 a second, and the annotations count frames, so frames are
timed by their number: the containers' own clocks differ. docs/ccd.md shows the layout, and why a
high score on this set says little.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from collision.checks import user_path
from collision.errors import AnnotationError, ConfigError, DatasetNotFoundError
from collision.files import list_folder
from collision.records.annotations import (
    ErrorCollector,
    parse_lines,
    path_below,
    read_text,
    reject_repeated,
)
from collision.records.files import ListedVideos
from collision.records.splits import fraction_from
from collision.types import Split, VideoRecord

NUM_FRAMES = 50
FRAME_RATE = 10.0
TEST_FRACTION = 0.2  # of the groups, where the official lists do not split
CRASHES, NORMALS, ANNOTATIONS = "videos/Crash-1500", "videos/Normal", "videos/Crash-1500.txt"
FOLDERS = {"crash": CRASHES, "normal": NORMALS}
CLASSES = {"positive": "crash", "negative": "normal"}  # as the lists call them
LIST_FOLDERS = ("vgg16_features", "res101_features", "videos", ".")
CHOICES = {
    "timing": ("Day", "Night"),
    "weather": ("Normal", "Snowy", "Rainy"),
    "egoinvolve": ("Yes", "No"),
}
WHERE = (
    "Get it from the link at https://github.com/Cogito2012/CarCrashDataset, then set "
    "data_root=FOLDER (it lies in FOLDER/ccd) or dataset.root=FOLDER. docs/ccd.md shows how."
)


@dataclass(frozen=True, slots=True)
class Crash:
    """A line of Crash-1500.txt.

    Attributes:
        stem: Of the file's name, 6 digits.
        event_frame: The first frame labelled as accident; the first of the clip is 0.
        source: Number of the YouTube video that the clip was cut from.
        tags: ``light``, ``weather``, and ``ego``: is the car with the camera involved (yes or no)?
    """

    stem: str
    event_frame: int
    source: str
    tags: Mapping[str, str]


@dataclass(eq=False)
class CCD(ListedVideos):
    """The Car Crash Dataset.

    Ids are class-qualified (``crash/000001``, ``normal/000001``): the same names are in both
    classes. Crashes that were cut from one YouTube video share a group. A normal clip is a group
    of its own: nobody published which BDD100K drive it comes from.

    Args:
        root: The folder that holds ``videos``.
        split: ``official``: the lists train.txt and test.txt that come with the features; they put
            clips of one YouTube video into both splits. ``grouped``: whole groups, four fifths to
            training, by a hash of their names. None: official where the lists are there.
        ego_only: Leave out crashes that the car with the camera is not involved in.
        allow_links, name: As in ``collision.types.Dataset``.
    """

    root: Path
    split: str | None = None
    ego_only: bool = False
    allow_links: bool = False
    name: str = "ccd"

    def __post_init__(self) -> None:
        self.root = self.folder = user_path(self.root).absolute()
        if self.split not in (None, "official", "grouped"):
            raise ConfigError(f"dataset.split={self.split!r}: give official, grouped or null.")

    def records(self) -> list[VideoRecord]:
        """Read the annotations and list the normal videos: crashes first, each by name.

        CollisionError: folders or tables are missing, lines cannot be read (it lists all), or
        videos are links out of the root, and those are not followed.
        """
        needed = (ANNOTATIONS, CRASHES, NORMALS)
        if missing := [name for name in needed if not (self.root / name).exists()]:
            shown = [n if n == ANNOTATIONS else f"{n}/000001.mp4 ..." for n in missing]
            raise DatasetNotFoundError(self.root, shown, WHERE)
        tables = ErrorCollector()
        crashes = tables.try_read(read_crashes, self.root / ANNOTATIONS, default={})
        lists = {f: tables.try_read(read_split_list, f, default={}) for f in self._list_files()}
        tables.check()
        official = _official_split(lists, {f"crash/{crash.stem}" for crash in crashes.values()})
        normals = {f"normal/{path.stem}" for path in list_folder(self.root / NORMALS, [".mp4"])}
        normals |= {name for name in official if name.startswith("normal/")}
        if not normals:
            raise DatasetNotFoundError(self.root, [f"{NORMALS}/000001.mp4 ..."], WHERE)
        records = [
            self._record(f"crash/{crash.stem}", official, crash)
            for crash in sorted(crashes.values(), key=lambda crash: crash.stem)
            if not self.ego_only or crash.tags["ego"] == "yes"
        ]
        records += [self._record(name, official) for name in sorted(normals)]
        if unlisted := [record.id for record in records if official and record.id not in official]:
            raise AnnotationError(
                f"{len(unlisted)} videos are in neither train.txt nor test.txt, such as "
                f"{unlisted[:3]}. Take the lists that belong to these videos, or split without "
                "them: dataset.split=grouped."
            )
        return records

    def _record(
        self, name: str, official: Mapping[str, Split], crash: Crash | None = None
    ) -> VideoRecord:
        kind, stem = name.split("/")
        group = f"youtube_{crash.source}" if crash else name
        in_test = fraction_from(f"ccd/test/{group}") < TEST_FRACTION
        return VideoRecord(
            id=name,
            path=path_below(self.root, f"{FOLDERS[kind]}/{stem}.mp4", self.allow_links),
            label=int(crash is not None),
            split=official.get(name, "test" if in_test else "train"),
            group=group,
            event_time=crash.event_frame / FRAME_RATE if crash else None,
            frame_rate=FRAME_RATE,
            tags=crash.tags if crash else {},
        )

    def _list_files(self) -> tuple[Path, ...]:
        """Find the official train.txt and test.txt; none if they are not to be used."""
        if self.split == "grouped":
            return ()
        names = [(f"{folder}/train.txt", f"{folder}/test.txt") for folder in LIST_FOLDERS]
        found = [pair for pair in names if any((self.root / name).exists() for name in pair)]
        if not found and self.split is None:
            return ()
        pair = (found or names)[0]
        if missing := [Path(name).as_posix() for name in pair if not (self.root / name).exists()]:
            remedy = "Official splits need both lists. Without them: dataset.split=grouped."
            raise DatasetNotFoundError(self.root, missing, remedy)
        return tuple(self.root / name for name in pair)


def _official_split(lists: Mapping[Path, Mapping[int, str]], crashes: set[str]) -> dict[str, Split]:
    """Put train.txt and test.txt together, by class-qualified id; they may name known crashes."""
    splits: dict[str, Split] = {}
    sides: tuple[Split, ...] = ("train", "test")

    def checked(name: str) -> str:
        if name.startswith("crash/") and name not in crashes:
            raise ValueError(f"{name!r} is not in {ANNOTATIONS}")
        if name in splits:
            raise ValueError(f"{name!r} is in train.txt as well")
        return name

    tables = ErrorCollector()
    for side, (file, names) in zip(sides, lists.items(), strict=False):
        known = tables.try_read(parse_lines, file, names.items(), checked, default={})
        splits |= dict.fromkeys(known.values(), side)
    tables.check()
    return splits


def read_crashes(file: Path) -> dict[int, Crash]:
    """Read Crash-1500.txt, by line number; bad lines are all in one ``AnnotationError``."""
    crashes = parse_lines(file, read_text(file), parse_crash)
    if not crashes:
        raise AnnotationError(f"{str(file)!r} lists no video.")
    reject_repeated(file, [(line, crash.stem) for line, crash in crashes.items()])
    return crashes


def parse_crash(line: str) -> Crash:
    """Read one line: video, 50 labels, start frame, YouTube number, timing, weather, egoinvolve.

    The labels may stand in brackets.

    Raises:
        ValueError: Says what is wrong with it.
    """
    fields = [field.strip() for field in line.split(",")]
    if len(fields) != NUM_FRAMES + 6:
        raise ValueError(f"{len(fields)} fields, not a video, {NUM_FRAMES} labels and 5 more")
    opening, closing = fields[1].startswith("["), fields[NUM_FRAMES].endswith("]")
    if opening != closing:
        raise ValueError("only one of the brackets around the labels is there")
    if opening:
        fields[1] = fields[1].removeprefix("[").strip()
        fields[NUM_FRAMES] = fields[NUM_FRAMES].removesuffix("]").strip()
    stem, labels = fields[0], fields[1 : NUM_FRAMES + 1]
    start_frame, source, *choices = fields[NUM_FRAMES + 1 :]
    if not re.fullmatch("[0-9]{6}", stem):
        raise ValueError(f"video {stem!r} is not called by 6 digits")
    for name, text in (("startframe", start_frame), ("youtubeID", source)):
        if not re.fullmatch("[0-9]+", text):
            raise ValueError(f"{name} {text!r} is no number")
    for (name, known), text in zip(CHOICES.items(), choices, strict=True):
        if text not in known:
            raise ValueError(f"{name} {text!r} is none of {', '.join(known)}")
    light, weather, ego = choices
    tags = {"light": light, "weather": weather, "ego": ego.lower()}
    return Crash(stem, _event_frame(labels), source, tags)


def _event_frame(labels: list[str]) -> int:
    """Find the first 1 of labels that must be 0 ... 0 1 ... 1."""
    for frame, label in enumerate(labels):
        if label not in ("0", "1"):
            raise ValueError(f"label {label!r} of frame {frame} is neither 0 nor 1")
    event = labels.count("0")
    if event in (0, len(labels)):
        raise ValueError(f"all labels are {labels[0]}: no frame at which the accident begins")
    if "1" in labels[:event]:
        frame = labels.index("0", labels.index("1"))
        raise ValueError(f"label 0 of frame {frame} follows a 1")
    return event


def read_split_list(file: Path) -> dict[int, str]:
    """Read train.txt or test.txt: class-qualified ids, by line; errors as ``read_crashes``."""

    def name(line: str) -> str:
        match = re.fullmatch(r"(positive|negative)/([0-9]{6})\.npz\s+([01])", line)
        if not match:
            raise ValueError(f"{line!r} is not like 'positive/000713.npz 1'")
        if (match[1] == "positive") != (match[3] == "1"):
            raise ValueError(f"{line!r} has the label of the other class")
        return f"{CLASSES[match[1]]}/{match[2]}"

    names = parse_lines(file, read_text(file), name)
    reject_repeated(file, list(names.items()))
    return names
