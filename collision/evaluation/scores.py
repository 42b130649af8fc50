"""Scores beside their examples: as tables, as curves, and as the submission of a benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from collision.learning.datamodule import FeatureDataset
from collision.metrics.curves import COLUMNS as CURVE_COLUMNS
from collision.metrics.curves import Curve
from collision.metrics.scored import COLUMNS, NEGATIVES_FROM, Scored
from collision.sampling.index import DataIndex
from collision.sampling.policy import SamplingPolicy
from collision.types import UNLABELLED, Dataset, Example, VideoRecord

_TAKEN = {*COLUMNS, *CURVE_COLUMNS}


def concatenated(parts: Sequence[Scored]) -> Scored:
    """Put the scores of several folds into one table."""
    names = sorted({name for part in parts for name in part.tags})
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS}
    tags = {
        name: np.concatenate([part.tags.get(name, np.full(len(part), "")) for part in parts])
        for name in names
    }
    return Scored(**columns, tags=tags)


def scored_examples(
    data: FeatureDataset, scores: np.ndarray, index: DataIndex, split: str, policy: SamplingPolicy
) -> Scored:
    """Put scores beside their examples; what could not be scored is there as NaN.

    Within clips, only videos whose cuts could all be scored are judged. Otherwise dropped examples,
    and the horizons of videos that could not even be indexed, count as missing: leaving them out
    would make a data set easier by breaking its files. The policy says at which horizons every
    video of the split should have been scored.
    """
    rows: list[tuple[VideoRecord, Example, float]] = [
        (record, example, float(score))
        for record, example, score in zip(data.records, data.examples, scores, strict=True)
        if record.label != UNLABELLED
    ]
    if policy.within is None:
        dropped = [(index.records[e.video], e, np.nan) for e in data.dropped]
        rows += [row for row in dropped if row[0].label != UNLABELLED]
    else:
        # A far cut is more often too early to be scored than a near one: if it counted as 0, the
        # beginning of the file would tell the label. Such videos are left out whole.
        incomplete = {e.video for e in data.dropped}
        rows = [row for row in rows if row[0].id not in incomplete]
    seen = {(example.video, round(example.horizon, 6)) for _, example, _ in rows}
    expected = set(index.records)
    if split == "val":  # videos beyond an equal number of each class were left out on purpose
        expected = {e.video for e in index.wanted[split]} | {f.video for f in index.unreadable}
    for record in index.records.values():
        # Within clips only those videos count that have both cuts.
        is_judged = record.split == split and policy.within is None and record.label != UNLABELLED
        if not is_judged or record.id not in expected:
            continue
        for horizon in _horizons_of(record, policy):
            if (record.id, round(horizon, 6)) not in seen:
                rows.append((record, Example(record.id, -1.0, record.label, horizon), np.nan))
    own_tags = [_tags_of(record) for record, _, _ in rows]
    names = sorted({name for own in own_tags for name in own})
    tags = {name: [own.get(name, "") for own in own_tags] for name in names}
    if policy.within is not None:
        kinds = {True: "crash videos", False: "normal videos"}
        tags[NEGATIVES_FROM] = ["" if e.label else kinds[e.hard_negative] for _, e, _ in rows]
    return Scored(
        video=np.array([record.id for record, _, _ in rows]),
        group=np.array([record.group for record, _, _ in rows]),
        label=np.array([example.label for _, example, _ in rows]),
        horizon=np.array([example.horizon for _, example, _ in rows]),
        score=np.array([score for _, _, score in rows]),
        tags={name: np.array(values) for name, values in tags.items()},
    )


def _horizons_of(record: VideoRecord, policy: SamplingPolicy) -> Sequence[float]:
    """At which horizons a video should have been scored."""
    if policy.whole_clip:
        return (0.0,)
    return policy.horizons if record.cut_horizon is None else (record.cut_horizon,)


def curves_of(
    data: FeatureDataset, scores: np.ndarray, index: DataIndex, split: str
) -> list[Curve]:
    """Put ``[E]`` scores of moments along videos together by video; one without has no times."""
    moments: dict[str, list[tuple[float, float]]] = {}
    for example, score in zip(data.examples, scores, strict=True):
        moments.setdefault(example.video, []).append((example.end_time, float(score)))
    curves = []
    for record in index.records.values():
        if record.split != split or record.label == UNLABELLED:
            continue
        event_time = record.event_time if record.label == 1 else None
        if record.label == 1 and record.cut_horizon is not None:
            # Of an unreadable file the end is not known; it has no score, and counts as missing.
            event_time = index.durations.get(record.id, 0.0) + record.cut_horizon
        own = np.array(sorted(moments.get(record.id, []))).reshape(-1, 2)
        about = (record.id, record.group, record.label, event_time)
        curves.append(Curve(*about, own[:, 0], own[:, 1], _tags_of(record)))
    return curves


def _tags_of(record: VideoRecord) -> dict[str, str]:
    """Give a record's tags, but for those called like a column of the files of scores.

    Such a one is left over in a person's list, where another column was mapped to that name.
    """
    return {name: text for name, text in record.tags.items() if name not in _TAKEN}


def probability_of_videos(data: FeatureDataset, scores: np.ndarray) -> dict[str, float]:
    """Give the highest probability of each video, of the moments that were scored."""
    highest: dict[str, float] = {}
    for example, score in zip(data.examples, scores, strict=True):
        highest[example.video] = max(float(score), highest.get(example.video, 0.0))
    return highest


def write_submission(
    dataset: Dataset, folder: Path, by_seed: Sequence[Mapping[str, float]]
) -> Path | None:
    """Write the mean probability over seeds, where a data set's owners take submissions."""
    if not hasattr(dataset, "write_submission"):
        return None
    videos = {video for scores in by_seed for video in scores}
    means = {v: float(np.mean([scores.get(v, 0.0) for scores in by_seed])) for v in sorted(videos)}
    path = folder / f"submission_{dataset.name}.csv"
    dataset.write_submission(path, means)
    return path if path.is_file() else None
