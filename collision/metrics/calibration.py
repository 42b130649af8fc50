"""Whether a probability of .7 means seven in ten: Brier score, calibration error, temperature.

All of it holds for the share of positives in the examples at hand. A benchmark that is half
positive says nothing about the rate of collisions on a road.

A missing score counts as 0 where clips are ranked; it is no probability that a model gave, so here
it is left out and counted. Shapes: N examples, K bins.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit

from collision.errors import MetricError
from collision.metrics.bootstrap import group_weights
from collision.metrics.estimate import (
    Bootstrap,
    Difference,
    Estimate,
    Plain,
    Z,
    difference,
    estimate,
)
from collision.metrics.nexar import labelled
from collision.metrics.scored import Scored, align, smaller_class

NUM_BINS = 15
# Data that a threshold separates want a temperature of 0: certainty, which no sample can teach.
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0
# A probability of 0 or 1 is taken for this near to it: its logit is infinite.
PROBABILITY_MARGIN = 1e-7


@dataclass(frozen=True)
class Temperature(Plain):
    """A divisor of logits; above 1 it makes probabilities more cautious.

    The mean log loss is in nats, on the examples that it was fitted on. ``at_bound``: the best lies
    at or beyond ``MIN_TEMPERATURE`` or ``MAX_TEMPERATURE``; the logits are too good, or too bad, to
    be calibrated.
    """

    value: float
    nll_before: float
    nll_after: float
    at_bound: bool


@dataclass(frozen=True)
class Bin(Plain):
    """A bin of the reliability diagram; it holds ``start``, but ``stop`` only where that is 1.

    ``low`` and ``high`` are the 95 % Wilson interval of the share of positives, with as many trials
    as groups. An empty bin has no share.
    """

    start: float = field(metadata={"key": "from"})
    stop: float = field(metadata={"key": "to"})
    count: int
    groups: int
    mean_probability: float | None = None
    positive_share: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Calibration(Plain):
    """How far the probabilities of one recipe can be taken at their word, over all horizons.

    Counted are what is judged and what is ``missing``. The base rate is a constant prediction of
    the share of positives; ``over_base_rate`` is the Brier score minus that of the base rate, which
    every resample has of its own. The calibration error has no interval: resampling raises it. The
    bins are of the first seed.
    """

    counts: dict[str, int]
    brier: Estimate
    brier_of_base_rate: float | None
    ece: Estimate
    reliability: list[Bin]
    bootstrap: Bootstrap
    over_base_rate: Difference | None = None


def brier_score(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean squared difference of ``[N]`` probabilities and labels: a constant 0.5 scores 0.25.

    MetricError: no examples, or values that are no labels or probabilities.
    """
    labels, probabilities = _checked(labels, probabilities)
    return float(np.mean((probabilities - labels) ** 2))


