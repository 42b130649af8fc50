"""What a run learns from and is judged on: a data set once, or once for each fold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from collision.learning.datamodule import FeatureDataset
from collision.records.splits import folded
from collision.sampling.index import DENSE, DataIndex, index_dataset, index_records
from collision.sampling.policy import SamplingPolicy
from collision.types import SPLITS, UNLABELLED, Dataset, Example, VideoRecord


@dataclass
class Share:
    """What one training learns from and is judged on: everything, or one fold of it.

    Attributes:
        name: Its folder in the run; empty for everything.
        index: Its videos and examples.
        data: Their features by split; filled after extraction.
    """

    name: str
    index: DataIndex
    data: dict[str, FeatureDataset] = field(default_factory=dict)


def shares_of(
    dataset: Dataset,
    policy: SamplingPolicy,
    *,
    folds: int | None,
    limit: int | None,
    val_fraction: float,
) -> list[Share]:
    """Index the data set once, or once for each fold.

    In a fold, validation is part of the training groups: nothing of the tested groups selects.

    Raises:
        DatasetNotFoundError: Its files are not there.
        ConfigError: A split is empty, or there are too few groups for the folds.
    """
    if folds is None:
        index = index_dataset(dataset, policy, SPLITS, limit=limit, val_fraction=val_fraction)
        return [Share("", index)]
    dataset.prepare()
    records = [record for record in dataset.records() if record.label != UNLABELLED]
    return [
        Share(
            f"fold_{fold}",
            index_records(
                dataset.name,
                folded(records, folds, fold, policy.seed),
                policy,
                SPLITS,
                limit=limit,
                val_fraction=val_fraction,
                by_side=False,  # else every fold would cut, and extract, the same video elsewhere
            ),
        )
        for fold in range(folds)
    ]


def merged(shares: Sequence[Share]) -> DataIndex:
    """Put the videos and examples of all shares into one index."""
    return DataIndex(
        shares[0].index.name,
        {k: v for share in shares for k, v in share.index.records.items()},
        {
            f"{share.name}/{split}": examples
            for share in shares
            for split, examples in share.index.examples.items()
        },
    )


def judged_split(records: Iterable[VideoRecord]) -> str:
    """Say which split can be judged: test, or validation where the test's labels are secret."""
    labels = {record.label for record in records if record.split == "test"}
    return "val" if labels == {UNLABELLED} else "test"


def examples_by_split(data: Mapping[str, FeatureDataset]) -> dict[str, list[Example]]:
    """Give the examples of each split, without the moments along whole videos."""
    return {split: part.examples for split, part in data.items() if split != DENSE}
