from __future__ import annotations

import json
from dataclasses import dataclass, field

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from collision.metrics.bootstrap import Ranking, resample
from collision.metrics.estimate import Estimate, Plain, difference, estimate


@pytest.mark.parametrize("num_groups", [0, 1, 19])
def test_few_groups_have_no_interval_but_a_reason(num_groups) -> None:
    result = estimate([0.7], np.linspace(0.5, 0.9, 100), num_groups)
    assert result.value == 0.7
    assert result.low is None and result.high is None
    assert f"only {num_groups} group" in result.reason


def test_a_perfect_ranking_claims_no_certainty() -> None:
    result = estimate([1.0], np.ones(100), 50)
    assert result.low is None and "all but perfect" in result.reason


def test_interval_drops_undefined_resamples_and_stays_within_bounds() -> None:
    samples = np.array([0.97, 0.98, 0.99, 1.0, np.nan] * 20)
    result = estimate([0.985], samples, 30)
    assert 0 < result.low < 0.985 < result.high < 1


def test_intervals_cover_the_truth() -> None:
    """Of 80 sets of 60 scenes, 95 % intervals should miss few; percentiles alone would fail."""
    generator = np.random.default_rng(0)
    label, group = np.repeat([1, 0], 60), np.tile(np.arange(60), 2)
    many = np.repeat([1, 0], 200_000)
    truth = average_precision_score(many, generator.normal(size=400_000) + many)
    covered = 0
    for seed in range(80):
        score = generator.normal(size=120) + label
        samples = resample([Ranking.of(label, score, group)], 60, num_resamples=500, seed=seed)
        result = estimate([average_precision_score(label, score)], samples[:, 0], 60)
        covered += result.low <= truth <= result.high
    assert 0.89 <= covered / 80 <= 0.99


def test_a_mean_stays_between_zero_and_its_maximum() -> None:
    samples = np.array([0.1, 0.9] * 50)
    result = estimate([0.4, 0.6], samples, 30, scale="linear", maximum=1.0)
    assert (result.low, result.value, result.high) == (0.0, 0.5, 1.0)
    assert result.seeds == (0.4, 0.6) and result.sd == pytest.approx(np.std([0.4, 0.6], ddof=1))
    seconds = estimate([0.5], samples, 30, scale="linear")
    assert seconds.high == pytest.approx(0.5 + 1.96 * np.std(samples, ddof=1), abs=1e-4)


def test_a_difference_has_the_percentiles_and_a_p_value_above_zero() -> None:
    samples = np.linspace(0.1, 0.3, 99)
    result = difference(0.8, 0.6, np.append(samples, np.nan), 30)
    assert result.value == pytest.approx(0.2)
    assert (result.low, result.high) == pytest.approx(tuple(np.quantile(samples, [0.025, 0.975])))
    assert result.p_value == pytest.approx(2 / 100)
    few = difference(0.8, 0.6, samples, 3)
    assert few.low is None and few.p_value is None and "only 3 groups" in few.reason


def test_results_become_json_by_their_fields() -> None:
    @dataclass(frozen=True)
    class Nested(Plain):
        start: int = field(metadata={"key": "from"})
        parts: dict[str, tuple[Estimate, ...]]
        reason: str | None = None

    nested = Nested(1, {"a": (Estimate(0.5, seeds=(0.5,)), Estimate(None, reason="nothing"))})
    nothing = {"value": None, "low": None, "high": None, "sd": None, "seeds": None}
    assert nested.as_json() == {
        "from": 1,
        "parts": {
            "a": [{**nothing, "value": 0.5, "seeds": [0.5]}, {**nothing, "reason": "nothing"}]
        },
    }
    assert json.loads(json.dumps(nested.as_json())) == nested.as_json()
