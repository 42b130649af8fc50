import json

import numpy as np
import pytest

from collision.evaluation.numbers import judge, judge_curves
from collision.metrics.calibration import wilson
from collision.metrics.curves import Curve
from collision.metrics.scored import NEGATIVES_FROM, Scored
from collision.metrics.warned import warned
from collision.report.headline import beside
from collision.report.judged import Judged
from collision.report.saved import numbers_from


def table(rows, tags=None):
    video, group, label, horizon, score = map(np.array, zip(*rows, strict=True))
    return Scored(video, group, label, horizon, score, tags or {})


def test_a_clip_alarms_if_any_of_its_moments_does():
    rows = [
        ("a", "g1", 1, 0.5, 0.7),
        ("a", "g1", 1, 1.5, 0.1),
        ("b", "g2", 1, 0.5, 0.59),
        ("b", "g2", 1, 1.5, 0.2),
        ("c", "g3", 0, 0.5, 0.1),
        ("c", "g3", 0, 1.5, 0.6),
        ("d", "g4", 0, 0.5, 0.1),
        ("e", "g5", 0, 0.5, 0.2),
        ("f", "g6", 0, 0.5, 0.3),
    ]
    found = warned(table(rows), 0.6)
    assert (found.positives, found.negatives, found.least_horizon) == (2, 4, 0.5)
    assert (found.recall.value, found.false_alarms.value, found.chance) == (0.5, 0.25, 0.25)
    assert "only 2 groups" in found.recall.reason and not found.within


@pytest.mark.parametrize(
    ("value", "is_near"),
    [("near_collision", True), ("Near miss", True), ("near-collision", True), ("nearby", False)],
)
def test_a_tag_of_positives_tells_of_near_collisions(value, is_near):
    rows = [("a", "g", 1, 0.5, 0.9), ("b", "h", 0, 0.5, 0.1)]
    tags = {"kind": np.array([value, "normal"])}
    assert warned(table(rows, tags), 0.5).near_collisions is is_near
    assert warned(table(rows, {"kind": tags["kind"][::-1]}), 0.5).near_collisions is False


def test_the_interval_counts_groups_and_not_clips():
    rows = [(f"p{n}", f"g{n // 2}", 1, 0.5, float(n % 4 > 0)) for n in range(80)]
    rows += [(f"n{n}", f"h{n}", 0, 0.5, float(n % 10 == 0)) for n in range(60)]
    found = warned(table(rows), 0.5)
    assert found.recall.interval == pytest.approx(wilson(0.75, 40))
    assert found.false_alarms.interval == pytest.approx(wilson(0.1, 60))


def test_a_missing_score_is_no_luck():
    rows = [("a", "g", 1, 0.5, np.nan), ("b", "g", 1, 0.5, 0.9), ("c", "h", 0, 0.5, np.nan)]
    found = warned(table([*rows, ("d", "h", 0, 0.5, 0.9)]), 0.5)
    assert found.recall.value == 0.5  # missed, not left out
    assert (found.negatives, found.unscored, found.false_alarms.value) == (1, 1, 1.0)


def test_within_clips_a_video_counts_on_both_sides():
    rows = [("a", "g", 1, 0.5, 0.9), ("a", "g", 0, 2.0, 0.1), ("b", "h", 0, 2.0, 0.9)]
    tags = {NEGATIVES_FROM: np.array(["", "crash videos", "normal videos"])}
    found = warned(table(rows, tags), 0.5)
    assert (found.positives, found.negatives, found.false_alarms.value) == (1, 2, 0.5)
    assert found.within


def test_without_a_class_there_is_a_reason():
    found = warned(table([("a", "g", 1, 0.5, 0.9)]), 0.5)
    assert found.false_alarms.value is None and found.false_alarms.reason and found.chance is None


def test_each_clip_of_a_cross_validation_is_judged_at_the_threshold_of_its_fold():
    """At the mean of both, .5, all four would alarm otherwise."""
    rows = [("a", "g", 1, 0.5, 0.3), ("b", "h", 1, 0.5, 0.6)]
    rows += [("c", "i", 0, 0.5, 0.3), ("d", "j", 0, 0.5, 0.6)]
    own = {"a": 0.2, "c": 0.2, "b": 0.8, "d": 0.8}
    numbers = judge([table(rows)], num_resamples=20, thresholds=[own])
    found, rates = numbers.warned[0], numbers.operating_points[0]
    assert (found.recall.value, found.false_alarms.value) == (0.5, 0.5)
    assert (rates.recall, rates.false_alarm_rate, rates.precision) == (0.5, 0.5, 0.5)
    for one in (found, rates):
        assert (one.threshold, one.threshold_range) == (0.5, (0.2, 0.8))

    again = numbers_from(json.loads(json.dumps(numbers.as_json())))
    said = beside(Judged("d", "5 folds", 4, again))
    assert "At each fold's own threshold from validation, 0.200 to 0.800." in said


def test_curves_of_a_cross_validation_are_judged_at_the_thresholds_of_their_folds():
    times = np.arange(10.0)
    curves = [
        Curve("a", "g", 1, 12.0, times, np.full(10, 0.3)),
        Curve("b", "h", 1, 12.0, times, np.full(10, 0.6)),
        Curve("c", "i", 0, None, times, np.full(10, 0.3)),
        Curve("d", "j", 0, None, times, np.full(10, 0.6)),
    ]
    own = {"a": 0.2, "c": 0.2, "b": 0.8, "d": 0.8}
    along = judge_curves([curves], [own], 20)
    assert along.false_alarms_per_hour.normal_videos.alarms == 1  # of c
    assert along.recall_by_time.recall[0] == 0.5  # of a
    assert along.recall_by_time.threshold_range == (0.2, 0.8)
