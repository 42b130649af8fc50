"""The mixed model; it needs statsmodels (the extra `study`), which `make` does not install."""

import importlib.util
import sys

import numpy as np
import pytest
from scipy import optimize

from collision.errors import ConfigError
from collision.study.mixed import mixed, section_of
from collision.study.table import Runs
from tests.study.logs import factorial

SIZES = {"backbone": 4, "head": 3}


def crossed(seed=0, *, sets=8, seeds=8, sd_set=0.03, sd_seed=0.015):
    rng = np.random.default_rng(seed)
    runs = factorial(SIZES, sets * seeds, rng=rng, effects={"backbone": (0, 0.01, 0.02, 0.03)})
    number = runs.seed.astype(int)
    of_set, of_seed = number // seeds, number % seeds
    score = runs.score.copy()
    for count, sd, own in ((sets, sd_set, of_set), (seeds, sd_seed, of_seed)):
        drawn = rng.normal(size=count)
        score += (sd * (drawn - drawn.mean()) / drawn.std(ddof=1))[own]
    random = {"dataset": of_set.astype(str), "seed": of_seed.astype(str)}
    return Runs(runs.factors, score), random


@pytest.fixture
def statsmodels():
    return pytest.importorskip("statsmodels")


def test_without_statsmodels_it_is_a_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "statsmodels", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        ConfigError, match="needs statsmodels, which is not installed: run `uv sync"
    ):
        mixed(*crossed())


@pytest.mark.usefixtures("statsmodels")
def test_planted_spreads_and_effects_are_found():
    found = mixed(*crossed())
    spread = {one.name: one for one in found.sources}
    assert spread["dataset"].sd == pytest.approx(0.03, rel=0.05)
    assert spread["seed"].sd == pytest.approx(0.015, rel=0.05)
    assert spread["left over"].sd == pytest.approx(0.01, rel=0.1)
    assert sum(one.share for one in found.sources) == pytest.approx(1)
    backbone, head = found.factors
    assert backbone.p_value < 1e-6 < 0.01 < head.p_value and (backbone.df, head.df) == (3, 2)
    for level, truth in zip(backbone.levels.values(), (-0.015, -0.005, 0.005, 0.015), strict=True):
        effect, (low, high) = level
        assert effect == pytest.approx(truth, abs=0.004) and low < effect < high
    assert sum(effect for effect, _ in backbone.levels.values()) == pytest.approx(0, abs=1e-9)


@pytest.mark.usefixtures("statsmodels")
@pytest.mark.parametrize("seed", range(3))
def test_it_ends_at_the_maximum_of_the_restricted_likelihood(seed):
    """statsmodels' gradient methods stop elsewhere and say that they converged."""
    runs, random = crossed(seed, sets=3, seeds=4, sd_seed=0.005)
    columns = [(c[:, None] == np.unique(c)).astype(float) for c in random.values()]
    fixed = [np.ones((len(runs), 1))]
    fixed += [(c[:, None] == np.unique(c)[1:]).astype(float) for c in runs.factors.values()]
    x, y = np.hstack(fixed), runs.score

    def loss(logs):
        a, b, left = np.exp(logs)
        v = left * np.eye(len(y)) + a * columns[0] @ columns[0].T + b * columns[1] @ columns[1].T
        inverse = np.linalg.inv(v)
        within = x.T @ inverse @ x
        rest = y - x @ np.linalg.solve(within, x.T @ inverse @ y)
        return np.linalg.slogdet(v)[1] + np.linalg.slogdet(within)[1] + rest @ inverse @ rest

    best = optimize.minimize(loss, [-8, -8, -9], method="Nelder-Mead", options={"maxiter": 2000})
    found = np.array([one.sd for one in mixed(runs, random).sources])
    assert loss(2 * np.log(np.maximum(found, 1e-6))) <= best.fun + 1e-3
    assert found == pytest.approx(np.exp(best.x / 2), abs=1e-3)


@pytest.mark.usefixtures("statsmodels")
def test_few_draws_and_no_spread_are_said():
    runs, random = crossed(sets=2, seeds=6, sd_seed=0)
    words = " ".join(section_of(mixed(runs, random)).words)
    assert "Fewer than 5 draws of dataset" in words


@pytest.mark.usefixtures("statsmodels")
def test_names_are_never_read_as_formulas():
    runs, random = crossed(sets=3, seeds=3)
    name = "__import__('os').abort()"
    evil = Runs({name: runs.factors["head"], "C(x)": runs.factors["backbone"]}, runs.score)
    assert [one.name for one in mixed(evil, {"y ~ 1": random["seed"]}).factors] == [name, "C(x)"]


@pytest.mark.usefixtures("statsmodels")
@pytest.mark.parametrize("count", [1, 108])
def test_a_source_needs_several_draws_of_several_runs(count):
    runs, _ = crossed(sets=3, seeds=3)
    with pytest.raises(ConfigError, match=rf"random=\[x\]: {count} values in 108 runs"):
        mixed(runs, {"x": (np.arange(108) % count).astype(str)})


@pytest.mark.usefixtures("statsmodels")
def test_factors_that_change_together():
    runs, random = crossed(sets=3, seeds=3)
    twice = Runs({"a": runs.factors["head"], "b": np.char.upper(runs.factors["head"])}, runs.score)
    with pytest.raises(ConfigError, match="always change together"):
        mixed(twice, random)
