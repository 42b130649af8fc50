"""Every example that docs/metrics.md works out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from collision.metrics.alarms import alarms_in
from collision.metrics.anticipation import anticipation_ap, mtta_at_false_alarm_rate
from collision.metrics.calibration import (
    brier_score,
    calibration,
    expected_calibration_error,
    fit_temperature,
    wilson,
)
from collision.metrics.comparison import holm_adjusted
from collision.metrics.curves import Curve
from collision.metrics.nexar import area_under_roc, average_precision
from collision.metrics.rates import false_alarms_per_hour, recall_by_time
from collision.metrics.scored import Scored
from collision.metrics.summary import summarise

LABELS, SCORES, TIED = [1, 0, 1, 0], [0.9, 0.8, 0.6, 0.1], [0.9, 0.6, 0.6, 0.1]


def four_curves() -> list[Curve]:
    rows = {
        "A": (1, [0.2, 0.3, 0.6, 0.9]),
        "B": (1, [0.1, 0.1, 0.4, 0.5]),
        "C": (0, [0.1, 0.5, 0.3, 0.2]),
        "D": (0, [0.1, 0.2, 0.1, 0.1]),
    }
    return [
        Curve(name, name, label, 4.0 if label else None, [0, 1, 2, 3], scores)
        for name, (label, scores) in rows.items()
    ]


def test_public_private_and_a_missing_id() -> None:
    scored = Scored(
        video=list("abcde"),
        group=list("abcde"),
        label=[1, 0, 1, 0, 1],
        horizon=[0.5] * 5,
        score=[0.9, 0.3, math.nan, 0.8, 0.6],
        tags={"usage": ["Public"] * 3 + ["Private"] * 2},
    )
    summary = summarise(scored, oracle=None, num_resamples=10, slices=("usage",))
    assert summary.ap["0.5"].value == pytest.approx(34 / 45)
    slices = {name: part.ap["0.5"] for name, part in summary.slices.items()}
    assert slices["usage=Public"].value == pytest.approx(5 / 6)
    assert slices["usage=Private"].value == pytest.approx(1 / 2)
    assert "only 1 group;" in slices["usage=Public"].reason
    assert summary.counts["0.5"].missing == 1
    assert summary.slices["usage=Private"].counts["0.5"].missing == 0


def test_anticipation() -> None:
    result = anticipation_ap(four_curves(), num_resamples=10)
    assert result.anticipation_ap.value == pytest.approx(11 / 12)
    assert result.mtta.value == pytest.approx(3)
    assert result.tta_at_r80.value == pytest.approx(4)
    assert result.tta_at_r80.recall == 1
    assert result.always_on_mtta == 4
    maxima = [curve.scores.max() for curve in four_curves()]
    assert average_precision([1, 1, 0, 0], maxima) == pytest.approx(5 / 6)


@pytest.mark.parametrize(
    ("rate", "threshold", "mtta_all", "mtta_detected", "recall"),
    [(0.1, 0.55, 1, 2, 0.5), (0.5, 0.25, 2.5, 2.5, 1)],
)
def test_mtta_at_a_false_alarm_rate(rate, threshold, mtta_all, mtta_detected, recall) -> None:
    result = mtta_at_false_alarm_rate(four_curves(), rate=rate, num_resamples=10)
    assert result.points[0].threshold == pytest.approx(threshold)
    assert result.mtta_all.value == pytest.approx(mtta_all)
    assert result.mtta_detected.value == pytest.approx(mtta_detected)
    assert result.recall.value == pytest.approx(recall)


def test_false_alarms_an_hour() -> None:
    times = np.arange(12.0)
    scores = np.where(np.isin(times, [2, 3, 6, 9]), 0.8, 0.1)
    assert [alarm.start for alarm in alarms_in(times, scores, 0.5)] == [2, 9]
    normal = Curve("n", "n", 0, None, times, scores)
    crash = Curve("p", "p", 1, 12.0, times, scores)
    result = false_alarms_per_hour([normal, crash], 0.5)
    assert result.normal_videos.per_hour == pytest.approx(600)
    assert result.normal_videos.low == pytest.approx(72.7, abs=0.1)
    assert result.normal_videos.high == pytest.approx(2167, abs=1)
    # More than 3 s before the event at 12 s lie the scores of 0 to 8 s, with one alarm.
    assert result.before_events.alarms == 1
    assert result.before_events.hours == pytest.approx(9 / 3600)
    assert result.before_events.per_hour == pytest.approx(400)


def test_recall_by_time() -> None:
    result = recall_by_time(four_curves(), 0.5, leads=(0, 1, 2, 3, 5))
    assert result.recall == [1, 1, 0.5, 0, 0]
    assert result.scored == [1, 1, 1, 1, 0]


def test_area_under_roc() -> None:
    assert area_under_roc(LABELS, SCORES) == pytest.approx(3 / 4)
    assert area_under_roc(LABELS, TIED) == pytest.approx(7 / 8)


def test_calibration() -> None:
    assert brier_score(LABELS, SCORES) == pytest.approx(0.205)
    assert expected_calibration_error(LABELS, SCORES) == pytest.approx(0.35)
    scored = Scored(list("abcd"), list("abcd"), LABELS, [0.5] * 4, SCORES)
    assert calibration(scored, num_resamples=10).brier_of_base_rate == 0.25
    assert wilson(3 / 4, 4) == pytest.approx((0.301, 0.954), abs=5e-4)


def test_temperature() -> None:
    fitted = fit_temperature([1, 1, 1, 0], [2.0, 2.0, 2.0, 2.0])
    assert fitted.value == pytest.approx(2 / math.log(3)) == pytest.approx(1.820, abs=5e-4)
    assert fitted.nll_before == pytest.approx(0.627, abs=5e-4)
    assert fitted.nll_after == pytest.approx(0.562, abs=5e-4)
    assert not fitted.at_bound


def test_holm() -> None:
    assert holm_adjusted([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
