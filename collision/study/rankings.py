"""Whether choices rank alike on several data sets, or sizes of data: Kendall's tau, inversions.

R: runs. L: levels of a factor. N: draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations, starmap

import numpy as np
from scipy import linalg, stats

from collision.errors import ConfigError
from collision.report.tables import ABSENT, Grid, number, signed
from collision.study.balance import taken
from collision.study.resampling import Correction, adjusted_p
from collision.study.section import ALPHA, Drawing, Section, interval_text, p_text
from collision.study.table import Runs, combination

NUM_DRAWS = 4000


@dataclass(frozen=True)
class Ranked:
    """The levels of one factor in one context, beside the other factors and blocks (additively).

    Attributes:
        effect: ``[L]`` from their mean.
        covariance: ``[L, L]``; None: no run is left over to judge by. ``df`` is what it rests on.
    """

    factor: str
    context: str
    levels: tuple[str, ...]
    effect: np.ndarray
    covariance: np.ndarray | None
    df: int
    runs: int


@dataclass(frozen=True)
class Agreement:
    """How alike two contexts rank a factor's levels.

    Attributes:
        tau: Kendall's, of the levels that both have.
        interval: 95 %, where effects are drawn by what is left over; None: nothing is.
        p_same: Share of draws with a tau as low, were the true effects the same in both: noise
            alone lowers tau.
    """

    factor: str
    contexts: tuple[str, str]
    levels: int
    tau: float
    interval: tuple[float, float] | None
    p_same: float | None


@dataclass(frozen=True)
class Inversion:
    """Two levels whose order differs between two contexts.

    ``differences`` are better less worse by the first context, with 95 % intervals;
    ``p_adjusted`` is of the less sure of both, corrected for all pairs of levels and contexts.
    """

    factor: str
    contexts: tuple[str, str]
    levels: tuple[str, str]
    differences: tuple[float, float]
    intervals: tuple[tuple[float, float], tuple[float, float]]
    p_adjusted: float


@dataclass(frozen=True)
class Rankings:
    """What contexts have in common; ``inversions`` are those that hold after correction."""

    ranked: tuple[Ranked, ...]
    agreements: tuple[Agreement, ...]
    inversions: tuple[Inversion, ...]
    compared: int
    correction: Correction


def split_by(runs: Runs, columns: Mapping[str, np.ndarray]) -> dict[str, Runs]:
    """Part runs by context: the combination of ``[R]`` columns. ConfigError: there is one alone."""
    codes = combination(columns.values(), len(runs))
    if not codes.any():
        raise ConfigError(f"across=[{','.join(columns)}]: all runs have the same there.")
    found = {}
    for code in np.unique(codes):
        rows = np.flatnonzero(codes == code)
        name = ", ".join(str(column[rows[0]]) for column in columns.values())
        try:
            found[name] = taken(runs, rows)
        except ConfigError as error:
            raise ConfigError(f"across=[{','.join(columns)}], {name}: {error}") from None
    return found


def rescored(runs: Runs, scores: Mapping[str, np.ndarray]) -> dict[str, Runs]:
    """Give the same runs by several scores ``[R]``, each a context."""
    return {name: replace(runs, score=score) for name, score in scores.items()}


def rankings(
    contexts: Mapping[str, Runs], correction: Correction = "holm", seed: int = 0
) -> Rankings:
    """Compare how contexts rank the levels of every factor."""
    factors = [name for name in next(iter(contexts.values())).factors]
    by_factor = {
        factor: [_ranked(runs, factor, name) for name, runs in contexts.items()]
        for factor in factors
    }
    rng = np.random.default_rng(seed)
    agreements, candidates, p_values = [], [], []
    for own in by_factor.values():
        for first, second in combinations(own, 2):
            pair = _common(first, second)
            if len(pair[0].levels) < 2:
                continue
            agreements.append(_agreement(*pair, rng))
            for found, p_value in _inverted(*pair):
                candidates.append(found)
                p_values.append(p_value)
    adjusted = adjusted_p(p_values, correction)
    kept = [
        replace(one, p_adjusted=p_value)
        for one, p_value in zip(candidates, adjusted, strict=True)
        if one and p_value <= ALPHA
    ]
    kept.sort(key=lambda one: one.p_adjusted)
    every = tuple(one for own in by_factor.values() for one in own)
    return Rankings(every, tuple(agreements), tuple(kept), len(p_values), correction)


def _ranked(runs: Runs, factor: str, context: str) -> Ranked:
    column = runs.factors[factor]
    levels = np.unique(column)
    own = (column[:, None] == levels).astype(float)
    others = [c for name, c in runs.factors.items() if name != factor]
    others += list(runs.blocks.values())
    rest = [(c[:, None] == np.unique(c)[1:]).astype(float) for c in others]
    design = np.hstack([own, *rest])
    centre = np.eye(len(levels)) - 1 / len(levels)
    inverse = linalg.pinvh(design.T @ design)
    mean = inverse @ (design.T @ runs.score)
    df = len(runs) - int(np.linalg.matrix_rank(design))
    covariance = None
    if df > 0:
        variance = float(np.sum((runs.score - design @ mean) ** 2)) / df
        covariance = centre @ inverse[: len(levels), : len(levels)] @ centre * variance
    effect = centre @ mean[: len(levels)]
    return Ranked(factor, context, tuple(map(str, levels)), effect, covariance, df, len(runs))


def _common(first: Ranked, second: Ranked) -> tuple[Ranked, Ranked]:
    levels = [level for level in first.levels if level in second.levels]
    pair = []
    for one in (first, second):
        rows = [one.levels.index(level) for level in levels]
        covariance = None if one.covariance is None else one.covariance[np.ix_(rows, rows)]
        pair.append(
            replace(one, levels=tuple(levels), effect=one.effect[rows], covariance=covariance)
        )
    return pair[0], pair[1]


def _agreement(first: Ranked, second: Ranked, rng: np.random.Generator) -> Agreement:
    contexts, count = (first.context, second.context), len(first.levels)
    tau = float(_taus(first.effect[None], second.effect[None])[0])
    if first.covariance is None or second.covariance is None:
        return Agreement(first.factor, contexts, count, tau, None, None)
    drawn = [_drawn(one.effect, one.covariance, rng) for one in (first, second)]
    low, high = np.quantile(_taus(*drawn), (0.025, 0.975))
    # Were the effects the same, the best guess at them would weigh each context by its certainty.
    weights = [linalg.pinvh(one.covariance) for one in (first, second)]
    both = weights[0] @ first.effect + weights[1] @ second.effect
    same = linalg.pinvh(weights[0] + weights[1]) @ both
    null = _taus(*(_drawn(same, one.covariance, rng) for one in (first, second)))
    p_same = (1 + np.sum(null <= tau + 1e-12)) / (1 + NUM_DRAWS)
    return Agreement(first.factor, contexts, count, tau, (float(low), float(high)), float(p_same))


def _drawn(
    effect: np.ndarray, covariance: np.ndarray | None, rng: np.random.Generator
) -> np.ndarray:
    assert covariance is not None
    values, vectors = np.linalg.eigh(covariance)
    noise = rng.normal(size=(NUM_DRAWS, len(values))) * np.sqrt(np.maximum(values, 0))
    return np.asarray(effect + noise @ vectors.T)


def _taus(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Give Kendall's tau-b ``[N]`` of rows of ``[N, L]`` each (SciPy's takes one at a time)."""
    one, other = np.triu_indices(first.shape[1], 1)
    a, b = (np.sign(x[:, one] - x[:, other]) for x in (first, second))
    size = np.sqrt(np.sum(a != 0, axis=1) * np.sum(b != 0, axis=1))
    return np.asarray(np.sum(a * b, axis=1) / np.maximum(size, 1))


