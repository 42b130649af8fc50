from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, precision_score, recall_score

from collision.errors import MetricError
from collision.metrics.threshold import (
    threshold_at_best_f1,
    threshold_at_false_alarm_rate,
    threshold_at_precision,
)

EXAMPLES = st.lists(
    st.tuples(st.integers(0, 1), st.one_of(st.floats(0, 1), st.sampled_from([0.2, 0.5]))),
    min_size=2,
    max_size=30,
).filter(lambda rows: len({label for label, _ in rows}) == 2)


@settings(max_examples=40)
@given(EXAMPLES)
def test_no_score_is_a_better_threshold_and_the_numbers_are_its_own(rows) -> None:
    labels, scores = (np.array(column) for column in zip(*rows, strict=True))
    point = threshold_at_best_f1(labels, scores)
    alarm = scores >= point.threshold
    assert point.f1 == pytest.approx(f1_score(labels, alarm))
    assert point.precision == pytest.approx(precision_score(labels, alarm))
    assert point.recall == pytest.approx(recall_score(labels, alarm))
    assert point.false_alarm_rate == pytest.approx(alarm[labels == 0].mean())
    alarms = scores >= scores[:, None]
    f1 = 2 * (alarms & (labels == 1)).sum(axis=1) / (alarms.sum(axis=1) + labels.sum())
    assert point.f1 == pytest.approx(f1.max())


def test_threshold_lies_between_the_classes() -> None:
    point = threshold_at_best_f1([1, 1, 0, 0], [0.9, 0.8, 0.2, 0.1])
    assert point.threshold == pytest.approx(0.5)
    assert point.as_json() == {
        "threshold": point.threshold,
        "precision": 1.0,
        "recall": 1.0,
        "false_alarm_rate": 0.0,
        "f1": 1.0,
    }


def test_scores_that_are_all_one_alarm_always() -> None:
    point = threshold_at_best_f1([1, 0], [0.4, 0.4])
    assert (point.threshold, point.recall, point.false_alarm_rate) == (0.4, 1, 1)


def test_neighbouring_floats_are_kept_apart() -> None:
    upper = np.nextafter(0.5, 1)
    point = threshold_at_best_f1([1, 0], [upper, 0.5])
    assert 0.5 < point.threshold <= upper


LABELS, SCORES = [1, 0, 1, 1, 0, 0], [0.9, 0.8, 0.7, 0.6, 0.4, 0.2]


def test_threshold_at_precision_takes_the_most_recall() -> None:
    point = threshold_at_precision(LABELS, SCORES, 0.75)
    assert (point.precision, point.recall) == (0.75, 1.0)
    assert point.threshold == pytest.approx(0.5)
    assert threshold_at_precision(LABELS, SCORES, 1.0).recall == pytest.approx(1 / 3)


def test_threshold_at_false_alarm_rate_takes_the_most_recall() -> None:
    assert threshold_at_false_alarm_rate(LABELS, SCORES, 0.0).recall == pytest.approx(1 / 3)
    assert threshold_at_false_alarm_rate(LABELS, SCORES, 0.34).recall == 1


def test_what_cannot_be_reached_says_what_can() -> None:
    with pytest.raises(MetricError, match=r"precision of 0\.9; the best is 0\.667"):
        threshold_at_precision([0, 1, 1], [0.9, 0.8, 0.7], 0.9)
    with pytest.raises(MetricError, match=r"alarms on 1\.000 of the negatives"):
        threshold_at_false_alarm_rate([0, 1], [0.9, 0.1], 0.5)
    with pytest.raises(MetricError, match="both classes"):
        threshold_at_best_f1([1, 1], [0.9, 0.1])
