from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collision.errors import ConfigError
from collision.sampling.anchors import anchors, needs_durations
from collision.sampling.examples import build_examples, dense_examples, equal_classes
from collision.sampling.policy import SamplingPolicy
from collision.types import UNLABELLED, VideoRecord


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


def test_mock_events_follow_the_positives_relative_positions():
    records = [record(f"p{i}", 1, event_time=5.0) for i in range(3)]
    records += [record(f"n{i}", 0) for i in range(50)]
    assert needs_durations(records, SamplingPolicy())
    durations = {r.id: 10.0 if r.label else 30.0 for r in records}
    result = anchors(records, durations, SamplingPolicy())
    assert all(result[f"n{i}"] == pytest.approx(15.0) for i in range(50))


def test_a_test_is_cut_alike_with_and_without_training_videos():
    records = [record(f"early{i}", 1, event_time=2.0) for i in range(5)]
    records += [record(f"late{i}", 1, "test", event_time=8.0) for i in range(5)]
    records += [record(f"n{split}", 0, split) for split in ("train", "val", "test")]
    durations = {r.id: 10.0 for r in records}
    together = anchors(records, durations, SamplingPolicy())
    assert [together[f"n{split}"] for split in ("train", "val", "test")] == [2.0, 2.0, 8.0]
    tested = [r for r in records if r.split == "test"]
    assert anchors(tested, durations, SamplingPolicy())["ntest"] == together["ntest"]
    calm = [r for r in records if r.split != "test" or r.label == 0]  # no positive to draw from
    assert anchors(calm, durations, SamplingPolicy())["ntest"] == 2.0
    folds = [
        anchors([replace(r, split=split) for r in records], durations, policy, separate_pools=False)
        for split in ("train", "test")
        for policy in [SamplingPolicy()]
    ]
    assert folds[0] == folds[1]


def test_anchor_of_a_cut_clip_is_its_end_and_of_an_unreadable_one_absent():
    records = [record("a", 1, "test", cut_horizon=1.0), record("b", 0, "test", cut_horizon=0.5)]
    result = anchors(records, {"a": 9.9}, SamplingPolicy())
    assert result == {"a": 9.9}
    examples = build_examples(records, result, SamplingPolicy(), "test")
    assert [(e.end_time, e.horizon, e.label) for e in examples] == [(9.9, 1.0, 1)]


def test_negatives_alone_cannot_have_mock_events():
    with pytest.raises(ConfigError, match="no positive"):
        anchors([record("n", 0)], {"n": 5.0}, SamplingPolicy())


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


def test_midpoint_mock_events_need_no_positive():
    policy = SamplingPolicy(mock_events="midpoint")
    assert anchors([record("n", 0)], {"n": 30.0}, policy) == {"n": 15.0}


def test_positives_from_the_alert_on_and_the_nearest_where_the_interval_is_empty():
    policy = SamplingPolicy(positives_from="alert", hard_negatives=0)
    records = [
        record("early", event_time=9.0, alert_time=3.0),
        record("usual", event_time=9.0, alert_time=8.2),
        record("late", event_time=9.0, alert_time=8.9),
        record("unknown", event_time=9.0),
        record("calm", 0, mock_event_time=9.0),
    ]
    examples = build_examples(records, {r.id: 9.0 for r in records}, policy, "train")
    ends = {r.id: [e.end_time for e in examples if e.video == r.id] for r in records}
    everything = [8.75, 8.5, 8.25, 8.0, 7.75, 7.5]
    assert ends == {
        "early": everything,
        "usual": everything[:3],
        "late": everything[:1],
        "unknown": everything,
        "calm": everything,
    }


