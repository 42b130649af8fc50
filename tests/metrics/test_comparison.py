from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collision.errors import MetricError
from collision.metrics.comparison import compare, holm_adjusted
from collision.metrics.estimate import Difference
from collision.metrics.scored import Scored
from collision.metrics.summary import summarise
from tests.kit.scores import made_up_scores, nexar_ap


def test_numbers_are_those_of_the_plain_functions() -> None:
    runs = {
        "plain": [made_up_scores(40, seed=seed, skill=1) for seed in range(3)],
        "better": [made_up_scores(40, seed=seed, skill=3) for seed in (7, 8)],
        "single": [made_up_scores(40, seed=9, skill=1)],
    }
    result = compare(runs, num_resamples=400)
    data = result.as_json()
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert result.reference == "plain"
    assert (result.examples, result.groups) == (240, 40)
    for name, seeds in runs.items():
        values = [np.mean(nexar_ap(one)) for one in seeds]
        assert result.runs[name].seeds == pytest.approx(values)
        expected = summarise(*seeds, num_resamples=400).ap["mean"]
        for entry in ("value", "low", "high", "sd"):
            found = getattr(result.runs[name], entry)
            assert found == pytest.approx(getattr(expected, entry))
    better = result.differences["better"]
    assert better.value == pytest.approx(result.runs["better"].value - result.runs["plain"].value)
    assert 0 < better.low < better.value < better.high
    assert better.p_adjusted == pytest.approx(2 * better.p_value)
    assert result.differences["single"].p_adjusted > 0.05


def paired_difference(first: Scored, second: Scored, num_resamples: int = 10_000) -> Difference:
    """``nexar_map`` of the first minus the second's."""
    runs = {"second": [second], "first": [first]}
    return compare(runs, num_resamples=num_resamples).differences["first"]


def test_the_p_value_of_one_difference_stays_as_it_is() -> None:
    first, second = made_up_scores(40, seed=1), made_up_scores(40, seed=2)
    found = paired_difference(second, first, num_resamples=300)
    assert found.p_adjusted == found.p_value


def test_many_runs_that_do_not_differ_seldom_seem_to() -> None:
    """Of 20 families of six tests, few have a p of at most .05 after correction."""
    found, raw = 0, 0
    for family in range(20):
        runs = {str(k): [made_up_scores(30, seed=100 * family + k)] for k in range(7)}
        differences = compare(runs, num_resamples=200).differences.values()
        found += min(entry.p_adjusted for entry in differences) <= 0.05
        raw += min(entry.p_value for entry in differences) <= 0.05
    assert found < raw and found <= 2


def test_a_negative_that_one_run_lacks_is_left_out_of_all() -> None:
    first, second = made_up_scores(30, seed=1), made_up_scores(30, seed=2)
    gone = (first.label == 0) & np.char.startswith(first.video, "1")
    holed = replace(second, score=np.where(gone, np.nan, second.score))
    found = compare({"a": [first], "b": [holed]}, num_resamples=100)
    both = [replace(one, score=np.where(gone, np.nan, one.score)) for one in (first, second)]
    assert found == compare({"a": both[:1], "b": both[1:]}, num_resamples=100)
    assert found.examples == 180 - 33
    alone = summarise(both[1], num_resamples=100).ap["mean"]
    assert found.runs["b"].value == pytest.approx(alone.value)
    assert found.runs["b"].interval == pytest.approx(alone.interval)


def test_few_groups_have_no_p_value() -> None:
    runs = {str(k): [made_up_scores(10, seed=k)] for k in range(3)}
    result = compare(runs, num_resamples=20)
    for entry in result.differences.values():
        assert entry.p_value is None and entry.p_adjusted is None
        assert "only 10 groups" in entry.reason


def test_what_cannot_be_compared() -> None:
    scored = made_up_scores(30)
    with pytest.raises(MetricError, match=r"1 run\(s\)"):
        compare({"a": [scored]})
    with pytest.raises(MetricError, match="'b' has no scores"):
        compare({"a": [scored], "b": []})
    with pytest.raises(MetricError, match=r"'a' and 'b' do not match.*in one set"):
        compare({"a": [scored], "b": [made_up_scores(31)]})
    one_class = replace(scored, label=np.ones(len(scored)))
    with pytest.raises(MetricError, match="both classes"):
        compare({"a": [one_class], "b": [one_class]})


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=12))
def test_holm_rejects_what_stepping_down_rejects(p_values) -> None:
    adjusted = holm_adjusted(p_values)
    made = sorted(p for p in p_values if p is not None)
    for level in (0.01, 0.05, 0.3):
        rejected = 0
        for place, p_value in enumerate(made):
            if p_value * (len(made) - place) > level:
                break
            rejected += 1
        assert sum(a is not None and a <= level for a in adjusted) == rejected
    for before, after in zip(p_values, adjusted, strict=True):
        assert (before is None) == (after is None)
        assert before is None or before <= after <= 1


def test_paired_difference_of_a_better_and_of_the_same_model() -> None:
    better, worse = made_up_scores(60, seed=1, skill=4), made_up_scores(60, seed=2, skill=0.2)
    result = paired_difference(better, worse, num_resamples=2000)
    maps = [np.mean(nexar_ap(one)) for one in (better, worse)]
    assert result.value == pytest.approx(maps[0] - maps[1])
    assert 0 < result.low < result.value < result.high
    assert result.p_value < 0.01
    turned = paired_difference(worse, better, num_resamples=2000)
    assert turned.low == pytest.approx(-result.high)
    same = paired_difference(better, better, num_resamples=500)
    assert (same.value, same.low, same.high, same.p_value) == (0, 0, 0, 1)


def test_p_values_are_level_when_nothing_differs() -> None:
    values = [
        paired_difference(
            made_up_scores(40, seed=seed), made_up_scores(40, seed=1000 + seed), num_resamples=300
        ).p_value
        for seed in range(50)
    ]
    assert np.mean(np.array(values) < 0.05) < 0.15
    assert 0.3 < np.mean(values) < 0.7


def test_paired_difference_with_one_group() -> None:
    scored = made_up_scores(30)
    result = paired_difference(*[replace(scored, group=["one"] * len(scored))] * 2)
    assert result.low is None and result.p_value is None
    assert "only 1 group;" in result.reason
