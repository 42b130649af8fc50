"""The synthetic data set: a folder of clips, an index, and what is known about both."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from collision.datasets.synthetic.generate import (
    generate,
    is_complete,
    write_atomically,
)
from collision.datasets.synthetic.oracle import score_oracle
from collision.datasets.synthetic.plan import plan_scenes
from collision.datasets.synthetic.scene import Scene, draw_scene
from collision.datasets.synthetic.setting import Domain
from collision.errors import ConfigError, DatasetNotFoundError
from collision.types import VideoRecord

# Part of the folder's name: raise it whenever the same parameters give other clips.
GENERATOR_VERSION = 1

INDEX_COLUMNS = (
    "id", "file", "label", "split", "group", "event_time", "alert_time", "mock_event_time",
    "family", "variant", "light", "weather", "scene", "fps", "crf", "duration",
)  # fmt: skip
_TAGS = ("family", "variant", "light", "weather", "scene")


class Synthetic:
    """A procedural dashcam; see configs/dataset/synthetic.yaml for its parameters.

    Layout of ``folder``: ``videos/NNNN_x.mp4`` with ``NNNN_x.state.json`` beside each,
    ``index.csv``, ``oracle.json`` and, written last, ``dataset.json``.

    Attributes:
        name: What the data set is called in reports.
        folder: Where its files are: ``root`` and a digest of all that decides the clips.
    """

    def __init__(
        self,
        root: str | Path,
        name: str,
        num_scenes: int,
        seed: int,
        splits: Mapping[str, float],
        families: Mapping[str, float],
        domain: Mapping[str, Any],
        num_workers: int | None = None,
    ):
        """Check the parameters; nothing is written before ``prepare``.

        Args:
            root: Beginning of the folder's name.
            name: What the data set is called in reports.
            num_scenes: Scenes; each gives a positive and a negative clip.
            seed: Of all draws.
            splits: Split -> share of the scenes.
            families: Name of a file in ``families/`` -> share of the scenes.
            domain: Values of ``Domain``.
            num_workers: Processes that paint; one per core if None.

        Raises:
            ConfigError: A parameter that cannot work.
        """
        if num_workers is not None and num_workers < 1:
            raise ConfigError(
                f"dataset.num_workers={num_workers}: at least 1, or null for one per core."
            )
        if seed < 0:
            raise ConfigError(f"dataset.seed={seed}: choose 0 or more.")
        self.name = name
        self.num_workers = num_workers or len(os.sched_getaffinity(0))
        self.seed = seed
        self.domain = Domain.parse(dict(domain))
        self._plan = plan_scenes(num_scenes, splits, families, seed)
        self.parameters: dict[str, Any] = json.loads(
            json.dumps(
                {
                    "generator_version": GENERATOR_VERSION,
                    "num_scenes": num_scenes,
                    "seed": seed,
                    "splits": dict(splits),
                    "families": dict(families),
                    "domain": self.domain.parameters(),
                },
                sort_keys=True,
            )
        )
        digest = hashlib.sha256(json.dumps(self.parameters, sort_keys=True).encode()).hexdigest()
        root = Path(root).expanduser()
        self.folder = root.with_name(f"{root.name}-{digest[:8]}")

    def scenes(self) -> list[Scene]:
        """Draw all scenes; cheap, nothing is painted."""
        return [draw_scene(planned, self.seed, self.domain) for planned in self._plan]

    def prepare(self, splits: object = None) -> None:
        """Generate what is missing; a finished set is only checked.

        Raises:
            ConfigError: The folder holds another set, or cannot be written.
        """
        self._check_parameters()
        scenes = self.scenes()
        videos = self.folder / "videos"
        missing = [
            scene for scene in scenes if not all(is_complete(videos, clip) for clip in scene.clips)
        ]
        index = _index_text(scenes)
        try:
            videos.mkdir(parents=True, exist_ok=True)
            if missing:
                self._paint(videos, missing)
            for draft in videos.glob(".*.part"):  # of runs that were killed
                draft.unlink(missing_ok=True)
            if not _holds(self.folder / "index.csv", index):
                write_atomically(self.folder / "index.csv", index)
            if self._read("oracle.json") is None:
                oracle = score_oracle(scenes, self.domain, self.parameters)
                write_atomically(self.folder / "oracle.json", json.dumps(oracle, indent=2))
            if self._read("dataset.json") is None:
                description = {"parameters": self.parameters, "counts": _counts(scenes)}
                write_atomically(self.folder / "dataset.json", json.dumps(description, indent=2))
        except OSError as error:
            raise ConfigError(
                f"Cannot write the synthetic data set to {str(self.folder)!r}: "
                f"{error.strerror or error}. Make room or choose another dataset.root, and run "
                "again: what is finished is kept."
            ) from error

    def records(self) -> list[VideoRecord]:
        """Give the index in the order of the scenes.

        Raises:
            DatasetNotFoundError: ``prepare`` has not finished here.
        """
        if self._read("dataset.json") is None:
            raise DatasetNotFoundError(
                self.folder,
                ["dataset.json", "index.csv", "videos/"],
                "It is generated, not downloaded: call prepare() first.",
            )
        with (self.folder / "index.csv").open(newline="") as file:
            return [self._record(row) for row in csv.DictReader(file)]

    def oracle(self) -> dict[str, Any] | None:
        """What a model given the true state reaches on the test split; None before ``prepare``."""
        return self._read("oracle.json")

    def _record(self, row: dict[str, str]) -> VideoRecord:
        return VideoRecord(
            id=row["id"],
            path=self.folder / row["file"],
            label=int(row["label"]),
            split=row["split"],  # type: ignore[arg-type]  # checked by plan_scenes
            group=row["group"],
            event_time=float(row["event_time"]) if row["event_time"] else None,
            alert_time=float(row["alert_time"]) if row["alert_time"] else None,
            mock_event_time=float(row["mock_event_time"]) if row["mock_event_time"] else None,
            tags={name: row[name] for name in _TAGS},
        )

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            return json.loads((self.folder / name).read_text())
        except (OSError, ValueError):
            return None

    def _check_parameters(self) -> None:
        there = (self._read("dataset.json") or {}).get("parameters", self.parameters)
        if there != self.parameters:
            names = sorted(
                name
                for name in there.keys() | self.parameters.keys()
                if there.get(name) != self.parameters.get(name)
            )
            differences = "; ".join(
                f"{name}: {there.get(name)!r} there, {self.parameters.get(name)!r} here"
                for name in names
            )
            raise ConfigError(
                f"{str(self.folder)!r} holds a set with other parameters ({differences}). "
                "Its name is the digest of its parameters, so it was moved or edited: delete it, "
                "or choose another dataset.root."
            )

    def _paint(self, videos: Path, missing: list[Scene]) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("frames, {task.fields[rate]:.0f}/s"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        total = sum(clip.num_frames for scene in missing for clip in scene.clips)
        with Progress(*columns) as progress:
            task = progress.add_task(f"Painting {self.name}", total=total, rate=0.0)
            for frames in generate(videos, missing, self.domain, self.num_workers):
                progress.advance(task, frames)
                progress.update(task, rate=progress.tasks[0].speed or 0.0)


def _index_text(scenes: list[Scene]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, INDEX_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for scene in scenes:
        for clip in scene.clips:
            positive = clip.label == 1
            writer.writerow(
                {
                    "id": clip.stem,
                    "file": f"videos/{clip.stem}.mp4",
                    "label": clip.label,
                    "split": scene.split,
                    "group": f"{scene.number:04d}",
                    "event_time": scene.event_time if positive else "",
                    "alert_time": scene.conflict.alert_time if positive else "",
                    "mock_event_time": "" if positive else scene.event_time,
                    "family": scene.family,
                    "variant": clip.variant,
                    "light": scene.light,
                    "weather": scene.weather,
                    "scene": scene.scene,
                    "fps": scene.fps,
                    "crf": clip.crf,
                    "duration": round(clip.num_frames / scene.fps, 6),
                }
            )
    return text.getvalue()


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text() == text


def _counts(scenes: list[Scene]) -> dict[str, dict[str, int]]:
    """Clips by split, and by split and variant."""
    variants = Counter(f"{scene.split}/{clip.variant}" for scene in scenes for clip in scene.clips)
    splits = Counter(scene.split for scene in scenes for _ in scene.clips)
    return {"split": dict(sorted(splits.items())), "variant": dict(sorted(variants.items()))}
