import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from collision.errors import ConfigError
from collision.study.lineage import genealogy, parents_of, section_of, specialisation

#   0 ── 2 ── 4 (the best) ── 5
#   1 ── 3 ───┘        6 (alone)
NUMBERS = [0, 1, 2, 3, 4, 5, 6]
PARENTS = [(), (), (0,), (1,), (2, 3), (4,), ()]
SCORE = np.array([0.5, 0.4, 0.6, 0.5, 0.8, 0.7, 0.3])


def test_the_family_tree():
    tree = genealogy(NUMBERS, PARENTS, SCORE)
    assert tree.depth == {0: 0, 1: 0, 2: 1, 3: 1, 4: 2, 5: 3, 6: 0}
    assert (tree.best, tree.best_depth, tree.children) == (4, 2, 4)
    assert tree.from_best == 0.5  # 5, not 6
    assert tree.founders == pytest.approx(6 / 7)
    assert tree.gain == pytest.approx(np.mean([0.1, 0.1, 0.25, -0.1]))
    low, high = tree.interval
    assert low < tree.gain < high and tree.unknown == 0
    words = section_of(None, tree).words[0]
    assert "4 of 7 trials were made from others, up to 3 generations" in words


def test_the_order_of_the_rows_does_not_matter():
    rows = [5, 0, 6, 3, 1, 4, 2]
    shuffled = genealogy(rows, [PARENTS[r] for r in rows], SCORE[rows])
    assert shuffled == genealogy(NUMBERS, PARENTS, SCORE) or (
        dict(shuffled.depth) == {0: 0, 1: 0, 2: 1, 3: 1, 4: 2, 5: 3, 6: 0}
    )
    assert (shuffled.founders, shuffled.from_best) == (6 / 7, 0.5)


def test_parents_that_failed_are_counted():
    tree = genealogy([2, 3], [(0,), (2, 1)], np.array([0.1, 0.2]))
    assert tree.unknown == 2 and tree.depth == {2: 0, 3: 1} and tree.interval is None


def test_a_table_without_children_has_no_tree():
    assert genealogy([0, 1], [(), ()], np.array([0.1, 0.2])) is None


@pytest.mark.parametrize(
    ("numbers", "parents", "words"),
    [
        ([0, 0], [(), (0,)], "the same number"),
        ([0, 1], [(1,), ()], "itself or a later one"),
        ([0, 1], [(), (1,)], "itself or a later one"),
    ],
)
def test_trees_that_cannot_be(numbers, parents, words):
    with pytest.raises(ConfigError, match=words):
        genealogy(numbers, parents, np.array([0.1, 0.2]))


def test_parents_are_read_as_they_are_exported():
    assert parents_of(["", "3 7", "[3, 7]", "(4,)", "12"]) == [(), (3, 7), (3, 7), (4,), (12,)]
    with pytest.raises(ConfigError, match="Run 2 has parents='-1'"):
        parents_of(["3", "-1"])


def test_a_bred_gain_is_found_with_its_interval():
    """Children gain .02 over their parents; 100 trees, and the interval holds it in most."""
    rng, held = np.random.default_rng(0), 0
    for _ in range(60):
        score = rng.normal(0.5, 0.01, 80)
        parents = [()] * 40 + [(int(p),) for p in rng.permutation(40)]
        score[40:] += 0.02
        low, high = genealogy(range(80), parents, score).interval
        held += low <= 0.02 <= high
    assert held >= 51  # 95 % are 57


def test_proposers_that_part():
    cells = np.concatenate([np.repeat([0, 1], 20), np.repeat([2, 3], 20), np.repeat([0, 1], 20)])
    who = np.repeat(["ann", "bob", "cid"], 40)
    found = specialisation(cells, who)
    assert found.proposers == ("ann", "bob", "cid") and found.runs == (40, 40, 40)
    assert found.divergence == pytest.approx(np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]]))
    assert found.p_value[0, 1] < 0.01 < 0.5 < found.p_value[0, 2]
    rows = {row[0]: row[2:] for row in section_of(found, None).grids[0].rows}
    assert rows["ann, bob"][0] == "1.000" and set(rows) == {"ann, bob", "ann, cid", "bob, cid"}


def test_few_runs_of_the_same_taste_part_by_chance_alone():
    rng, shown = np.random.default_rng(0), 0
    for seed in range(60):
        cells, who = rng.integers(0, 12, 30), rng.permutation(np.repeat(["x", "y"], 15))
        found = specialisation(cells, who, seed)
        assert found.by_chance[0, 1] > 0.2
        shown += found.p_value[0, 1] <= 0.05
    assert shown <= 8
    counts = [np.bincount(cells[who == name], minlength=12) for name in "xy"]
    assert found.divergence[0, 1] == pytest.approx(jensenshannon(*counts, 2) ** 2)


def test_one_proposer_parts_from_nobody():
    assert specialisation(np.arange(4), np.full(4, "x")) is None
