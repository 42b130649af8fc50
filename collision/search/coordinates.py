"""Where a point lies in the unit cube that ``Space.at`` maps, and points beside it."""

from __future__ import annotations

import math

import numpy as np

from collision.search.space import Dimension, Point, Range, Space


def units_of(space: Space, point: Point) -> dict[str, float]:
    """Give the coordinate in [0, 1] of each dimension that applies: ``Space.at`` gives it back."""
    there = (d for d in space.dimensions if d.key in point.values)
    return {d.key: _unit(d, point) for d in there}


def unit_of_choice(index: int, count: int) -> float:
    """Give the middle of what ``Dimension.at`` takes for a choice."""
    return (index + 0.5) / count


def mutated(
    space: Space, point: Point, changes: int, step: float, rng: np.random.Generator
) -> Point:
    """Change one to ``changes`` dimensions that apply: another choice, or a step in a range.

    What applies only after the change is drawn at random.

    ``step`` is the standard deviation in a range, whose length is 1; its ends reflect.
    """
    units = units_of(space, point)
    movable = [d for d in space.dimensions if d.key in units and _can_move(d)]
    count = min(len(movable), int(rng.integers(1, changes + 1)))
    for place in rng.choice(len(movable), count, replace=False) if movable else ():
        dimension = movable[place]
        units[dimension.key] = _moved(dimension, units[dimension.key], step, rng)
    return space.at([units.get(d.key, rng.random()) for d in space.dimensions])


def _unit(dimension: Dimension | Range, point: Point) -> float:
    if isinstance(dimension, Dimension):
        names = [choice.name for choice in dimension.choices]
        return unit_of_choice(names.index(point.values[dimension.key]), len(names))
    value, low, high = float(point.changes[dimension.key]), dimension.low, dimension.high
    if dimension.log:
        return math.log(value / low) / math.log(high / low)
    return (value - low) / (high - low)


def _can_move(dimension: Dimension | Range) -> bool:
    return isinstance(dimension, Range) or len(dimension.choices) > 1


def _moved(
    dimension: Dimension | Range, unit: float, step: float, rng: np.random.Generator
) -> float:
    if isinstance(dimension, Dimension):
        count = len(dimension.choices)
        other = int(unit * count) + int(rng.integers(1, count))
        return unit_of_choice(other % count, count)
    moved = (unit + step * rng.standard_normal()) % 2
    return float(min(moved, 2 - moved))
