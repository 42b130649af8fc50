"""DAD, the Dashcam Accident Dataset (Chan et al., ACCV 2016); see docs/dad.md.

    videos/{training,testing}/{positive,negative}/NNNNNN.mp4

Every clip has 100 frames. The set's own code evaluates frames 0 to 89 of each
(github.com/smallcorgi/Anticipating-Accidents, accident.py: ``pred[:, 0:90]``): by that convention
the accident begins at frame 90, counted from 0. What can be seen says otherwise: the crash is at
frame 74 in the median of 201 training clips (``crash_frames``) and of the 165 test clips that ten
people annotated (``badas``). Half a second before frame 90 it has happened in 137 of these, half a
second before frame 74 in 11: so 74 is the default.

164 of those 165 crashes are at multiples of 0.04 s: these files run at 25 frames a second, although
the paper says 20.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from collision.checks import user_path
from collision.errors import ConfigError, DatasetNotFoundError
from collision.files import list_folder
from collision.records.annotations import parse_csv, path_below, warn_once
from collision.records.badas import ego_clips, with_consensus
from collision.records.files import ListedVideos, check_rate
from collision.types import Split, VideoRecord

FOLDERS: dict[str, tuple[Split, int]] = {
    "training/positive": ("train", 1),
    "training/negative": ("train", 0),
    "testing/positive": ("test", 1),
    "testing/negative": ("test", 0),
}
NUM_VIDEOS = dict(zip(FOLDERS, (455, 829, 165, 301), strict=True))  # of the whole set
NUM_FRAMES = 100
WHERE = "docs/dad.md says where to get it and how to lay it out."


@dataclass(eq=False)
class Dad(ListedVideos):
    """The clips below a folder ``videos``.

    Args:
        root: The folder that holds ``videos``.
        event_frame: Of every positive that nothing below says better, counted from 0.
        crash_frames: A CSV (``Video Name,Crash Frame``) with better event frames of some positives.
        badas: The BADAS consensus of the test positives; overrides both.
        ego_only: Of the positives, only those known to involve the camera's own car.
        frame_rate, allow_links, name: As in ``collision.types.Dataset``.
    """

    root: Path
    event_frame: int = 74
    crash_frames: Path | None = None
    badas: Path | None = None
    ego_only: bool = False
    frame_rate: float = 25
    allow_links: bool = False
    name: str = "dad"

    def __post_init__(self) -> None:
        self.remedy = WHERE
        self.root = self.folder = user_path(self.root)
        self.crash_frames = user_path(self.crash_frames) if self.crash_frames else None
        self.badas = user_path(self.badas) if self.badas else None
        self.frame_rate = check_rate(self.frame_rate)
        if type(self.event_frame) is not int or not 0 < self.event_frame < NUM_FRAMES:
            found = repr(self.event_frame)
            raise ConfigError(f"dataset.event_frame={found}: clips have frames 0 to 99.")

    def prepare(self, splits: Sequence[Split] | None = None) -> None:
        """Check as other sets do, and warn of folders that lack videos."""
        super().prepare(splits)
        found = Counter(record.path.parent for record in self.records() if not self.ego_only)
        for folder, number in found.items():
            of_set = NUM_VIDEOS["/".join(folder.parts[-2:])]
            if number < of_set:
                warn_once(f"{folder} holds {number} videos; the whole set has {of_set} there.")

    def records(self) -> list[VideoRecord]:
        """List the folders, and what ``crash_frames`` names besides, in the order of file names.

        CollisionError: a folder is missing or holds no video; videos are links out of the root, or
        in both splits, or none is left; lines of a table cannot be read.
        """
        crash_frames = self._read_crash_frames()
        videos = {
            folder: {path.name for path in list_folder(self.root / "videos" / folder, [".mp4"])}
            for folder in FOLDERS
        }
        if empty := [f"videos/{folder}/*.mp4" for folder, found in videos.items() if not found]:
            raise DatasetNotFoundError(self.root, empty, WHERE)
        for path in crash_frames:
            videos["/".join(path.parts[-3:-1])].add(path.name)
        records = [self._record(f, name) for f, found in videos.items() for name in sorted(found)]
        self._check_numbers(records)
        records = [self._with_crash_frame(record, crash_frames) for record in records]
        if self.badas is not None:
            records = with_consensus(records, self.badas, _name_in_consensus)
        return ego_clips(records) if self.ego_only else records

    def _check_numbers(self, records: Sequence[VideoRecord]) -> None:
        first: dict[str, Path] = {}
        for record in records:
            other = first.setdefault(record.id, record.path)
            if other != record.path:
                both = " and ".join(str(Path(*path.parts[-3:])) for path in (other, record.path))
                raise ConfigError(
                    f"dataset.root={self.root}: {both} have the same number. The set's numbers go "
                    "on from training to testing: one of the folders holds other videos."
                )

    def _record(self, folder: str, name: str) -> VideoRecord:
        split, label = FOLDERS[folder]
        # The class belongs to the name: numbers start anew in each class.
        identifier = f"{Path(folder).name}/{Path(name).stem}"
        return VideoRecord(
            id=identifier,
            path=path_below(self.root, f"videos/{folder}/{name}", self.allow_links),
            label=label,
            split=split,
            group=identifier,  # the source videos were never published
            event_time=self.event_frame / self.frame_rate if label else None,
            frame_rate=self.frame_rate,
            tags={"event_from": "event_frame"} if label else {},
        )

    def _with_crash_frame(self, record: VideoRecord, frames: dict[Path, int]) -> VideoRecord:
        if record.label == 0 or record.path not in frames:
            return record
        tags = {**record.tags, "event_from": "crash_frames"}
        return replace(record, event_time=frames[record.path] / self.frame_rate, tags=tags)

    def _read_crash_frames(self) -> dict[Path, int]:
        file = self.crash_frames
        if file is None:
            return {}
        if not file.is_file():
            raise DatasetNotFoundError(file.absolute().parent, [file.name], WHERE)
        columns = ("Video Name", "Crash Frame")
        rows = parse_csv(file, columns, self._crash_frame, key=lambda row: row[0].stem)
        return dict(rows.values())

    def _crash_frame(self, field: dict[str, str]) -> tuple[Path, int]:
        """Read a line: which positive, and its frame counted from 0."""
        path = path_below(self.root, field["Video Name"], self.allow_links)
        folder = path.parent.relative_to(self.root.resolve()).as_posix()
        if folder not in ("videos/training/positive", "videos/testing/positive"):
            raise ValueError(f"video {field['Video Name']!r} is none of the positives")
        text = field["Crash Frame"]
        if not (text.isascii() and text.isdigit() and len(text) < 4 and int(text) < NUM_FRAMES):
            raise ValueError(f"Crash Frame {text!r} is no frame of a clip (0 to 99)")
        return path, int(text)


def _name_in_consensus(record: VideoRecord) -> str | None:
    """Only positives of the test split were annotated; a negative may have the same number."""
    return record.path.stem if record.label == 1 and record.split == "test" else None
