"""What a page tells of one data set, read from the files that a run has left."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from collision.errors import CheckpointError
from collision.evaluation.baseline import Against, Baseline
from collision.evaluation.numbers import Numbers
from collision.metrics.curves import COLUMNS as CURVE_COLUMNS
from collision.metrics.curves import Curve
from collision.metrics.scored import Scored
from collision.report.clips import Clips, read_clips
from collision.report.saved import built, numbers_from, read_json
from collision.untrusted import reading


@dataclass
class Judged:
    """One data set's results; where its labels are secret there are no numbers.

    ``scores`` and ``curves`` are by seed, ``warnings`` names with sentences, ``missing`` as in
    ``metrics.json``, ``submission`` a file for the owners' own judging.
    """

    name: str
    split: str
    videos: int
    numbers: Numbers | None = None
    scores: dict[int, Scored] = field(default_factory=dict)
    curves: dict[int, list[Curve]] = field(default_factory=dict)
    baseline: Baseline | None = None
    warnings: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    missing: Mapping[str, Any] = field(default_factory=dict)
    distances: Mapping[str, Any] | None = None
    clips: Clips = field(default_factory=Clips)
    trained_on: str | None = None
    submission: str | None = None

    @property
    def first(self) -> Scored | None:
        """The scores of the first seed, which curves and mistakes are of."""
        return next(iter(self.scores.values()), None)

    @cached_property
    def curves_of(self) -> dict[str, list[Curve]]:
        """The curves of every seed by video."""
        found: dict[str, list[Curve]] = {}
        for curves in self.curves.values():
            for one in curves:
                found.setdefault(one.video, []).append(one)
        return found

    @property
    def threshold(self) -> float | None:
        """Of the first seed, chosen on validation."""
        points = self.numbers.operating_points if self.numbers else []
        return points[0].threshold if points else None


def read_metrics(folder: Path) -> dict[str, Any]:
    """Read a run's ``metrics.json``; CheckpointError: it is not there, or damaged."""
    path = folder / "metrics.json"
    if not path.is_file():
        raise CheckpointError(
            f"{str(folder)!r} has no metrics.json: no run has ended there. If one was interrupted, "
            f"go on with `python train.py resume={folder}`; for a page over many runs: "
            f"collision report runs {folder}"
        )
    metrics = read_json(path)
    if not isinstance(metrics, dict):
        raise CheckpointError(f"{str(path)!r} holds no results.")
    return metrics


def read_judged(folder: Path, metrics: Mapping[str, Any]) -> list[Judged]:
    """Read the results of each data set in a folder of ``train`` or ``evaluate``.

    CheckpointError: something is not there, or damaged.
    """
    where = repr(str(folder / "metrics.json"))
    with reading(where):
        if "datasets" in metrics:
            by_name = {name: (one, name) for name, one in metrics["datasets"].items()}
        else:
            by_name = {metrics["dataset"]: (metrics, "")}
        clips = read_clips(folder, list(by_name))
        return [
            _read_one(folder, name, one, middle, clips[name])
            for name, (one, middle) in by_name.items()
        ]


def _read_one(
    folder: Path, name: str, metrics: Mapping[str, Any], middle: str, clips: Clips
) -> Judged:
    suffix = f"_{middle}" if middle else ""
    if "/" in suffix or "\0" in suffix:  # a file's name, not a way out of the folder
        raise CheckpointError(f"{str(folder)!r} names a data set {name!r}, which is no file name.")
    judged = Judged(
        name=name,
        split=str(metrics["split"]),
        videos=int(metrics["videos"]),
        warnings=[(str(one["name"]), str(one["message"])) for one in metrics["warnings"]],
        notes=[str(note) for note in metrics.get("notes") or []],
        missing=metrics.get("missing") or {},
        distances=metrics.get("distances"),
        clips=clips,
        trained_on=metrics.get("trained_on"),
    )
    submission = folder / f"submission_{name}.csv"
    judged.submission = submission.name if submission.is_file() else None
    if "ap" not in metrics:
        return judged
    judged.numbers = numbers_from(metrics)
    for seed in metrics["seeds"]:
        judged.scores[int(seed)] = Scored.from_csv(folder / f"predictions{suffix}_seed{seed}.csv")
        path = folder / f"curves{suffix}_seed{seed}.csv"
        if path.is_file():
            judged.curves[int(seed)] = read_curves(path)
    judged.baseline = _baseline(folder / f"baseline{suffix}.csv", metrics.get("baseline"))
    return judged


def _baseline(path: Path, data: Mapping[str, Any] | None) -> Baseline | None:
    if not data or not path.is_file():
        return None
    against = built(Against, data) if "baseline" in data else None
    within = data.get("within_crash_videos")
    added = data.get("added_variance")
    return Baseline(
        Scored.from_csv(path),
        against,
        built(Against, within) if within else None,
        None if added is None else float(added),
    )


def read_curves(path: Path) -> list[Curve]:
    """Read what ``curves_to_csv`` wrote.

    Raises:
        ValueError: A cell is no number.
        MetricError: Values that a curve cannot hold.
    """
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [_curve(video, own) for video, own in _by_video(rows)]


def _by_video(rows: Sequence[dict[str, str]]) -> Iterator[tuple[str, list[dict[str, str]]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        found.setdefault(row["video"], []).append(row)
    yield from found.items()


def _curve(video: str, rows: Sequence[Mapping[str, str]]) -> Curve:
    first = rows[0]
    moments = [(float(row["time"]), float(row["score"])) for row in rows if row["time"]]
    times, scores = np.array(moments).reshape(-1, 2).T
    event = float(first["event_time"]) if first["event_time"] else None
    tags = {name: text for name, text in first.items() if name not in CURVE_COLUMNS}
    return Curve(video, first["group"], int(first["label"]), event, times, scores, tags)
