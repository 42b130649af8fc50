"""DoTA, Detection of Traffic Anomaly (Yao et al., arXiv 2004.03044); see docs/dota.md.

    metadata_train.json  metadata_val.json   (here, or in a folder dataset/)
    frames/<YouTube id>_<first frame>/images/000000.jpg ...

One entry a clip:

    "0RJPQ_97dcs_000199": {"video_start": 199, "video_end": 305, "anomaly_start": 40,
     "anomaly_end": 70, "anomaly_class": "ego: leave_to_right", "num_frames": 107,
     "subset": "train"}

Layout and fields: README.md and dataset/video2frames.py of
github.com/MoonBlvd/Detection-of-Traffic-Anomaly; frames were taken at 10 a second and are counted
from 0. ``anomaly_start`` is not the impact: the anomaly starts when the accident is inevitable
(Rocky et al., IEEE T-ITS 25(8), 2024, section on DoTA). In 35 test clips that people annotated for
BADAS it lies 0.6 s after the alert and 1.0 s before the collision (medians).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collision.checks import user_path
from collision.errors import DatasetNotFoundError, Rejected
from collision.records.annotations import ErrorCollector, path_below, reject, reject_repeated
from collision.records.badas import ego_clips, with_consensus
from collision.records.files import ListedVideos, check_rate, first_present, parse_entries
from collision.types import Split, VideoRecord

# The set has no third part; its own code and the literature test on what it calls val.
SPLIT_OF: dict[str, Split] = {"train": "train", "val": "test", "test": "test"}
METADATA = ("metadata_train.json", "metadata_val.json")
WHERE = "docs/dota.md says where to get it and how to lay it out."
_CLIP_ID = re.compile(r"([A-Za-z0-9_-]+)_(\d+)")


@dataclass(eq=False)
class Dota(ListedVideos):
    """The clips that the metadata files list; all of them show an anomaly.

    Args:
        root: The folder that holds ``frames`` and the metadata files, of which one is enough.
        badas: The BADAS consensus of the test clips: times of alert and collision in place of
            ``anomaly_start``.
        ego_only: Only the clips that involve the camera's own car.
        frame_rate, allow_links, name: As in ``collision.types.Dataset``.
    """

    root: Path
    badas: Path | None = None
    ego_only: bool = False
    frame_rate: float = 10
    allow_links: bool = False
    name: str = "dota"

    def __post_init__(self) -> None:
        self.remedy = WHERE
        self.root = self.folder = user_path(self.root)
        self.badas = user_path(self.badas) if self.badas else None
        self.frame_rate = check_rate(self.frame_rate)

    def records(self) -> list[VideoRecord]:
        """Read the metadata; the order is its own.

        CollisionError: there is none, entries cannot be read (it lists all, by file and line), or
        ``ego_only`` leaves none.
        """
        files = [
            self.root / first_present(self.root, (name, f"dataset/{name}")) for name in METADATA
        ]
        files = [file for file in files if file.is_file()]
        if not files:
            expected = [*METADATA, "frames/<clip>/images/000000.jpg"]
            raise DatasetNotFoundError(self.root, expected, WHERE)
        tables = ErrorCollector()
        entries = {
            file: tables.try_read(parse_entries, file, dict, self._record, default=[])
            for file in files
        }
        tables.check()
        records: list[VideoRecord] = []
        for file, read in entries.items():
            earlier = {record.id for record in records}
            reject_repeated(file, ((line, record.id) for line, record in read))
            also = f"is in {files[0].name}, too"
            twice = [(line, one.id) for line, one in read if one.id in earlier]
            reject([Rejected(file, line, f"clip {name!r} {also}") for line, name in twice])
            records += [record for _, record in read]
        if self.badas is not None:
            records = with_consensus(records, self.badas, lambda record: record.id)
        return ego_clips(records) if self.ego_only else records

    def _record(self, entry: tuple[str, Any]) -> VideoRecord:
        clip, facts = entry
        found = _CLIP_ID.fullmatch(clip)
        if found is None:
            raise ValueError(f"clip {clip!r} is not named <YouTube id>_<number>")
        if not isinstance(facts, Mapping):
            raise ValueError(f"clip {clip!r} has no fields but {str(facts)[:40]!r}")
        start, num_frames = _count(facts, "anomaly_start"), _count(facts, "num_frames")
        if start >= num_frames:
            raise ValueError(f"anomaly_start {start} lies behind the clip's {num_frames} frames")
        ego, anomaly = _anomaly(facts)
        subset = facts.get("subset")
        if not isinstance(subset, str) or subset not in SPLIT_OF:
            raise ValueError(f"subset {subset!r} is none of {', '.join(SPLIT_OF)}")
        folder = f"frames/{clip}"
        folder = first_present(self.root, (f"{folder}/images", folder))
        return VideoRecord(
            id=clip,
            path=path_below(self.root, folder, self.allow_links),
            label=1,
            split=SPLIT_OF[subset],
            group=found.group(1),  # clips of one YouTube compilation share its cutter's style
            event_time=start / self.frame_rate,
            frame_rate=self.frame_rate,
            tags={"ego": ego, "anomaly": anomaly, "event_from": "anomaly_start"},
        )


def _count(facts: Mapping[str, Any], name: str) -> int:
    value = facts.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{name} {value!r} is no count of frames")
    return value


def _anomaly(facts: Mapping[str, Any]) -> tuple[str, str]:
    """Part ``ego: turning`` into whether it is the own car's (yes or no) and its class."""
    text = facts.get("anomaly_class")
    whose, colon, anomaly = text.partition(":") if isinstance(text, str) else ("", "", "")
    if whose not in ("ego", "other") or not colon or not anomaly.strip():
        raise ValueError(f"anomaly_class {text!r} is not of the form 'ego: turning'")
    return "yes" if whose == "ego" else "no", anomaly.strip()
