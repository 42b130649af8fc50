from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from collision.errors import MetricError
from collision.metrics import bootstrap
from collision.metrics.bootstrap import Ranking, resample
from tests.kit.scores import made_up_scores


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, 4), st.integers(0, 3), st.floats(0.01, 9)),
        min_size=1,
        max_size=40,
    )
)
def test_weighted_ap_equals_scikit_learn_with_ties(rows) -> None:
    labels, scores, *weights = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    ranking = Ranking.of(labels, scores, np.arange(labels.size))
    result = ranking.average_precision(np.array(weights).T)
    assert result.shape == (2,)
    for value, weight in zip(result, weights, strict=True):
        if weight[labels == 1].sum() == 0 or weight[labels == 0].sum() == 0:
            assert np.isnan(value)
        else:
            expected = average_precision_score(labels, scores, sample_weight=weight)
            assert value == pytest.approx(expected, abs=1e-12)


def test_resamples_equal_a_plain_loop_over_copied_rows(monkeypatch) -> None:
    """Groups of one draw are the same for every ranking, across chunks too."""
    monkeypatch.setattr(bootstrap, "CHUNK_VALUES", 60)
    scored = made_up_scores(num_groups=12)
    _, group = np.unique(scored.group, return_inverse=True)
    tables = [(scored.horizon == horizon) for horizon in np.unique(scored.horizon)]
    rankings = [Ranking.of(scored.label[r], scored.score[r], group[r]) for r in tables]
    result = resample(rankings, 12, num_resamples=23, seed=5)
    drawn = np.concatenate(list(bootstrap.group_weights(12, 23, 5)), axis=1)
    assert drawn.shape == (12, 23)
    assert (drawn.sum(axis=0) == 12).all()
    for row, counts in enumerate(drawn.T.astype(int)):
        for column, rows in enumerate(tables):
            copies = np.repeat(np.flatnonzero(rows), counts[group[rows]])
            expected = average_precision_score(scored.label[copies], scored.score[copies])
            assert result[row, column] == pytest.approx(expected, abs=1e-12)


def test_draws_are_uniform_and_repeatable() -> None:
    first, second, other = (
        np.concatenate(list(bootstrap.group_weights(5, 20_000, seed)), axis=1) for seed in (0, 0, 1)
    )
    assert (first == second).all()
    assert (first != other).any()
    np.testing.assert_allclose(first.mean(axis=1), 1, atol=0.03)
    np.testing.assert_allclose(first.var(axis=1), 0.8, atol=0.03)  # 5 draws of chance 1/5


def test_a_resample_without_a_class_has_no_ap() -> None:
    ranking = Ranking.of(np.array([1, 0]), np.array([0.9, 0.1]), np.array([0, 1]))
    samples = resample([ranking], 2, num_resamples=400, seed=0)[:, 0]
    assert 0.35 < np.isnan(samples).mean() < 0.65
    assert (samples[~np.isnan(samples)] == 1).all()


def test_copies_of_a_clip_do_not_narrow_the_interval() -> None:
    """Ten clips of each event are ten looks at one event, not ten events."""
    scored = made_up_scores(num_groups=30)
    _, group = np.unique(scored.group, return_inverse=True)
    rows = scored.horizon == 0.5
    label, score, group = scored.label[rows], scored.score[rows], group[rows]
    once = resample([Ranking.of(label, score, group)], 30, num_resamples=2000, seed=0)
    copied = [np.tile(column, 10) for column in (label, score, group)]
    ten = resample([Ranking.of(*copied)], 30, num_resamples=2000, seed=0)
    np.testing.assert_allclose(once, ten)


def test_no_resamples_is_refused() -> None:
    with pytest.raises(MetricError, match="num_resamples is 0"):
        resample([], 3, num_resamples=0, seed=0)
