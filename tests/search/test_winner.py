import numpy as np
import pytest

from collision.search.pareto import front
from collision.search.trials import Trial
from collision.search.winner import (
    best_cells,
    confirmed,
    expected_maximum,
    fresh_seeds,
    is_saturated,
    luck_of,
)
from tests.kit.search import SPACE


def trial(number, value, point=0.5, seed=0, stage="search", **changes):
    given = {"num_parameters": 100, "windows_per_second": 10.0, **changes}
    state = "failed" if value is None else "done"
    return Trial(number, state, stage, SPACE.at([0, 0, point]), seed, value, **given)


@pytest.mark.parametrize("count", [1, 2, 10, 100, 1000])
def test_the_luck_of_the_maximum_is_what_simulation_gives(count):
    draws = np.random.default_rng(0).normal(size=(4000, count)).max(axis=1)
    error = draws.std() / np.sqrt(len(draws))
    assert abs(expected_maximum(count) - draws.mean()) < 4 * error
    known = {1: 0.0, 2: 1 / np.sqrt(np.pi), 10: 1.53875, 100: 2.50759}
    if count in known:
        assert expected_maximum(count) == pytest.approx(known[count], abs=1e-4)


def test_the_sd_between_seeds_is_that_within_cells():
    trials = [trial(0, 0.5), trial(1, 0.9, 0.9)]
    assert luck_of(trials).expected is None
    trials += [trial(2, 0.6, seed=1), trial(3, 0.7, seed=2, stage="confirm")]
    trials += [trial(4, 0.7, 0.9, seed=1), trial(5, None, 0.9, seed=2)]
    luck = luck_of(trials)
    assert luck.sd == pytest.approx(np.sqrt((0.02 + 0.02) / 3)) and luck.df == 3
    assert luck.count == 4  # of the search alone
    assert luck.expected == pytest.approx(luck.sd * expected_maximum(4))


def test_the_best_cells_go_by_their_mean_and_the_winner_by_fresh_seeds_alone():
    trials = [trial(0, 0.9, 0.1), trial(1, 0.5, 0.1, seed=1), trial(2, 0.8, 0.2)]
    trials += [trial(3, 0.75, 0.3), trial(4, None, 0.4)]
    assert [one.number for one in best_cells(trials, 9)] == [2, 3, 0]
    assert fresh_seeds(trials, trials[2], 2) == [2, 3]
    trials += [trial(5, 0.6, 0.2, seed=2, stage="confirm"), trial(6, 0.99, 0.3, 2, "confirm")]
    assert fresh_seeds(trials, trials[2], 2) == [3]
    trials += [trial(7, 0.6, 0.2, seed=3, stage="confirm"), trial(8, 0.66, 0.3, 3, "confirm")]
    assert fresh_seeds(trials, trials[2], 2) == []
    first, second = confirmed(trials)
    assert (first.trial.number, first.searched) == (3, 0.75)
    assert first.values == (0.99, 0.66) and first.mean == pytest.approx(0.825)
    assert second.trial.number == 2


def test_the_best_cells_are_confirmed_each_by_its_best_experiment():
    def of_cell(number, value, head, rate):
        return Trial(number, "done", "search", SPACE.at([0, head, rate]), 0, value)

    trials = [of_cell(0, 0.9, 0, 0.1), of_cell(1, 0.89, 0, 0.2), of_cell(2, 0.88, 0, 0.3)]
    assert [one.number for one in best_cells(trials, 2)] == [0, 1]  # one cell is there
    trials += [of_cell(3, 0.7, 1, 0.1), of_cell(4, 0.8, 1, 0.2)]
    assert [one.number for one in best_cells(trials, 2)] == [0, 4]
    assert [one.number for one in best_cells(trials, 9)] == [0, 4, 1, 2, 3]
    # What was confirmed stays so, when another experiment of its cell has become the best.
    fresh = Trial(5, "done", "confirm", SPACE.at([0, 0, 0.1]), 1, 0.6)
    better = of_cell(6, 0.95, 0, 0.4)
    assert [one.trial.number for one in confirmed([*trials, fresh, better])] == [0]
    assert best_cells([*trials, fresh, better], 1) == [better]


def test_an_experiment_of_which_seeds_failed_does_not_win_by_the_rest():
    trials = [trial(0, 0.8, 0.2), trial(1, 0.8, 0.3)]
    trials += [trial(2, 0.7, 0.2, 1, "confirm"), trial(3, 0.7, 0.2, 2, "confirm")]
    trials += [trial(4, 0.99, 0.3, 1, "confirm"), trial(5, None, 0.3, 2, "confirm")]
    assert [one.trial.number for one in confirmed(trials)] == [0, 1]


def test_saturation_is_of_more_than_one_in_twenty_at_the_very_best():
    rest = [trial(n, 0.5 + n / 1000) for n in range(57)]
    best = [trial(100 + n, 0.99) for n in range(4)]
    assert not is_saturated([*rest, *best[:3]])  # 3 of 60
    assert is_saturated([*rest, *best])
    assert not is_saturated(best)  # too few
    assert not is_saturated([*rest, *(trial(200 + n, 0.1) for n in range(30))])
    confirming = [trial(300 + n, 0.99, stage="confirm", seed=n) for n in range(9)]
    assert not is_saturated([*rest, *best[:3], *confirming])


def test_the_front_is_what_nobody_beats():
    made = [(0.9, 500), (0.8, 100), (0.85, 600), (0.8, 90), (0.7, 90), (0.9, 500), (0.6, 10)]
    trials = [trial(n, v, n / 10, num_parameters=p) for n, (v, p) in enumerate(made)]
    trials += [trial(9, None, 0.9), trial(10, 0.95, 0.95, num_parameters=None)]
    found = front(trials, ["map", "parameters"])
    assert [one.trial.number for one in found] == [0, 3, 6]
    assert found[1].values == {"map": 0.8, "parameters": 90}
    assert [one.trial.number for one in front(trials, ["map"])] == [10]
    fast = [trial(0, 0.9, windows_per_second=5.0), trial(1, 0.8, windows_per_second=9.0)]
    assert len(front(fast, ["map", "windows_per_second"])) == 2
    assert len(front(fast, ["map", "parameters"])) == 1


def test_the_front_is_that_of_all_pairs():
    rng = np.random.default_rng(1)
    values, sizes = rng.integers(0, 12, 200) / 12, rng.integers(1, 12, 200)
    trials = [
        trial(n, float(v), n / 200, num_parameters=int(p))
        for n, (v, p) in enumerate(zip(values, sizes, strict=True))
    ]
    pairs = {(float(v), float(p)) for v, p in zip(values, sizes, strict=True)}
    wanted = {
        (v, p) for v, p in pairs
        if not any(w >= v and q <= p and (w, q) != (v, p) for w, q in pairs)
    }  # fmt: skip
    found = front(trials, ["map", "parameters"])
    assert {(one.values["map"], one.values["parameters"]) for one in found} == wanted
    assert len(found) == len(wanted)
