"""Levene's test by factor: at its rate where levels spread alike, and found where they do not."""

import numpy as np
import pytest

from collision.study.spread import levene_by_factor
from collision.study.table import Runs
from tests.study.logs import factorial

SIZES = {"backbone": 3, "head": 4}
EFFECTS = {"backbone": (0, 0.2, 0.5), "head": (0, 0.1, 0, 0.3)}


@pytest.mark.parametrize("seeds", [3, 6])
def test_levels_that_spread_alike_are_told_apart_at_the_stated_rate(seeds):
    rng = np.random.default_rng(0)
    tables = (factorial(SIZES, seeds, rng=rng, effects=EFFECTS) for _ in range(300))
    found = np.array([list(levene_by_factor(runs).values()) for runs in tables])
    assert (np.mean(found <= 0.05, axis=0) <= 0.09).all()  # 5 % are 15 of 300, sd 3.8


def test_a_head_that_spreads_widely_is_told_and_its_backbones_are_not():
    rng, found = np.random.default_rng(0), []
    for _ in range(60):
        runs = factorial(SIZES, 4, rng=rng, effects=EFFECTS)
        noise = rng.normal(0, 0.05, len(runs)) * (runs.factors["head"] == "h1")
        found.append(levene_by_factor(Runs(runs.factors, runs.score + noise)))
    assert np.mean([one["head"] <= 0.05 for one in found]) > 0.9
    assert np.mean([one["backbone"] <= 0.05 for one in found]) < 0.15


def test_without_a_second_run_nothing_is_known():
    assert levene_by_factor(factorial(SIZES, 1)) == {"backbone": None, "head": None}
    runs = factorial(SIZES, 3)
    assert levene_by_factor(Runs(runs.factors, np.zeros(len(runs)))) == {
        "backbone": None,
        "head": None,
    }
