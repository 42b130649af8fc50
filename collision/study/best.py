"""How the best of a search grew, what curve it follows, and how much of it is luck.

T: trials, in their order. K: points of a curve.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from scipy import optimize

from collision.errors import ConfigError
from collision.metrics.luck import expected_best as expected_best  # part of what is known of bests

# A parameter whose interval spans more than this ratio is not known to its order of magnitude.
MOST_RATIO = 3.0
FEWEST_STEPS = 5  # a curve has three parameters; each step of the best is one observation
LEVEL = 0.95


@dataclass(frozen=True)
class Curve:
    """A form that a running best is fitted with: of n from 1 on.

    ``formula`` names its parameters; ``asymptote`` is the one that the best tends to, if any;
    ``starts`` are first guesses, of (K points n, K values).
    """

    formula: str
    parameters: tuple[str, ...]
    function: Callable[..., np.ndarray]
    starts: Callable[[np.ndarray, np.ndarray], list[tuple[float, ...]]]
    asymptote: str | None = "a"


def _rates(n: np.ndarray) -> list[float]:
    return [1 / (n[-1] * share) for share in (0.02, 0.1, 0.5)]


CURVES: Mapping[str, Curve] = MappingProxyType(
    {
        "power law": Curve(
            "a - b n^-c",
            ("a", "b", "c"),
            lambda n, a, b, c: a - b * n**-c,
            lambda n, y: [(y[-1], y[-1] - y[0], c) for c in (0.1, 0.5, 1.5)],
        ),
        "exponential": Curve(
            "a - b exp(-c n)",
            ("a", "b", "c"),
            lambda n, a, b, c: a - b * np.exp(-c * n),
            lambda n, y: [(y[-1], y[-1] - y[0], c) for c in _rates(n)],
        ),
        "logarithmic": Curve(
            "a + b ln n",
            ("a", "b"),
            lambda n, a, b: a + b * np.log(n),
            lambda n, y: [(y[0], 0.01)],
            asymptote=None,
        ),
        "logistic": Curve(
            "a / (1 + b exp(-c n))",
            ("a", "b", "c"),
            lambda n, a, b, c: a / (1 + b * np.exp(-c * n)),
            lambda n, y: [(y[-1], y[-1] / max(y[0], 1e-6) - 1, c) for c in _rates(n)],
        ),
    }
)


@dataclass(frozen=True)
class Fit:
    """A curve through a running best.

    Attributes:
        values: Parameters by name; empty: no fit was found.
        intervals: 95 % of each, over steps of the best drawn again; empty: too few steps.
        r_squared: Points of a running maximum hang together, so this is high for any rising curve.
        not_identified: Why no parameter should be read, in words; None: they may be.
    """

    name: str
    formula: str
    values: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    r_squared: float | None
    not_identified: str | None


def running_best(scores: np.ndarray) -> np.ndarray:
    """Give the best of the first 1, 2, ... trials: ``[T]`` from ``[T]``."""
    return np.maximum.accumulate(np.asarray(scores, dtype=np.float64))


def fit_best(
    n: np.ndarray,
    best: np.ndarray,
    *,
    ceiling: float = 1.0,
    num_resamples: int = 200,
    seed: int = 0,
) -> list[Fit]:
    """Fit every curve to ``[K]`` values of a running best at ``[K]`` numbers of trials.

    Between two records the best stands still, so its points are no independent observations: the
    bootstrap draws steps (all points of one value together). ``ceiling`` is the highest possible
    score.

    Raises:
        ConfigError: Values that fall, or numbers of trials that do not rise from 1 or more.
    """
    n, best = np.asarray(n, dtype=np.float64), np.asarray(best, dtype=np.float64)
    if (
        n.shape != best.shape
        or (np.diff(n) <= 0).any()
        or (n < 1).any()
        or (np.diff(best) < 0).any()
    ):
        raise ConfigError("A running best needs rising numbers of trials from 1 and never falls.")
    return [_fitted(name, n, best, ceiling, num_resamples, seed) for name in CURVES]


def _fitted(
    name: str, n: np.ndarray, best: np.ndarray, ceiling: float, num_resamples: int, seed: int
) -> Fit:
    curve = CURVES[name]
    values = _least_squares(curve, n, best, curve.starts(n, best))
    if values is None:
        return Fit(name, curve.formula, {}, {}, None, "no curve of this form was found")
    left = float(np.sum((best - curve.function(n, *values)) ** 2))
    spread = float(np.sum((best - best.mean()) ** 2))
    named = dict(zip(curve.parameters, map(float, values), strict=True))
    intervals = _intervals(curve, n, best, values, num_resamples, seed)
    reason = _why_not(curve, named, intervals, ceiling)
    r_squared = 1 - left / spread if spread else None
    return Fit(name, curve.formula, named, intervals, r_squared, reason)


def _intervals(
    curve: Curve, n: np.ndarray, best: np.ndarray, values: np.ndarray, num_resamples: int, seed: int
) -> dict[str, tuple[float, float]]:
    _, step = np.unique(best, return_inverse=True)
    count = int(step.max()) + 1
    if count < FEWEST_STEPS:
        return {}
    generator, drawn = np.random.default_rng(seed), []
    for _ in range(num_resamples):
        weight = np.bincount(generator.integers(count, size=count), minlength=count)[step]
        rows = np.repeat(np.arange(len(n)), weight)
        found = _least_squares(curve, n[rows], best[rows], [tuple(values)])
        if found is not None:
            drawn.append(found)
    if len(drawn) < num_resamples / 2:
        return {}
    tails = np.quantile(np.array(drawn), ((1 - LEVEL) / 2, (1 + LEVEL) / 2), axis=0)
    return {
        name: (float(low), float(high))
        for name, low, high in zip(curve.parameters, *tails, strict=True)
    }


def _least_squares(
    curve: Curve, n: np.ndarray, best: np.ndarray, starts: list[tuple[float, ...]]
) -> np.ndarray | None:
    found: list[tuple[float, np.ndarray]] = []
    for start in starts:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # of a covariance that nobody asks for
            try:
                values, _ = optimize.curve_fit(curve.function, n, best, p0=start, maxfev=2000)
            except (RuntimeError, TypeError, ValueError):  # no end, too few points, not finite
                continue
            left = float(np.sum((best - curve.function(n, *values)) ** 2))
        if np.isfinite(left) and np.isfinite(values).all():
            found.append((left, values))
    return min(found, key=lambda pair: pair[0])[1] if found else None


def _why_not(
    curve: Curve,
    values: Mapping[str, float],
    intervals: Mapping[str, tuple[float, float]],
    ceiling: float,
) -> str | None:
    """Say why the parameters are not identified; None: they are."""
    if not intervals:
        return f"the best rose fewer than {FEWEST_STEPS} times, or the fit fails on resamples"
    reasons = []
    if curve.asymptote and values[curve.asymptote] > ceiling:
        reasons.append(f"it tends to {values[curve.asymptote]:.3f}, above {ceiling:g}")
    elif curve.asymptote and intervals[curve.asymptote][1] > ceiling:
        reasons.append(f"its limit may be {intervals[curve.asymptote][1]:.3f}, above {ceiling:g}")
    for name, (low, high) in intervals.items():
        if name == curve.asymptote or (curve.asymptote is None and name == "a"):
            continue  # a level, whose ratio says nothing
        if low <= 0 or high / low > MOST_RATIO:
            reasons.append(f"{name} may be anything from {low:.3g} to {high:.3g}")
    return "; ".join(reasons) or None
