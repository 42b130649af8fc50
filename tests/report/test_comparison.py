from __future__ import annotations

from rich.console import Console

from collision.metrics.comparison import compare
from collision.report.comparison import (
    differences_grid,
    for_terminal,
    forest,
    reading,
    runs_grid,
    short_names,
)
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


def test_the_note_says_which_runs_have_one_seed() -> None:
    seeds = [made_up_scores(40, seed=seed) for seed in range(4)]
    runs = {"one": seeds[:1], "two": seeds[1:3], "other": seeds[3:]}
    mixed = compare(runs, num_resamples=200)
    notes = [row[-1] for row in differences_grid(mixed).rows]
    assert notes == ["seeds: 2 against 1, sd unknown", "1 seed each, sd unknown"]
    assert "the interval is over groups alone" in reading(mixed)
    both = compare({"a": seeds[:2], "b": seeds[2:]}, num_resamples=200)
    assert [row[-1] for row in differences_grid(both).rows] == [""]
    assert "groups alone" not in reading(both)


def printed(grid, comparison, width):
    console = Console(width=width)
    with console.capture() as said:
        console.print(for_terminal(grid, comparison, console))
    return said.get()


def test_names_are_told_apart_in_a_narrow_terminal() -> None:
    names = [f"manifest_efficientnet_lite0_{head}_with_some_options" for head in ("gru", "linear")]
    runs = {name: [made_up_scores(40, seed=seed)] for seed, name in enumerate(names)}
    comparison = compare(runs, num_resamples=20)
    for grid in (runs_grid(comparison), differences_grid(comparison)):
        assert names[1] in printed(grid, comparison, 160)
        assert names[1] not in printed(grid, comparison, 80)
        assert "…linear" in printed(grid, comparison, 80)
    assert "…gru" in printed(runs_grid(comparison), comparison, 80)


def test_short_names_lose_whole_words_that_all_begin_with() -> None:
    assert short_names(["a_grid", "a_gru"]) == {"a_grid": "…grid", "a_gru": "…gru"}
    assert short_names(["a_b", "a_b_2"]) == {"a_b": "…b", "a_b_2": "…b_2"}
    assert short_names(["plain", "player"]) == {"plain": "plain", "player": "player"}
