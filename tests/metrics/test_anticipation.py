from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from collision.errors import MetricError
from collision.metrics import anticipation
from collision.metrics.anticipation import Point, anticipation_ap, mtta_at_false_alarm_rate
from collision.metrics.bootstrap import group_weights
from collision.metrics.curves import Curve
from collision.metrics.estimate import Estimate
from collision.metrics.scored import Counts
from tests.kit.curves import literature_numbers, made_up_curves

NAMES = ("anticipation_ap", "mtta", "tta_at_r80")


@st.composite
def sets_of_curves(draw) -> list[Curve]:
    """A few videos with coarse scores, so that there are ties in videos and between them."""
    curves = []
    for number, label in enumerate([1, 0, *draw(st.lists(st.integers(0, 1), max_size=8))]):
        scores = draw(st.lists(st.integers(0, 20), min_size=1, max_size=6))
        event = None
        if label:  # within the scores, at a score or after the last, but after the first
            event = draw(st.sampled_from([0.1, 0.25, 0.5, 1.0, 1.3, 9.0]))
        times = 0.25 * np.arange(len(scores))
        curves.append(
            Curve(str(number), f"g{number % 4}", label, event, times, np.array(scores) / 20)
        )
    return curves


@settings(max_examples=40)
@given(sets_of_curves())
def test_numbers_are_those_of_the_definition(curves) -> None:
    result = anticipation_ap(curves, num_resamples=3)
    found = [getattr(result, name).value for name in NAMES] + [result.tta_at_r80.recall]
    assert found == pytest.approx(literature_numbers(curves), abs=1e-9)
    data = result.as_json()
    assert json.loads(json.dumps(data, allow_nan=False)) == data


def test_many_thresholds_and_a_whole_data_set() -> None:
    curves = made_up_curves(40)
    result = anticipation_ap(curves, num_resamples=200)
    found = [getattr(result, name).value for name in NAMES]
    assert found == pytest.approx(literature_numbers(curves)[:3], abs=1e-9)
    for name in NAMES:
        one = getattr(result, name)
        assert one.low < one.value < one.high
    assert result.always_on_mtta == 5.0


@settings(max_examples=15)
@given(sets_of_curves())
def test_a_resample_is_the_definition_on_copied_groups(curves) -> None:
    """Group g's curves twice or not at all give what its weight 2 or 0 gives."""
    names = sorted({curve.group for curve in curves})
    table = anticipation._tabulate(curves, anticipation._grid(curves), 1.0)
    for weights in np.concatenate(list(group_weights(len(names), 5, 0)), axis=1).T:
        copies = [
            replace(curve, video=f"{curve.video}/{copy}")
            for curve in curves
            for copy in range(int(weights[names.index(curve.group)]))
        ]
        found = anticipation._points(table, weights[:, None])[:, 0]
        if {curve.label for curve in copies} != {0, 1}:
            assert np.isnan(found).all()
            continue
        everything = np.ones((len({c.group for c in copies}), 1))
        # The grid is that of all curves: the lowest score of a resample may be another.
        own = anticipation._tabulate(copies, anticipation._grid(curves), 1.0)
        assert found == pytest.approx(
            anticipation._points(own, everything)[:, 0], abs=1e-9, nan_ok=True
        )


def test_it_is_not_the_average_precision_of_the_maxima() -> None:
    curves = made_up_curves(40)
    labels = [curve.label for curve in curves]
    maxima = [curve.before_event().scores.max() for curve in curves]
    ours = anticipation_ap(curves, num_resamples=3)
    assert ours.anticipation_ap.value != pytest.approx(
        average_precision_score(labels, maxima), abs=1e-3
    )


