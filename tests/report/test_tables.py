from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from rich.console import Console

from collision.metrics.summary import Summary, summarise
from collision.report.tables import (
    Grid,
    as_markdown,
    as_rich,
    count_examples,
    counts_grid,
    final_grid,
    mistakes_grid,
    plan_table,
    slices_grid,
)
from tests.kit.scores import ORACLE, made_up_scores


@dataclass
class Moment:
    label: int
    horizon: float
    hard_negative: bool = False


@pytest.fixture(scope="module")
def summary() -> Summary:
    return summarise(made_up_scores(60), oracle=ORACLE, num_resamples=200)


def printed(grid: Grid, width: int = 80) -> str:
    console = Console(width=width)
    with console.capture() as capture:
        console.print(as_rich(grid))
    return capture.get()


def column_names(grid: Grid, start: str) -> list[str]:
    return [name for name in grid.header if name.startswith(start)]


def column(grid: Grid, start: str) -> list[str]:
    position = next(i for i, name in enumerate(grid.header) if name.startswith(start))
    return [row[position] for row in grid.rows]


def test_final_table_shows_every_number_beside_its_chance(summary) -> None:
    last = summarise(made_up_scores(60, seed=9), num_resamples=200)
    grid = final_grid(summary, last.ap)
    assert [row[0] for row in grid.rows] == ["0.5 s", "1.0 s", "1.5 s", "mean"]
    ap = summary.ap["mean"]
    low, value, high = (f"{end:.3f}".lstrip("0") for end in (ap.low, ap.value, ap.high))
    assert column(grid, "AP")[-1] == f"{value} [{low}, {high}]"
    assert column(grid, "chance") == [".500"] * 4
    assert column(grid, "oracle") == [".980", ".950", ".920", ".950"]
    assert column(grid, "gap")[-1] == f"{(ap.value - 0.5) / 0.45:.0%}"
    resolved = summary.slices["variant=resolved"].ap["0.5"].value
    assert column(grid, "vs resolved")[0] == f"{resolved:.3f} (.667)".lstrip("0")
    assert column(grid, "last")[-1] == f"{last.ap['mean'].value:.3f}".lstrip("0")
    assert not [name for name in grid.header if "collision" in name]  # positives are no column


def test_final_table_of_seeds_has_their_sd() -> None:
    seeds = [made_up_scores(30, seed=seed) for seed in range(3)]
    combined = summarise(*seeds, num_resamples=100)
    grid = final_grid(combined)
    assert column(grid, "sd")[-1] == f"{combined.ap['mean'].sd:.3f}".lstrip("0")
    assert grid.title == "Average precision, mean of 3 seeds"
    assert not [name for name in grid.header if "oracle" in name]
    lift = (combined.ap["mean"].value - 0.5) / 0.5
    assert column(grid, "lift")[-1] == f"{lift:.0%}"
    alone = final_grid(summarise(seeds[0], num_resamples=100))
    assert alone.title == "Average precision" and not column_names(alone, "sd")


def test_final_table_fits_a_terminal_of_80_columns(summary) -> None:
    lines = printed(final_grid(summary, summary.ap)).splitlines()
    assert max(map(len, lines)) <= 80
    assert sum(line.strip().startswith(("0.5 s", "mean")) for line in lines) == 2
    assert "[" in next(line for line in lines if "0.5 s" in line)


def test_what_is_not_known_is_a_dash() -> None:
    scored = made_up_scores(3)
    one_class = replace(scored, label=np.where(scored.horizon == 0.5, 1, scored.label))
    grid = final_grid(summarise(one_class, num_resamples=10))
    assert column(grid, "AP")[0] == "–" and column(grid, "AP")[-1] == "–"
    assert "[" not in "".join(column(grid, "AP"))


def test_slices_say_what_they_are(summary) -> None:
    grid = slices_grid(summary)
    assert [row[0] for row in grid.rows] == [
        "variant=collision",
        "variant=harmless",
        "variant=near_collision",
        "variant=resolved",
    ]
    small = slices_grid(summarise(made_up_scores(8), num_resamples=10))
    assert "only 4 groups" in small.rows[0][-1]


def test_counts_by_split_horizon_and_class() -> None:
    counts = count_examples(
        {
            "train": [
                Moment(1, 0.5),
                Moment(1, 0.25),
                Moment(0, 0.5),
                Moment(0, 3.7, True),
                Moment(0, 9.1, True),
            ],
            "val": [],
        }
    )
    assert counts["train"] == {
        "0.25": {"positive": 1, "negative": 0},
        "0.5": {"positive": 1, "negative": 1},
        "hard": {"positive": 0, "negative": 2},
    }
    assert counts_grid(counts).rows == [
        ["train", "0.25 s", "1", "0"],
        ["train", "0.5 s", "1", "1"],
        ["train", "hard negatives", "0", "2"],
        ["train", "all", "2", "3"],
        ["val", "all", "0", "0"],
    ]


@dataclass
class Planned:
    num_videos: int = 3
    num_windows: int = 120
    num_reused: int = 7
    num_frames: int = 1920
    num_bytes: int = 3 * 2**20
    expected_seconds: float | None = 61.2


def test_plan_has_a_line_for_each_extraction() -> None:
    unknown = Planned(expected_seconds=None)
    table = plan_table([("nexar", "lite0", Planned()), ("own", "lite0", unknown)])
    console = Console(width=100)
    with console.capture() as capture:
        console.print(table)
    lines = [line.split() for line in capture.get().splitlines()]
    assert ["nexar", "lite0", "3", "120", "7", "1920", "3.0", "0:01:02"] in lines
    assert ["own", "lite0", "3", "120", "7", "1920", "3.0", "–"] in lines


def test_worst_mistakes_come_first_and_right_scores_never() -> None:
    scored = made_up_scores(30)
    grid = mistakes_grid(scored, 5)
    wrong = np.abs(scored.label - scored.score)
    assert [row[3] for row in grid.rows] == [
        f"{scored.score[row]:.3f}".lstrip("0") for row in np.argsort(-wrong, kind="stable")[:5]
    ]
    of_variant = {"near_collision": "missed near-collision", "collision": "missed collision"}
    rows = mistakes_grid(scored, 30).rows
    assert {of_variant.get(row[4], "false alarm") for row in rows} == {row[1] for row in rows}
    assert all(row[1] == of_variant.get(row[4], "false alarm") for row in rows) and len(rows) > 9
    right = replace(scored, score=np.where(scored.label == 1, 0.9, np.nan))
    assert mistakes_grid(right).rows == []


def test_names_of_files_break_no_table() -> None:
    name = "a|b\n[red]c[/red] <b>\\"
    grid = Grid("[bold]t", ["video", "x"], [[name, "1"]])
    lines = as_markdown(grid).splitlines()
    assert lines == ["| video | x |", "| --- | ---: |", "| a\\|b [red]c[/red] &lt;b>\\\\ | 1 |"]
    text = printed(grid)
    assert "[red]c[/red]" in text and "[bold]t" in text
