"""Architecture or tuning: which of two groups of factors explains more, by how much, how sure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from collision.errors import ConfigError
from collision.report.tables import Grid
from collision.study.anova import analysed, grouped_design
from collision.study.resampling import LEVEL, drawn_shares
from collision.study.section import ALPHA, Section, interval_text, share
from collision.study.table import Runs

ARCHITECTURE, TUNING, BOTH = "architecture", "tuning", "only together"


@dataclass(frozen=True)
class Kinds:
    """How much the two groups of factors explain.

    Attributes:
        shares: Omega squared of architecture, tuning, and what they explain only together; what
            both could explain, as the runs stand, belongs to neither.
        intervals: 95 % of each.
        difference: Architecture less tuning, with its interval.
        larger: Share of draws in which architecture explains more.
    """

    architecture: tuple[str, ...]
    tuning: tuple[str, ...]
    shares: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    difference: float
    interval: tuple[float, float]
    larger: float
    runs: int
    num_resamples: int

    @property
    def dominates(self) -> str | None:
        """Which of the two explains more beyond doubt; None: it is not settled."""
        low, high = self.interval
        return ARCHITECTURE if low > 0 else TUNING if high < 0 else None


def kinds_of(
    runs: Runs, architecture: Sequence[str], num_resamples: int = 2000, seed: int = 0
) -> Kinds | None:
    """Judge the factors named as architecture against all others.

    None: no run is left over to judge by. ConfigError: a name that is no factor, or none is left
    for tuning.
    """
    tuning = tuple(name for name in runs.factors if name not in architecture)
    wrong = [name for name in architecture if name not in runs.factors]
    if wrong or not tuning:
        there = ", ".join(runs.factors)
        raise ConfigError(
            f"architecture=[{','.join(architecture)}]: "
            + (f"{wrong[0]!r} is no factor" if wrong else "no factor is left for tuning")
            + f". There are: {there}."
        )
    groups = {ARCHITECTURE: tuple(architecture), TUNING: tuning}
    design = grouped_design(runs, groups, BOTH)
    result = analysed(design, runs.score)
    shares = {effect.name: effect.omega_squared for effect in result.effects}
    drawn = drawn_shares(runs, result, design, num_resamples, np.random.default_rng(seed))
    first, second = shares.get(ARCHITECTURE), shares.get(TUNING)
    if first is None or second is None or not drawn:
        return None
    apart = drawn[ARCHITECTURE] - drawn[TUNING]
    return Kinds(
        tuple(architecture),
        tuning,
        {name: value for name, value in shares.items() if value is not None},
        {name: _tails(np.clip(values, 0, 1)) for name, values in drawn.items()},
        first - second,
        _tails(apart),
        float(np.mean(apart > 0)),
        len(runs),
        num_resamples,
    )


def _tails(values: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(values, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return float(low), float(high)


def section_of(kinds: Kinds) -> Section:
    """Put it into words."""
    rows = [
        [
            name,
            ", ".join(_factors(kinds, name)),
            share(value) + interval_text(kinds.intervals[name]),
        ]
        for name, value in kinds.shares.items()
    ]
    difference = share(kinds.difference) + interval_text(kinds.interval)
    rows.append([f"{ARCHITECTURE} less {TUNING}", "", difference])
    header = ["what was chosen", "factors", "omega squared\n[95 % interval]"]
    grid = Grid("Architecture or tuning", header, rows)
    return Section("kinds", "Architecture or tuning", [words_of(kinds)], kinds, [grid])


def words_of(kinds: Kinds) -> str:
    """Say which dominates, by how much, and how sure that is."""
    parts = [
        f"{name} ({', '.join(_factors(kinds, name))}) {max(0.0, kinds.shares[name]):.0%}"
        for name in (ARCHITECTURE, TUNING)
    ]
    low, high = kinds.interval
    reach = f"the difference is {kinds.difference:+.0%} ({low:+.0%} to {high:+.0%})"
    surer = kinds.larger if kinds.difference > 0 else 1 - kinds.larger
    sure = f"in {surer:.1%} of {kinds.num_resamples} draws the larger one stays the larger"
    first = f"Of the differences between {kinds.runs} runs, {' and '.join(parts)}: "
    if kinds.dominates:
        return f"{first}{kinds.dominates} dominates; {reach}, and {sure}."
    most = max(kinds.intervals[name][1] for name in (ARCHITECTURE, TUNING))
    if most < ALPHA:
        return f"{first}neither matters much (each at most {most:.0%}); {reach}."
    return f"{first}which of the two matters more is not settled; {reach}, and {sure}."


def _factors(kinds: Kinds, name: str) -> tuple[str, ...]:
    named = {ARCHITECTURE: kinds.architecture, TUNING: kinds.tuning}
    return named.get(name, ())
