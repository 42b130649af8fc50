"""What an analysis says in words."""

import itertools
import json
import re

import numpy as np
import pytest

from collision.study.analysis import analyse
from collision.study.report import diagnosis, levels_grid
from collision.study.table import Runs


def log_of(effect=0.0, runs=None, **columns):
    """Two factors of three choices, 6 runs each; the first one's last choice has the effect."""
    grid = np.array(list(itertools.product("xyz", "uvw", map(str, range(6)))))
    rng = np.random.default_rng(5)
    score = 0.6 + rng.normal(0, 0.02, len(grid)) + effect * (grid[:, 0] == "z")
    rows = np.arange(len(grid)) if runs is None else np.array(runs)
    given = {name: np.array(column)[rows] for name, column in columns.items()}
    factors = {"head": grid[rows, 0], "loss": grid[rows, 1]}
    return Runs(factors, score[rows], seed=grid[rows, 2], **given)


def said(runs, **options):
    return "\n".join(diagnosis(analyse(runs, "map", num_resamples=300, **options)))


def test_a_log_of_noise_alone_says_so():
    text = said(log_of())
    assert "No factor is shown to matter" in text and "explains" not in text
    assert re.search(r"Seeds of one combination differ by an sd of \.0(1[6-9]|2[0-4])", text)


def test_what_matters_is_named_with_its_size_and_the_seeds_beside_it():
    result = analyse(log_of(0.05), "map", num_resamples=300)
    text = "\n".join(diagnosis(result))
    assert result.matters == ["head"]
    assert "head explains" in text and "Not shown to matter: loss, head x loss." in text
    assert re.search(r"head: z is \+\.0[456]\d over [xy], \d\.\d such sd", text)


def test_a_level_stands_beside_the_best_one_in_sd_of_seeds():
    result = analyse(log_of(0.05), "map", num_resamples=100)
    rows = {tuple(row[:2]): row[-1] for row in levels_grid(result).rows}
    assert rows["head", "z"] == "0.0" and 2 < float(rows["head", "x"]) < 3.5
    assert "sd of seeds" in levels_grid(result).header[-1]


def test_a_factor_that_settles_the_score_matters():
    """No spread is left, so there is no F; shuffling still tells."""
    text = said(Runs({"a": list("xxxxyyyyzzzz")}, np.repeat([0.1, 0.5, 0.2], 4)))
    assert "a explains 100%" in text and "nan" not in text


def test_the_luck_of_the_best_stands_beside_it():
    result = analyse(log_of(), "map", num_resamples=100).luck
    assert result.above_mean == pytest.approx(result.of_noise, abs=0.02)


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        (log_of(runs=[*range(0, 54, 6), *range(1, 6)]), "run unevenly"),
        (log_of(runs=range(0, 54, 6)), "Too few runs to judge interactions"),
        (log_of(runs=range(0, 54, 6)), "how far seeds move the score is not known"),
        (Runs({"a": list("wxyz")}, [1, 2, 3, 4]), "No factor can be judged"),
        (Runs({"a": list("xxyy"), "b": list("xxyy")}, [1, 2, 4, 3]), "Not to be told from the"),
        (Runs({"a": list("xxxyyy")}, [0, 0.01, 0.02, 5, 25, 45]), "sd of"),
    ],
)
def test_doubts(runs, words):
    assert words in said(runs)


def test_an_order_brings_growth_variety_and_what_proposers_have_in_common():
    count = 54
    order = np.random.default_rng(0).permutation(count)
    text = said(log_of(order=order, proposer=["ann", "bob"] * (count // 2)))
    assert "Not identified as a curve through the best so far" in text
    assert "ann and bob part by a Jensen-Shannon divergence" in text
    assert "The variety of what was tried" in text


def test_it_is_written_as_json():
    runs = log_of(order=np.arange(54), proposer=["a"] * 53 + ["b"])
    data = json.loads(
        json.dumps(analyse(runs, "map", num_resamples=100).as_json(), allow_nan=False)
    )
    assert [effect["name"] for effect in data["effects"]] == ["head", "loss", "head x loss"]
    assert data["growth"]["parting"]["divergence"]["value"][0] is None
    assert data["runs"] == 54 and data["growth"]["fits"][0]["name"] == "power law"
