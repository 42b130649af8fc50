"""How sure an analysis is: p by shuffling scores, intervals by drawing what is left over again.

R: runs. N: resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from collision.metrics.comparison import holm_adjusted
from collision.study.anova import Anova, Design, Term, anova, design_of, squares
from collision.study.table import Runs

Correction: TypeAlias = Literal["holm", "bonferroni"]
LEVEL = 0.95
_AT_ONCE = 4_000_000  # numbers held in memory by a draw


@dataclass(frozen=True)
class Sure:
    """What resampling says of one effect.

    Attributes:
        p_value: Share of shuffles whose F is at least as large; None: nothing to judge by.
        p_adjusted: The same, corrected for the number of effects.
        interval: Of omega squared, 95 %.
    """

    p_value: float | None
    p_adjusted: float | None
    interval: tuple[float, float] | None


def how_sure(
    runs: Runs,
    num_resamples: int = 2000,
    seed: int = 0,
    correction: Correction = "holm",
    design: Design | None = None,
) -> dict[str, Sure]:
    """Judge every effect of ``anova(runs, design)``, by name."""
    design = design or design_of(runs)
    result = anova(runs, design)
    generator = np.random.default_rng(seed)
    p_values = {
        term.name: permutation_p(runs, design, term, num_resamples, generator)
        for term in design.terms
        if term.df and result.residual_df
    }
    adjusted = dict(zip(p_values, adjusted_p(list(p_values.values()), correction), strict=True))
    intervals = bootstrap(runs, result, design, num_resamples, generator)
    return {
        effect.name: Sure(
            p_values.get(effect.name), adjusted.get(effect.name), intervals.get(effect.name)
        )
        for effect in result.effects
    }


def adjusted_p(p_values: Sequence[float], correction: Correction) -> list[float]:
    """Correct p-values for their number: each stays below .05 by chance alone in 5 of 100 tables.

    Holm's is never the larger one; Bonferroni's multiplies each by their number, so that one p does
    not hang on another.
    """
    if correction == "bonferroni":
        return [min(1.0, len(p_values) * p_value) for p_value in p_values]
    return [p_value for p_value in holm_adjusted(p_values) if p_value is not None]


def permutation_p(
    runs: Runs, design: Design, term: Term, num_resamples: int, generator: np.random.Generator
) -> float:
    """Give p of one term by the method of Freedman and Lane (1983), within blocks.

    What the other terms leave of the scores is shuffled; if the term says nothing, its F is then
    one of many. With a single factor and no block this is the exact shuffle of the scores.
    """
    y = runs.score - runs.score.mean()
    left = y - term.others @ (term.others.T @ y)
    df = len(y) - design.whole.shape[1]

    def f_of(shuffled: np.ndarray) -> np.ndarray:
        residual = np.sum(shuffled**2, axis=0) - squares(design.whole, shuffled)
        floor = 1e-12 * float(left @ left)
        return squares(term.added, shuffled) / term.df / (np.maximum(residual, floor) / df)

    observed, strata = f_of(left[:, None])[0], runs.strata
    reached = 0
    for size in _portions(num_resamples, len(y)):
        rows = _shuffles(strata, size, generator)
        reached += int(np.sum(f_of(left[rows]) >= observed * (1 - 1e-9)))
    return (1 + reached) / (1 + num_resamples)


def bootstrap(
    runs: Runs,
    result: Anova,
    design: Design,
    num_resamples: int,
    generator: np.random.Generator,
) -> dict[str, tuple[float, float]]:
    """Give intervals of omega squared by name, cut at 0 and 1; see ``drawn_shares``."""
    tails = (1 - LEVEL) / 2, (1 + LEVEL) / 2
    intervals = {}
    for name, values in drawn_shares(runs, result, design, num_resamples, generator).items():
        low, high = np.clip(np.quantile(values, tails), 0, 1)
        intervals[name] = float(low), float(high)
    return intervals


def drawn_shares(
    runs: Runs,
    result: Anova,
    design: Design,
    num_resamples: int,
    generator: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Draw omega squared ``[N]`` by name; the combinations that were run stay as they are.

    Scores are drawn anew as what the model says plus a residual, one of the same cell where every
    cell has five runs or more (spreads may differ then), else one of any. What the model says of a
    term is first shrunk to what is left of it after the share of noise, so that the excess of an
    observed share over the truth is not counted twice; the interval is that of percentiles.
    """
    variance = result.noise_variance
    if variance is None or result.residual <= 1e-12 * result.total:
        return {}
    y = runs.score - runs.score.mean()
    fitted = design.whole @ (design.whole.T @ y)
    residual = (y - fitted) * np.sqrt(len(y) / result.residual_df)
    for term in design.terms:
        own = result[term.name].sum_of_squares
        kept = max(own - term.df * variance, 0) / own if own > 0 else 0
        fitted -= (1 - np.sqrt(kept)) * (term.added @ (term.added.T @ y))
    drawn: dict[str, list[np.ndarray]] = {term.name: [] for term in design.terms}
    for size in _portions(num_resamples, len(y)):
        scores = fitted[:, None] + residual[_draws(runs.cells, size, generator)]
        scores -= scores.mean(axis=0)
        total = np.sum(scores**2, axis=0)
        noise = np.maximum(total - squares(design.whole, scores), 0) / result.residual_df
        for term in design.terms:
            omega = (squares(term.added, scores) - term.df * noise) / (total + noise)
            drawn[term.name].append(omega)
    return {name: np.concatenate(values) for name, values in drawn.items()}


def _portions(num_resamples: int, length: int) -> list[int]:
    size = max(1, _AT_ONCE // length)
    return [min(size, num_resamples - start) for start in range(0, num_resamples, size)]


def _shuffles(strata: np.ndarray, size: int, generator: np.random.Generator) -> np.ndarray:
    """``[R, N]`` rows: each column an order in which no run leaves its stratum."""
    rows = np.empty((len(strata), size), dtype=np.int64)
    for stratum in np.unique(strata):
        own = np.flatnonzero(strata == stratum)
        rows[own] = own[np.argsort(generator.random((len(own), size)), axis=0)]
    return rows


def _draws(cells: np.ndarray, size: int, generator: np.random.Generator) -> np.ndarray:
    """``[R, N]`` rows, drawn with replacement."""
    groups = [np.flatnonzero(cells == cell) for cell in np.unique(cells)]
    if min(map(len, groups)) < 5:
        return generator.integers(len(cells), size=(len(cells), size))
    rows = np.empty((len(cells), size), dtype=np.int64)
    for own in groups:
        rows[own] = own[generator.integers(len(own), size=(len(own), size))]
    return rows
