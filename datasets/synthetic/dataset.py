"""The synthetic data set: a folder of clips, an index, and what is known about both."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Unpack

from pydantic import Field
from rich.progress import Progress, TextColumn

from collision.console import progress_console
from collision.datasets.synthetic.scene import Clip, PlanOptions, Scene, draw_scene, plan_scenes
from collision.datasets.synthetic.setting import Domain
from collision.datasets.synthetic.sidecar import is_complete
from collision.errors import ConfigError
from collision.files import write_json, write_whole
from collision.types import VideoRecord

# Part of the folder's name: raise it whenever the same parameters give other clips.
GENERATOR_VERSION = 4


class Synthetic:
    """A procedural dashcam; see configs/dataset/synthetic.yaml for its parameters.

    Layout of ``folder``: ``dataset.json``, ``index.csv``, ``oracle.json`` and, as far as they were
    asked for, ``videos/NNNN_x.mp4`` with ``NNNN_x.state.json`` beside each.

    Attributes:
        folder: Where its files are: ``root`` and a digest of all that decides the clips.
    """

    is_painted = True

    def __init__(
        self,
        root: str | Path,
        name: str,
        domain: Domain,
        num_workers: Annotated[int, Field(ge=1)] | None = None,
        **plan: Unpack[PlanOptions],
    ):
        """Plan the scenes; nothing is written before ``prepare``.

        Args:
            root: Beginning of the folder's name.
            name: What the data set is called in reports.
            domain: What the scenes may be like.
            num_workers: Processes that paint; one per core if None.
            plan: Number, splits, families and seed of the scenes.

        Raises:
            ConfigError: Too few scenes for the splits.
        """
        self.name = name
        self.num_workers = num_workers or len(os.sched_getaffinity(0))
        self.domain = domain
        self._planned = plan_scenes(**plan)
        everything = {"generator_version": GENERATOR_VERSION, **plan, "domain": asdict(domain)}
        text = json.dumps(everything, sort_keys=True)
        self.parameters: dict[str, Any] = json.loads(text)
        root = Path(root).expanduser()
        digest = hashlib.sha256(text.encode()).hexdigest()
        self.folder = root.with_name(f"{root.name}-{digest[:8]}")

    @cached_property
    def scenes(self) -> list[Scene]:
        """All scenes as drawn; nothing is painted for them."""
        seed = self.parameters["seed"]
        return [draw_scene(planned, seed, self.domain) for planned in self._planned]

    def prepare(self, splits: Sequence[str] | None = None, *, with_oracle: bool = True) -> None:
        """Paint the videos that are missing, and write the index and what the oracle reaches.

        Args:
            splits: Whose videos are wanted; None for all. Others are left for a later call.
            with_oracle: False leaves the oracle out: it takes seconds, whatever is painted.

        Raises:
            ConfigError: The folder holds another set, or cannot be written.
        """
        self._check_parameters()
        videos = self.folder / "videos"
        missing = [
            scene
            for scene in self.scenes
            if splits is None or scene.split in splits
            if not all(is_complete(videos, clip) for clip in scene.clips)
        ]
        try:
            videos.mkdir(parents=True, exist_ok=True)
            self._describe()
            if missing:
                self._paint(videos, missing)
            for draft in videos.glob(".*.part*"):  # of runs that were killed
                draft.unlink(missing_ok=True)
            if with_oracle and self.oracle() is None:
                from collision.datasets.synthetic.oracle import (
                    score_oracle,  # scikit-learn: a second
                )

                families, seed = self.parameters["families"], self.parameters["seed"]
                oracle = score_oracle(self.scenes, self.domain, families, seed)
                write_json(self.folder / "oracle.json", oracle)
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
        return VideoRecord(
            id=clip.stem,
            path=self.folder / "videos" / f"{clip.stem}.mp4",
            label=clip.label,
            split=scene.split,
            group=f"{scene.number:04d}",
            event_time=scene.event_time if clip.label else None,
            alert_time=scene.conflict.alert_time if clip.label else None,
            mock_event_time=None if clip.label else scene.event_time,
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
        pairs = [(scene, clip) for scene in self.scenes for clip in scene.clips]
        if self._read("dataset.json") is None:
            splits = Counter(scene.split for scene, _ in pairs)
            variants = Counter(f"{scene.split}/{clip.variant}" for scene, clip in pairs)
            counts = {"split": splits, "variant": variants}
            description = {"parameters": self.parameters, "counts": counts}
            write_json(self.folder / "dataset.json", description)
        rows = [self._row(scene, clip) for scene, clip in pairs]
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        path = self.folder / "index.csv"
        if not path.is_file() or path.read_text() != text.getvalue():
            write_whole(path, text.getvalue())

    def _row(self, scene: Scene, clip: Clip) -> dict[str, Any]:
        record = self._record(scene, clip)
        columns = ("label", "split", "group", "event_time", "alert_time", "mock_event_time")
        return {
            "id": record.id,
            "file": f"videos/{record.path.name}",
            **{name: getattr(record, name) for name in columns},
            **record.tags,
            "fps": scene.fps,
            "crf": clip.crf,
            "duration": round(clip.num_frames / scene.fps, 6),
        }

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            return json.loads((self.folder / name).read_text())
        except (OSError, ValueError):
            return None

    def _check_parameters(self) -> None:
        here = self.parameters
        there = (self._read("dataset.json") or {}).get("parameters", here)
        differences = [
            f"{name}: {there.get(name)!r} there, {here.get(name)!r} here"
            for name in sorted(there.keys() | here.keys())
            if there.get(name) != here.get(name)
        ]
        if differences:
            raise ConfigError(
                f"{str(self.folder)!r} holds a set with other parameters "
                f"({'; '.join(differences)}). Its name is the digest of its parameters, so it was "
                "moved or edited: delete it, or choose another dataset.root."
            )

    def _paint(self, videos: Path, missing: list[Scene]) -> None:
        from collision.datasets.synthetic.generate import generate  # needs OpenCV and PyAV

        columns = (*Progress.get_default_columns(), TextColumn("{task.completed} frames"))
        total = sum(clip.num_frames for scene in missing for clip in scene.clips)
        with Progress(*columns, console=progress_console()) as progress:
            task = progress.add_task(f"Painting {self.name}", total=total)
            for frames in generate(videos, missing, self.domain, self.num_workers):
                progress.advance(task, frames)
