"""Tables from trials of a search, columns of numbers, and how a report comes from them."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest

from collision.errors import ConfigError
from collision.options import StudyOptions
from collision.search.space import Point
from collision.search.trials import CONFIRM, FAILED, Trial
from collision.study.parts import Further, report_of, report_of_policies
from collision.study.rows import Table
from collision.study.searched import of_search
from collision.study.section import plain
from collision.study.table import Parts, runs_of
from tests.study.logs import factorial


def trial(number, head, lr, value, **options):
    changes = {"head": head, "optimizer.lr": lr}
    within = {} if lr is None else {"optimizer.lr": f"{lr:g}"}
    point = Point({"head": head}, within, changes)
    return Trial(number, options.pop("state", "done"), options.pop("stage", "search"), point,
                 options.pop("seed", 0), value, **options)  # fmt: skip


TRIALS = [
    trial(0, "gru", 1e-3, 0.5, proposer="tpe", scores={"test/night": 0.4}),
    trial(1, "gru", 1e-2, 0.6, proposer="llm/a", parents=(0,), seed=1),
    trial(2, "linear", None, 0.55, proposer="tpe"),
    trial(3, "gru", 1e-4, None, state=FAILED, cause="out of memory"),
    trial(4, "gru", 1e-2, 0.61, stage=CONFIRM, seed=2),
]


def test_finished_trials_of_a_search_are_a_table():
    table = Table.of_trials(TRIALS)
    assert table.text("number").tolist() == ["0", "1", "2"]
    assert table.text("optimizer.lr", empty=True).tolist() == ["0.001", "0.01", ""]
    assert table.text("parents", empty=True).tolist() == ["", "0", ""]
    assert table.columns["experiment"][0] == TRIALS[0].experiment
    assert np.isnan(table.numbers("test/night", empty=True)[1:]).all()
    assert len(Table.of_trials(TRIALS, stages=[CONFIRM])) == 1
    with pytest.raises(ConfigError, match="night1 has no finished trial"):
        Table.of_trials(TRIALS[3:4], "night1")


def test_runs_are_taken_from_trials_as_from_a_file():
    runs = runs_of(TRIALS, Parts(["head"], "map", seed="seed", order="number", proposer="proposer"))
    assert runs.score.tolist() == [0.5, 0.6, 0.55]
    assert runs.factors["head"].tolist() == ["gru", "gru", "linear"]
    assert runs.proposer.tolist() == ["tpe", "llm/a", "tpe"]


def test_numbers_are_cut_into_bins_of_equally_many_runs():
    table = Table("t", {"lr": [*map(str, range(1, 101)), ""], "map": ["1"] * 101})
    binned = table.binned(["lr"], 4).columns["lr"]
    _, counts = np.unique(binned, return_counts=True)
    assert counts.tolist() == [25, 25, 25, 25, 1] and binned[-1] == "none"
    assert binned[0] == "1 to 25.8" and binned[99] == "75.2 to 100"
    assert table.columns["lr"][0] == "1"  # the numbers stay where they were
    same = Table("t", {"lr": ["3", "3"]}).binned(["lr"], 4).columns["lr"]
    assert len(set(same)) == 1


@pytest.mark.parametrize("text", ["soon", "inf", "nan"])
def test_what_is_no_number_is_a_sentence(text):
    with pytest.raises(ConfigError, match=f"Run 2 of t has lr='{text}'"):
        Table("t", {"lr": ["1", text]}).binned(["lr"], 2)


def table_of(runs, **columns):
    named = {**runs.factors, "seed": runs.seed, "map": runs.score, **columns}
    return Table("t", {name: [str(value) for value in column] for name, column in named.items()})


@pytest.fixture(scope="module")
def report():
    """All sections at once, of 108 runs: head h2 leads by day and trails by night."""
    rng = np.random.default_rng(0)
    effects = {"backbone": (0, 0.02, 0.04), "head": (0, 0, 0.03)}
    runs = factorial({"backbone": 3, "head": 3, "loss": 2}, 6, rng=rng, effects=effects)
    count = len(runs)
    order = rng.permutation(count)
    night = runs.score - 0.06 * (runs.factors["head"] == "h2") + rng.normal(0, 0.01, count)
    parents = ["" if n < 20 else str(n // 2) for n in order]
    table = table_of(runs, number=order, lr=rng.uniform(0, 1, count), night=night,
                     test=runs.score - 0.02 + rng.normal(0, 0.01, count), parents=parents,
                     proposer=rng.choice(["a", "b"], count))  # fmt: skip
    parts = Parts(["backbone", "head", "loss"], "map", ["seed"], "seed", "number", "proposer")
    further = Further(
        numbers=["lr"], architecture=["backbone", "head"], scores=["night"], test="test",
        number="number", parents="parents", num_resamples=300, correction="bonferroni",
    )  # fmt: skip
    return report_of(table, parts, further)


def test_every_named_column_brings_its_section(report):
    _, sections = report
    assert {section.key for section in sections} == {
        *("effects", "kinds", "balanced", "levels", "growth", "importance", "rankings"),
        *("variety", "lineage", "leaks"),
    }
    assert [section.key for section in sections][-1] == "leaks"  # nothing is flagged
    for section in sections:
        assert section.words or section.grids, section.key
        for grid in section.grids:
            assert all(len(row) == len(grid.header) for row in grid.rows), section.key
        json.dumps(plain(section.data), allow_nan=False)


def test_the_sections_say_what_was_planted(report):
    analysis, sections = report
    words = {section.key: " ".join(section.words) for section in sections}
    assert {"backbone", "head"} <= set(analysis.matters)
    assert "architecture dominates" in words["kinds"]
    assert "Rankings flip: head: h2 is +" in words["rankings"]
    assert "Spearman correlation" in words["leaks"]
    assert analysis.correction == "bonferroni"
    adjusted = [s.p_adjusted / s.p_value for s in analysis.sure.values() if s.p_adjusted < 1]
    assert np.allclose(adjusted, len(analysis.sure))


def test_pictures_are_drawn(report, tmp_path):
    _, sections = report
    names = set()
    for drawing in [drawing for section in sections for drawing in section.drawings]:
        drawing.draw(tmp_path / f"{drawing.name}.png")
        assert (tmp_path / f"{drawing.name}.png").read_bytes()[:4] == b"\x89PNG"
        names.add(drawing.name)
    assert names >= {"effects", "levels", "pair", "growth", "entropy", "ranking_1", "ranking_4"}


def test_a_leak_stands_first():
    leak = [({"backbone": 0, "head": 1, "loss": 1}, 0.36)]
    runs = factorial({"backbone": 4, "head": 3, "loss": 2}, 2, plant=leak)
    parts = Parts(["backbone", "head", "loss"], "map", seed="seed")
    _, sections = report_of(table_of(runs), parts, Further(importance=False, num_resamples=100))
    assert sections[0].key == "leaks" and "backbone=b0, head=h1, loss=l1" in sections[0].words[0]


def of(**options):
    runs = factorial({"backbone": 3, "head": 3}, 2)
    further = {"importance": False, "num_resamples": 100, **options}
    columns = {"day": runs.seed, "number": np.arange(18) / 2, "parents": [""] * 18}
    return report_of(
        table_of(runs, **columns), Parts(["backbone", "head"], "map"), Further(**further)
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"number": "number"}, "number= and parents= go together"),
        ({"number": "number", "parents": "parents"}, "must be whole"),
        ({"across": ["day"], "scores": ["day"]}, "give one of them"),
        ({"scores": ["map"]}, "name further ones"),
        ({"across": ["backbone", "head"]}, "none is left to rank"),
        ({"across": ["nose"]}, "has no column 'nose'"),
        ({"architecture": ["backbone", "head"]}, "no factor is left for tuning"),
        ({"test": "backbone"}, "backbone='b0', which is no number"),
    ],
)
def test_columns_that_do_not_fit_are_a_sentence(options, words):
    with pytest.raises(ConfigError, match=words):
        of(**options)


def test_a_factor_may_be_the_context():
    """The data set as a factor: its own effect is judged, and heads are ranked across it."""
    _, sections = of(across=["backbone"])
    (section,) = (one for one in sections if one.key == "rankings")
    assert {row[0] for row in section.grids[0].rows} == {"head"}


@pytest.mark.parametrize("name", ["policy", "repeat", "order"])
def test_policies_need_their_columns(name):
    table = Table(
        "t", {"policy": ["a", "b"], "repeat": ["0", "0"], "trial": ["0", "0"], "map": ["1", "1"]}
    )
    given = {"policy": "policy", "repeat": "repeat", "order": "trial", name: None}
    with pytest.raises(ConfigError, match=f"{name}= is needed"):
        report_of_policies(
            table,
            Parts([], "map", order=given["order"]),
            given["policy"],
            given["repeat"],
            None,
            "holm",
        )


def test_a_search_is_analysed_by_what_it_varied(tmp_path):
    options = StudyOptions(runs_root=tmp_path, num_resamples=100)
    rng = np.random.default_rng(0)
    trials = [
        trial(n, ("gru", "linear")[n % 2], float(rng.uniform(1e-4, 1e-2)), 0.5 + n % 2 / 10 + x,
              proposer="tpe", parents=(n - 1,) if n % 3 == 2 else ())
        for n, x in enumerate(rng.normal(0, 0.01, 60))
    ]  # fmt: skip
    found, table = of_search(options, trials, "night1")
    assert (found.factors, found.numbers) == (("head",), ("optimizer.lr",))
    assert (found.architecture, found.order, found.parents) == (("head",), "number", "parents")
    assert found.proposer is None and len(table) == 60 and found.num_resamples == 100
    named = of_search(replace(options, factors=("seed",), order="map"), trials, "night1")[0]
    assert (named.factors, named.order) == (("seed",), "map")
    parts = Parts(found.factors, found.score, [], None, found.order)
    further = {item.name: getattr(found, item.name) for item in fields(Further)}
    _, sections = report_of(table, parts, Further(**{**further, "importance": False}))
    words = {section.key: " ".join(section.words) for section in sections}
    assert "architecture dominates" in words["kinds"] and "made from others" in words["lineage"]
    with pytest.raises(ConfigError, match="night1 has varied nothing yet"):
        of_search(options, trials[:1], "night1")
