"""The index of a run: its videos, and the moments of them to learn from and to score."""

from __future__ import annotations

import concurrent.futures
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from collision.errors import ConfigError, VideoDecodeError
from collision.records.splits import limited, shared_groups, with_validation
from collision.sampling.anchors import anchors, needs_durations, side_of
from collision.sampling.examples import build_examples, dense_examples
from collision.sampling.policy import SamplingPolicy
from collision.types import SPLITS, Dataset, Example, Failure, Seconds, Split, VideoRecord
from collision.video.index import index_video

DENSE = "dense"  # beside the splits: moments all along the scored videos


@dataclass
class DataIndex:
    """What there is to learn from and to score, before any window is decoded.

    Attributes:
        name: Of the data set.
        records: By id, in the data set's order.
        examples: By split; moments all along the videos of the test split under ``DENSE``.
        unreadable: Videos whose length was needed and could not be read.
        shared_groups: Groups that lie in several splits, with those splits.
        durations: Time of the last frame by id, where it was needed.
    """

    name: str
    records: dict[str, VideoRecord]
    examples: dict[str, list[Example]]
    unreadable: list[Failure] = field(default_factory=list)
    shared_groups: dict[str, list[str]] = field(default_factory=dict)
    durations: dict[str, Seconds] = field(default_factory=dict)


def index_dataset(
    dataset: Dataset,
    policy: SamplingPolicy,
    splits: Sequence[Split] | None,
    *,
    limit: int | None = None,
    val_fraction: float = 0.2,
) -> DataIndex:
    """List a data set's videos and the moments to score; see ``index_records``.

    Raises:
        DatasetNotFoundError: Its files are not there.
        ConfigError: As ``index_records``.
    """
    dataset.prepare()
    return index_records(
        dataset.name, dataset.records(), policy, splits, limit=limit, val_fraction=val_fraction
    )


def index_records(
    name: str,
    records: Sequence[VideoRecord],
    policy: SamplingPolicy,
    splits: Sequence[Split] | None,
    *,
    limit: int | None = None,
    val_fraction: float = 0.2,
    by_side: bool = True,
) -> DataIndex:
    """List the moments of some videos to score, and where the policy is dense their curves.

    Args:
        name: Of the data set.
        records: All its videos.
        policy: Which moments.
        splits: Those wanted; None for all that the data set has.
        limit: At most so many videos a split, in whole groups.
        val_fraction: Of the training groups, where there is no validation split.
        by_side: Whether mock events are drawn apart for the test split; see ``anchors``.

    Raises:
        ConfigError: A wanted split is empty.
    """
    if splits is None or "val" in splits:
        records = with_validation(records, val_fraction, policy.seed)
    found = [split for split in SPLITS if any(r.split == split for r in records)]
    splits = found if splits is None else splits
    for split in splits:
        if split not in found:
            raise ConfigError(
                f"Data set {name!r} has no video in the split {split!r}, "
                f"only in: {', '.join(found) or 'none'}. `train` can make its own by "
                "cross-validation, folds=5; `evaluate` scores another with split=NAME."
            )
    # Validation's mock events are drawn with training's, whether that is wanted too or not.
    sides = {split for r in records if r.split in splits for split in side_of(r)}
    around = limited([r for r in records if r.split in sides], limit)
    records = [r for r in around if r.split in splits]
    durations: dict[str, Seconds] = {}
    unreadable: list[Failure] = []
    if needs_durations(records, policy):
        durations, failures = read_durations(around)
        wanted = {r.id for r in records}
        unreadable = [failure for failure in failures if failure.video in wanted]
    anchor_of = anchors(around, durations, policy, by_side=by_side)
    examples: dict[str, list[Example]] = {
        split: build_examples(records, anchor_of, policy, split, durations) for split in splits
    }
    if policy.dense is not None and policy.within is None and not policy.whole_clip:
        scored = "test" if "test" in splits else splits[-1]
        examples[DENSE] = dense_examples(records, anchor_of, durations, policy, scored)
    return DataIndex(
        name,
        {r.id: r for r in records},
        examples,
        unreadable,
        shared_groups(records),
        durations,
    )


def read_durations(
    records: Iterable[VideoRecord],
) -> tuple[dict[str, Seconds], list[Failure]]:
    """Read how long each file is from its packet index, by id; failures come back as values."""
    durations: dict[str, Seconds] = {}
    failures: list[Failure] = []

    def read(record: VideoRecord) -> Seconds | Failure:
        try:
            return float(index_video(record.path, record.frame_rate).frame_times[-1])
        except VideoDecodeError as error:
            return Failure(record.id, record.path, error.reason)

    records = list(records)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for record, result in zip(records, pool.map(read, records), strict=True):
            if isinstance(result, Failure):
                failures.append(result)
            else:
                durations[record.id] = result
    return durations, failures