def _inverted(first: Ranked, second: Ranked) -> list[tuple[Inversion, float]]:
    """Give all pairs of levels, with p that both contexts tell them apart in opposite orders."""
    if first.covariance is None or second.covariance is None:
        return []
    return list(starmap(lambda a, b: _pair(first, second, a, b), _pairs(len(first.levels))))


def _pairs(count: int) -> list[tuple[int, int]]:
    return list(combinations(range(count), 2))


def _pair(first: Ranked, second: Ranked, a: int, b: int) -> tuple[Inversion, float]:
    if first.effect[a] < first.effect[b]:
        a, b = b, a
    differences, intervals, p_values = [], [], []
    for one in (first, second):
        covariance = one.covariance
        assert covariance is not None
        reach = float(one.effect[a] - one.effect[b])
        error = float(covariance[a, a] + covariance[b, b] - 2 * covariance[a, b]) ** 0.5
        quantile = float(stats.t.ppf(0.975, one.df))
        differences.append(reach)
        intervals.append((reach - quantile * error, reach + quantile * error))
        p_values.append(float(2 * stats.t.sf(abs(reach) / max(error, 1e-300), one.df)))
    # A true inversion needs both differences: the less sure one decides.
    p_value = max(p_values) if differences[1] < 0 < differences[0] else 1.0
    found = Inversion(
        first.factor,
        (first.context, second.context),
        (first.levels[a], first.levels[b]),
        (differences[0], differences[1]),
        (intervals[0], intervals[1]),
        p_value,
    )
    return found, p_value


