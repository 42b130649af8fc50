"""Show a space of experiments: its dimensions, its size, a sample, what cannot be built here."""

from __future__ import annotations

import shlex

from rich.console import Console
from rich.progress import track

from collision.options import SpaceOptions
from collision.report.tables import Grid, as_rich
from collision.search.obstacles import backbone_choices, obstacles
from collision.search.space import Dimension, Range, Space


def run(options: SpaceOptions, paths: list[str]) -> int:
    """Print it."""
    space, console = Space.load(paths[0]), Console()
    _say(console, space.about)
    console.print(as_rich(_grid(space)))
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
        obstacles(space), "Building backbones", len(choices), console=console, transient=True
    )
    reasons = {choice.name: why for choice, why in tried if why}
    _say(console, f"{len(choices) - len(reasons)} of {len(choices)} backbones can be built here.")
    for name, why in reasons.items():
        _say(console, f"  {name}: {why}")


def _grid(space: Space) -> Grid:
    rows = [_row("cell", dimension) for dimension in space.cells]
    rows += [_row("within", dimension) for dimension in space.within]
    return Grid(f"Space {space.name}", ["", "option", "choices", "which", "when"], rows)


def _row(kind: str, dimension: Dimension | Range) -> list[str]:
    number = str(len(dimension.choices)) if isinstance(dimension, Dimension) else ""
    when = ", ".join(f"{key}={'|'.join(names)}" for key, names in dimension.when.items())
    return [kind, dimension.key, number, str(dimension), when]


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
