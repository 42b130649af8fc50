import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collision.errors import ConfigError
from collision.records.splits import folded, limited, shared_groups, with_validation
from collision.types import UNLABELLED, VideoRecord


def record(name, label=1, split="train", group=None, **times):
    return VideoRecord(name, f"{name}.mp4", label, split, group or name, **times)


@settings(max_examples=40)
@given(
    st.lists(st.integers(0, 1), min_size=8, max_size=40).filter(lambda x: sum(x) >= 4),
    st.integers(2, 4),
    st.integers(0, 3),
)
def test_folds_test_every_group_once(labels, folds, seed):
    records = [record(f"{i}", label, group=f"g{i // 2}") for i, label in enumerate(labels)]
    num_positive_groups = len({r.group for r in records if r.label})
    if num_positive_groups < folds:
        with pytest.raises(ConfigError, match="folds"):
            folded(records, folds, 0, seed)
        return
    tested = []
    for fold in range(folds):
        split = folded(records, folds, fold, seed)
        assert not shared_groups(split)
        assert any(r.label for r in split if r.split == "test")
        tested += [r.id for r in split if r.split == "test"]
    assert sorted(tested) == sorted(r.id for r in records)


def test_groups_never_part():
    records = [record(f"{g}{k}", k, "train", group=f"g{g}") for g in range(30) for k in (0, 1)]
    split = with_validation(records, 0.2)
    assert not shared_groups(split)
    val = [r for r in split if r.split == "val"]
    assert len({r.group for r in val}) == 6
    assert {r.label for r in val} == {0, 1}


def test_groups_that_others_parted_are_found():
    records = [record("a", split="val", group="g"), record("b", split="train", group="g")]
    assert shared_groups([*records, record("c")]) == {"g": ["train", "val"]}


def test_a_data_set_with_validation_keeps_its_own():
    records = [record("a", split="train"), record("b", split="val")]
    assert with_validation(records, 0.5) == records


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_limit_keeps_whole_groups_of_both_classes(limit):
    records = [
        record(f"{s}{g}{k}", k, s, group=f"{s}{g}")
        for s in ("train", "test")
        for g in range(10)
        for k in (0, 1)
    ]
    kept = limited(records, limit)
    for split in ("train", "test"):
        own = [r for r in kept if r.split == split]
        assert limit <= len(own) <= limit + 1
        assert {r.label for r in own} == {0, 1}


def test_limit_alternates_classes_where_groups_hold_one():
    records = [record(f"p{i}") for i in range(10)] + [record(f"n{i}", 0) for i in range(10)]
    assert sorted(r.label for r in limited(records, 4)) == [0, 0, 1, 1]


def test_limit_keeps_clips_whose_labels_are_secret():
    records = [record(f"p{i}") for i in range(3)] + [record(f"n{i}", 0) for i in range(3)]
    records += [record(f"s{i}", UNLABELLED, "test") for i in range(9)]
    kept = limited(records, 4)
    assert [sum(r.split == split for r in kept) for split in ("train", "test")] == [4, 4]
