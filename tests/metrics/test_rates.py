from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import poisson

from collision.errors import MetricError
from collision.metrics.alarms import Alarm, AlarmRule, alarming, alarms_in
from collision.metrics.calibration import wilson
from collision.metrics.curves import Curve
from collision.metrics.rates import false_alarms_per_hour, recall_by_time
from tests.kit.curves import made_up_curves


def alarm_times(times, scores, threshold, **rule) -> list[float]:
    found = alarms_in(times, scores, threshold, AlarmRule(**rule))
    return [alarm.start for alarm in found]


def test_an_alarm_is_a_rise_and_a_long_one_is_one() -> None:
    times = np.arange(0, 20, 0.5)
    assert alarm_times(times, np.full(40, 0.9), 0.5) == [0.0]
    assert alarm_times(times, np.full(40, 0.4), 0.5) == []
    flicker = np.tile([0.9, 0.1], 20)
    assert alarm_times(times, flicker, 0.5, refractory=0) == list(range(20))
    assert alarm_times(times, flicker, 0.5, refractory=5) == [0, 5, 10, 15]
    assert alarm_times(times, flicker, 0.9) != []  # a score at the threshold alarms
    # Still above when the refractory time ends, it is no new alarm.
    assert alarm_times(times, np.where(times == 1, 0.1, 0.9), 0.5, refractory=5) == [0]
    assert alarm_times(np.zeros(0), np.zeros(0), 0.5) == []


def test_an_alarm_has_a_start_a_peak_and_an_end() -> None:
    times = np.arange(8) / 2
    scores = np.array([0.1, 0.6, 0.9, 0.5, 0.4, np.nan, 0.7, 0.2])
    (alarm,) = alarms_in(times, scores, 0.5)
    assert alarm == Alarm(0.5, 3.0, 1.0, 0.9)
    parted = alarms_in(times, scores, 0.5, AlarmRule(refractory=0))
    assert parted == [Alarm(0.5, 1.5, 1.0, 0.9), Alarm(3.0, 3.0, 3.0, 0.7)]
    on = alarming(times, scores, 0.5)
    assert on.tolist() == [False, True, True, True, False, False, True, False]


def test_hysteresis_bridges_what_is_a_little_lower_and_no_hole() -> None:
    times, none = np.arange(7.0), AlarmRule(refractory=0)
    loose = AlarmRule(hysteresis=0.2, refractory=0)
    dip = np.array([0.1, 0.6, 0.35, 0.55, 0.29, 0.45, 0.1])
    assert [one.start for one in alarms_in(times, dip, 0.5, none)] == [1, 3]
    assert alarms_in(times, dip, 0.5, loose) == [Alarm(1, 3, 1, 0.6)]  # .45 alone begins nothing
    hole = np.where(times == 2, np.nan, 0.6)
    assert [one.start for one in alarms_in(times, hole, 0.5, loose)] == [0, 3]


def test_what_is_too_short_is_no_alarm_and_the_rest_rings_when_it_is_long_enough() -> None:
    times = np.arange(12) / 4
    scores = np.where((times == 0.25) | ((times >= 1) & (times <= 2)), 0.9, 0.1)
    rule = AlarmRule(min_length=0.5)
    assert alarms_in(times, scores, 0.5, rule) == [Alarm(1.0, 2.0, 1.0, 0.9)]
    assert times[alarming(times, scores, 0.5, rule)].tolist() == [1.5, 1.75, 2.0]
    curve = Curve("n", "g", 0, None, times, scores)
    # With the lone score there is one alarm, too: what follows within 5 s belongs to it.
    assert [a.start for a in alarms_in(times, scores, 0.5)] == [0.25]
    rare = false_alarms_per_hour([curve], 0.5, rule=AlarmRule(min_length=1.25))
    assert rare.normal_videos.alarms == 0 and rare.as_json()["min_length"] == 1.25
    every = false_alarms_per_hour([curve], 0.5, rule=AlarmRule(refractory=0))
    assert every.normal_videos.alarms == 2 and every.refractory == 0


def test_the_rule_of_the_reports_counts_as_it_did_before_there_were_lengths() -> None:
    """Rises, those within 5 s of a counted one left out: written anew, on random curves."""
    generator = np.random.default_rng(0)
    for _ in range(100):
        times = np.arange(generator.integers(0, 120)) / 4
        scores = generator.random(times.size)
        expected: list[float] = []
        for place, time in enumerate(times):
            rises = scores[place] >= 0.6 and (place == 0 or scores[place - 1] < 0.6)
            if rises and (not expected or time - expected[-1] >= 5):
                expected.append(float(time))
        assert [alarm.start for alarm in alarms_in(times, scores, 0.6)] == expected


