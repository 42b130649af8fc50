import numpy as np
import pytest

from collision.study.surrogate import importance, section_of
from collision.study.table import Runs
from tests.study.logs import factorial

SIZES = {"backbone": 4, "head": 3, "pooling": 3}
EFFECT = (-0.05, -0.02, 0.02, 0.05)


@pytest.fixture(scope="module")
def found():
    rng = np.random.default_rng(0)
    runs = factorial(SIZES, 6, rng=rng, effects={"backbone": EFFECT})
    rate = rng.uniform(0, 1, len(runs))
    absent = np.where(runs.factors["head"] == "h0", np.nan, rate)
    runs = Runs(runs.factors, runs.score + 0.08 * np.abs(rate - 0.5), seed=runs.seed)
    return importance(runs, {"rate": rate, "of heads": absent})


def test_what_matters_has_the_share_that_was_planted(found):
    curve = 0.08**2 / 48  # the variance of .08 |u - 1/2|
    total = np.var(EFFECT) + curve + 0.01**2
    assert found.loss["backbone"][0] == pytest.approx(np.var(EFFECT) / total, abs=0.15)
    assert found.loss["rate"][0] + found.loss["of heads"][0] > 0.005
    low, high = found.loss["backbone"][1]
    assert low < found.loss["backbone"][0] < high
    assert found.r_squared > 0.7 and found.cells == 36 and found.runs == 216


def test_what_does_not_matter_has_none(found):
    assert abs(found.loss["head"][0]) < 0.02 and abs(found.loss["pooling"][0]) < 0.02


def test_ped_anova_ranks_alike_and_leaves_out_what_some_runs_lack(found):
    assert max(found.ped_anova, key=found.ped_anova.get) == "backbone"
    assert sum(found.ped_anova.values()) == pytest.approx(1)
    assert set(found.ped_anova) == {"backbone", "head", "pooling", "rate"}
    rows = section_of(found).grids[0].rows
    assert rows[0][0] == "backbone" and {row[2] for row in rows if row[0] == "of heads"} == {"–"}


def test_noise_predicts_nothing_and_is_said_to():
    one = importance(factorial(SIZES, 2))
    assert one.r_squared <= 0 and not one.loss
    assert "predicts nothing" in section_of(one).words[0]


def test_runs_of_a_combination_never_stand_on_both_sides():
    """Seeds that repeat a cell's own luck would let a model look clever."""
    rng = np.random.default_rng(0)
    runs = factorial(SIZES, 6, rng=rng, sd=0.001)
    luck = rng.normal(0, 0.05, 36)[runs.cells]
    one = importance(Runs(runs.factors, runs.score + luck))
    assert one.r_squared < 0.2


def test_one_factor_alone_cannot_be_held_out():
    one = importance(factorial({"head": 12}, 6, effects={"head": np.linspace(0, 1, 12)}))
    assert one.r_squared is None and not one.loss and not one.ped_anova
    assert "Too few combinations" in section_of(one).words[0] and not section_of(one).grids


def test_what_a_data_set_gives_away_is_no_prediction():
    runs = factorial(SIZES, 4, effects={"backbone": EFFECT})
    sets = np.where(np.char.isdigit(runs.seed) & (runs.seed < "2"), "day", "night")
    shifted = Runs(runs.factors, runs.score + (sets == "day"), {"set": sets})
    plain = importance(Runs(runs.factors, runs.score, {"set": sets}))
    assert importance(shifted).r_squared == pytest.approx(plain.r_squared)
