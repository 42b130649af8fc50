"""Show a space of experiments: its dimensions, its size, a sample, what cannot be built here."""

from __future__ import annotations

import shlex

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from collision.console import progress_console, wide_console
from collision.options import SpaceOptions
from collision.search.obstacles import backbone_choices, obstacles
from collision.search.space import Dimension, Range, Space


def run(options: SpaceOptions, paths: list[str]) -> int:
    """Print it."""
    space, console = Space.load(paths[0]), wide_console()
    _say(console, space.about)
    console.print(_table(space))
    inside = f", each with {len(space.within)} more dimensions within it" if space.within else ""
    _say(console, f"{space.size:,} cells{inside}.")
    if options.sample:
        _say(console, f"{options.sample} points, drawn with seed={options.seed}:")
    for point in space.sample(options.sample, options.seed):
        _say(console, f"  python train.py {shlex.join(point.overrides)}")
    if options.build:
        _tell_obstacles(space, console)
    return 0


def _tell_obstacles(space: Space, console: Console) -> None:
    choices = backbone_choices(space)
    tried = track(
        obstacles(space),
        "Building backbones",
        len(choices),
        console=progress_console(),
        transient=True,
    )
    reasons = {choice.name: why for choice, why in tried if why}
    count = len(choices) - len(reasons)
    _say(console, f"{count} of {len(choices)} backbones can be built from what is on this machine.")
    for name, why in reasons.items():
        _say(console, f"  {name}: {why}")


def _table(space: Space) -> Table:
    table = Table(title=f"Space {space.name}", box=box.SIMPLE_HEAD, title_justify="left", padding=0)
    for name in ("option", "choices", "which", "when"):
        table.add_column(name, justify="right" if name == "choices" else "left", overflow="fold")
    for dimension in space.cells:
        table.add_row(*_row(dimension))
    table.add_section()
    for inner in space.within:
        table.add_row(*_row(inner))
    return table


def _row(dimension: Dimension | Range) -> list[str]:
    number = f"{len(dimension.choices)} " if isinstance(dimension, Dimension) else ""
    when = "; ".join(f"{key}: {', '.join(names)}" for key, names in dimension.when.items())
    return [escape(text) for text in (f"{dimension.key} ", number, f"{dimension} ", when)]


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