def expected_calibration_error(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean distance, over examples, of a bin's mean probability and its share of positives.

    15 bins of equal width over the probability of a collision, as in Guo et al. (2017), who bin
    the probability of the class that was predicted. In a small sample it is above 0 even for a
    perfectly calibrated model. Raises what ``brier_score`` does.
    """
    return sum(
        one.count / np.size(labels) * abs(one.mean_probability - one.positive_share)
        for one in reliability(labels, probabilities)
        if one.mean_probability is not None and one.positive_share is not None
    )


def reliability(
    labels: ArrayLike, probabilities: ArrayLike, groups: ArrayLike | None = None
) -> list[Bin]:
    """Compare ``[N]`` probabilities with labels, in 15 bins of equal width; see ``brier_score``.

    Without the names of ``groups [N]`` every example is one.
    """
    labels, probabilities = _checked(labels, probabilities)
    groups = np.arange(labels.size) if groups is None else np.asarray(groups)
    edges = np.linspace(0, 1, NUM_BINS + 1).tolist()
    bin_of = np.minimum(np.searchsorted(edges, probabilities, side="right") - 1, NUM_BINS - 1)
    bins = [Bin(start, stop, 0, 0) for start, stop in pairwise(edges)]
    for number in np.unique(bin_of):
        rows = bin_of == number
        num_groups = int(np.unique(groups[rows]).size)
        mean, share = float(probabilities[rows].mean()), float(labels[rows].mean())
        found = int(rows.sum()), num_groups, mean, share, *wilson(share, num_groups)
        bins[number] = Bin(edges[number], edges[number + 1], *found)
    return bins


def wilson(share: float, trials: int) -> tuple[float, float]:
    """The 95 % interval of a share of so many independent trials (groups, not clips).

    Wilson's formula (1927), which holds near 0 and 1 too.
    """
    centre = (share + Z**2 / (2 * trials)) / (1 + Z**2 / trials)
    spread = share * (1 - share) / trials + Z**2 / (4 * trials**2)
    reach = Z / (1 + Z**2 / trials) * math.sqrt(spread)
    # Rounding alone would put the ends just outside, or a share of 0 just below its interval.
    return min(share, max(0.0, centre - reach)), max(share, min(1.0, centre + reach))


def calibration(*scored_by_seed: Scored, num_resamples: int = 10_000, seed: int = 0) -> Calibration:
    """Judge the probabilities of a recipe's seeds; what has no score is left out and counted.

    Raises what ``align`` does.
    """
    aligned = align(scored_by_seed)
    first = aligned[0]
    known = ~np.any([one.missing for one in aligned], axis=0)
    label, group = first.label[known], first.group[known]
    probabilities = [one.score[known] for one in aligned]
    positive, negative = (int((label == value).sum()) for value in (1, 0))
    num_groups, missing = int(np.unique(group).size), int((~known).sum())
    counts = dict(positive=positive, negative=negative, groups=num_groups, missing=missing)
    bootstrap = Bootstrap(num_resamples, seed)
    if not positive or not negative:
        reason = f"{positive} positive and {negative} negative examples; calibration needs both"
        undefined = Estimate(None, reason=reason)
        return Calibration(counts, undefined, None, undefined, [], bootstrap)
    errors = np.mean([(one - label) ** 2 for one in probabilities], axis=0)
    samples = _resampled_mean(errors, group, bootstrap)
    by_seed = [brier_score(label, one) for one in probabilities]
    num_smaller = smaller_class(first, known)
    brier = estimate(by_seed, samples, num_smaller, scale="linear", maximum=1.0)
    of_base_rate = float(label.mean()) * (1 - float(label.mean()))
    share = _resampled_mean(label.astype(np.float64), group, bootstrap)
    over = float(np.mean(by_seed)), of_base_rate, samples - share * (1 - share)
    over_base_rate = difference(*over, num_smaller)
    by_seed = [expected_calibration_error(label, one) for one in probabilities]
    ece = replace(estimate(by_seed, np.zeros(0), 0), reason=None)
    bins = reliability(label, probabilities[0], group)
    about = counts, brier, of_base_rate, ece, bins, bootstrap
    return Calibration(*about, over_base_rate)


def fit_temperature(labels: ArrayLike, logits: ArrayLike) -> Temperature:
    """The temperature with the lowest log loss (Guo et al., 2017). Fit it on validation.

    Of ``[N]`` labels and logits. The loss is convex in 1 / temperature, so the zero of its slope is
    sought, between ``MIN_TEMPERATURE`` and ``MAX_TEMPERATURE``.

    Raises:
        MetricError: No examples, only one class, or a logit that is not finite.
    """
    labels, logits = labelled(labels, logits)
    if count := np.sum(~np.isfinite(logits)):
        raise MetricError(
            f"{count} of {logits.size} logits are not finite. Leave out missing examples, or mend "
            "the model that gave them."
        )
    if np.unique(labels).size < 2:
        raise MetricError(
            f"A temperature needs both classes, got {logits.size} examples of label "
            f"{labels[0]}. Fit it on a validation split that holds both."
        )

    def slope(log_temperature: float) -> float:
        """Of the loss, by 1 / temperature."""
        return float(np.mean((expit(logits / math.exp(log_temperature)) - labels) * logits))

    lowest, highest = math.log(MIN_TEMPERATURE), math.log(MAX_TEMPERATURE)
    if not logits.any():
        value, at_bound = 1.0, False  # every temperature gives .5
    elif slope(lowest) <= 0:
        value, at_bound = MIN_TEMPERATURE, True
    elif slope(highest) >= 0:
        value, at_bound = MAX_TEMPERATURE, True
    else:
        from scipy.optimize import brentq  # half a second, which applying one need not pay

        value, at_bound = math.exp(brentq(slope, lowest, highest, xtol=1e-9)), False
    before, after = _log_loss(labels, logits), _log_loss(labels, logits / value)
    return Temperature(value, before, after, at_bound)


def calibrated(probabilities: ArrayLike, temperature: float) -> np.ndarray:
    """Probabilities ``[N]`` at another temperature, in the same order; at 1 they stay as they are.

    MetricError: the temperature is not a positive number.
    """
    if not 0 < temperature < math.inf:
        advice = "give a positive number, such as that of fit_temperature"
        raise MetricError(f"temperature is {temperature}: {advice}.")
    if temperature == 1:
        return np.asarray(probabilities, dtype=np.float64)
    return expit(logits_of(probabilities) / temperature)


def logits_of(probabilities: ArrayLike) -> np.ndarray:
    """Logits ``[N]`` of probabilities, such as the scores in ``predictions.csv``; NaN stays."""
    probabilities = np.asarray(probabilities, dtype=np.float64)
    return logit(np.clip(probabilities, PROBABILITY_MARGIN, 1 - PROBABILITY_MARGIN))


def _checked(labels: ArrayLike, probabilities: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    labels, probabilities = labelled(labels, probabilities)
    wrong = ~((probabilities >= 0) & (probabilities <= 1))  # NaN is wrong too
    if wrong.any():
        raise MetricError(
            f"{wrong.sum()} of {wrong.size} probabilities are no numbers within 0..1, for example "
            f"{probabilities[wrong][0]:g}. Leave out missing examples; give sigmoids of logits."
        )
    return labels.astype(np.float64), probabilities


def _resampled_mean(values: np.ndarray, group: np.ndarray, bootstrap: Bootstrap) -> np.ndarray:
    """Mean of ``[N]`` values in each resample of groups: ``[R]``."""
    names, index = np.unique(group, return_inverse=True)
    sums = np.bincount(index, weights=values)
    sizes = np.bincount(index).astype(np.float64)
    chunks = group_weights(names.size, bootstrap.num_resamples, bootstrap.seed)
    return np.concatenate([(sums @ weights) / (sizes @ weights) for weights in chunks])


def _log_loss(labels: np.ndarray, logits: np.ndarray) -> float:
    return float(np.mean(np.logaddexp(0, np.where(labels == 1, -logits, logits))))
