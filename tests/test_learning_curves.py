"""Draws are nested, every head sees the same ones, and a subset holds its own windows."""

import numpy as np
import torch

from benchmarks.learning_curves import HEADS, Cell, arguments, cells, drawn_groups, part_of
from tests.kit.features import planted


def cell(groups, draw=0, head="gru", seed=0):
    return Cell("efficientnet_lite0", False, groups, draw, head, seed)


def test_draws_are_nested_and_the_same_for_every_head_and_seed():
    pool = planted(40, seed=0)
    few, more = (drawn_groups(pool, cell(size)) for size in (10, 20))
    assert len(few["train"]) == 8 and len(few["val"]) == 2 and not few["train"] & few["val"]
    assert few["train"] | few["val"] <= more["train"] | more["val"]
    assert drawn_groups(pool, cell(10, head="zipformer", seed=3)) == few
    assert drawn_groups(pool, cell(10, draw=1)) != few


def test_a_part_has_the_windows_of_its_own_groups():
    pool = planted(10, seed=0)
    names = {pool.records[0].group, pool.records[-1].group}
    part = part_of(pool, names)
    assert {record.group for record in part.records} == names
    kept = [n for n, record in enumerate(pool.records) if record.group in names]
    wanted, found = pool.__getitems__(kept), part.__getitems__(range(len(part)))
    for name in ("features", "mask", "label", "horizon"):
        assert torch.equal(wanted[name], found[name])
    assert np.array_equal(found["example"], np.arange(len(kept)))


def test_the_solved_head_has_one_seed_and_the_larger_set_one_draw(monkeypatch):
    monkeypatch.setattr("sys.argv", ["learning_curves"])
    listed = list(cells(arguments()))
    assert len(set(listed)) == len(listed)
    assert {one.seed for one in listed if one.head == "logistic"} == {0}
    assert {one.head for one in listed} == set(HEADS)
    larger = [one for one in listed if one.larger]
    assert {one.draw for one in larger} == {0}
    assert {one.backbone for one in larger} == {"efficientnet_lite0"}