def test_what_comes_at_or_after_the_event_changes_nothing() -> None:
    curves = made_up_curves(30)
    changed = [
        replace(c, scores=np.where(c.times >= 5.0, 0.999, c.scores)) if c.label else c
        for c in curves
    ]
    for judge in (anticipation_ap, mtta_at_false_alarm_rate):
        assert judge(curves, num_resamples=20) == judge(changed, num_resamples=20)
    earlier = [
        replace(c, scores=np.where(c.times >= 4.75, 0.999, c.scores)) if c.label else c
        for c in curves
    ]
    assert anticipation_ap(earlier, num_resamples=3) != anticipation_ap(curves, num_resamples=3)


def test_a_model_that_always_alarms_has_the_longest_time_and_no_precision() -> None:
    for level in (0.4, 1.0):
        curves = [replace(c, scores=np.full(c.times.size, level)) for c in made_up_curves(30)]
        result = anticipation_ap(curves, num_resamples=20)
        assert result.anticipation_ap.value == 0.5
        assert result.mtta.value == result.always_on_mtta == 5.0
        quiet = mtta_at_false_alarm_rate(curves, num_resamples=20)
        assert quiet.mtta_all.value == 0
        assert quiet.mtta_detected.value is None
        assert "no positive alarms" in quiet.mtta_detected.reason
        assert quiet.points == [Point(None, 0.0)]


@settings(max_examples=60)
@given(sets_of_curves(), st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0]))
def test_no_threshold_alarms_earlier_within_the_rate(curves, rate) -> None:
    result = mtta_at_false_alarm_rate(curves, rate=rate, num_resamples=3)
    counted = [curve.before_event() for curve in curves]
    best = (-1.0, 0.0, 0.0)
    for threshold in [0.0, *np.arange(0.025, 1.1, 0.05)]:  # between the scores
        false_alarms = [c.scores.max() >= threshold for c in counted if not c.label]
        leads = [
            c.leads[c.scores >= threshold].max() if (c.scores >= threshold).any() else None
            for c in counted
            if c.label
        ]
        if np.mean(false_alarms) <= rate:
            known = [lead for lead in leads if lead is not None]
            best = max(best, (sum(known) / len(leads), len(known) / len(leads), sum(known)))
    assert result.mtta_all.value == pytest.approx(best[0])
    assert result.recall.value == pytest.approx(best[1])
    (point,) = result.points
    assert point.false_alarm_rate <= rate + 1e-12
    data = result.as_json()
    assert json.loads(json.dumps(data, allow_nan=False)) == data


def test_the_rate_counts_negatives_exactly() -> None:
    """.07 * 100 is more than 7 in floating point, .29 * 100 less than 29."""
    times = np.array([0.0])
    negatives = [Curve(f"n{i}", "g", 0, None, times, [i / 100]) for i in range(100)]
    positive = Curve("p", "g", 1, 1.0, times, [0.999])
    for rate in (0.07, 0.1, 0.29, 0.58):
        result = mtta_at_false_alarm_rate([positive, *negatives], rate=rate, num_resamples=3)
        assert result.points[0].false_alarm_rate == pytest.approx(rate)


def test_a_positive_without_a_score_is_missed_and_counted() -> None:
    curves = made_up_curves(30)
    blind = [replace(c, times=[], scores=[]) if c.video == "3_1" else c for c in curves]
    late = [replace(c, times=c.times + 20) if c.video == "3_1" else c for c in curves]
    for one in (blind, late):
        result = anticipation_ap(one, num_resamples=20)
        assert result.counts.missing == 1
        assert result.always_on_mtta == 5.0
        quiet = mtta_at_false_alarm_rate(one, rate=1.0, num_resamples=20)
        assert quiet.recall.value == pytest.approx(29 / 30)
        assert quiet.mtta_detected.value == 5.0
        assert quiet.mtta_all.value == pytest.approx(5 * 29 / 30)


