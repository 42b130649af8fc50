"""Policies over repeated studies, on a look-up table whose best is known."""

import numpy as np
import pytest

from collision.errors import ConfigError
from collision.study.efficiency import efficiency, section_of, trials_to


def studies(policies, repeats=30, trials=60, seed=0):
    """Scores are uniform up to 1; a policy of strength k draws the best of k at every trial."""
    rng = np.random.default_rng(seed)
    rows = []
    for name, strength in policies.items():
        score = rng.random((repeats, trials, strength)).max(axis=2)
        rows += [(name, r, t, score[r, t]) for r in range(repeats) for t in range(trials)]
    rng.shuffle(rows)
    policy, repeat, order, score = zip(*rows, strict=True)
    return np.array(policy), np.array(repeat), np.array(order, float), np.array(score, float)


def course(found, name):
    return next(one for one in found.courses if one.policy == name)


def test_the_mean_best_is_that_of_uniform_draws_and_its_interval_holds_it():
    held = 0
    for seed in range(40):
        found = efficiency(*studies({"random": 1, "tpe": 3}, seed=seed), optimum=1.0)
        one = course(found, "random")
        at = int(np.flatnonzero(found.trials == 20)[0])
        held += one.low[at] <= 20 / 21 <= one.high[at]
        assert found.budget == 60 and one.repeats == 30 and found.trials[-1] == 60
    assert held >= 34  # 95 % are 38
    assert course(found, "tpe").mean[-1] == pytest.approx(180 / 181, abs=0.003)


def test_a_better_policy_is_told_from_random_and_an_equal_one_is_not():
    found = efficiency(*studies({"qmc": 1, "random": 1, "tpe": 4}), optimum=1.0)
    assert found.reference == "random"
    apart = {one.policy: one for one in found.apart}
    assert apart["tpe"].p_adjusted < 0.01 and apart["tpe"].interval[0] > 0
    assert apart["qmc"].p_adjusted > 0.05
    section = section_of(found, "map")
    assert "tpe finds +" in section.words[0]
    assert "Not told from random after 60 trials: qmc" in section.words[0]
    assert section.grids[0].rows[0][0] == "tpe"


def test_equal_policies_are_told_apart_at_the_stated_rate():
    made = [efficiency(*studies({"a": 1, "b": 1, "c": 1}, 20, 20, seed)) for seed in range(100)]
    found = sum(any(one.p_adjusted <= 0.05 for one in each.apart) for each in made)
    assert found <= 12  # 5 % are 5


def test_regret_counts_from_the_best_there_is():
    policy, repeat, order, score = studies({"random": 1, "tpe": 2}, 5, 10)
    found = efficiency(policy, repeat, order, score)
    assert found.optimum == score.max() and not found.known
    assert "give optimum=" in section_of(found, "map").words[0]
    with pytest.raises(ConfigError, match=r"optimum=0\.5: a run scores"):
        efficiency(policy, repeat, order, score, optimum=0.5)


def test_how_many_trials_a_policy_needs():
    found = efficiency(*studies({"random": 1, "tpe": 6}))
    level = course(found, "random").mean[-1]
    assert trials_to(course(found, "random"), found.trials, level) >= 50
    assert trials_to(course(found, "tpe"), found.trials, level) <= 20
    assert trials_to(course(found, "tpe"), found.trials, 2.0) is None


def test_repeats_are_cut_to_the_shortest():
    policy, repeat, order, score = studies({"a": 1, "b": 1}, 3, 10)
    short = ~((policy == "a") & (repeat == 1) & (order >= 7))
    found = efficiency(policy[short], repeat[short], order[short], score[short])
    assert found.budget == 7 and found.trials[-1] == 7


def test_one_repeat_is_no_comparison():
    policy, repeat, order, score = studies({"a": 1, "b": 1}, 2, 5)
    kept = (policy == "a") | (repeat == 0)
    with pytest.raises(ConfigError, match="policy 'b' has one repeat"):
        efficiency(policy[kept], repeat[kept], order[kept], score[kept])
