"""How much of the best of many is luck."""

from __future__ import annotations

import math

from collision.errors import ConfigError


def expected_best(count: int) -> float:
    """Give how many sd the best of ``count`` equal configurations lies above their mean.

    Normal noise; exact, by integration. 1 gives 0, 10 gives 1.54, 100 gives 2.51.
    """
    from scipy import integrate, stats  # a second, which no other reader of this package needs

    if count < 1:
        raise ConfigError(f"The best of {count} draws is not defined: count must be at least 1.")

    def above(x: float) -> float:  # E max = integral of 1 - F^N over x > 0 less F^N over x < 0
        return float(
            -math.expm1(count * stats.norm.logcdf(x)) - math.exp(count * stats.norm.logcdf(-x))
        )

    return max(0.0, float(integrate.quad(above, 0, 12, limit=200)[0]))
