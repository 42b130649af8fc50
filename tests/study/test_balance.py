import numpy as np
import pytest

from collision.study.anova import anova
from collision.study.balance import balanced, section_of, taken
from collision.study.table import Runs
from tests.study.logs import factorial

SIZES = {"backbone": 3, "head": 3}


def uneven(seed=0):
    """Every combination twice, the best backbone with one head twelve times."""
    runs = factorial(SIZES, 12, rng=np.random.default_rng(seed), effects={"backbone": (0, 0, 0.03)})
    often = (runs.factors["backbone"] == "b2") & (runs.factors["head"] == "h0")
    return taken(runs, np.flatnonzero(often | np.isin(runs.seed, ["0", "1"])))


def test_even_runs_need_no_draws():
    runs = factorial(SIZES, 3)
    assert balanced(runs, anova(runs)) is None


def test_draws_give_each_combination_and_each_level_the_same_weight():
    runs = uneven()
    found = balanced(runs, anova(runs), draws=300)
    assert (found.per_cell, found.cells, found.left_out) == (2, 9, 0)
    assert found.per_level == {"backbone": 6, "head": 6}
    shares = {one.name: one for one in found.together}
    assert list(shares) == ["backbone", "head", "backbone x head"]
    assert shares["backbone"].low <= shares["backbone"].mean <= shares["backbone"].high
    # What balanced runs of the same truth have: two of three backbones alike.
    truth = np.var([0, 0, 0.03]) / (np.var([0, 0, 0.03]) + 0.01**2)
    assert shares["backbone"].mean == pytest.approx(truth, abs=0.15)


def test_a_head_that_was_run_with_the_best_backbone_looks_good_until_it_is_balanced():
    runs = uneven()
    alone = {one.name: one for one in balanced(runs, anova(runs)).alone}
    assert alone["head"].all_runs > 0.1
    head = runs.factors["head"]
    groups = [runs.score[head == level] for level in np.unique(head)]
    between = sum(len(g) * (g.mean() - runs.score.mean()) ** 2 for g in groups)
    assert alone["head"].all_runs == pytest.approx(
        between / np.sum((runs.score - runs.score.mean()) ** 2)
    )
    together = {one.name: one for one in balanced(runs, anova(runs)).together}
    assert together["head"].mean < 0.1


def test_one_draw_of_everything_is_the_analysis_itself():
    """Where a combination has just as many runs as are drawn, nothing is left to chance."""
    runs = factorial(SIZES, 2, effects={"head": (0, 0.01, 0.02)})
    one_more = Runs(
        {n: np.append(c, "b0" if n == "backbone" else "h0") for n, c in runs.factors.items()},
        np.append(runs.score, 0.6),
    )
    found = balanced(one_more, anova(one_more), draws=400)
    exact = anova(runs)["head"].eta_squared
    (head,) = (one for one in found.together if one.name == "head")
    assert head.low <= exact <= head.high and head.high - head.low < 0.15


def test_a_log_of_single_runs_cannot_be_balanced_by_combination():
    runs = taken(uneven(), np.arange(0, 28, 2))
    cells = np.unique(runs.cells, return_index=True)[1]
    once = taken(runs, np.append(cells, np.setdiff1d(np.arange(len(runs)), cells)[:1]))
    found = balanced(once, anova(once))
    assert found.per_cell is None and not found.together
    assert "cannot be drawn" in section_of(found).words[0]


def test_paired_seeds_do_not_stand_in_the_way():
    runs = uneven()
    paired = Runs(runs.factors, runs.score, {"seed": runs.seed}, runs.seed)
    assert balanced(paired, anova(paired)).per_cell == 2


def test_a_factor_whose_levels_are_even_needs_no_draws_of_its_own():
    runs = factorial(SIZES, 6)
    rows = np.flatnonzero((runs.factors["backbone"] != "b0") | (runs.seed < "2"))
    found = balanced(taken(runs, rows), anova(taken(runs, rows)))
    assert set(found.per_level) == {"backbone"} == {one.name for one in found.alone}
