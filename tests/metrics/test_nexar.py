from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from collision.errors import MetricError
from collision.metrics.nexar import average_precision, horizon_key, round_horizons
from collision.metrics.scored import Scored
from collision.metrics.summary import summarise


def test_worked_example_of_the_docs() -> None:
    """docs/metrics.md works these numbers out by hand."""
    assert average_precision([1, 0, 1, 0], [0.9, 0.8, 0.6, 0.1]) == pytest.approx(5 / 6)
    assert average_precision([1, 0, 1, 0], [0.9, 0.6, 0.6, 0.1]) == pytest.approx(5 / 6)
    labels, scores = [1, 0, 1, 0, 1, 0], [0.9, 0.8, 0.6, 0.1, 0.2, 0.7]
    horizons = [0.5, 0.5, 0.5, 0.5, 1.0, 1.0]
    names = np.arange(6)
    ap = summarise(Scored(names, names, labels, horizons, scores), num_resamples=5).ap
    assert {key: one.value for key, one in ap.items()} == pytest.approx(
        {"0.5": 5 / 6, "1.0": 1 / 2, "mean": 2 / 3}
    )


def test_ap_of_random_order_is_above_chance_as_the_docs_say() -> None:
    generator = np.random.default_rng(0)
    labels = np.repeat([1, 0], 10)
    mean = np.mean([average_precision(labels, generator.random(20)) for _ in range(500)])
    harmonic = sum(1 / rank for rank in range(1, 21))
    expected = (harmonic + 9 / 19 * (20 - harmonic)) / 20
    assert expected == pytest.approx(0.568, abs=5e-4)
    assert mean == pytest.approx(expected, abs=0.01)


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, 5), st.sampled_from([0.5, 1.0, 1.5])),
        min_size=1,
        max_size=60,
    )
)
def test_each_horizon_equals_scikit_learn_or_is_undefined(rows) -> None:
    labels, scores, horizons = (np.array(column) for column in zip(*rows, strict=True))
    names = np.arange(labels.size)
    ap = summarise(Scored(names, names, labels, horizons, scores / 5), num_resamples=2).ap
    expected = {}
    for horizon in sorted(set(horizons.tolist())):
        own = horizons == horizon
        both = len(set(labels[own])) == 2
        expected[str(horizon)] = average_precision_score(labels[own], scores[own]) if both else None
    known = [value for value in expected.values() if value is not None]
    expected["mean"] = np.mean(known) if len(known) == len(expected) else None
    assert {key: one.value for key, one in ap.items()} == pytest.approx(expected, abs=1e-12)


def test_pooled_ap_is_not_the_map() -> None:
    labels, scores = [1, 0, 1, 0], [0.9, 0.8, 0.2, 0.1]
    names = list("abcd")
    ap = summarise(Scored(names, names, labels, [0.5, 0.5, 1.0, 1.0], scores), num_resamples=2).ap
    assert ap["mean"].value == 1
    assert average_precision(labels, scores) < 1


def test_horizons_are_compared_in_milliseconds() -> None:
    assert round_horizons([1.5, 1.4999999]).tolist() == [1.5, 1.5]
    with pytest.raises(MetricError, match="1 of 2 examples have no finite horizon"):
        round_horizons([0.5, np.nan])
    assert [horizon_key(h) for h in (0.5, 1, np.float32(1.5))] == ["0.5", "1.0", "1.5"]


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([], [], "0 positive and 0 negative"),
        ([1, 1], [0.1, 0.2], "2 positive and 0 negative"),
        ([0, 0], [0.1, 0.2], "0 positive and 2 negative"),
        ([0, 1], [0.1, np.nan], "1 of 2 scores are NaN"),
        ([0, 1, 2], [0.1, 0.2, 0.3], r"0 or 1, got \[2\]"),
        ([0, 1], [0.1], "do not belong together"),
    ],
)
def test_what_has_no_average_precision_says_why(labels, scores, message) -> None:
    with pytest.raises(MetricError, match=message):
        average_precision(labels, scores)
