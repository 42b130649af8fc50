"""Rankings that flip are told with their inversions, and those that noise alone moves are not."""

import numpy as np
import pytest
from scipy.stats import kendalltau

from collision.errors import ConfigError
from collision.study.rankings import _taus, rankings, rescored, section_of, split_by
from collision.study.table import Runs
from tests.study.logs import factorial

SIZES = {"backbone": 4, "head": 3}
RISING, FLIPPED = (-0.03, -0.01, 0.01, 0.03), (0.01, -0.01, 0.03, -0.03)


def contexts(first, second, seed=0, sd=0.01):
    rng = np.random.default_rng(seed)
    made = [
        factorial(SIZES, 3, rng=rng, sd=sd, effects={"backbone": effect})
        for effect in (first, second)
    ]
    return {"day": made[0], "night": made[1]}


def of(found, factor):
    return next(one for one in found.agreements if one.factor == factor)


def test_a_ranking_that_flips():
    found = rankings(contexts(RISING, FLIPPED))
    pairs = {one.levels for one in found.inversions}
    assert pairs == {("b1", "b0"), ("b3", "b0"), ("b3", "b1"), ("b3", "b2")}
    assert all(one.factor == "backbone" for one in found.inversions)
    one = of(found, "backbone")
    assert one.tau == pytest.approx(kendalltau([1, 2, 3, 4], [3, 2, 4, 1]).statistic)
    assert one.interval[0] <= one.tau <= one.interval[1] and one.p_same < 0.01
    assert "Rankings flip: backbone: b3 is +" in section_of(found).words[0]


def test_intervals_support_every_inversion_that_is_listed():
    for one in rankings(contexts(RISING, FLIPPED)).inversions:
        (low, _), (_, high) = one.intervals
        assert low > 0 > high and one.differences[0] > 0 > one.differences[1]


@pytest.mark.parametrize("effects", [(0, 0, 0, 0), RISING, (-0.03, -0.029, 0.029, 0.03)])
def test_the_same_ranking_is_hardly_ever_called_flipped(effects):
    found = [rankings(contexts(effects, effects, seed)) for seed in range(60)]
    assert sum(bool(one.inversions) for one in found) <= 6
    # Of each factor, 5 % are 3; p takes the noise for what is left over of either.
    assert sum(of(one, "backbone").p_same <= 0.05 for one in found) <= 8


def test_noise_alone_lowers_tau_and_p_knows_of_it():
    close = (-0.002, -0.001, 0.001, 0.002)
    found = [of(rankings(contexts(close, close, seed)), "backbone") for seed in range(40)]
    assert np.mean([one.tau for one in found]) < 0.7
    assert np.mean([one.p_same for one in found]) > 0.3


def test_the_interval_of_a_clear_ranking_is_narrow_and_of_noise_wide():
    clear = of(rankings(contexts(RISING, RISING, sd=0.002)), "backbone")
    assert clear.interval == (1.0, 1.0)
    low, high = of(rankings(contexts((0,) * 4, (0,) * 4)), "backbone").interval
    assert high - low > 0.6


def test_other_factors_are_taken_off_first():
    """An uneven table: the good head was run with the bad backbone alone."""
    runs = factorial(SIZES, 3, effects={"backbone": RISING, "head": (0, 0, 0.5)})
    kept = ~((runs.factors["head"] == "h2") & (runs.factors["backbone"] != "b0"))
    uneven = Runs({n: c[kept] for n, c in runs.factors.items()}, runs.score[kept])
    found = rankings({"one": uneven, "other": runs})
    assert of(found, "backbone").tau == 1
    assert uneven.score[uneven.factors["backbone"] == "b0"].mean() > uneven.score.mean()


def test_taus_are_scipys():
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 4, (2, 50, 6)).astype(float)
    expected = [kendalltau(a, b).statistic for a, b in zip(first, second, strict=True)]
    assert _taus(first, second) == pytest.approx(expected)


def test_contexts_by_columns_and_by_scores():
    runs = factorial(SIZES, 4)
    sets = np.where(np.char.isalnum(runs.seed) & (runs.seed < "2"), "small", "large")
    split = split_by(runs, {"size": sets, "set": np.full(len(runs), "nexar")})
    assert {name: len(one) for name, one in split.items()} == {
        "small, nexar": 24,
        "large, nexar": 24,
    }
    scored = rescored(runs, {"map": runs.score, "night": -runs.score})
    assert of(rankings(scored), "backbone").tau == -1
    with pytest.raises(ConfigError, match=r"across=\[set\]: all runs have the same"):
        split_by(runs, {"set": np.full(len(runs), "nexar")})


def test_a_context_without_a_choice_of_a_factor_is_a_sentence():
    runs = factorial(SIZES, 2)
    where = np.where(runs.factors["head"] == "h0", "one", "two")
    with pytest.raises(
        ConfigError, match=r"across=\[where\], one: The factor 'head' has one level"
    ):
        split_by(runs, {"where": where})


def test_bonferroni_is_never_less_strict():
    made = contexts(RISING, FLIPPED, sd=0.03)
    holm, bonferroni = (rankings(made, how) for how in ("holm", "bonferroni"))
    assert {i.levels for i in bonferroni.inversions} <= {i.levels for i in holm.inversions}
    assert holm.compared == bonferroni.compared == 6 + 3


def test_what_is_clear_in_one_context_alone_is_no_inversion():
    found = [rankings(contexts(RISING, (0, 0, 0, 0), seed)) for seed in range(40)]
    assert sum(bool(one.inversions) for one in found) <= 4
