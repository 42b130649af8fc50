"""A mixed model: factors are fixed, data sets and seeds are draws of many (statsmodels).

R: runs. Models are given as arrays: statsmodels' formulas would run what a column is called.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from collision.errors import ConfigError
from collision.report.tables import ABSENT, Grid, number, signed
from collision.study.section import Section, interval_text, p_text
from collision.study.table import Runs

FEW = 5  # of so few draws a spread is hardly known
CHANCE = "left over"


@dataclass(frozen=True)
class Source:
    """What moves scores at random: its sd, its share of the variance, how many draws there are."""

    name: str
    levels: int
    sd: float
    share: float


@dataclass(frozen=True)
class Fixed:
    """A factor beside the random sources.

    Attributes:
        p_value: Of Wald's chi-square test that all levels are equal. It takes the sources' spreads
            for known, so it is too small where there are few draws of one.
        levels: By name, how far from the mean of all levels, with its 95 % interval.
    """

    name: str
    df: int
    p_value: float
    levels: dict[str, tuple[float, tuple[float, float]]]


@dataclass(frozen=True)
class Mixed:
    """A fitted model; ``converged`` is False where the optimizer found no clear end."""

    runs: int
    sources: tuple[Source, ...]
    factors: tuple[Fixed, ...]
    converged: bool


def check_installed() -> None:
    """Refuse before anything is loaded; ConfigError: statsmodels is not installed."""
    if importlib.util.find_spec("statsmodels") is None:
        raise ConfigError(
            "random=[...] needs statsmodels, which is not installed: run `uv sync --extra study`, "
            "or `pip install 'statsmodels>=0.15'`; or leave random out."
        )


def mixed(runs: Runs, random: dict[str, np.ndarray]) -> Mixed:
    """Fit main effects of all factors, with crossed random sources by name ``[R]`` (REML).

    ConfigError: statsmodels is not there, or a source has one level or one for every run.
    """
    check_installed()
    for name, column in random.items():
        count = len(np.unique(column))
        if not 2 <= count < len(runs):
            raise ConfigError(
                f"random=[{name}]: {count} values in {len(runs)} runs; a random source needs at "
                "least 2, each of several runs."
            )
    columns, places = _coded(runs)
    fit = _fitted(runs.score, columns, random)
    variances = [*map(float, fit.vcomp), float(fit.scale)]
    counts = [*(len(np.unique(column)) for column in random.values()), len(runs)]
    sources = tuple(
        Source(name, count, max(variance, 0.0) ** 0.5, variance / sum(variances))
        for name, count, variance in zip((*random, CHANCE), counts, variances, strict=True)
    )
    mean, covariance = np.asarray(fit.fe_params), np.asarray(fit.cov_params())
    size = len(mean)
    factors = tuple(
        _fixed(name, runs.factors[name], mean, covariance[:size, :size], own)
        for name, own in places.items()
    )
    return Mixed(len(runs), sources, factors, bool(fit.converged))


def _coded(runs: Runs) -> tuple[np.ndarray, dict[str, slice]]:
    """Code factors so that the levels of each sum to 0: ``[R, P]``, and where each stands."""
    columns, places, start = [np.ones((len(runs), 1))], {}, 1
    for name, column in runs.factors.items():
        levels = np.unique(column)
        own = (column[:, None] == levels[:-1]).astype(float) - (column == levels[-1])[:, None]
        columns.append(own)
        places[name] = slice(start, start + own.shape[1])
        start += own.shape[1]
    design = np.hstack(columns)
    if np.linalg.matrix_rank(design) < design.shape[1]:
        raise ConfigError(
            "random=[...]: two factors always change together, so their effects cannot be told "
            "apart in one model: leave one of them out."
        )
    return design, places


def _fitted(score: np.ndarray, columns: np.ndarray, random: dict[str, np.ndarray]) -> Any:
    from statsmodels.regression.mixed_linear_model import MixedLM, VCSpec

    names = list(random)
    levels = [np.unique(column) for column in random.values()]
    # One group holds all runs; a source is then a block of columns, and sources may cross.
    spec = VCSpec(
        names,
        [[[str(level) for level in own]] for own in levels],
        [
            [(column[:, None] == own).astype(float)]
            for column, own in zip(random.values(), levels, strict=True)
        ],
    )
    model = MixedLM(score, columns, groups=np.ones(len(score)), exog_vc=spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a source at 0, which the table shows
        # Powell's method alone: the gradient ones stop far from the maximum and call it converged
        # (statsmodels 0.15; a spread of .007 came out as .171).
        return model.fit(reml=True, method=["powell"])


def _fixed(
    name: str, column: np.ndarray, mean: np.ndarray, covariance: np.ndarray, own: slice
) -> Fixed:
    levels, part = np.unique(column), mean[own]
    within = covariance[own, own]
    weights = np.vstack([np.eye(len(part)), -np.ones(len(part))])
    effects = weights @ part
    errors = np.sqrt(np.einsum("ij,jk,ik->i", weights, within, weights))
    wald = float(part @ np.linalg.solve(within, part))
    reach = stats.norm.ppf(0.975) * errors
    shown = {
        str(level): (float(effect), (float(effect - r), float(effect + r)))
        for level, effect, r in zip(levels, effects, reach, strict=True)
    }
    return Fixed(name, len(part), float(stats.chi2.sf(wald, len(part))), shown)


def section_of(model: Mixed) -> Section:
    """Show sources and factors."""
    sources = [
        [one.name, str(one.levels), number(one.sd), f"{one.share:.0%}"] for one in model.sources
    ]
    rows: list[Sequence[str]] = []
    for fixed in model.factors:
        ordered = sorted(fixed.levels.items(), key=lambda pair: -pair[1][0])
        for place, (level, (effect, interval)) in enumerate(ordered):
            p_value = p_text(fixed.p_value) if place == 0 else ""
            rows.append([fixed.name, level, signed(effect) + interval_text(interval), p_value])
    grids = [
        Grid("Random sources", ["source", "draws", "sd", "share of\nvariance"], sources),
        Grid(
            "Factors beside them",
            ["factor", "level", "from the mean of levels\n[95 % interval]", "p (Wald)"],
            [list(row) for row in rows],
        ),
    ]
    return Section("mixed", "A mixed model", _words(model), model, grids)


def _words(model: Mixed) -> list[str]:
    parts = [
        f"{one.name} moves the score by an sd of {number(one.sd)} ({one.levels} draws)"
        for one in model.sources[:-1]
    ]
    left = model.sources[-1]
    said = [
        f"In one model of {model.runs} runs, with main effects of all factors, "
        f"{'; '.join(parts)}; {number(left.sd) if left.sd else ABSENT} is {CHANCE}, interactions "
        "among it."
    ]
    few = [one.name for one in model.sources[:-1] if one.levels < FEW]
    if few:
        said.append(
            f"Fewer than {FEW} draws of {', '.join(few)}: how far it moves scores in general is "
            "hardly known, and the p-values, which take it for known, are too small."
        )
    at_zero = [one.name for one in model.sources[:-1] if one.share < 1e-4]
    if at_zero:
        said.append(f"No spread is found beyond chance for {', '.join(at_zero)}.")
    if not model.converged:
        said.append("The fit did not settle: do not read its numbers.")
    return said
