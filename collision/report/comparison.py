"""Tables and picture of a comparison of runs (``collision.metrics.comparison``)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import Any

from rich.console import Console

from collision.metrics.comparison import Comparison
from collision.report.fitting import Fitted
from collision.report.plots import BLUE, INK, MUTED, drawable, styled_figure
from collision.report.tables import ABSENT, Grid, as_rich, number, percent, signed, with_interval


def runs_grid(comparison: Comparison) -> Grid:
    """Every run's own ``nexar_map``, the reference first."""
    rows = []
    for name, one in comparison.runs.items():
        beside = number(comparison.chance), percent(comparison.lift[name])
        rows.append([name, with_interval(one), *beside, number(one.sd), str(len(one.seeds))])
    header = ["nexar_map\n[95 % interval]", "chance", "lift", "sd over\nseeds", "seeds"]
    return Grid("Runs", ["run", *header], rows)


def differences_grid(comparison: Comparison) -> Grid:
    """Every other run minus the reference."""
    rows = []
    for name, one in comparison.differences.items():
        p_values = _p_value(one.p_value), _p_value(one.p_adjusted)
        note = "; ".join(filter(None, (one.reason, _of_seeds(comparison, name))))
        rows.append([name, with_interval(one, signed), *p_values, note])
    header = ["run", "difference\n[95 % interval]", "p", "p, Holm", "note"]
    return Grid(f"Against {comparison.reference}", header, rows)


def _of_seeds(comparison: Comparison, name: str) -> str:
    """Say of which runs one seed alone is there."""
    counts = [len(comparison.runs[one].seeds) for one in (name, comparison.reference)]
    if min(counts) > 1:
        return ""
    of = "1 seed each" if max(counts) == 1 else f"seeds: {counts[0]} against {counts[1]}"
    return f"{of}, sd unknown"


def for_terminal(grid: Grid, comparison: Comparison, console: Console) -> Fitted:
    """Give a grid of runs as a table; where it is too wide, without what all names begin with."""
    table = as_rich(grid)
    if table.natural_width > console.width:
        short = short_names(list(comparison.runs))
        table = as_rich(replace(grid, rows=[[short[row[0]], *row[1:]] for row in grid.rows]))
    return table


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Put an ellipsis in place of the words with which all names begin."""
    words = zip(*(re.split("(?<=[-_/ =])", name) for name in names), strict=False)
    end = sum(len(row[0]) for row in takewhile(lambda row: len(set(row)) == 1, words))
    return {name: f"…{name[end:]}" if end > 1 else name for name in names}


def reading(comparison: Comparison) -> str:
    """What the numbers in the tables mean."""
    bootstrap = comparison.bootstrap
    horizons = ", ".join(f"{key} s" for key in comparison.horizons)
    sentences = [
        f"{comparison.examples} examples of {comparison.groups} groups at {horizons}.",
        f"Intervals: {bootstrap.level:.0%}, groups resampled {bootstrap.num_resamples} times "
        f"(seed {bootstrap.seed}), the same draws for every run.",
    ]
    count = sum(one.p_value is not None for one in comparison.differences.values())
    if count:
        tests = "test" if count == 1 else "tests"
        sentences.append(
            f"p, Holm is corrected for {count} {tests}; the intervals are not corrected."
        )
    sentences.append(
        "A p-value accounts for the choice of clips, not for that of seeds: hold a difference "
        "against the sd over seeds too."
    )
    if min(len(one.seeds) for one in comparison.runs.values()) < 2:
        sentences.append(
            "Of a run with one seed the sd is unknown: its difference is that of this one "
            "training, and the interval is over groups alone. Train it with seeds=3."
        )
    return " ".join(sentences)


def forest(comparison: Comparison, path: Path | str) -> None:
    """Draw each difference to the reference with its interval, one line a run."""
    differences = comparison.differences
    above: dict[str, Any] = {"xytext": (0, 6), "textcoords": "offset points", "ha": "center"}
    with styled_figure(path, 7.5, 1.4 + 0.42 * len(differences)) as figure:
        axes = figure.subplots()
        axes.axvline(0, color=MUTED, lw=1.2, ls="--", zorder=1)
        for place, one in enumerate(differences.values()):
            if one.interval:
                axes.hlines(place, *one.interval, BLUE, lw=2.4)
            axes.plot(one.value, place, "o", color=BLUE, ms=6)
            axes.annotate(signed(one.value), (one.value, place), fontsize=8, color=INK, **above)
        axes.set_yticks(range(len(differences)), [_short(name) for name in differences])
        axes.set_ylim(len(differences) - 0.4, -0.7)  # the first run on top
        axes.margins(x=0.1)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("difference with 95 % interval")
        # Of the figure, not of the axes: it may be as wide as the names of the runs allow.
        title = f"nexar_map minus that of {_short(comparison.reference, 60)}"
        figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")


def _short(name: str, max_length: int = 46) -> str:
    """A long name by its end: run folders begin with the time."""
    return drawable(name if len(name) <= max_length else "…" + name[1 - max_length :])


def _p_value(value: float | None) -> str:
    if value is None:
        return ABSENT
    return "<.001" if value < 0.001 else number(value)
