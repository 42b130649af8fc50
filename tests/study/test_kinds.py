"""Architecture or tuning: what dominates is said, and what does not is not."""

import numpy as np
import pytest

from collision.errors import ConfigError
from collision.study.kinds import ARCHITECTURE, BOTH, TUNING, kinds_of, section_of, words_of
from tests.study.logs import factorial

SIZES = {"backbone": 4, "head": 3, "rate": 3}
LARGE, SMALL, NONE = (-0.03, -0.01, 0.01, 0.03), (-0.03, 0.0, 0.03), (0, 0, 0)


def judged(backbone=(0, 0, 0, 0), head=NONE, rate=NONE, seed=0, **options):
    effects = {"backbone": backbone, "head": head, "rate": rate}
    runs = factorial(SIZES, 2, rng=np.random.default_rng(seed), effects=effects, **options)
    return kinds_of(runs, ["backbone", "head"], 300)


def test_architecture_dominates_and_the_words_say_by_how_much():
    kinds = judged(LARGE)
    truth = np.var(LARGE) / (np.var(LARGE) + 0.01**2)
    assert kinds.dominates == ARCHITECTURE
    assert kinds.difference == pytest.approx(truth, abs=0.08)
    assert "architecture dominates" in words_of(kinds) and "+8" in words_of(kinds)


def test_tuning_dominates():
    kinds = judged(rate=SMALL)
    assert kinds.dominates == TUNING and "tuning dominates" in words_of(kinds)
    assert "(rate)" in words_of(kinds) and "(backbone, head)" in words_of(kinds)


def test_tuning_dominates_in_an_uneven_log_too():
    """As a search leaves it: good rates were tried more often."""
    rng = np.random.default_rng(1)
    runs = factorial(SIZES, 6, rng=rng, effects={"rate": SMALL, "backbone": LARGE * np.array(0.2)})
    from collision.study.balance import taken

    odds = np.where(runs.factors["rate"] == "r2", 3.0, 1.0)
    rows = rng.choice(len(runs), 90, replace=False, p=odds / odds.sum())
    assert kinds_of(taken(runs, rows), ["backbone", "head"], 300).dominates == TUNING


def test_nothing_dominates_where_nothing_matters():
    found = [judged(seed=seed) for seed in range(60)]
    assert sum(one.dominates is not None for one in found) <= 7  # 5 % are 3
    assert any(
        "neither matters" in words_of(one) or "not settled" in words_of(one) for one in found
    )


def test_equals_are_not_settled():
    equal = np.sqrt(np.var(SMALL) / np.var(LARGE)) * np.array(LARGE)
    found = [judged(equal, rate=SMALL, seed=seed).dominates for seed in range(60)]
    assert sum(one is not None for one in found) <= 9


def test_the_interval_of_the_difference_holds_the_truth():
    noise = 0.01**2
    one, other = np.var(LARGE) / 4, np.var(SMALL)
    truth = (one - other) / (one + other + noise)
    backbone = np.array(LARGE) / 2
    found = [judged(backbone, rate=SMALL, seed=seed).interval for seed in range(120)]
    assert np.mean([low <= truth <= high for low, high in found]) >= 0.88


def test_what_only_both_together_explain_belongs_to_neither():
    plant = [({"backbone": b, "rate": b % 3}, 0.06) for b in range(3)]
    kinds = judged(plant=plant)
    assert kinds.shares[BOTH] > 0.3 > kinds.shares[TUNING]
    assert [row[0] for row in section_of(kinds).grids[0].rows][:3] == [ARCHITECTURE, TUNING, BOTH]


@pytest.mark.parametrize(
    ("names", "words"),
    [(["nose"], "'nose' is no factor. There are: a, b."), (["a", "b"], "left for tuning")],
)
def test_wrong_names(names, words):
    with pytest.raises(ConfigError, match=words):
        kinds_of(factorial({"a": 2, "b": 2}), names)


def test_without_a_run_left_over_nothing_is_judged():
    assert kinds_of(factorial({"a": 2, "b": 2}, 1, effects={"a": (0, 1)}), ["a"]) is not None
    runs = factorial({"a": 3}, 1)
    from collision.study.table import Runs

    alone = Runs({**runs.factors, "b": ["x", "y", "y"]}, runs.score)
    assert kinds_of(alone, ["a"]) is None