def section_of(one: Rankings) -> Section:
    """Show agreements, then inversions that hold."""
    from collision.study.plots import slopes

    rows = []
    for a in one.agreements:
        same = ABSENT if a.p_same is None else p_text(a.p_same)
        tau = number(a.tau).replace("-0.", "-.") + interval_text(a.interval)
        rows.append([a.factor, " / ".join(a.contexts), str(a.levels), tau, same])
    header = [
        "factor",
        "contexts",
        "levels",
        "Kendall's tau\n[95 % interval]",
        "p, if ranked alike",
    ]
    grids = [Grid("Agreement of rankings", header, rows)]
    if one.inversions:
        rows = [
            [
                i.factor,
                f"{i.levels[0]} over {i.levels[1]}",
                *(
                    f"{context}: {signed(reach)}{interval_text(interval)}"
                    for context, reach, interval in zip(
                        i.contexts, i.differences, i.intervals, strict=True
                    )
                ),
                p_text(i.p_adjusted),
            ]
            for i in one.inversions
        ]
        header = ["factor", "levels", "in one", "in the other", "p, corrected"]
        grids.append(Grid("Inversions that hold", header, rows))
    drawings = [
        Drawing(
            f"ranking_{place}",
            f"Levels of {factor} by context",
            lambda path, factor=factor: slopes(  # type: ignore[misc]
                [r for r in one.ranked if r.factor == factor], path
            ),
        )
        for place, factor in enumerate(dict.fromkeys(r.factor for r in one.ranked), start=1)
    ]
    return Section("rankings", "Rankings across data", _words(one), one, grids, drawings)


def _words(one: Rankings) -> list[str]:
    said = []
    if one.inversions:
        parts = [
            f"{i.factor}: {i.levels[0]} is {signed(i.differences[0])} over {i.levels[1]} on "
            f"{i.contexts[0]}, and {signed(i.differences[1])} on {i.contexts[1]}"
            for i in one.inversions[:5]
        ]
        more = len(one.inversions) - len(parts)
        rest = f"; and {more} more" if more > 0 else ""
        said.append(
            f"Rankings flip: {'; '.join(parts)}{rest} (corrected for {one.compared} pairs)."
        )
    else:
        said.append(
            f"No inversion of two levels holds (of {one.compared} pairs of levels and contexts, "
            f"corrected by {one.correction.capitalize()}'s method)."
        )
    differ = [a for a in one.agreements if a.p_same is not None and a.p_same <= ALPHA]
    if differ:
        named = dict.fromkeys(a.factor for a in differ)
        said.append(
            f"Rankings agree less than noise alone would have them agree: {', '.join(named)} (not "
            "corrected)."
        )
    return said
