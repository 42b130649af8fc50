"""A designed experiment: all cells of a space, the same draws within each, the same seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.stats import qmc

from collision.errors import ConfigError
from collision.search.space import Point, Space


@dataclass(frozen=True)
class Planned:
    """One training of a design."""

    point: Point
    seed: int


def factorial(space: Space, draws: int, seeds: int, seed: int) -> list[Planned]:
    """List the trainings of a full factorial (Fisher 1935) with paired seeds, in their order.

    What differs within cells is drawn once, evenly (a scrambled Sobol sequence), and is the same in
    every cell. All cells are trained with the first draw and seed, in an order of chance, then all
    with the next: a machine that slows down, or a design that is cut short, favours no cell.

    ConfigError: Several draws of a space that has nothing within its cells.
    """
    if draws > 1 and not space.within:
        raise ConfigError(
            f"draws={draws}: space {space.name} has nothing within its cells, so all draws would "
            "be the same. Leave it out."
        )
    counts = [len(dimension.choices) for dimension in space.cells]
    cells = [
        [(n + 0.5) / count for n, count in zip(chosen, counts, strict=True)]
        for chosen in product(*map(range, counts))
    ]
    planned, within = [], _draws(len(space.within), draws, seed)
    for block, (own_seed, draw) in enumerate(product(range(seed, seed + seeds), within)):
        for cell in np.random.default_rng([seed, block]).permutation(len(cells)).tolist():
            planned.append(Planned(space.at([*cells[cell], *draw]), own_seed))
    return planned


def _draws(width: int, count: int, seed: int) -> Sequence[Sequence[float]]:
    if width == 0:
        return [[]]
    sobol = qmc.Sobol(width, scramble=True, rng=np.random.default_rng(seed))
    drawn: list[list[float]] = sobol.random(2 ** math.ceil(math.log2(count))).tolist()
    return drawn[:count]
