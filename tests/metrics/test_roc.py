from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from collision.errors import MetricError
from collision.metrics.bootstrap import Ranking
from collision.metrics.horizons import auc_by_horizon
from collision.metrics.nexar import area_under_roc
from collision.metrics.scored import Scored
from tests.kit.scores import made_up_scores


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, 4), st.integers(0, 3), st.floats(0.01, 9)),
        min_size=1,
        max_size=40,
    )
)
def test_weighted_area_equals_scikit_learn_with_ties(rows) -> None:
    labels, scores, *weights = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    ranking = Ranking.of(labels, scores, np.arange(labels.size))
    found = ranking.area_under_roc(np.array(weights).T)
    for value, weight in zip(found, weights, strict=True):
        if weight[labels == 1].sum() == 0 or weight[labels == 0].sum() == 0:
            assert np.isnan(value)
        else:
            expected = roc_auc_score(labels, scores, sample_weight=weight)
            assert value == pytest.approx(expected, abs=1e-12)
    if len(set(labels)) == 2:
        (plain,) = ranking.area_under_roc(np.ones((labels.size, 1)))
        assert plain == pytest.approx(area_under_roc(labels, scores), abs=1e-12)


def test_a_summary_by_horizon() -> None:
    seeds = [made_up_scores(40, seed=seed) for seed in range(2)]
    result = auc_by_horizon(*seeds, num_resamples=500)
    assert list(result) == ["0.5", "1.0", "1.5", "mean"]
    for key in ("0.5", "1.0", "1.5"):
        rows = seeds[0].horizon == float(key)
        expected = [roc_auc_score(one.label[rows], one.score[rows]) for one in seeds]
        assert result[key].seeds == pytest.approx(expected)
        assert result[key].low < result[key].value < result[key].high
    mean = result["mean"]
    assert mean.value == pytest.approx(
        np.mean([result[key].value for key in ("0.5", "1.0", "1.5")])
    )
    assert mean.high - mean.low < result["0.5"].high - result["0.5"].low
    assert mean.sd == pytest.approx(np.std(mean.seeds, ddof=1))


def test_intervals_cover_the_truth() -> None:
    """Positives one standard deviation above negatives: the area is .7602."""
    generator = np.random.default_rng(0)
    label = np.repeat([1, 0], 60)
    covered = 0
    for seed in range(50):
        score = 1 / (1 + np.exp(-generator.normal(size=120) - label))
        names = np.arange(120)
        scored = Scored(names, names % 60, label, np.full(120, 0.5), score)
        entry = auc_by_horizon(scored, num_resamples=200, seed=seed)["0.5"]
        covered += entry.low <= 0.7602 <= entry.high
    assert covered / 50 >= 0.88


def test_one_class_missing_scores_and_few_groups() -> None:
    scored = made_up_scores(30)
    one = replace(scored, label=np.where(scored.horizon == 1.5, 1, scored.label))
    result = auc_by_horizon(one, num_resamples=50)
    assert result["1.5"].value is None and "30 positive and 0 negative" not in result["1.5"].reason
    assert result["mean"].value is None and result["0.5"].low is not None
    missing = replace(scored, score=np.where(scored.label == 1, np.nan, scored.score))
    assert auc_by_horizon(missing, num_resamples=50)["mean"].value == 0
    few = auc_by_horizon(made_up_scores(5), num_resamples=50)["mean"]
    assert few.value > 0 and "only 5 groups" in few.reason
    alone = auc_by_horizon(Scored(["a"], ["g"], [1], [0.5], [0.3]), num_resamples=10)
    assert alone["mean"].value is None


def test_what_has_no_area() -> None:
    with pytest.raises(MetricError, match=r"ROC.*both classes"):
        area_under_roc([1, 1], [0.1, 0.2])
    with pytest.raises(MetricError, match="NaN"):
        area_under_roc([1, 0], [0.1, np.nan])
    with pytest.raises(MetricError, match="no scored examples"):
        auc_by_horizon()
