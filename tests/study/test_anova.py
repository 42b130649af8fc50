"""Sums of squares against statsmodels, and the published numbers from the published cells.

statsmodels is in the group `oracles`, which `make` does not install; what it gave for one uneven
table stands below and is always compared.
"""

import numpy as np
import pytest

from collision.errors import ConfigError
from collision.study.anova import Cells, anova, by_margins, from_cells
from collision.study.table import Runs

# arXiv 2603.15916, its released aggregates (MIT): n, mean, sd with n in the denominator.
# fedex_anova.json, by backbone and encoder:
CELLS = {
    "dinov2_b bimamba": (3, 0.5955423, 0.0382093),
    "dinov2_b retention": (1, 0.7672969, 0),
    "dinov2_b zipformer": (1, 0.6555668, 0),
    "dinov3_b bimamba": (1, 0.7028521, 0),
    "dinov3_b hybrid": (2, 0.6720451, 0.0380945),
    "dinov3_b retention": (2, 0.6355321, 0.0641479),
    "dinov3_b zipformer": (3, 0.4566096, 0.1540749),
    "dinov3_l bimamba": (2, 0.6010151, 0.0357592),
    "dinov3_l hybrid": (1, 0.6358865, 0),
    "dinov3_l zipformer": (2, 0.6965918, 0.0166489),
    "siglip2_b bimamba": (2, 0.8290089, 0.0365379),
    "siglip2_b retention": (1, 0.8255821, 0),
    "siglip2_b zipformer": (2, 0.8720583, 0.0681675),
    "vjepa2_l bimamba": (4, 0.4509671, 0.1843893),
    "vjepa2_l hybrid": (2, 0.2295450, 0.1759693),
    "vjepa2_l retention": (1, 0.8428386, 0),
    "vjepa2_l zipformer": (1, 0.8520355, 0),
}
# anova.json, the 12 groups of 10 runs or more:
LARGE_GROUPS = [
    *((573, 0.7684099, 0.1574366), (80, 0.7358153, 0.1666885), (27, 0.8209566, 0.0781513)),
    *((121, 0.7307087, 0.1949677), (34, 0.7396358, 0.050006), (38, 0.5269502, 0.2617668)),
    *((22, 0.3357619, 0.2537327), (22, 0.4631006, 0.0946215), (245, 0.1153108, 0.098639)),
    *((16, 0.4182565, 0.1606038), (71, 0.1080978, 0.0588752), (50, 0.0851307, 0.0212021)),
]
# comprehensive.json, the 16 groups after a fix:
FIXED_GROUPS = [
    *((554, 0.6985367, 0.281331), (15, 0.4510678, 0.0792669), (39, 0.08658, 0.0267722)),
    *((62, 0.6017963, 0.359669), (137, 0.7265991, 0.2433233), (60, 0.1116192, 0.0885594)),
    *((71, 0.7262587, 0.2427962), (24, 0.5312604, 0.0893015), (141, 0.0944292, 0.0687799)),
    *((7, 0.0847799, 0.0160755), (14, 0.4780074, 0.0302821), (8, 0.479005, 0.0551103)),
    *((5, 0.3995675, 0.2006548), (20, 0.3245564, 0.2481054), (9, 0.4814447, 0.0871463)),
    (6, 0.4890059, 0.0888392),
]


def as_cells(rows, **factors):
    return Cells(factors, *np.array(rows, dtype=float).T)


@pytest.fixture(scope="module")
def published():
    names = np.array([name.split() for name in CELLS])
    return as_cells(list(CELLS.values()), backbone=names[:, 0], encoder=names[:, 1])


def test_published_shares_of_two_factors_by_the_published_procedure(published):
    expected = {"backbone": 0.32643, "encoder": 0.15595, "backbone x encoder": 0.26974}
    assert by_margins(published) == pytest.approx(expected, abs=1e-5)
    assert published.between + published.within == pytest.approx(1.20916, abs=1e-5)


