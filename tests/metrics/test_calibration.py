from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import expit
from sklearn.metrics import brier_score_loss

from collision.errors import MetricError
from collision.metrics.calibration import (
    MAX_TEMPERATURE,
    MIN_TEMPERATURE,
    brier_score,
    calibrated,
    calibration,
    expected_calibration_error,
    fit_temperature,
    logits_of,
    reliability,
    wilson,
)
from collision.metrics.scored import Scored
from tests.kit.scores import made_up_scores

ROWS = st.lists(
    st.tuples(
        st.integers(0, 1), st.one_of(st.floats(0, 1), st.integers(0, 15).map(lambda k: k / 15))
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=60)
@given(ROWS)
def test_brier_and_bins_are_those_of_a_plain_loop(rows) -> None:
    labels, scores = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    assert brier_score(labels, scores) == pytest.approx(
        brier_score_loss(labels, scores, pos_label=1), abs=1e-12
    )
    bins = reliability(labels, scores)
    assert len(bins) == 15 and sum(one.count for one in bins) == len(rows)
    expected = 0.0
    for one in bins:
        closed = one.stop == 1
        inside = [
            (label, score)
            for label, score in rows
            if one.start <= score and (score < one.stop or closed)
        ]
        assert one.count == len(inside)
        if inside:
            assert one.low <= one.positive_share <= one.high
            said, was = np.mean([s for _, s in inside]), np.mean([y for y, _ in inside])
            expected += len(inside) / len(rows) * abs(said - was)
        else:
            assert one.positive_share is None
    assert expected_calibration_error(labels, scores) == pytest.approx(expected, abs=1e-12)


def test_probabilities_that_are_true_have_a_small_error() -> None:
    generator = np.random.default_rng(0)
    scores = generator.random(100_000)
    labels = generator.random(100_000) < scores
    assert expected_calibration_error(labels.astype(int), scores) < 0.01
    assert expected_calibration_error(labels.astype(int), scores**3) > 0.1


def test_wilson_at_its_ends() -> None:
    assert wilson(0.0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(1.0, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)
    assert wilson(0.5, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)


def test_clips_of_one_event_are_one_trial() -> None:
    labels, scores = [1, 1, 0, 0], [0.5] * 4
    alone, together = (
        next(one for one in reliability(labels, scores, groups) if one.count)
        for groups in (list("abcd"), list("aabb"))
    )
    assert (alone.groups, together.groups) == (4, 2)
    assert together.high - together.low > alone.high - alone.low


def test_summary_of_seeds() -> None:
    seeds = [made_up_scores(40, seed=seed) for seed in range(3)]
    result = calibration(*seeds, num_resamples=500)
    data = result.as_json()
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    brier = [brier_score(one.label, one.score) for one in seeds]
    assert result.brier.seeds == pytest.approx(brier)
    assert result.brier.value == pytest.approx(np.mean(brier))
    assert result.brier.sd == pytest.approx(np.std(brier, ddof=1))
    assert result.brier.low < result.brier.value < result.brier.high
    assert result.ece.seeds[0] == pytest.approx(
        expected_calibration_error(seeds[0].label, seeds[0].score)
    )
    assert result.reliability == reliability(seeds[0].label, seeds[0].score, seeds[0].group)
    assert result.counts == {"positive": 120, "negative": 120, "groups": 40, "missing": 0}
    assert calibration(seeds[0], num_resamples=50).brier.sd is None


def test_the_interval_of_brier_is_that_of_copied_groups() -> None:
    scored = made_up_scores(40)
    result = calibration(scored, num_resamples=4000).brier
    errors = (scored.score - scored.label) ** 2
    by_group = np.array([errors[scored.group == name].mean() for name in np.unique(scored.group)])
    expected = by_group.std() / np.sqrt(len(by_group))
    assert (result.high - result.low) / 3.92 == pytest.approx(expected, rel=0.05)


def test_missing_scores_are_left_out_and_counted() -> None:
    scored = made_up_scores(30)
    gone = replace(scored, score=np.where(scored.horizon == 1.0, np.nan, scored.score))
    result = calibration(gone, scored, num_resamples=50)
    assert result.counts["missing"] == 60
    kept = scored.horizon != 1.0
    assert result.brier.value == pytest.approx(brier_score(scored.label[kept], scored.score[kept]))


def test_one_class_few_groups_and_nothing() -> None:
    one = calibration(Scored(["a"], ["g"], [1], [0.5], [0.3]), num_resamples=10)
    assert one.brier.value is None and "needs both" in one.brier.reason
    assert one.ece.value is None and one.reliability == []
    nothing = calibration(Scored(["a"], ["g"], [1], [0.5], [np.nan]), num_resamples=10)
    assert "0 positive and 0 negative" in nothing.brier.reason
    json.dumps([one.as_json(), nothing.as_json()], allow_nan=False)
    few = calibration(made_up_scores(5), num_resamples=10).brier
    assert few.value > 0 and few.low is None and "only 5 groups" in few.reason
    with pytest.raises(MetricError, match="no scored examples"):
        calibration()
    with pytest.raises(MetricError, match="in one set"):
        calibration(made_up_scores(5), made_up_scores(6))


def test_values_that_cannot_be_judged() -> None:
    with pytest.raises(MetricError, match=r"within 0\.\.1, for example 1\.5"):
        brier_score([1, 0], [0.5, 1.5])
    with pytest.raises(MetricError, match="1 of 2 probabilities"):
        reliability([1, 0], [0.5, np.nan])
    with pytest.raises(MetricError, match="at least one example"):
        expected_calibration_error([], [])
    with pytest.raises(MetricError, match=r"0 or 1, got \[2\]"):
        brier_score([2, 0], [0.5, 0.5])


def loss(labels, logits, temperature):
    return np.mean(np.logaddexp(0, np.where(labels == 1, -logits, logits) / temperature))


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.floats(-30, 30)), min_size=2, max_size=40).filter(
        lambda rows: len({label for label, _ in rows}) == 2
    )
)
def test_no_temperature_within_bounds_is_better(rows) -> None:
    labels, logits = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    fitted = fit_temperature(labels, logits)
    assert MIN_TEMPERATURE <= fitted.value <= MAX_TEMPERATURE
    assert fitted.nll_before == pytest.approx(loss(labels, logits, 1.0))
    assert fitted.nll_after == pytest.approx(loss(labels, logits, fitted.value))
    assert fitted.nll_after <= fitted.nll_before + 1e-9
    for other in np.geomspace(MIN_TEMPERATURE, MAX_TEMPERATURE, 41):
        assert fitted.nll_after <= loss(labels, logits, other) + 1e-9
    assert json.loads(json.dumps(fitted.as_json())) == fitted.as_json()


