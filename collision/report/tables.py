"""Tables of counts and results: for the terminal (rich) and for Markdown, from the same cells."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from collision.metrics.estimate import Estimate
from collision.metrics.nexar import horizon_key
from collision.metrics.scored import NEGATIVES_FROM, Scored
from collision.metrics.summary import NEGATIVES, Summary, fraction_to_oracle

if TYPE_CHECKING:  # tables of plain numbers need no torch
    from collision.features.planning import Plan
    from collision.types import Example

ABSENT = "–"
# Tags whose values are kinds of negatives: the main table sets positives against each of them. The
# other tags' slices have a table of their own.
KINDS_OF_NEGATIVES = ("variant", NEGATIVES_FROM)


@dataclass(frozen=True)
class Grid:
    """A table as text: a title, one line of headings, and rows of as many cells."""

    title: str
    header: list[str]
    rows: list[list[str]]


def count_examples(
    examples: Mapping[str, Iterable[Example]],
) -> dict[str, dict[str, dict[str, int]]]:
    """Count each split's examples by horizon and class.

    Args:
        examples: Examples by split.

    Returns:
        ``{split: {horizon: {"positive", "negative"}}}``, shortest horizon first. Hard negatives
        have no horizon in common with anything; they are counted together under ``"hard"``.
    """
    return {split: _count_by_horizon(rows) for split, rows in examples.items()}


def counts_grid(counts: Mapping[str, Mapping[str, Mapping[str, int]]]) -> Grid:
    """The table that is printed before training: a line for each split and horizon, and a total."""
    rows = []
    for split, by_horizon in counts.items():
        for horizon, count in by_horizon.items():
            name = "hard negatives" if horizon == "hard" else f"{horizon} s"
            rows.append([split, name, str(count["positive"]), str(count["negative"])])
        total = [
            str(sum(count[side] for count in by_horizon.values()))
            for side in ("positive", "negative")
        ]
        rows.append([split, "all", *total])
    return Grid("Examples", ["split", "horizon", "positive", "negative"], rows)


def plan_table(plans: Iterable[tuple[str, str, Plan]]) -> Table:
    """What extractions would cost: a line for each ``(data set, backbone, plan)``."""
    header = ["data set", "backbone", "videos", "windows", "reused", "frames", "MiB", "time"]
    rows = [
        [
            dataset,
            backbone,
            *map(str, (plan.num_videos, plan.num_windows, plan.num_reused, plan.num_frames)),
            f"{plan.num_bytes / 2**20:.1f}",
            _duration(plan.expected_seconds),
        ]
        for dataset, backbone, plan in plans
    ]
    return as_rich(Grid("To extract", header, rows))


def final_grid(best: Summary, last: Mapping[str, Estimate] | None = None) -> Grid:
    """The table at the end of a run: a row for each horizon and one for their mean.

    Args:
        best: Of the selected checkpoint, of one seed or of several.
        last: AP of the last epoch, shown beside it.
    """
    with_seeds = best.ap["mean"].sd is not None
    against = {
        name: part
        for name, part in best.slices.items()
        if part.side == NEGATIVES and name.partition("=")[0] in KINDS_OF_NEGATIVES
    }
    header = ["horizon", "AP [95 % interval]"]
    header += ["sd over\nseeds"] if with_seeds else []
    header += ["chance"]
    header += ["oracle", "gap\nclosed"] if best.oracle else []
    header += [f"vs {name.partition('=')[2]}\n(chance)" for name in against]
    header += ["last\nepoch"] if last else []
    rows = []
    for key, entry in best.ap.items():
        chance = best.chance[key]
        row = ["mean" if key == "mean" else f"{key} s", with_interval(entry)]
        row += [number(entry.sd)] if with_seeds else []
        row += [number(chance) if entry.value is not None else ABSENT]
        if best.oracle:
            closed = fraction_to_oracle(entry.value, chance, best.oracle[key])
            row += [number(best.oracle[key]), ABSENT if closed is None else f"{closed:.0%}"]
        row += [
            f"{number(part.ap[key].value)} ({number(part.chance[key])})"
            for part in against.values()
        ]
        row += [number(last[key].value if key in last else None)] if last else []
        rows.append(row)
    of_seeds = f", mean of {len(best.ap['mean'].seeds)} seeds" if with_seeds else ""
    return Grid(f"Average precision{of_seeds}", header, rows)


def slices_grid(summary: Summary) -> Grid:
    """Every slice of a summary: its mean AP with interval, its own chance, and its size."""
    rows = []
    for name, part in summary.slices.items():
        groups = [
            str(max(getattr(count, f"{side}_groups") for count in part.counts.values()))
            for side in ("positive", "negative")
        ]
        mean = part.ap["mean"]
        row = [name, with_interval(mean), number(part.chance["mean"]), *groups]
        rows.append([*row, part.side, mean.reason or ""])
    header = ["slice", "mAP [95 % interval]", "chance", "positive\ngroups", "negative\ngroups"]
    return Grid("Slices", [*header, "examples", "note"], rows)


def mistakes_grid(scored: Scored, num_mistakes: int = 10) -> Grid:
    """The examples whose score is furthest from their label; unscored ones are left out."""
    known = np.flatnonzero(~scored.missing)
    error = np.abs(scored.label[known] - scored.score[known])
    worst = known[np.argsort(-error, kind="stable")][:num_mistakes]
    rows = [
        [
            scored.video[row],
            "missed collision" if scored.label[row] else "false alarm",
            f"{horizon_key(scored.horizon[row])} s",
            number(float(scored.score[row])),
            *(values[row] for values in scored.tags.values()),
        ]
        for row in worst
        if abs(scored.label[row] - scored.score[row]) > 0.5
    ]
    return Grid("Worst mistakes", ["video", "kind", "horizon", "score", *scored.tags], rows)


def print_warnings(console: Console, warnings: Iterable[Mapping[str, Any]]) -> None:
    """Print what the guards found."""
    for warning in warnings:
        console.print(
            f"warning: {warning['message']}", style="yellow", markup=False, highlight=False
        )


def as_rich(grid: Grid) -> Table:
    """The grid for the terminal; text from files is not taken for markup."""
    table = Table(title=escape(grid.title), box=box.SIMPLE_HEAD, title_justify="left", padding=0)
    for position, name in enumerate(grid.header):
        table.add_column(escape(name), justify="left" if position == 0 else "right", min_width=5)
    for row in grid.rows:
        table.add_row(*(escape(cell) for cell in row))
    return table


def as_markdown(grid: Grid) -> str:
    """The grid as a Markdown table, without its title."""
    lines = [grid.header, ["---"] + ["---:"] * (len(grid.header) - 1), *grid.rows]
    return "\n".join("| " + " | ".join(map(_markdown_cell, line)) + " |" for line in lines)


def _count_by_horizon(examples: Iterable[Example]) -> dict[str, dict[str, int]]:
    by_horizon: dict[float, dict[str, int]] = {}
    for example in examples:
        if example.label not in (0, 1):
            continue  # a label that the owners keep secret
        horizon = float("inf") if example.hard_negative else round(example.horizon, 3)
        count = by_horizon.setdefault(horizon, {"positive": 0, "negative": 0})
        count["positive" if example.label else "negative"] += 1
    return {
        "hard" if horizon == float("inf") else horizon_key(horizon): by_horizon[horizon]
        for horizon in sorted(by_horizon)
    }


def _duration(seconds: float | None) -> str:
    """Hours, minutes and seconds, rounded up: ``1:02:05``."""
    return ABSENT if seconds is None else str(timedelta(seconds=math.ceil(seconds)))


def number(value: float | None) -> str:
    """Three decimals without the leading zero: most numbers here lie within 0..1."""
    return ABSENT if value is None else f"{value:.3f}".removeprefix("0")


def with_interval(entry: Estimate, form: Callable[[float], str] = number) -> str:
    """A value and, where it has one, its interval."""
    if entry.value is None:
        return ABSENT
    if entry.interval is None:
        return form(entry.value)
    low, high = map(form, entry.interval)
    return f"{form(entry.value)} [{low}, {high}]"


def _markdown_cell(text: str) -> str:
    """Keep a cell on its line and in its column, whatever a file is called."""
    return (
        " ".join(str(text).split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
    )
