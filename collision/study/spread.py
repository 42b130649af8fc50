"""How far runs differ that were chosen alike, and the levels of each factor beside that."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg, stats

from collision.study.table import Runs, combination


@dataclass(frozen=True)
class Spread:
    """The standard deviation of runs of one cell, pooled over cells.

    Attributes:
        sd: None: no cell was run twice.
        df: Runs beyond the first of each cell.
        cells: How many combinations of factors and blocks were run.
        of_seeds: Whether such runs are known to differ by their seed.
    """

    sd: float | None
    df: int
    cells: int
    of_seeds: bool


@dataclass(frozen=True)
class Level:
    """One choice of a factor; ``sd`` is over all its runs, whatever else differs among them."""

    factor: str
    name: str
    runs: int
    mean: float
    sd: float | None


def seed_spread(runs: Runs) -> Spread:
    """Give the spread between runs that are alike in all factors and blocks but the seed."""
    cells = alike(runs)
    counts = np.bincount(cells)
    means = np.bincount(cells, runs.score) / counts
    df = len(runs) - len(counts)
    square = float(np.sum((runs.score - means[cells]) ** 2))
    return Spread(
        (square / df) ** 0.5 if df else None, df, len(counts), _differ_by_seed(runs, cells)
    )


def alike(runs: Runs) -> np.ndarray:
    """Number runs ``[R]`` by all that they share: factors, and blocks other than the seed."""
    columns = [*runs.factors.values()]
    columns += [c for c in runs.blocks.values() if not _is_seed(runs, c)]
    return combination(columns, len(runs))


def levene_by_factor(runs: Runs) -> dict[str, float | None]:
    """Give p of Levene's test by factor: that its levels leave equally much to chance.

    What is compared is what runs of one combination differ by: of n runs, n - 1 contrasts that do
    not hang together (Helmert's), so neither other factors nor blocks pass for spread. None:
    fewer than two levels have three of them, or nothing varies.
    """
    differ, rows = _contrasts(runs)
    found: dict[str, float | None] = {}
    for name, column in runs.factors.items():
        groups = [differ[column[rows] == level] for level in np.unique(column)]
        groups = [group for group in groups if len(group) >= 3]
        found[name] = None
        if len(groups) > 1 and any(np.ptp(group) for group in groups):
            p_value = float(stats.levene(*groups, center="median").pvalue)
            found[name] = p_value if np.isfinite(p_value) else None
    return found


def levene(runs: Runs) -> float | None:
    """Give p of Levene's test, around medians, that all cells spread alike.

    None: fewer than two cells have three runs, or nothing varies in them.
    """
    groups = [runs.score[runs.cells == cell] for cell in np.unique(runs.cells)]
    groups = [group for group in groups if len(group) >= 3]
    if len(groups) < 2 or not any(np.ptp(group) for group in groups):
        return None
    p_value = float(stats.levene(*groups, center="median").pvalue)
    return p_value if np.isfinite(p_value) else None


def levels(runs: Runs) -> list[Level]:
    """List the levels of every factor, the best mean first."""
    found = []
    for factor, column in runs.factors.items():
        own = [(name, runs.score[column == name]) for name in np.unique(column)]
        for name, score in sorted(own, key=lambda pair: -pair[1].mean()):
            sd = float(score.std(ddof=1)) if len(score) > 1 else None
            found.append(Level(factor, str(name), len(score), float(score.mean()), sd))
    return found


def _is_seed(runs: Runs, column: np.ndarray) -> bool:
    return runs.seed is not None and np.array_equal(column, runs.seed)


def _differ_by_seed(runs: Runs, cells: np.ndarray) -> bool:
    """No seed comes twice in a cell."""
    if runs.seed is None:
        return False
    return len(set(zip(cells.tolist(), runs.seed.tolist(), strict=True))) == len(runs)


def _contrasts(runs: Runs) -> tuple[np.ndarray, np.ndarray]:
    """Give contrasts ``[C]`` of runs of one combination, and ``[C]`` the row of one of its runs."""
    cells = alike(runs)
    found: list[tuple[float, int]] = []
    for cell in np.unique(cells):
        own = np.flatnonzero(cells == cell)
        if len(own) > 1:
            found += [(float(x), int(own[0])) for x in linalg.helmert(len(own)) @ runs.score[own]]
    values, rows = zip(*found, strict=True) if found else ((), ())
    return np.array(values), np.array(rows, dtype=np.int64)
