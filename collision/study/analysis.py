"""The whole analysis of a table of runs: effects, spread of seeds, luck and growth."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from collision.study.anova import Anova, anova, design_of
from collision.study.best import Fit, expected_best, fit_best, running_best
from collision.study.resampling import Correction, Sure, how_sure
from collision.study.section import ALPHA, plain
from collision.study.spread import (
    Level,
    Spread,
    levels,
    levene,
    levene_by_factor,
    seed_spread,
)
from collision.study.table import Runs
from collision.study.tried import (
    LogFit,
    Trajectory,
    divergence_over_time,
    entropy_over_time,
    fit_log,
)


@dataclass(frozen=True)
class Luck:
    """How high the best of N runs lies, beside what noise alone would give.

    Attributes:
        above_mean: Of the best run over the mean of all.
        of_noise: What N equal runs would show, by the spread within cells; None: not known.
    """

    runs: int
    best: float
    above_mean: float
    of_noise: float | None


@dataclass(frozen=True)
class Growth:
    """What the order of the runs tells: curves through the best so far, and entropy over time."""

    fits: tuple[Fit, ...]
    entropy: Trajectory
    entropy_fit: LogFit | None
    parting: Parting | None


@dataclass(frozen=True)
class Parting:
    """How far the two busiest proposers part: the divergence of their cells after all runs."""

    first: str
    second: str
    divergence: Trajectory


@dataclass(frozen=True)
class Analysis:
    """What many runs say together; ``diagnosis`` puts it into words."""

    score: str
    runs: Runs
    anova: Anova
    sure: dict[str, Sure]
    levels: list[Level]
    spread: Spread
    levene: float | None
    levene_by_factor: dict[str, float | None]
    luck: Luck
    growth: Growth | None
    num_resamples: int
    correction: Correction

    @property
    def matters(self) -> list[str]:
        """Effects with an adjusted p of at most .05, the largest share first."""
        shown = [e for e in self.anova.effects if _is_shown(self.sure[e.name])]
        return [e.name for e in sorted(shown, key=lambda e: -e.eta_squared)]

    def as_json(self) -> dict[str, Any]:
        """Give all numbers as plain data; runs themselves are not repeated."""
        found: dict[str, Any] = plain(
            {
                "score": self.score,
                "runs": len(self.runs),
                "factors": list(self.runs.factors),
                "blocks": list(self.runs.blocks),
                "effects": [
                    {**asdict(e), "p_of_f": e.p_value, **asdict(self.sure[e.name])}
                    for e in self.anova.effects
                ],
                "residual": {"df": self.anova.residual_df, "sum_of_squares": self.anova.residual},
                "total_sum_of_squares": self.anova.total,
                "has_interactions": self.anova.has_interactions,
                "levels": [asdict(level) for level in self.levels],
                "spread_within_cells": asdict(self.spread),
                "levene_p": self.levene,
                "levene_p_by_factor": self.levene_by_factor,
                "luck": asdict(self.luck),
                "growth": asdict(self.growth) if self.growth else None,
                "matters": self.matters,
                "num_resamples": self.num_resamples,
                "correction": self.correction,
            }
        )
        return found


def analyse(
    runs: Runs,
    score: str,
    *,
    num_resamples: int = 2000,
    ceiling: float = 1.0,
    correction: Correction = "holm",
    seed: int = 0,
) -> Analysis:
    """Analyse a table of runs; ``score`` is what its score is called.

    ``ceiling`` is the highest score there can be. ConfigError: see ``anova``.
    """
    runs = runs.in_order()
    design = design_of(runs)
    result = anova(runs, design)
    spread = seed_spread(runs)
    best, mean = float(runs.score.max()), float(runs.score.mean())
    noise = spread.sd * expected_best(len(runs)) if spread.sd is not None else None
    return Analysis(
        score=score,
        runs=runs,
        anova=result,
        sure=how_sure(runs, num_resamples, seed, correction, design),
        levels=levels(runs),
        spread=spread,
        levene=levene(runs),
        levene_by_factor=levene_by_factor(runs),
        luck=Luck(len(runs), best, best - mean, noise),
        growth=None if runs.order is None else _growth(runs, ceiling, seed),
        num_resamples=num_resamples,
        correction=correction,
    )


def _growth(runs: Runs, ceiling: float, seed: int) -> Growth:
    best = running_best(runs.score)
    fits = fit_best(np.arange(1, len(best) + 1), best, ceiling=ceiling, seed=seed)
    entropy = entropy_over_time(runs.cells)
    fit = fit_log(entropy) if len(entropy.runs) > 1 else None
    return Growth(tuple(fits), entropy, fit, _parting(runs))


def _parting(runs: Runs) -> Parting | None:
    if runs.proposer is None:
        return None
    names, counts = np.unique(runs.proposer, return_counts=True)
    if len(names) < 2:
        return None
    first, second = (str(name) for name in names[np.argsort(-counts, kind="stable")[:2]])
    return Parting(first, second, divergence_over_time(runs.cells, runs.proposer, first, second))


def _is_shown(sure: Sure) -> bool:
    return sure.p_adjusted is not None and sure.p_adjusted <= ALPHA