def test_type_two_of_the_same_cells_gives_a_factor_only_what_the_other_cannot_explain(published):
    """The published shares count what both could explain for each, and not for the interaction."""
    result = from_cells(published)
    shares = [effect.eta_squared for effect in result.effects]
    assert shares == pytest.approx([0.258, 0.088, 0.338], abs=5e-4)
    assert [effect.df for effect in result.effects] == [4, 3, 9] and result.residual_df == 14
    assert result.residual == pytest.approx(0.29973, abs=1e-5)


@pytest.mark.parametrize(
    ("groups", "df", "eta", "f"),
    [(LARGE_GROUPS, (11, 1287), 0.7934, 449.33), (FIXED_GROUPS, (15, 1156), 0.5138, 81.44)],
)
def test_published_shares_of_one_factor(groups, df, eta, f):
    names = np.array([str(number) for number in range(len(groups))])
    result = from_cells(as_cells(groups, architecture=names))
    (effect,) = result.effects
    assert effect.eta_squared == pytest.approx(eta, abs=5e-5)
    assert effect.f == pytest.approx(f, abs=0.01)
    assert (effect.df, result.residual_df) == df


def uneven(names):
    """60 runs in 17 of 18 cells, from arithmetic alone: the same in every version of NumPy."""
    i = np.arange(60)
    levels = {"a": i * i * 7 // 5 % 3, "b": i * 11 // 3 % 2, "c": i * 5 // 7 % 3}
    score = (i * 37 % 101) / 100 + levels["a"] * 0.2
    return Runs({name: levels[name].astype(str) for name in names}, score)


# Sum of squares, df, F by statsmodels 0.15.0: anova_lm(ols("y ~ (C(a, Sum) + ...)**2"), typ=2).
BY_STATSMODELS = {
    "ab": [(1.48800667, 2, 8.087264), (0.06868167, 1, 0.746565), (0.06137667, 2, 0.33358)],
    "abc": [
        *((1.36951041, 2, 7.783572), (0.22694991, 1, 2.579726), (0.01593025, 2, 0.090539)),
        *((0.05108289, 2, 0.290328), (0.69521113, 4, 1.975606), (0.1406623, 2, 0.79945)),
    ],
}


@pytest.mark.parametrize(("names", "left"), [("ab", 4.96783333), ("abc", 4.0468231)])
def test_sums_of_squares_of_uneven_runs_are_those_that_statsmodels_gave(names, left):
    result = anova(uneven(names))
    found = [(effect.sum_of_squares, effect.df, effect.f) for effect in result.effects]
    assert np.array(found) == pytest.approx(np.array(BY_STATSMODELS[names]), abs=1e-6)
    assert result.residual == pytest.approx(left)


def drawn(seed, *sizes, runs=90):
    rng = np.random.default_rng(seed)
    factors = {
        name: rng.integers(size, size=runs).astype(str)
        for name, size in zip("abc", sizes, strict=False)
    }
    return Runs(factors, rng.normal(size=runs) + sum(np.array(c, float) for c in factors.values()))


@pytest.fixture
def fitted():
    """Fit a formula to runs with statsmodels."""
    formulas = pytest.importorskip("statsmodels.formula.api")
    import pandas

    def fit(formula, runs):
        frame = pandas.DataFrame({**runs.factors, **runs.blocks, "y": runs.score})
        return formulas.ols(formula, frame).fit()

    return fit


def type_two(fit):
    from statsmodels.stats.anova import anova_lm

    return anova_lm(fit, typ=2)


@pytest.mark.parametrize("sizes", [(3,), (2, 4), (3, 2, 3)])
@pytest.mark.parametrize("seed", [0, 1])
def test_sums_of_squares_are_those_of_statsmodels(sizes, seed, fitted):
    runs = drawn(seed, *sizes)
    right = "+".join(f"C({name}, Sum)" for name in runs.factors)
    table = type_two(fitted(f"y ~ ({right})**2", runs))
    result = anova(runs)
    assert len(result.effects) == len(table) - 1
    for effect in result.effects:
        row = table.loc[":".join(f"C({name}, Sum)" for name in effect.name.split(" x "))]
        expected = [row["sum_sq"], row["df"], row["F"], row["PR(>F)"]]
        found = [effect.sum_of_squares, effect.df, effect.f, effect.p_value]
        assert found == pytest.approx(expected, rel=1e-8)
    assert result.residual == pytest.approx(table.loc["Residual", "sum_sq"])


def test_a_block_is_one_more_term_of_the_model(fitted):
    runs, block = drawn(2, 3, 2), np.arange(90) % 4
    blocked = Runs(runs.factors, runs.score + block, {"data": block.astype(str)})
    table = type_two(fitted("y ~ C(a, Sum)*C(b, Sum) + C(data)", blocked))
    found = [effect.sum_of_squares for effect in anova(blocked).effects]
    rows = ["C(a, Sum)", "C(b, Sum)", "C(a, Sum):C(b, Sum)"]
    assert found == pytest.approx(list(table.loc[rows, "sum_sq"]))


def test_what_a_block_adds_to_all_scores_changes_nothing():
    runs, block = drawn(2, 3, 2), np.arange(90) % 4
    blocks = {"data": block.astype(str)}
    one, other = (anova(Runs(runs.factors, runs.score + by * block, blocks)) for by in (0, 7))
    for before, after in zip(one.effects, other.effects, strict=True):
        assert before.sum_of_squares == pytest.approx(after.sum_of_squares)
        assert before.f == pytest.approx(after.f)


@pytest.mark.filterwarnings("ignore:The design matrix is rank-deficient")
def test_empty_cells_cost_degrees_of_freedom_alone(fitted):
    """Against the comparison of the two models; statsmodels' type II needs every cell."""
    full = drawn(3, 3, 3)
    kept = ~((full.factors["a"] == "0") & (full.factors["b"] != "1"))
    runs = Runs({n: c[kept] for n, c in full.factors.items()}, full.score[kept])
    small, large = (fitted(f"y ~ C(a) {sign} C(b)", runs) for sign in "+*")
    effect = anova(runs)["a x b"]
    assert effect.df == 2
    assert effect.sum_of_squares == pytest.approx(small.ssr - large.ssr)


def test_cells_give_what_their_runs_give():
    runs = drawn(4, 3, 2)
    cells = np.unique(runs.cells)
    first = [np.flatnonzero(runs.cells == cell)[0] for cell in cells]
    rows = [(np.sum(own), *moments(runs.score[own])) for own in (runs.cells == c for c in cells)]
    given = as_cells(rows, **{name: column[first] for name, column in runs.factors.items()})
    for one, other in zip(from_cells(given).effects, anova(runs).effects, strict=True):
        assert one.eta_squared == pytest.approx(other.eta_squared)
        assert one.f == pytest.approx(other.f)


def moments(scores):
    return scores.mean(), scores.std()


def test_pairs_are_left_out_where_nothing_would_be_left_to_judge_by():
    grid = np.array([(a, b) for a in "xyz" for b in "uvw"])
    runs = Runs({"a": grid[:, 0], "b": grid[:, 1]}, np.random.default_rng(0).normal(size=9))
    result = anova(runs)
    assert [effect.name for effect in result.effects] == ["a", "b"]
    assert not result.has_interactions and result.residual_df == 4


def test_a_factor_that_another_one_names_has_no_share_of_its_own():
    names = np.array(list("uuvvww"))
    result = anova(Runs({"a": names, "b": np.char.upper(names)}, np.arange(6.0)))
    assert result["b"].df == 0 and result["b"].eta_squared == 0 and result["b"].f is None


@pytest.mark.parametrize(
    ("rows", "words"), [([(0, 0.5, 0.1), (2, 0.5, 0.1)], "n of at least 1"), ([(1, 0.5, -1)], "sd")]
)
def test_cells_that_cannot_be(rows, words):
    with pytest.raises(ConfigError, match=words):
        from_cells(as_cells(rows, a=np.array(list("xy"[: len(rows)]))))


def test_equal_scores_have_nothing_to_explain():
    with pytest.raises(ConfigError, match="All 4 runs score 1"):
        anova(Runs({"a": list("xxyy")}, [1, 1, 1, 1]))
