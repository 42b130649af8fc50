"""Coordinates of points, and points beside them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collision.search.coordinates import mutated, units_of
from collision.search.space import Choice, Dimension, Range, Space
from tests.kit.policies import space_of


@pytest.fixture
def space(tmp_path):
    return space_of(tmp_path)


@pytest.mark.parametrize("name", ["offline", "study", "full"])
def test_a_point_is_found_again_by_its_coordinates(name):
    space = Space.load(name)
    for point in space.sample(100, seed=4):
        units = units_of(space, point)
        assert set(units) == set(point.values)
        assert all(0 <= unit <= 1 for unit in units.values())
        assert space.at([units.get(d.key, 0.3) for d in space.dimensions]) == point


@settings(max_examples=200, deadline=None)
@given(
    low=st.floats(1e-8, 1e3),
    factor=st.floats(1.01, 1e8),
    unit=st.floats(0, 1),
    log=st.booleans(),
)
def test_a_number_of_any_range_is_found_again(low, factor, unit, log):
    one = Dimension("head", (Choice("gru", {"head": "gru"}),))
    space = Space("any", "", (one,), (Range("optimizer.lr", low, low * factor, log),))
    point = space.at([0.5, unit])
    found = units_of(space, point)
    assert -1e-9 <= found["optimizer.lr"] <= 1 + 1e-9
    assert space.at([0.5, found["optimizer.lr"]]) == point


def test_a_change_moves_one_to_so_many_dimensions(space):
    rng, counts = np.random.default_rng(0), set()
    for point in space.sample(300, seed=1):
        child = mutated(space, point, 3, 0.1, rng)
        assert space.named(child.values).key == child.key
        both = child.values.keys() & point.values.keys()
        moved = {key for key in both if child.values[key] != point.values[key]}
        counts.add(len(moved))
        assert 1 <= len(moved) <= 3
        # What is new in it, or gone, depends on a choice that moved.
        assert not child.values.keys() ^ point.values.keys() or moved & {"head", "loss"}
    assert counts == {1, 2, 3}


def test_a_step_in_a_range_is_as_long_as_asked_and_stays_inside(tmp_path):
    ranges = {"optimizer.lr": {"low": 1e-5, "high": 1e-1, "log": True}}
    space = space_of(tmp_path, {"head": ["gru"]}, ranges)
    rng = np.random.default_rng(0)
    middle, edge = space.at([0.5, 0.5]), space.at([0.5, 0.0])
    for step in (0.02, 0.1):
        units = [
            units_of(space, mutated(space, middle, 1, step, rng))["optimizer.lr"]
            for _ in range(400)
        ]
        assert np.std(units) == pytest.approx(step, rel=0.15)
        assert np.mean(units) == pytest.approx(0.5, abs=0.02)
    units = [units_of(space, mutated(space, edge, 1, 1.0, rng))["optimizer.lr"] for _ in range(400)]
    assert min(units) >= 0 and max(units) <= 1
    assert len(set(units)) > 390  # reflected, not heaped up at the ends


def test_each_other_choice_is_as_likely(space):
    rng = np.random.default_rng(0)
    (point,) = space.sample(1)
    heads = [mutated(space, point, 1, 0.1, rng).cell["head"] for _ in range(3000)]
    others = [heads.count(name) for name in ("gru", "linear", "tcn", "transformer")]
    others.remove(heads.count(point.cell["head"]))
    assert max(others) < 1.5 * min(others)


def test_where_nothing_can_move_it_stays(tmp_path):
    space = space_of(tmp_path, {"head": ["gru"], "loss": ["bce"]}, {})
    point = space.at([0.5, 0.5])
    assert mutated(space, point, 2, 0.1, np.random.default_rng(0)) == point
