"""What a run learns from and scores is listed once, for every verb."""

import pytest

from collision.errors import ConfigError
from collision.sampling.index import DENSE, Selection, index_records
from collision.sampling.policy import SamplingPolicy
from collision.types import VideoRecord


def records_of(count=20, split="train"):
    return [
        VideoRecord(f"{split}{n}", f"{n}.mp4", n % 2, split, f"{split}{n}",
                    event_time=8.0 if n % 2 else None, mock_event_time=None if n % 2 else 8.0)
        for n in range(count)
    ]  # fmt: skip


def test_validation_is_made_of_so_many_groups():
    for fraction, expected in ((0.1, 2), (0.2, 4), (0.5, 10)):
        index = index_records(
            "set", records_of(), SamplingPolicy(), Selection(None, None, fraction)
        )
        assert sum(r.split == "val" for r in index.records.values()) == expected


def test_a_split_that_is_not_there_is_said():
    with pytest.raises(ConfigError, match=r"no video in the split 'test', only in: train, val"):
        index_records("set", records_of(), SamplingPolicy(), Selection(["val", "test"]))


def test_a_limit_counts_in_each_split():
    records = records_of() + records_of(split="test")
    index = index_records("set", records, SamplingPolicy(), Selection(limit=4))
    splits = [record.split for record in index.records.values()]
    assert {split: splits.count(split) for split in splits} == {"train": 4, "val": 4, "test": 4}


def test_near_and_far_cuts_have_no_curve():
    """A curve is scored before the event; `within` also asks far from it."""
    records = records_of() + records_of(split="test")

    def read(asked):
        return dict.fromkeys([record.id for record in asked], 9.0), []

    dense = index_records("set", records, SamplingPolicy(dense=0.5), durations=read)
    assert len(dense.examples[DENSE]) > 100
    within = SamplingPolicy(dense=0.5, within=(0.5, 2.0))
    assert DENSE not in index_records("set", records, within, durations=read).examples
