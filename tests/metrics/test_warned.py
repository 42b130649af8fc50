import numpy as np
import pytest

from collision.metrics.calibration import wilson
from collision.metrics.scored import NEGATIVES_FROM, Scored
from collision.metrics.warned import warned


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
