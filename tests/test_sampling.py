import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collision.errors import ConfigError
from collision.sampling import (
    SamplingPolicy,
    anchors,
    build_examples,
    check_groups,
    equal_classes,
    folded,
    limited,
    needed_windows,
    needs_durations,
    step_times,
    window_ends,
    with_validation,
)
from collision.types import BackboneSpec, VideoRecord

FRAME = BackboneSpec("f", "test 1", 1, 8.0, 8, 8, (0.5,) * 3, (0.5,) * 3, 1, 4)
CLIP = BackboneSpec("c", "test 1", 16, 8.0, 8, 8, (0.5,) * 3, (0.5,) * 3, 8, 4)


def record(name, label=1, split="train", group=None, **times):
    return VideoRecord(name, f"{name}.mp4", label, split, group or name, **times)


def test_training_cuts_lie_before_the_event_and_on_the_grid():
    examples = build_examples(
        [record("a", event_time=6.1)], {"a": 6.1}, SamplingPolicy(hard_negatives=0), "train"
    )
    ends = [e.end_time for e in examples]
    assert ends == pytest.approx([6.1 - 0.25 * j for j in range(1, 7)])
    assert [e.horizon for e in examples] == pytest.approx([0.25 * j for j in range(1, 7)])


def test_validation_and_test_are_cut_alike_and_exactly():
    records = [
        record(f"{split}{label}", label, split, event_time=5.0)
        for split in ("val", "test")
        for label in (0, 1)
    ]
    anchor_of = {r.id: 5.0 for r in records}
    for split in ("val", "test"):
        examples = build_examples(records, anchor_of, SamplingPolicy(), split)
        assert [e.end_time for e in examples] == [4.5, 4.0, 3.5] * 2


def test_validation_has_as_many_positives_as_negatives():
    records = [record(f"p{i}", 1, "val", event_time=5.0) for i in range(9)]
    records += [record(f"n{i}", 0, "val", mock_event_time=5.0) for i in range(4)]
    examples = build_examples(records, {r.id: 5.0 for r in records}, SamplingPolicy(), "val")
    labels = [e.label for e in examples]
    assert labels.count(1) == labels.count(0) == 4 * 3


@given(
    event=st.floats(0.3, 40),
    gap=st.floats(0, 5),
    count=st.integers(0, 4),
)
def test_hard_negatives_end_long_before_alert_and_event(event, gap, count):
    alert = max(0.0, event - gap)
    policy = SamplingPolicy(hard_negatives=count)
    examples = build_examples(
        [record("a", event_time=event, alert_time=alert)], {"a": event}, policy, "train"
    )
    hard = [e for e in examples if e.hard_negative]
    assert len(hard) <= count
    assert all(e.label == 0 for e in hard)
    assert all(0 <= e.end_time <= min(alert, event - 1.5) - 1.5 + 1e-6 for e in hard)
    positives = [e for e in examples if e.label == 1]
    assert all(event - 1.5 - 1e-6 <= e.end_time <= event - 0.25 + 1e-6 for e in positives)
    assert len({e.end_time for e in examples}) == len(examples)


def test_hard_negatives_are_drawn_the_same_way_whatever_else_is_there():
    policy = SamplingPolicy()
    one = [record("a", event_time=20.0)]
    two = [record("b", event_time=9.0), *one]
    times = {"a": 20.0, "b": 9.0}
    alone = build_examples(one, times, policy, "train")
    beside = [e for e in build_examples(two, times, policy, "train") if e.video == "a"]
    assert alone == beside


def test_within_clips_every_positive_has_its_own_negative():
    records = [
        record("a", event_time=5.0, split="test"),
        record("short", event_time=1.9, split="test"),
        record("n", 0, "test", mock_event_time=5.0),
        record("t", event_time=5.0),
    ]
    anchor_of = {"a": 5.0, "short": 1.9, "n": 5.0, "t": 5.0}
    policy = SamplingPolicy(within=(0.5, 2.0))
    examples = build_examples(records, anchor_of, policy, "test")
    assert [(e.video, e.end_time, e.label, e.hard_negative) for e in examples] == [
        ("a", 4.5, 1, False),
        ("a", 3.0, 0, True),
        ("n", 4.5, 0, False),
    ]
    assert {e.horizon for e in examples} == {0.5}
    train = build_examples(records, anchor_of, policy, "train")
    assert [(e.end_time, e.label) for e in train] == [
        (4.75, 1),
        (4.5, 1),
        (4.25, 1),
        (3.25, 0),
        (3.0, 0),
        (2.75, 0),
    ]


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
        check_groups(split)
        assert any(r.label for r in split if r.split == "test")
        tested += [r.id for r in split if r.split == "test"]
    assert sorted(tested) == sorted(r.id for r in records)


