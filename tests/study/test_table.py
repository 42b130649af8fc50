import numpy as np
import pytest

from collision.errors import ConfigError
from collision.study.spread import levels, levene, seed_spread
from collision.study.table import Runs, read_runs

GOOD = "head,seed,map,trial\ngru,0,.5,2\ngru,1,.6,1\nlstm,0,.7,0\n"


@pytest.fixture
def table(tmp_path):
    def write(text):
        path = tmp_path / "runs.csv"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


def test_columns_are_read_as_text_and_numbers(table):
    path = table("\ufeff" + GOOD)
    runs = read_runs(path, ["head"], "map", seed="seed", blocks=["seed"], order="trial")
    assert runs.factors["head"].tolist() == ["gru", "gru", "lstm"]
    assert runs.in_order().score.tolist() == [0.7, 0.6, 0.5]
    assert runs.in_order().seed.tolist() == ["0", "1", "0"]
    assert runs.strata.tolist() == [0, 1, 0] and runs.cells.tolist() == [0, 0, 1]


def test_nothing_in_a_table_is_run(table):
    """Formulas of statistics run the code in their names; a table of others may hold any."""
    name = "__import__('os').abort()"
    path = table(f'"{name}",map\n"{name}",1\n${{oc.env:HOME}},2\n=1+1,3\n')
    runs = read_runs(path, [name], "map")
    assert runs.factors[name].tolist() == [name, "${oc.env:HOME}", "=1+1"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no runs"),
        ("head,map\n", "holds no runs"),
        (GOOD.replace("head", "heat"), "has no column 'head'. There are: heat, seed, map, trial."),
        (GOOD.replace("lstm", "gru"), "'head' has one level, 'gru'"),
        (GOOD.replace(".6", "nan"), "Run 2 of .* has map='nan'"),
        (GOOD.replace(".6", "inf"), "map='inf'"),
        (GOOD.replace(".6", ""), "map=''"),
        (GOOD.replace("lstm", ""), "an empty 'head' in line 4"),
        (GOOD.replace(",1,.6,1", ",1"), "Run 2 of .* has 2 values for 4 columns"),
        (GOOD.replace("seed", "head"), "more than one column 'head'"),
        ("head,map\ngru,1\nlstm,2\n", "2 runs are too few"),
        (b"head,map\n\xff,1\n", "no CSV in UTF-8"),
        ('head,map\n"gru,1\n', "no CSV"),
    ],
)
def test_a_table_that_cannot_be_used_is_a_sentence(table, text, words):
    with pytest.raises(ConfigError, match=words) as error:
        read_runs(table(text), ["head"], "map")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"factors": []}, "leaves nothing to analyse"),
        ({"factors": ["head", "map"]}, "'map' can play one part only"),
        ({"factors": ["head", "head"]}, "'head' can play one part only"),
        ({"factors": ["head"], "order": "seed", "seed": "seed"}, "'seed' can play one part only"),
    ],
)
def test_a_column_plays_one_part(table, options, words):
    with pytest.raises(ConfigError, match=words):
        read_runs(table(GOOD), score="map", **options)


def test_the_spread_of_seeds_is_pooled_over_cells():
    rng = np.random.default_rng(0)
    cell = np.repeat(np.arange(200), 3)
    runs = Runs({"a": cell.astype(str)}, cell + rng.normal(0, 0.1, 600), seed=["0", "1", "2"] * 200)
    spread = seed_spread(runs)
    assert spread.sd == pytest.approx(0.1, rel=0.1)
    assert (spread.df, spread.cells, spread.of_seeds) == (400, 200, True)
    assert not seed_spread(Runs(runs.factors, runs.score, seed=["0"] * 600)).of_seeds
    paired = Runs(runs.factors, runs.score, {"seed": runs.seed}, runs.seed)
    assert seed_spread(paired).sd == spread.sd


def test_without_a_second_run_of_a_cell_the_spread_is_not_known():
    assert seed_spread(Runs({"a": list("xyz")}, [1, 2, 3])).sd is None


@pytest.mark.parametrize(("ratio", "is_told"), [(1, False), (10, True)])
def test_levene_tells_spreads_apart(ratio, is_told):
    rng = np.random.default_rng(0)
    score = np.concatenate([rng.normal(0, 1, 30), rng.normal(5, ratio, 30)])
    assert (levene(Runs({"a": np.repeat(["x", "y"], 30)}, score)) < 0.01) == is_told
    assert levene(Runs({"a": list("xxy")}, [1, 2, 3])) is None


def test_levels_stand_best_first():
    runs = Runs({"a": list("xxyz")}, [1, 2, 9, 5])
    assert [(one.name, one.runs, one.mean) for one in levels(runs)] == [
        ("y", 1, 9),
        ("z", 1, 5),
        ("x", 2, 1.5),
    ]
