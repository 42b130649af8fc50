"""The sequence covers the space evenly, and has no holes."""

from collections import Counter

import numpy as np
import pytest
from optuna.samplers import RandomSampler
from optuna.trial import TrialState
from scipy.stats import qmc

from collision.config import part
from collision.errors import ConfigError
from collision.search.coordinates import units_of
from collision.search.proposing import suggested, values_of
from collision.search.space import Dimension, Range, Space
from tests.kit.policies import quest, search, space_of, study

POLICY = part("policy", "qmc").build()


def first(space, count, seed=0):
    return list(search(space, [study(space, POLICY, seed)], count, lambda *_: 0.5))


def at_random(space, count, seed=0):
    own = study(space, POLICY, seed)
    own.sampler = RandomSampler(seed=seed)
    return list(search(space, [own], count, lambda *_: 0.5))


def unevenness(points, dimension):
    """How far the commonest choice of a dimension is ahead of the rarest."""
    counts = Counter(point.cell[dimension.key] for point in points)
    counts = [counts[choice.name] for choice in dimension.choices]
    return max(counts) - min(counts)


@pytest.mark.parametrize("seed", range(3))
def test_choices_that_are_powers_of_two_come_equally_often(seed, tmp_path):
    cells = {"head": ["gru", "linear", "tcn", "lstm"], "loss": ["bce", "focal"]}
    space = space_of(tmp_path, cells, {})
    counts = Counter(tuple(point.cell.values()) for point in first(space, 64, seed))
    assert len(counts) == 8 and set(counts.values()) == {8}


@pytest.mark.parametrize("name", ["offline", "study"])
@pytest.mark.parametrize("seed", range(2))
def test_each_dimension_is_even_where_chance_is_not(name, seed):
    space = Space.load(name)
    points, others = first(space, 256, seed), at_random(space, 256, seed)
    assert all(unevenness(points, dimension) <= 2 for dimension in space.cells)
    assert sum(unevenness(others, dimension) > 8 for dimension in space.cells) >= 3


def test_more_cells_of_two_dimensions_are_met_than_by_chance():
    """Of 9 x 10 pairs of backbone and head, 128 points at random leave about 21 out."""
    space = Space.load("offline")
    missed = [
        sum(
            90
            - len({(point.cell["backbone"], point.cell["head"]) for point in draw(space, 128, s)})
            for s in range(4)
        )
        for draw in (first, at_random)
    ]
    assert missed[0] < 0.7 * missed[1]


def test_ranges_are_covered_with_less_discrepancy_than_by_chance(tmp_path):
    ranges = {
        "optimizer.lr": {"low": 1e-5, "high": 1e-1, "log": True},
        "feature_dropout": {"low": 0.0, "high": 0.5},
        "optimizer.weight_decay": {"low": 0.1, "high": 1.0},
    }
    space = space_of(tmp_path, {"head": ["gru"]}, ranges)
    found = []
    for points in (first(space, 128), at_random(space, 128)):
        units = [[units_of(space, point)[key] for key in ranges] for point in points]
        found.append(qmc.discrepancy(np.clip(units, 0, 1)))
    assert found[0] < found[1] / 4


def test_it_is_one_sequence_for_all_workers_with_whatever_happens_between(tmp_path):
    """Failures, enqueued trials, a worker that ends and another that comes late."""
    space = space_of(tmp_path)
    sobol = qmc.Sobol(len(space.dimensions), scramble=True, seed=np.random.default_rng(7))
    wanted = [space.at(unit) for unit in sobol.random(32)]
    journal = tmp_path / "journal"
    (given,) = space.sample(1, seed=99)
    workers, points = [study(space, POLICY, 7, 0, journal)], []
    for turn in range(32):
        if turn in (5, 6, 17):
            workers[0].enqueue_trial(values_of(space, given))
            assert suggested(space, workers[turn % len(workers)].ask()) == given
        if turn in (9, 20):
            workers = [study(space, POLICY, 7, turn, journal), workers[0]]
        own = workers[turn % len(workers)]
        trial = own.ask()
        points.append(suggested(space, trial))
        own.tell(trial, None if turn % 3 else 0.5, TrialState.FAIL if turn % 3 else None)
    assert points == wanted


def test_a_trial_with_an_earlier_number_finds_its_place(tmp_path):
    space = space_of(tmp_path)
    own = study(space, POLICY)
    points = list(search(space, [own], 12, lambda *_: 0.5))
    for number in (11, 3, 0, 7):
        proposal = own.sampler.propose(own, number)
        assert space.named(proposal.values) == points[number]


def test_more_dimensions_than_the_sequence_has_are_a_sentence():
    ranges = tuple(Range(f"option{number}", 0.0, 1.0) for number in range(21_201))
    space = Space("wide", "", (Dimension("head", ()),), ranges)
    with pytest.raises(ConfigError, match="knows 21201 dimensions; space wide has 21202"):
        POLICY.sampler(quest(space))
