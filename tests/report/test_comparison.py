from __future__ import annotations

from collision.metrics.comparison import compare
from collision.report.comparison import differences_grid, forest, reading, runs_grid
from collision.report.plots import BLUE
from tests.kit.pages import share_of
from tests.kit.scores import made_up_scores


def test_a_comparison_in_words_and_as_a_forest(tmp_path) -> None:
    runs = {
        "first": [made_up_scores(40, seed=1, skill=1)],
        "far_better": [made_up_scores(40, seed=2, skill=4)],
        "a_name_" * 12 + "end": [made_up_scores(40, seed=3, skill=1)],
    }
    comparison = compare(runs, num_resamples=2500)
    rows = differences_grid(comparison).rows
    assert [row[0] for row in rows] == list(runs)[1:]
    assert rows[0][1].startswith("+.") and rows[0][2] == "<.001"
    name, value, chance, lift, sd, seeds = runs_grid(comparison).rows[0]
    assert (name, chance, sd, seeds) == ("first", ".500", "–", "1")
    of_first = (comparison.runs["first"].value - 0.5) / 0.5
    assert value[0] == "." and "[" in value
    assert lift == f"{of_first:.0%}"
    assert "240 examples of 40 groups at 0.5 s, 1.0 s, 1.5 s" in reading(comparison)
    assert "corrected for 2 tests" in reading(comparison)
    forest(comparison, tmp_path / "many.png")
    few = compare(
        {name: [made_up_scores(9, seed=k)] for k, name in enumerate("ab")}, num_resamples=9
    )
    assert "corrected for" not in reading(few)
    forest(few, tmp_path / "few.png")
    assert share_of(tmp_path / "many.png", BLUE) > share_of(tmp_path / "few.png", BLUE) > 0