def test_counting_stops_before_the_event() -> None:
    quiet = np.full(40, 0.1)
    crash = Curve("p", "g", 1, 8.0, np.arange(40) / 4, quiet)
    for time, alarms in ((4.75, 1), (5.0, 0), (8.0, 0), (9.0, 0)):
        scores = np.where(crash.times == time, 0.9, quiet)
        result = false_alarms_per_hour([replace(crash, scores=scores)], 0.5)
        assert result.before_events.alarms == alarms
        assert result.before_events.hours == pytest.approx(5 / 3600)
    result = false_alarms_per_hour([replace(crash, scores=scores)], 0.5, gap=0)
    assert result.before_events.hours == pytest.approx(8 / 3600)


def test_the_interval_is_the_exact_one() -> None:
    times = np.arange(3600.0)
    for alarms in (0, 1, 7):
        scores = np.where(np.isin(times, 100.0 * np.arange(1, alarms + 1)), 0.9, 0.1)
        curve = Curve("n", "g", 0, None, times, scores)
        entry = false_alarms_per_hour([curve], 0.5).normal_videos
        assert entry.per_hour == pytest.approx(alarms)
        assert poisson.cdf(alarms, entry.high) == pytest.approx(0.025)
        if alarms:
            assert poisson.sf(alarms - 1, entry.low) == pytest.approx(0.025)
        else:
            assert entry.low == 0


def test_what_was_not_scored_is_no_quiet_time() -> None:
    times = np.concatenate([np.arange(10.0), np.arange(1000.0, 1010.0)])
    result = false_alarms_per_hour([Curve("n", "g", 0, None, times, np.full(20, 0.1))], 0.5)
    assert result.step == 1.0
    assert result.normal_videos.hours == pytest.approx(20 / 3600)


def test_nothing_scored_is_none_with_a_reason() -> None:
    empty = [Curve("n", "g", 0, None, [], []), Curve("p", "g", 1, 3.0, [], [])]
    for curves in ([], empty, [Curve("n", "g", 0, None, [1.0], [0.9])]):
        result = false_alarms_per_hour(curves, 0.5)
        for rate in (result.normal_videos, result.before_events):
            assert rate.per_hour is None and "scored over time" in rate.reason
        json.dumps(result.as_json(), allow_nan=False)
    result = recall_by_time(empty, 0.5)
    assert set(result.recall) == set(result.scored) == {0}
    result = recall_by_time(empty[:1], 0.5)
    assert not result.recall and result.reason == "there are no positives"


def test_recall_falls_with_time_and_counts_groups() -> None:
    curves = made_up_curves(30)
    curves = [replace(c, group=str(int(c.group[5:]) // 3)) for c in curves]
    result = recall_by_time(curves, 0.5)
    assert result.positives == 30 and result.groups == 10
    assert result.seconds[0] == 0 and result.seconds[-1] == 5.0
    assert (np.diff(result.recall) <= 0).all()
    for place, lead in enumerate(result.seconds):
        expected = np.mean(
            [
                bool((c.scores[c.times <= 5 - max(lead, 1e-9)] >= 0.5).any())
                for c in curves
                if c.label
            ]
        )
        assert result.recall[place] == pytest.approx(expected)
        assert (result.low[place], result.high[place]) == wilson(result.recall[place], 10)
    json.dumps(result.as_json(), allow_nan=False)


def test_an_alarm_at_the_event_or_later_is_no_recall() -> None:
    for time, recall in ((2.75, 1.0), (3.0, 0.0), (3.25, 0.0)):
        times = np.arange(0, 4, 0.25)
        curve = Curve("p", "g", 1, 3.0, times, np.where(times == time, 0.9, 0.1))
        assert recall_by_time([curve], 0.5, leads=[0.0]).recall == [recall]


def test_times_are_compared_in_milliseconds() -> None:
    """Some differences are a hair less than 1 in floating point."""
    curve = Curve("p", "g", 1, 4.007, [3.007], [0.9])
    assert 4.007 - 3.007 < 1
    assert recall_by_time([curve], 0.5, leads=[1.0]).recall == [1.0]


def test_options_that_make_no_sense() -> None:
    curves = made_up_curves(2)
    for name in ("refractory", "hysteresis", "min_length"):
        with pytest.raises(MetricError, match=f"{name} is -1"):
            AlarmRule(**{name: -1})
    with pytest.raises(MetricError, match="threshold is NaN"):
        alarms_in(np.zeros(1), np.zeros(1), float("nan"))
    with pytest.raises(MetricError, match="gap is nan"):
        false_alarms_per_hour(curves, 0.5, gap=float("nan"))
    with pytest.raises(MetricError, match="threshold is NaN"):
        recall_by_time(curves, float("nan"))
    with pytest.raises(MetricError, match=r"leads\[1\] is -0\.5"):
        recall_by_time(curves, 0.5, leads=[0, -0.5])
    with pytest.raises(MetricError, match="two curves"):
        false_alarms_per_hour([*curves, *curves], 0.5)
