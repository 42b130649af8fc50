import numpy as np
import pytest

from collision.errors import ConfigError
from collision.study.best import CURVES, expected_best, fit_best, running_best

# arXiv 2603.15916, postbugfix_convergence.json (MIT): the running maximum at 1, 16, ... 3001 runs,
# as values and how many of the 201 points stand at each.
PUBLISHED = {
    0.940214964205142: 1,
    0.9733418823394715: 1,
    0.9838215474360069: 1,
    0.9851625430854666: 5,
    0.9852227386651115: 2,
    0.9862429823256287: 3,
    0.9866374917320696: 6,
    0.987301378033219: 2,
    0.9887502127480645: 3,
    0.9891665525965191: 8,
    0.9900740255959819: 6,
    0.9911132045227066: 1,
    0.9919884196414142: 27,
    0.9935087343842928: 7,
    0.9957691426051499: 29,
    0.9972872876720983: 99,
}


def fits(n, best, **options):
    return {fit.name: fit for fit in fit_best(n, best, **options)}


def test_the_published_running_maximum_does_not_identify_its_power_law():
    best = np.repeat(list(PUBLISHED), list(PUBLISHED.values()))
    found = fits(np.arange(1, 3002, 15), best)["power law"]
    expected = {"a": 1.01407, "b": 0.07096, "c": 0.18439}
    assert found.values == pytest.approx(expected, abs=1e-5)
    assert found.r_squared == pytest.approx(0.94854, abs=1e-5)
    assert "above 1" in found.not_identified and "c may be anything" in found.not_identified


TRUE = {
    "power law": (0.8, 0.3, 0.5),
    "exponential": (0.8, 0.3, 0.01),
    "logarithmic": (0.5, 0.03),
    "logistic": (0.8, 3.0, 0.02),
}


@pytest.mark.parametrize("name", CURVES)
def test_a_planted_curve_is_found_and_identified(name):
    n = np.arange(1, 401)
    rng = np.random.default_rng(0)
    best = running_best(CURVES[name].function(n, *TRUE[name]) + rng.normal(0, 2e-4, 400))
    found = fits(n, best)[name]
    assert list(found.values.values()) == pytest.approx(TRUE[name], rel=0.05)
    assert found.not_identified is None and found.r_squared > 0.99
    assert all(low <= found.values[key] <= high for key, (low, high) in found.intervals.items())


def test_noise_alone_identifies_no_limit():
    best = running_best(np.random.default_rng(0).normal(0.5, 0.02, 400))
    found = fits(np.arange(1, 401), best)
    assert all(found[name].not_identified for name in ("power law", "exponential", "logistic"))


def test_a_best_that_hardly_rose_tells_nothing():
    found = fits(np.arange(1, 31), np.repeat([0.5, 0.6, 0.7], 10))
    assert all("rose fewer than 5 times" in fit.not_identified for fit in found.values())
    flat = fits(np.arange(1, 31), np.full(30, 0.5))
    assert all(fit.not_identified for fit in flat.values())


@pytest.mark.parametrize(("n", "best"), [([1, 2], [1, 0.5]), ([2, 1], [1, 1]), ([0, 1], [1, 1])])
def test_what_is_no_running_best(n, best):
    with pytest.raises(ConfigError, match="rising numbers of trials"):
        fit_best(n, best)


@pytest.mark.parametrize("count", [1, 2, 30, 1000])
def test_the_luck_of_the_best_is_what_draws_give(count):
    drawn = np.random.default_rng(0).normal(size=(4000, count)).max(axis=1).mean()
    assert expected_best(count) == pytest.approx(drawn, abs=0.06)


def test_the_best_of_none_is_refused():
    with pytest.raises(ConfigError, match="at least 1"):
        expected_best(0)