def test_negatives_without_scores_are_left_out_and_counted() -> None:
    """One that never alarms would be a perfect negative."""
    curves = made_up_curves(40)
    gone = {curve.video for curve in curves[1:40:2]}
    blind = [replace(c, times=[], scores=[]) if c.video in gone else c for c in curves]
    copied = [replace(c, video=f"{c.video}/{n}") for c in curves for n in range(2 - c.label)]
    twice = [c for c in copied if c.video.partition("/")[0] not in gone]
    for judge in (anticipation_ap, mtta_at_false_alarm_rate):
        found, expected = judge(blind, num_resamples=20), judge(twice, num_resamples=20)
        assert found.counts == Counts(40, 40, 40, 20, 20, 0, 20)
        assert replace(found, counts=expected.counts) == expected
        assert judge(curves, blind, num_resamples=20).counts == found.counts


def test_negatives_alone_without_scores_are_undefined() -> None:
    nothing = [Curve(str(n), "g", 0, None, [], []) for n in range(3)]
    for judge, name in ((anticipation_ap, "mtta"), (mtta_at_false_alarm_rate, "recall")):
        result = judge(nothing, num_resamples=20)
        assert "0 positive and 0 scored negative" in getattr(result, name).reason
        assert result.counts == Counts(0, 3, 0, 0, 3, 0, 3)


def test_one_class_is_none_with_a_reason() -> None:
    for label in (0, 1):
        curves = [curve for curve in made_up_curves(30) if curve.label == label]
        for judge in (anticipation_ap, mtta_at_false_alarm_rate):
            result = judge(curves, num_resamples=20)
            for one in vars(result).values():
                if isinstance(one, Estimate):
                    assert one.value is None and "this needs both" in one.reason
            json.dumps(result.as_json(), allow_nan=False)


def test_few_groups_have_values_but_no_interval() -> None:
    for judge, name in ((anticipation_ap, "mtta"), (mtta_at_false_alarm_rate, "mtta_all")):
        one = getattr(judge(made_up_curves(10), num_resamples=20), name)
        assert one.value > 0 and one.low is None and "only 10 groups" in one.reason


def test_seeds_are_averaged_whatever_their_order() -> None:
    seeds = [made_up_curves(30, seed=seed) for seed in range(3)]
    for judge, name in ((anticipation_ap, "mtta"), (mtta_at_false_alarm_rate, "mtta_all")):
        alone = [getattr(judge(one, num_resamples=20), name).value for one in seeds]
        together = getattr(judge(seeds[0], seeds[1][::-1], seeds[2], num_resamples=20), name)
        assert together.seeds == pytest.approx(alone)
        assert together.value == pytest.approx(np.mean(alone))
        assert together.sd == pytest.approx(np.std(alone, ddof=1))
    thrice = anticipation_ap(*[seeds[0]] * 3, num_resamples=50).mtta
    once = anticipation_ap(seeds[0], num_resamples=50).mtta
    assert [thrice.low, thrice.high] == pytest.approx([once.low, once.high])


def test_what_cannot_be_judged_says_why() -> None:
    curves = made_up_curves(3)
    with pytest.raises(MetricError, match="no curves"):
        anticipation_ap()
    with pytest.raises(MetricError, match="no curves"):
        anticipation_ap([])
    with pytest.raises(MetricError, match="'0_1' has two curves"):
        anticipation_ap([*curves, curves[0]])
    with pytest.raises(MetricError, match="not scored on the same videos"):
        anticipation_ap(curves, curves[1:])
    with pytest.raises(MetricError, match=r"rate is 1\.5"):
        mtta_at_false_alarm_rate(curves, rate=1.5)
    with pytest.raises(MetricError, match="num_resamples is 0"):
        anticipation_ap(curves, num_resamples=0)


def test_intervals_of_times_cover_the_truth() -> None:
    many = made_up_curves(1000, seed=99)
    truth = mtta_at_false_alarm_rate(many, num_resamples=1).mtta_all.value
    covered = 0
    for seed in range(40):
        result = mtta_at_false_alarm_rate(made_up_curves(60, seed=seed), num_resamples=100)
        covered += result.mtta_all.low <= truth <= result.mtta_all.high
    assert 0.87 <= covered / 40 <= 1
