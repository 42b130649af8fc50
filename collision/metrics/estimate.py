"""A number with its 95 % interval over groups and its spread over seeds, or why it has none.

Shapes: R resamples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit

LEVEL = 0.95
# With fewer groups intervals are too narrow: they would promise what they cannot keep.
MIN_GROUPS = 20
# Resamples nearer to 0 or 1 count as this near: the logit of a perfect ranking is infinite.
LOGIT_MARGIN = 1e-3
LEFT_OUT = ("reason", "num_groups")  # of the JSON where they are None
Z = NormalDist().inv_cdf((1 + LEVEL) / 2)


class Plain:
    """What dataclasses of results share: they become JSON field by field."""

    def as_json(self) -> dict[str, Any]:
        """Plain data; a field's metadata may hold another ``key``, ``from`` being no name."""
        everything = fields(self)  # type: ignore[arg-type]
        named = {one.metadata.get("key", one.name): getattr(self, one.name) for one in everything}
        left_out = {name for name in LEFT_OUT if named.get(name) is None}
        return {name: plain(value) for name, value in named.items() if name not in left_out}


def plain(value: Any) -> Any:
    """Results within mappings and sequences as JSON holds them."""
    if isinstance(value, Plain):
        return value.as_json()
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


@dataclass(frozen=True)
class Estimate(Plain):
    """A number: the mean over seeds, with what is known of its precision.

    ``low`` and ``high`` are the 95 % interval over groups, ``sd`` that of ``seeds`` (None of one).
    What is not known is None, and ``reason`` says why.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    sd: float | None = None
    seeds: tuple[float, ...] = ()
    reason: str | None = None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Both ends of the interval, where there is one."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {**super().as_json(), "seeds": list(self.seeds) or None}


@dataclass(frozen=True)
class Difference(Estimate):
    """The value of one run (``first``) minus that of another, judged on the same resamples.

    ``p_value`` is two-sided, of no difference; ``p_adjusted`` is corrected for the number of runs
    that were compared. Both are None where there is no interval.
    """

    value: float
    first: float = np.nan
    second: float = np.nan
    p_value: float | None = None
    p_adjusted: float | None = None


@dataclass(frozen=True)
class Bootstrap(Plain):
    """How the intervals were made: draws of how many groups, and their random seed."""

    num_resamples: int
    seed: int
    level: float = LEVEL
    num_groups: int | None = None


def estimate(
    by_seed: ArrayLike,
    samples: np.ndarray,
    num_groups: int,
    *,
    scale: Literal["logit", "linear"] = "logit",
    maximum: float = np.inf,
) -> Estimate:
    """Make an estimate of each seed's value, and of ``[R]`` resamples of their mean (NaN: dropped).

    The interval is the value ± 1.96 standard deviations of the resamples.

    - ``logit``, for areas (AP, ROC) and means of such: taken on the logit scale, the form that
      Boyd, Eng and Page (2013) recommend for the area under the precision-recall curve. AP is
      biased upwards in small samples and in resamples of them once more, which percentiles would
      pass on: see docs/metrics.md for the coverage of both.
    - ``linear``, for means of seconds or squared errors: cut at 0 and at ``maximum``.

    ``num_groups`` are those of the class that has fewer.
    """
    values = np.asarray(by_seed, dtype=np.float64)
    value, seeds = float(values.mean()), tuple(values.tolist())
    sd = float(values.std(ddof=1)) if values.size > 1 else None
    samples = samples[~np.isnan(samples)]
    reason = _why_no_interval(samples, num_groups)
    if reason is None and scale == "logit" and not LOGIT_MARGIN <= value <= 1 - LOGIT_MARGIN:
        reason = "the ranking is all but perfect (or the reverse); resampling shows no spread"
    if reason is not None:
        return Estimate(value, sd=sd, seeds=seeds, reason=reason)
    if scale == "linear":
        reach = Z * float(np.std(samples, ddof=1))
        return Estimate(value, max(0.0, value - reach), min(maximum, value + reach), sd, seeds)
    reach = Z * np.std(logit(np.clip(samples, LOGIT_MARGIN, 1 - LOGIT_MARGIN)), ddof=1)
    low, high = (float(expit(logit(value) + step)) for step in (-reach, reach))
    # min and max: without spread, rounding alone would leave the value outside its interval.
    return Estimate(value, min(low, value), max(high, value), sd, seeds)


def difference(first: float, second: float, samples: np.ndarray, num_groups: int) -> Difference:
    """Set a run's value against a reference's; ``samples [R]`` are of their difference.

    Both sides carry the same bias, so it is gone from their difference: plain percentiles serve.
    """
    samples = samples[~np.isnan(samples)]
    reason = _why_no_interval(samples, num_groups)
    result = Difference(first - second, reason=reason, first=first, second=second)
    if reason:
        return result
    low, high = map(float, np.quantile(samples, ((1 - LEVEL) / 2, (1 + LEVEL) / 2)))
    # Share of resamples on the far side of 0, doubled; never 0, for R draws can't tell that.
    far = min(np.sum(samples <= 0), np.sum(samples >= 0))
    p_value = float(min(1.0, 2 * (far + 1) / (samples.size + 1)))
    return replace(result, low=low, high=high, p_value=p_value)


def _why_no_interval(samples: np.ndarray, num_groups: int) -> str | None:
    if num_groups < MIN_GROUPS:
        groups = "group" if num_groups == 1 else "groups"
        return f"a class has only {num_groups} {groups}; an interval needs {MIN_GROUPS} of each"
    if samples.size < 2:
        return "fewer than two resamples hold both classes; ask for more"
    return None
