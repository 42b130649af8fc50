"""The same analysis of equally many runs of every combination, drawn again and again."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from collision.errors import ConfigError
from collision.report.tables import ABSENT, Grid, number
from collision.study.anova import Anova, design_of, squares
from collision.study.section import Section, interval_text
from collision.study.spread import alike
from collision.study.table import Runs


@dataclass(frozen=True)
class Balanced:
    """What balanced draws say.

    Attributes:
        per_cell: Runs of each combination.
        cells: Combinations that have as many; others are left out, ``left_out`` of them.
        eta_squared: By effect: the mean over draws, and where 95 of 100 draws lie. A draw is no
            new sample of runs: this is no confidence interval.
    """

    per_cell: int
    cells: int
    left_out: int
    draws: int
    eta_squared: dict[str, tuple[float, tuple[float, float]]]


def balanced(runs: Runs, draws: int = 1000, seed: int = 0) -> Balanced | None:
    """Analyse equally many runs of every combination; None: they are even, or too few are alike.

    The number of a combination is chosen so that most runs take part, and is at least 2.
    """
    cells = alike(runs)
    counts = np.bincount(cells)
    if np.ptp(counts) == 0 or counts.max() < 2:
        return None
    sizes = np.unique(counts[counts >= 2])
    per_cell = int(max(sizes, key=lambda size: (size * np.sum(counts >= size), -size)))
    kept = np.flatnonzero(counts >= per_cell)
    rng = np.random.default_rng(seed)
    groups = [np.flatnonzero(cells == cell) for cell in kept]
    rows = np.concatenate([_draws(own, per_cell, draws, rng) for own in groups])
    try:
        # Seeds differ from draw to draw; all else that the model knows stays.
        first = taken(runs, rows[:, 0])
        blocks = {n: c for n, c in first.blocks.items() if not np.array_equal(c, first.seed)}
        design = design_of(replace(first, blocks=blocks))
    except ConfigError:  # a factor has one level among those left, or blocks of one run
        return None
    scores = runs.score[rows]
    scores = scores - scores.mean(axis=0)
    total = np.sum(scores**2, axis=0)
    if not total.all():
        return None
    shares = {term.name: squares(term.added, scores) / total for term in design.terms}
    found = {}
    for name, own in shares.items():
        low, high = np.quantile(own, (0.025, 0.975))
        found[name] = float(own.mean()), (float(low), float(high))
    return Balanced(per_cell, len(kept), len(counts) - len(kept), draws, found)


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


def section_of(one: Balanced, whole: Anova) -> Section:
    """Show balanced draws beside all runs."""
    rows = []
    for name, (mean, tails) in one.eta_squared.items():
        own = [number(one.eta_squared) for one in whole.effects if one.name == name]
        rows.append([name, *(own or [ABSENT]), number(mean) + interval_text(tails)])
    out = f"; {one.left_out} combinations have fewer runs and are left out" if one.left_out else ""
    words = (
        f"{one.per_cell} runs of each of {one.cells} combinations, drawn {one.draws} times{out}. "
        "Where a share moves much, the uneven numbers of runs made it."
    )
    header = ["effect", "eta squared,\nall runs", "balanced: mean\n[95 % of draws]"]
    return Section("balanced", "Equally many runs of each", [words], one, [Grid("", header, rows)])