def test_mock_events_follow_the_positives_relative_positions():
    records = [record(f"p{i}", 1, event_time=5.0) for i in range(3)]
    records += [record(f"n{i}", 0) for i in range(50)]
    assert needs_durations(records)
    durations = {r.id: 10.0 if r.label else 30.0 for r in records}
    result = anchors(records, durations)
    assert all(result[f"n{i}"] == pytest.approx(15.0) for i in range(50))


def test_anchor_of_a_cut_clip_is_its_end_and_of_an_unreadable_one_absent():
    records = [record("a", 1, "test", cut_horizon=1.0), record("b", 0, "test", cut_horizon=0.5)]
    result = anchors(records, {"a": 9.9})
    assert result == {"a": 9.9}
    examples = build_examples(records, result, SamplingPolicy(), "test")
    assert [(e.end_time, e.horizon, e.label) for e in examples] == [(9.9, 1.0, 1)]


def test_negatives_alone_cannot_have_mock_events():
    with pytest.raises(ConfigError, match="no positive"):
        anchors([record("n", 0)], {"n": 5.0})


def test_windows_are_oldest_first_and_end_at_the_cut():
    assert window_ends(3.0, 4, 0.25).tolist() == [2.25, 2.5, 2.75, 3.0]
    policy = SamplingPolicy()
    assert policy.num_windows(FRAME) == 8
    assert policy.num_windows(CLIP) == 1
    assert SamplingPolicy(context=1.0).num_windows(CLIP) == 4
    assert step_times(FRAME, 3, 0.25).tolist() == [-0.5, -0.25, 0.0]
    assert step_times(CLIP, 1, 0.25).tolist() == [-1.75 + 0.25 * s for s in range(8)]


@given(st.lists(st.integers(0, 40), min_size=1, max_size=8), st.integers(1, 8))
def test_needed_windows_hold_every_window_of_every_example_once(steps, num_windows):
    videos = [record("a", event_time=20.0)]
    examples = [
        example
        for step in steps
        for example in build_examples(
            videos, {"a": step * 0.25}, SamplingPolicy(hard_negatives=0), "test"
        )
    ]
    examples += build_examples(
        [record("a", 1, "test")], {"a": steps[0] * 0.25}, SamplingPolicy(), "test"
    )
    needed = needed_windows(examples, num_windows, 0.25)
    for video, ends in needed.items():
        assert video == "a"
        assert np.all(np.diff(ends) > 0)
        assert np.all(ends >= 0)
    for example in examples:
        for end in window_ends(example.end_time, num_windows, 0.25):
            assert end < 0 or np.isclose(needed["a"], end).any()


def test_groups_never_part():
    records = [record(f"{g}{k}", k, "train", group=f"g{g}") for g in range(30) for k in (0, 1)]
    split = with_validation(records, 0.2)
    check_groups(split)
    val = [r for r in split if r.split == "val"]
    assert len({r.group for r in val}) == 6
    assert {r.label for r in val} == {0, 1}
    with pytest.raises(ConfigError, match="more than one split"):
        check_groups([record("a", split="train", group="g"), record("b", split="val", group="g")])


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


def test_equal_classes_does_not_depend_on_order():
    records = [record(f"p{i}") for i in range(9)] + [record("n", 0)]
    one = {r.id for r in equal_classes(records)}
    assert one == {r.id for r in equal_classes(records[::-1])}
    assert len(one) == 2


@pytest.mark.parametrize(
    "options",
    [
        {"horizons": []},
        {"horizons": [0.0]},
        {"stride": 0.3},
        {"stride": 0},
        {"window_stride": -1},
        {"train_range": [1.5, 0.25]},
        {"train_range": [1.0]},
        {"hard_negatives": -1},
        {"context": -1.0},
        {"within": [2.0, 0.5]},
        {"within": [0.25, 2.0]},
    ],
)
def test_what_cannot_work_is_refused_by_name(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        SamplingPolicy(**options)