def test_weights_of_the_alert_zone_and_of_the_far_past():
    policy = SamplingPolicy(alert_weight=3.0, fade=2.0, hard_negatives=0, train_range=(0.5, 1.5))
    records = [
        record("a", event_time=9.0, alert_time=8.0),
        record("calm", 0, mock_event_time=9.0),
    ]
    examples = build_examples(records, {"a": 9.0, "calm": 9.0}, policy, "train")
    weights = {e.end_time: e.weight for e in examples if e.video == "a"}
    expected = {8.5: 3 * np.exp(-0.25), 8.25: 3 * np.exp(-0.375), 8.0: 3 * np.exp(-0.5)}
    expected |= {7.75: np.exp(-0.625), 7.5: np.exp(-0.75)}
    assert weights == pytest.approx(expected)
    assert {e.weight for e in examples if e.video == "calm"} == {1.0}


def test_a_clip_with_a_secret_label_is_scored_at_its_end_and_learned_from_never():
    secret = record("s", UNLABELLED, "test", cut_horizon=0.0)
    anchor_of = anchors([secret], {"s": 9.9}, SamplingPolicy())
    (example,) = build_examples([secret], anchor_of, SamplingPolicy(), "test")
    assert (example.end_time, example.label) == (9.9, UNLABELLED)
    for split in ("train", "val"):
        moved = record("s", UNLABELLED, split, cut_horizon=0.0)
        assert build_examples([moved], anchor_of, SamplingPolicy(), split) == []


@settings(max_examples=30)
@given(st.floats(1, 30), st.floats(0, 10), st.sampled_from([0.1, 0.25, 0.5]))
def test_curves_end_before_the_event_and_reach_back_to_the_start(event, tail, dense):
    policy = SamplingPolicy(dense=dense)
    records = [
        record("crash", event_time=event, split="test"),
        record("calm", 0, "test", mock_event_time=event),
        record("cut", 1, "test", cut_horizon=0.5),
        record("secret", UNLABELLED, "test", cut_horizon=0.0),
    ]
    durations = {r.id: event + tail for r in records}
    anchor_of = anchors(records, durations, policy)
    examples = dense_examples(records, anchor_of, durations, policy, "test")
    ends = {r.id: [e.end_time for e in examples if e.video == r.id] for r in records}
    assert max(ends["crash"]) == pytest.approx(event - dense)
    assert max(ends["calm"]) == max(ends["cut"]) == event + tail
    assert not ends["secret"]
    for times in (ends["crash"], ends["calm"], ends["cut"]):
        assert all(b - a == pytest.approx(dense) for a, b in pairwise(times))
        assert times[0] + 1e-5 >= 0 and times[0] < dense
    for example in examples:
        if example.video == "cut":  # the event lies half a second beyond the last frame
            assert example.end_time + example.horizon == pytest.approx(event + tail + 0.5)


def test_whole_clips_refuse_to_run_without_the_flag():
    with pytest.raises(ConfigError, match=r"whole_clip.*allow_leak=true"):
        SamplingPolicy(whole_clip=True)
    policy = SamplingPolicy(whole_clip=True, allow_leak=True, context=2.0)
    records = [record("a", event_time=5.0), record("b", 0, mock_event_time=3.0)]
    durations = {"a": 8.0, "b": 6.0}
    examples = build_examples(records, {"a": 5.0, "b": 3.0}, policy, "train", durations)
    assert [(e.end_time, e.label, e.window_stride) for e in examples] == [
        (8.0, 1, 1.0),
        (6.0, 0, 0.75),
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mock_events": "middle"}, "mock_events=middle"),
        ({"positives_from": "start"}, "positives_from=start"),
        ({"strides": []}, "strides"),
        ({"strides": [1, 1]}, "strides"),
        ({"strides": [0]}, "strides"),
        ({"strides": "fast"}, "strides"),
        ({"fade": 0}, "fade=0"),
        ({"dense": -1}, "dense=-1"),
        ({"alert_weight": -1}, "alert_weight=-1"),
    ],
)
def test_options_that_cannot_work_are_named(options, words):
    with pytest.raises(ConfigError, match=words):
        SamplingPolicy(**options)