def test_a_known_temperature_is_found() -> None:
    generator = np.random.default_rng(0)
    true = generator.normal(size=50_000) * 2
    labels = (generator.random(true.size) < expit(true)).astype(int)
    for factor in (0.3, 1.0, 4.0):
        fitted = fit_temperature(labels, true * factor)
        assert fitted.value == pytest.approx(factor, rel=0.03)
        best = minimize_scalar(
            lambda t, z=true * factor: loss(labels, z, t), bounds=(0.05, 20), method="bounded"
        )
        assert fitted.value == pytest.approx(best.x, rel=1e-3)
        assert not fitted.at_bound


def test_data_that_a_threshold_separates_stop_at_the_bound() -> None:
    apart = fit_temperature([1, 1, 0, 0], [3.0, 2.0, -1.0, -2.0])
    assert apart.at_bound and apart.value == MIN_TEMPERATURE
    worse_than_chance = fit_temperature([1, 1, 0, 0], [-3.0, -2.0, 1.0, 2.0])
    assert worse_than_chance.at_bound and worse_than_chance.value == MAX_TEMPERATURE
    assert fit_temperature([1, 0], [0.0, 0.0]).value == 1.0
    huge = fit_temperature([1, 0, 1], [1e300, -1e300, -1e300])
    assert np.isfinite(huge.nll_after) and huge.at_bound


def test_temperatures_that_cannot_be_fitted_or_applied() -> None:
    with pytest.raises(MetricError, match="needs both classes, got 2 examples of label 1"):
        fit_temperature([1, 1], [0.1, 0.2])
    with pytest.raises(MetricError, match="1 of 2 logits are not finite"):
        fit_temperature([1, 0], [np.inf, 0.2])
    with pytest.raises(MetricError, match="at least one example"):
        fit_temperature([], [])
    for wrong in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(MetricError, match="temperature is"):
            calibrated([0.1], wrong)


def test_logits_and_back() -> None:
    scores = np.array([0.0, 1e-6, 0.3, 0.999, 1.0])
    assert np.isfinite(logits_of(scores)).all()
    np.testing.assert_allclose(expit(logits_of(scores)), scores, atol=2e-7)
    assert np.isnan(logits_of([np.nan])).all()
    cooler = calibrated(scores, 2.0)
    assert (np.diff(cooler) > 0).all() and cooler[3] < 0.999
