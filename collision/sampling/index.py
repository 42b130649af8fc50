"""The index of a run: its videos, and the moments of them to learn from and to score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from collision.records.check import records_of
from collision.records.files import prepare
from collision.records.splits import limited, require_splits, shared_groups, with_validation
from collision.sampling.anchors import (
    anchors,
    lengths_of_others,
    mock_event_pool,
    needs_durations,
)
from collision.sampling.durations import Durations, ReadDurations
from collision.sampling.examples import dense_examples, wanted_examples
from collision.sampling.policy import SamplingPolicy
from collision.sampling.shards import Shard
from collision.types import SPLITS, Dataset, Example, Failure, Seconds, Split, VideoRecord

DENSE = "dense"  # beside the splits: moments all along the scored videos


@dataclass(frozen=True)
class Selection:
    """Which videos of a data set a run uses, and as what.

    Attributes:
        splits: Those wanted; None for all that the data set has.
        limit: At most so many videos a split, in whole groups.
        val_fraction: Of the training groups, where there is no validation split.
        skip_missing: Videos that are not there are left to extraction, which counts them.
        shard: The part of the videos that this process has; the moments of each are as without.
    """

    splits: Sequence[Split] | None = None
    limit: int | None = None
    val_fraction: float = 0.2
    separate_pools: bool = True
    skip_missing: bool = False
    shard: Shard | None = None


@dataclass
class DataIndex:
    """What there is to learn from and to score, before any window is decoded.

    Attributes:
        records: By id, in the data set's order.
        examples: By split; moments all along the videos of the test split under ``DENSE``.
        unreadable: Videos whose length was needed and could not be read.
        shared_groups: Groups that lie in several splits, with those splits.
        durations: Time of the last frame by id, where it was needed.
        anchors: Seconds by id: what cuts are counted from.
        lost: By split, examples that should be there and cannot; see ``wanted_examples``.
    """

    name: str
    records: dict[str, VideoRecord]
    examples: dict[str, list[Example]]
    unreadable: list[Failure] = field(default_factory=list)
    shared_groups: dict[str, list[str]] = field(default_factory=dict)
    durations: dict[str, Seconds] = field(default_factory=dict)
    anchors: dict[str, Seconds] = field(default_factory=dict)
    lost: dict[str, list[Example]] = field(default_factory=dict)

    @property
    def wanted(self) -> dict[str, list[Example]]:
        """All examples that should be there, by split."""
        return {split: [*e, *self.lost.get(split, ())] for split, e in self.examples.items()}


def index_dataset(
    dataset: Dataset,
    policy: SamplingPolicy,
    selection: Selection = Selection(),
    durations: ReadDurations | None = None,
) -> DataIndex:
    """List a data set's videos and the moments to score; see ``index_records``."""
    prepare(dataset, selection.splits, selection.skip_missing)
    return index_records(dataset.name, records_of(dataset), policy, selection, durations)


def index_records(
    name: str,
    records: Sequence[VideoRecord],
    policy: SamplingPolicy,
    selection: Selection = Selection(),
    durations: ReadDurations | None = None,
) -> DataIndex:
    """List the moments of some videos to score, and where the policy is dense their curves.

    One object ``durations`` for all folds and backbones opens each file once. A wanted split that
    is empty is a ConfigError.
    """
    if selection.splits is None or "val" in selection.splits:
        records = with_validation(records, selection.val_fraction, policy.seed)
    found = [split for split in SPLITS if any(r.split == split for r in records)]
    splits = found if selection.splits is None else selection.splits
    require_splits(name, records, splits)
    # Validation's mock events are drawn with training's, whether that is wanted too or not.
    pools = {split for r in records if r.split in splits for split in mock_event_pool(r)}
    around = limited([r for r in records if r.split in pools], selection.limit)
    records = [r for r in around if r.split in splits]
    shared = shared_groups(records)
    shard = selection.shard
    paths = None if shard is None or shard.is_whole else shard.own(records)
    own = [r for r in records if paths is None or r.path in paths]
    by_id = {r.id: r for r in own}
    timed = around if needs_durations(own, policy) else []
    if shard is not None and paths is not None:
        others = lengths_of_others(own, [r for r in around if r.path not in paths], policy)
        # Others' mock events are drawn from the positives here, too.
        timed = [*(own if timed or others else []), *shard.shuffled(others)]
    ends, failures = (durations or Durations())(timed) if timed else ({}, [])
    unreadable = [failure for failure in failures if failure.video in by_id]
    anchor_of = anchors(around, ends, policy, separate_pools=selection.separate_pools)
    examples: dict[str, list[Example]] = {}
    lost: dict[str, list[Example]] = {}
    for split in splits:
        # Which of validation's videos are left out, others decide with these.
        chosen = records if split == "val" else own
        cuts = wanted_examples(chosen, anchor_of, policy, split, ends)
        cuts = [example for example in cuts if example.video in by_id]
        examples[split] = [example for example in cuts if example.end_time >= 0]
        lost[split] = [example for example in cuts if example.end_time < 0]
    if policy.dense is not None and policy.within is None and not policy.whole_clip:
        scored = "test" if "test" in splits else splits[-1]
        examples[DENSE] = dense_examples(own, anchor_of, ends, policy, scored)
    own_anchors = {r.id: anchor_of[r.id] for r in own if r.id in anchor_of}
    return DataIndex(name, by_id, examples, unreadable, shared, ends, own_anchors, lost)
