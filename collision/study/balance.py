"""The same analysis of equally many runs of each, drawn again and again."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from collision.errors import ConfigError
from collision.report.tables import Grid, number
from collision.study.anova import Anova, design_of, squares
from collision.study.section import Section, interval_text
from collision.study.spread import alike
from collision.study.table import Runs

MOST_LEFT_OUT = 0.5  # of the combinations: the rest is another table
FEWEST = 5  # runs of a level, for a draw of them to say anything


@dataclass(frozen=True)
class Drawn:
    """A share over balanced draws, beside ``all_runs``.

    ``low`` to ``high`` is where 95 of 100 draws lie. A draw is no new sample of runs: this is no
    confidence interval.
    """

    name: str
    all_runs: float
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Balanced:
    """What balanced draws say.

    Attributes:
        per_cell: Runs of each combination, of ``cells`` that have as many; ``left_out`` have fewer.
            None: more than half would be left out.
        together: Eta squared (type II) of every effect, from equally many runs of a combination.
        per_level: By factor whose levels are uneven, runs of each; levels of fewer than 5 are left
            out.
        alone: Eta squared of each factor in a one-way analysis, from equally many runs of a level.
    """

    draws: int
    per_cell: int | None
    cells: int
    left_out: int
    together: tuple[Drawn, ...]
    per_level: dict[str, int]
    alone: tuple[Drawn, ...]


def balanced(runs: Runs, whole: Anova, draws: int = 1000, seed: int = 0) -> Balanced | None:
    """Analyse equally many runs of every combination, and of every level; None: they are even."""
    cells = alike(runs)
    counts = np.bincount(cells)
    if np.ptp(counts) == 0:
        return None
    rng = np.random.default_rng(seed)
    alone, per_level = [], {}
    for name, column in runs.factors.items():
        found = _alone(runs, name, column, draws, rng)
        if found is not None:
            per_level[name], own = found
            alone.append(own)
    per_cell = _most_runs(counts)
    kept = np.flatnonzero(counts >= per_cell)
    together: tuple[Drawn, ...] = ()
    if len(kept) >= MOST_LEFT_OUT * len(counts):
        together = _together(runs, whole, [np.flatnonzero(cells == c) for c in kept], per_cell, rng)
    size = per_cell if together else None
    left_out = len(counts) - len(kept)
    return Balanced(draws, size, len(kept), left_out, together, per_level, tuple(alone))


def _most_runs(counts: np.ndarray) -> int:
    """Give the number of runs of each combination, at least 2, by which most runs take part."""
    sizes = np.unique(counts[counts >= 2])
    return int(max(sizes, key=lambda size: (size * np.sum(counts >= size), -size), default=2))


def _alone(
    runs: Runs, name: str, column: np.ndarray, draws: int, rng: np.random.Generator
) -> tuple[int, Drawn] | None:
    groups = [np.flatnonzero(column == level) for level in np.unique(column)]
    kept = [own for own in groups if len(own) >= FEWEST]
    if len(kept) < 2 or len({len(own) for own in groups}) == 1:
        return None
    groups = kept
    size = min(map(len, groups))
    rows = np.stack([_draws(own, size, draws, rng) for own in groups])  # levels, runs, draws
    scores = runs.score[rows]
    means, mean = scores.mean(axis=1), scores.mean(axis=(0, 1))
    total = np.sum((scores - mean) ** 2, axis=(0, 1))
    shares = size * np.sum((means - mean) ** 2, axis=0) / np.where(total > 0, total, 1)
    everything = runs.score - runs.score.mean()
    between = sum(len(own) * everything[own].mean() ** 2 for own in _levels(column))
    return size, _drawn(name, float(between / (everything @ everything)), shares)


def _levels(column: np.ndarray) -> list[np.ndarray]:
    return [np.flatnonzero(column == level) for level in np.unique(column)]


def _together(
    runs: Runs,
    whole: Anova,
    groups: list[np.ndarray],
    per_cell: int,
    rng: np.random.Generator,
    draws: int = 1000,
) -> tuple[Drawn, ...]:
    rows = np.concatenate([_draws(own, per_cell, draws, rng) for own in groups])
    try:
        # Seeds differ from draw to draw; all else that the model knows stays.
        first = taken(runs, rows[:, 0])
        seeds = first.seed
        blocks = {
            name: column
            for name, column in first.blocks.items()
            if seeds is None or not np.array_equal(column, seeds)
        }
        design = design_of(replace(first, blocks=blocks))
    except ConfigError:  # a factor has one level among those left, or blocks of one run
        return ()
    scores = runs.score[rows]
    scores = scores - scores.mean(axis=0)
    total = np.sum(scores**2, axis=0)
    if not total.all():
        return ()
    shares = {term.name: squares(term.added, scores) / total for term in design.terms}
    known = {effect.name: effect.eta_squared for effect in whole.effects}
    return tuple(_drawn(name, known[name], s) for name, s in shares.items() if name in known)


def _drawn(name: str, all_runs: float, shares: np.ndarray) -> Drawn:
    low, high = np.quantile(shares, (0.025, 0.975))
    return Drawn(name, all_runs, float(shares.mean()), float(low), float(high))


def _draws(own: np.ndarray, size: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    """``[size, draws]``: each column so many of a combination's rows, none twice."""
    return own[np.argsort(rng.random((len(own), draws)), axis=0)[:size]]


def taken(runs: Runs, rows: np.ndarray) -> Runs:
    """Give some rows of a table of runs. ConfigError: see ``Runs``."""
    return replace(
        runs,
        factors={name: column[rows] for name, column in runs.factors.items()},
        blocks={name: column[rows] for name, column in runs.blocks.items()},
        score=runs.score[rows],
        seed=None if runs.seed is None else runs.seed[rows],
        order=None if runs.order is None else runs.order[rows],
        proposer=None if runs.proposer is None else runs.proposer[rows],
    )


def section_of(one: Balanced) -> Section:
    """Show balanced draws beside all runs."""
    words, grids = [], []
    header = ["eta squared,\nall runs", "balanced: mean\n[95 % of draws]"]
    if one.together:
        out = f"; {one.left_out} have fewer and are left out" if one.left_out else ""
        words.append(
            f"{one.per_cell} runs of each of {one.cells} combinations, {one.draws} draws{out}."
        )
        rows = [[d.name, *_cells(d)] for d in one.together]
        grids.append(Grid("Equally many runs of each combination", ["effect", *header], rows))
    else:
        words.append(
            f"{one.left_out} of {one.cells + one.left_out} combinations have one run: equally many "
            "runs of each cannot be drawn."
        )
    if one.alone:
        rows = [[d.name, str(one.per_level[d.name]), *_cells(d)] for d in one.alone]
        title = "Each factor alone, equally many runs of each level"
        grids.append(Grid(title, ["factor", "runs of\na level", *header], rows))
    words.append("Where a share moves much, the uneven numbers of runs made it.")
    return Section("balanced", "Equally many runs of each", words, one, grids)


def _cells(drawn: Drawn) -> list[str]:
    return [
        number(drawn.all_runs),
        number(drawn.mean) + interval_text((drawn.low, drawn.high)),
    ]
