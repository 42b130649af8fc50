"""Planted leaks are flagged; tables without one are not, but for one in a hundred."""

import numpy as np
import pytest

from collision.study.leaks import leaks, section_of
from collision.study.table import Runs
from tests.study.logs import factorial

SIZES = {"backbone": 4, "head": 6, "pooling": 3}
LEAK = {"backbone": 1, "head": 2, "pooling": 0}
CELL = "backbone=b1, head=h2, pooling=p0"


def table(rng, gain=0.0, **options):
    effects = {"backbone": rng.normal(0, 0.05, 4), "head": rng.normal(0, 0.02, 6)}
    plant = [(LEAK, gain)] if gain else []
    return factorial(SIZES, rng=rng, effects=effects, sd=0.015, plant=plant, **options)


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_cell_that_sees_labels_is_flagged_and_no_other(seeds):
    for seed in range(20):
        found = leaks(table(np.random.default_rng(seed), 0.3, seeds=seeds))
        assert [flag.cell for flag in found.flags] == [CELL]
        assert found.flags[0].reason.startswith("perfect") or found.flags[0].distance > 5


@pytest.mark.parametrize("seeds", [1, 3])
def test_tables_without_a_leak_are_not_flagged(seeds):
    rng = np.random.default_rng(0)
    flagged = sum(bool(leaks(table(rng, seeds=seeds)).flags) for _ in range(100))
    assert flagged <= 4


def test_two_leaking_cells_are_both_flagged():
    runs = table(np.random.default_rng(3), 0.3)
    other = (runs.factors["head"] == "h0") & (runs.factors["pooling"] == "p2")
    other &= runs.factors["backbone"] == "b3"
    found = leaks(Runs(runs.factors, runs.score + 0.35 * other, seed=runs.seed))
    assert {flag.cell for flag in found.flags} == {CELL, "backbone=b3, head=h0, pooling=p2"}


def test_a_strong_choice_is_no_leak():
    effects = {"backbone": (0, 0, 0, 0.3)}
    runs = factorial(SIZES, rng=np.random.default_rng(0), effects=effects)
    assert not leaks(runs).flags


def test_a_perfect_choice_is_flagged_as_a_whole():
    """A head that reads labels does so with every backbone."""
    runs = table(np.random.default_rng(0))
    score = np.where(runs.factors["head"] == "h4", 1.0, runs.score)
    found = leaks(Runs(runs.factors, score, seed=runs.seed))
    assert [flag.cell for flag in found.flags if "perfect" in flag.reason] == ["head=h4"]
    assert found.flags[0].runs == 36 and found.saturated  # 36 of 216 share it


def test_a_perfect_cell_of_a_small_table():
    runs = factorial({"backbone": 2, "head": 2})
    score = np.where((runs.factors["backbone"] == "b0") & (runs.factors["head"] == "h1"), 1, 0.7)
    (flag,) = leaks(Runs(runs.factors, score + 0.0)).flags
    assert flag.cell == "backbone=b0, head=h1" and flag.usual == 0.7


def test_validation_far_above_test():
    rng = np.random.default_rng(0)
    runs = table(rng)
    leaking = np.all([runs.factors[n] == f"{n[0]}{level}" for n, level in LEAK.items()], axis=0)
    # Its validation is not beyond the others', but nothing of it is left on the test.
    test = runs.score - 0.02 + rng.normal(0, 0.01, len(runs)) - 0.2 * leaking
    assert not leaks(runs, test=runs.score - 0.02 + rng.normal(0, 0.01, len(runs))).flags
    (flag,) = leaks(runs, test).flags
    assert (flag.cell, flag.reason) == (CELL, "validation far above test")
    assert leaks(runs, test).rank > 0.7


def test_ties_at_the_best_say_that_the_score_is_used_up():
    rng = np.random.default_rng(0)
    score = np.minimum(rng.normal(0.9, 0.05, 200), 0.95)
    runs = Runs({"a": ["x", "y"] * 100}, score)
    found = leaks(runs)
    assert found.saturated and found.tied == pytest.approx(np.mean(score == 0.95))
    assert "share the best map" in " ".join(section_of(found, "map").words)
    assert not leaks(Runs(runs.factors, rng.normal(size=200))).saturated


def test_the_words_do_not_promise_that_nothing_leaks():
    words = " ".join(section_of(leaks(table(np.random.default_rng(0))), "map").words)
    assert "no proof that none leaks" in words
