"""The synthetic data set: a folder of clips, an index, and what is known about both."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, Unpack

from rich.progress import Progress, TextColumn

from collision.datasets.synthetic.generate import generate, is_complete
from collision.datasets.synthetic.oracle import score_oracle
from collision.datasets.synthetic.plan import PlanOptions, plan_scenes
from collision.datasets.synthetic.scene import Clip, Scene, draw_scene
from collision.datasets.synthetic.setting import Domain
from collision.errors import ConfigError
from collision.files import write_whole
from collision.types import VideoRecord

# Part of the folder's name: raise it whenever the same parameters give other clips.
GENERATOR_VERSION = 2

INDEX_COLUMNS = (
    "id", "file", "label", "split", "group", "event_time", "alert_time", "mock_event_time",
    "family", "variant", "light", "weather", "scene", "fps", "crf", "duration",
)  # fmt: skip


class Synthetic:
    """A procedural dashcam; see configs/dataset/synthetic.yaml for its parameters.

    Layout of ``folder``: ``dataset.json``, ``index.csv``, ``oracle.json`` and, as far as they were
    asked for, ``videos/NNNN_x.mp4`` with ``NNNN_x.state.json`` beside each.

    Attributes:
        name: What the data set is called in reports.
        folder: Where its files are: ``root`` and a digest of all that decides the clips.
    """

    def __init__(
        self,
        root: str | Path,
        name: str,
        domain: Mapping[str, Any],
        num_workers: int | None = None,
        **plan: Unpack[PlanOptions],
    ):
        """Check the parameters; nothing is written before ``prepare``.

        Args:
            root: Beginning of the folder's name.
            name: What the data set is called in reports.
            domain: Values of ``Domain``.
            num_workers: Processes that paint; one per core if None.
            plan: Number, splits, families and seed of the scenes; see ``plan_scenes``.

        Raises:
            ConfigError: A parameter that cannot work.
        """
        if num_workers is not None and num_workers < 1:
            raise ConfigError(
                f"dataset.num_workers={num_workers}: at least 1, or null for one per core."
            )
        self.name = name
        self.num_workers = num_workers or len(os.sched_getaffinity(0))
        self.domain = Domain.parse(dict(domain))
        self._planned = plan_scenes(**plan)
        everything = {"generator_version": GENERATOR_VERSION, **plan, "domain": asdict(self.domain)}
        self.parameters: dict[str, Any] = json.loads(json.dumps(everything, sort_keys=True))
        digest = hashlib.sha256(json.dumps(self.parameters, sort_keys=True).encode()).hexdigest()
        root = Path(root).expanduser()
        self.folder = root.with_name(f"{root.name}-{digest[:8]}")

    @cached_property
    def scenes(self) -> list[Scene]:
        """All scenes as drawn; nothing is painted for them."""
        return [
            draw_scene(planned, self.parameters["seed"], self.domain) for planned in self._planned
        ]

    def prepare(self, splits: Sequence[str] | None = None) -> None:
        """Paint the videos that are missing, and write the index and what the oracle reaches.

        Args:
            splits: Whose videos are wanted; None for all. Others are left for a later call.

        Raises:
            ConfigError: The folder holds another set, or cannot be written.
        """
        self._check_parameters()
        wanted = [scene for scene in self.scenes if splits is None or scene.split in splits]
        videos = self.folder / "videos"
        missing = [
            scene for scene in wanted if not all(is_complete(videos, clip) for clip in scene.clips)
        ]
        try:
            videos.mkdir(parents=True, exist_ok=True)
            self._describe()
            if missing:
                self._paint(videos, missing)
            for draft in videos.glob(".*.part*"):  # of runs that were killed
                draft.unlink(missing_ok=True)
            if self._read("oracle.json") is None:
                families, seed = self.parameters["families"], self.parameters["seed"]
                oracle = score_oracle(self.scenes, self.domain, families, seed)
                write_whole(self.folder / "oracle.json", json.dumps(oracle, indent=2))
        except OSError as error:
            raise ConfigError(
                f"Cannot write the synthetic data set to {str(self.folder)!r}: "
                f"{error.strerror or error}. Make room or choose another dataset.root, and run "
                "again: what is finished is kept."
            ) from error

    def records(self) -> list[VideoRecord]:
        """Give the index in the order of the scenes: of all videos, painted or not."""
        return [self._record(scene, clip) for scene in self.scenes for clip in scene.clips]

    def oracle(self) -> dict[str, Any] | None:
        """What a model given the true state reaches on the test split; None before ``prepare``."""
        return self._read("oracle.json")

    def _record(self, scene: Scene, clip: Clip) -> VideoRecord:
        positive = clip.label == 1
        return VideoRecord(
            id=clip.stem,
            path=self.folder / "videos" / f"{clip.stem}.mp4",
            label=clip.label,
            split=scene.split,  # type: ignore[arg-type]  # checked by plan_scenes
            group=f"{scene.number:04d}",
            event_time=scene.event_time if positive else None,
            alert_time=scene.conflict.alert_time if positive else None,
            mock_event_time=None if positive else scene.event_time,
            tags={
                "family": scene.family,
                "variant": clip.variant,
                "light": scene.light,
                "weather": scene.weather,
                "scene": scene.scene,
            },
        )

    def _describe(self) -> None:
        """Write the files beside the videos that are not there yet, or not whole."""
        if self._read("dataset.json") is None:
            description = {"parameters": self.parameters, "counts": _counts(self.scenes)}
            write_whole(self.folder / "dataset.json", json.dumps(description, indent=2))
        index = self._index_text()
        path = self.folder / "index.csv"
        if not path.is_file() or path.read_text() != index:
            write_whole(path, index)

    def _index_text(self) -> str:
        text = io.StringIO()
        writer = csv.DictWriter(text, INDEX_COLUMNS, lineterminator="\n")
        writer.writeheader()
        clips = ((scene, clip) for scene in self.scenes for clip in scene.clips)
        for (scene, clip), record in zip(clips, self.records(), strict=True):
            writer.writerow(
                {
                    "id": record.id,
                    "file": f"videos/{record.path.name}",
                    "label": record.label,
                    "split": record.split,
                    "group": record.group,
                    "event_time": record.event_time,
                    "alert_time": record.alert_time,
                    "mock_event_time": record.mock_event_time,
                    **record.tags,
                    "fps": scene.fps,
                    "crf": clip.crf,
                    "duration": round(clip.num_frames / scene.fps, 6),
                }
            )
        return text.getvalue()

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
        columns = (*Progress.get_default_columns(), TextColumn("{task.completed} frames"))
        total = sum(clip.num_frames for scene in missing for clip in scene.clips)
        with Progress(*columns) as progress:
            task = progress.add_task(f"Painting {self.name}", total=total)
            for frames in generate(videos, missing, self.domain, self.num_workers):
                progress.advance(task, frames)


def _counts(scenes: list[Scene]) -> dict[str, dict[str, int]]:
    """Clips by split, and by split and variant."""
    variants = Counter(f"{scene.split}/{clip.variant}" for scene in scenes for clip in scene.clips)
    splits = Counter(scene.split for scene in scenes for _ in scene.clips)
    return {"split": dict(sorted(splits.items())), "variant": dict(sorted(variants.items()))}
