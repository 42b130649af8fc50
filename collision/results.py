"""From scored examples to ``metrics.json`` and the rest of what a run leaves to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from collision.datamodule import FeatureDataset
from collision.metrics.scored import Scored
from collision.metrics.summary import combine_seeds
from collision.pipeline import DataIndex
from collision.sampling import SamplingPolicy
from collision.types import Dataset, Example, VideoRecord

UNSCORABLE = float("nan")
NEGATIVES_FROM = "negatives_from"  # the tag that parts cuts of crash videos from normal videos


def concatenated(parts: Sequence[Scored]) -> Scored:
    """Put the scores of several folds into one table."""
    names = sorted({name for part in parts for name in part.tags})
    return Scored(
        **{
            column: np.concatenate([getattr(part, column) for part in parts])
            for column in ("video", "group", "label", "horizon", "score")
        },
        tags={
            name: np.concatenate([part.tags.get(name, np.full(len(part), "")) for part in parts])
            for name in names
        },
    )


def scored_examples(
    data: FeatureDataset,
    scores: np.ndarray,
    index: DataIndex,
    split: str,
    policy: SamplingPolicy,
) -> Scored:
    """Put scores beside their examples; what could not be scored is there as NaN.

    Within clips, only videos whose cuts could all be scored are judged. Otherwise dropped examples,
    and the horizons of videos that could not even be indexed, count as
    missing: leaving them out would make a data set easier by breaking its files.

    Args:
        data: The scored examples.
        scores: ``[E]`` probabilities.
        index: The data set's index.
        split: Which split of it was scored.
        policy: Says at which horizons every video of the split should have been scored.
    """
    rows: list[tuple[VideoRecord, Example, float]] = [
        (record, example, float(score))
        for record, example, score in zip(data.records, data.examples, scores, strict=True)
    ]
    if policy.within is None:
        rows += [(index.records[e.video], e, UNSCORABLE) for e in data.dropped]
    else:
        # A far cut is more often too early to be scored than a near one: if it counted as 0, the
        # beginning of the file would tell the label. Such videos are left out whole.
        incomplete = {e.video for e in data.dropped}
        rows = [row for row in rows if row[0].id not in incomplete]
    seen = {(example.video, round(example.horizon, 6)) for _, example, _ in rows}
    for record in index.records.values():
        # Within clips only those videos count that have both cuts.
        if record.split != split or policy.within is not None:
            continue
        own = [record.cut_horizon] if record.cut_horizon is not None else policy.horizons
        for horizon in own:
            if (record.id, round(horizon, 6)) not in seen:
                rows.append((record, Example(record.id, -1.0, record.label, horizon), UNSCORABLE))
    names = sorted({name for record, _, _ in rows for name in record.tags})
    tags = {name: np.array([record.tags.get(name, "") for record, _, _ in rows]) for name in names}
    if policy.within is not None:
        tags[NEGATIVES_FROM] = np.array(
            [
                "" if e.label else ("crash videos" if e.hard_negative else "normal videos")
                for _, e, _ in rows
            ]
        )
    return Scored(
        video=np.array([record.id for record, _, _ in rows]),
        group=np.array([record.group for record, _, _ in rows]),
        label=np.array([example.label for _, example, _ in rows]),
        horizon=np.array([example.horizon for _, example, _ in rows]),
        score=np.array([score for _, _, score in rows]),
        tags=tags,
    )


def oracle_of(dataset: Dataset) -> dict[str, float] | None:
    """Give the oracle's AP on the test split by horizon, where the data set knows it."""
    if not hasattr(dataset, "oracle"):
        return None
    by_horizon = dataset.oracle()["scores"]["all"]["ap"]
    return {key: entry["value"] for key, entry in by_horizon.items() if key != "mean"}


def judge(
    best: Sequence[Scored],
    last: Sequence[Scored] | None,
    oracle: Mapping[str, Any] | None,
    num_resamples: int,
    slices: Sequence[str] = ("variant",),
) -> dict[str, Any]:
    """Summarise the best epoch's scores, and the last epoch's AP beside them.

    Args:
        best: One per seed, of the epoch that validation chose.
        last: One per seed, of the last epoch.
        oracle: See ``collision.metrics.summary.summarise``.
        num_resamples: Of the bootstrap over groups.
        slices: Tags whose values are judged apart, where there are such tags.
    """
    if NEGATIVES_FROM in best[0].tags:
        slices = (*slices, NEGATIVES_FROM)
    options: dict[str, Any] = {"oracle": oracle, "num_resamples": num_resamples}
    summary = combine_seeds(best, slices=slices, **options)
    if last:
        summary["last_epoch"] = {"ap": combine_seeds(last, slices=(), **options)["ap"]}
    return summary
