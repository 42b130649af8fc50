"""A designed experiment: what it lists, and that all of it is trained, whatever befalls."""

from collections import Counter

import pytest

from collision.errors import ConfigError
from collision.search.design import factorial
from collision.search.desk import Terms
from collision.search.engine import Engine, Plan
from collision.search.space import Space
from tests.kit.search import CELLS, SPACE, Made, orders

ASKED = Terms(budget=0, lease=30)


def test_each_cell_has_the_same_draws_with_the_same_seeds():
    planned = factorial(SPACE, draws=3, seeds=2, seed=5)
    assert len(planned) == 4 * 3 * 2
    rates = {}
    for one in planned:
        cell = tuple(one.point.cell.values())
        rates.setdefault(cell, []).append((one.point.within["optimizer.lr"], one.seed))
    assert len(rates) == 4 and len({tuple(sorted(own)) for own in rates.values()}) == 1
    own = next(iter(rates.values()))
    assert len(set(own)) == 6 and {seed for _, seed in own} == {5, 6}
    assert len({rate for rate, _ in own}) == 3


def test_every_block_has_each_cell_once_in_an_order_of_its_own():
    planned = factorial(Space.load("offline"), draws=1, seeds=2, seed=0)
    cells = [tuple(one.point.cell.values()) for one in planned]
    size = Space.load("offline").size
    first, second = cells[:size], cells[size:]
    assert len(set(first)) == len(set(second)) == size
    assert first != second and first != sorted(first)
    assert planned == factorial(Space.load("offline"), draws=1, seeds=2, seed=0)


def test_more_draws_keep_those_that_there_were():
    few = {(p.point.key, p.seed) for p in factorial(SPACE, draws=2, seeds=1, seed=0)}
    many = {(p.point.key, p.seed) for p in factorial(SPACE, draws=4, seeds=2, seed=0)}
    assert few < many


def test_draws_need_something_to_draw():
    assert len(factorial(CELLS, draws=1, seeds=3, seed=0)) == 12
    with pytest.raises(ConfigError, match="nothing within its cells"):
        factorial(CELLS, draws=2, seeds=3, seed=0)


def test_all_of_a_design_is_trained_once_whatever_befalls(tmp_path):
    design = factorial(SPACE, draws=2, seeds=2, seed=0)
    made = Made(tmp_path, dies=(3,), fails=(5,))
    engine = Engine(orders(tmp_path, made, terms=ASKED), Plan(2, design=design))
    trials = engine.run().trials
    done = [one for one in trials if one.state == "done"]
    assert {one.stage for one in trials} == {"design"}
    assert Counter((one.experiment, one.seed) for one in done) == {
        (one.point.key, one.seed): 1 for one in design
    }
    assert Counter(one.state for one in trials) == {"done": 16, "failed": 2}


def test_a_design_goes_on_where_it_was_left_and_grows(tmp_path):
    design = factorial(SPACE, draws=1, seeds=3, seed=0)

    def run(planned, **how):
        plan = Plan(2, design=planned, **how)
        return Engine(orders(tmp_path, Made(tmp_path, seconds=0.2), terms=ASKED), plan).run().trials

    part = run(design, hours=0.5 / 3600)
    assert 0 < sum(one.state == "done" for one in part) < len(design)
    whole = [one for one in run(design) if one.state == "done"]
    assert {(one.experiment, one.seed) for one in whole} == {(o.point.key, o.seed) for o in design}
    assert len(whole) == len(design)
    more = run(factorial(SPACE, draws=1, seeds=4, seed=0))
    assert sum(one.state == "done" for one in more) == len(design) + 4
