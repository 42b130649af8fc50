"""What a search may call best: by fresh seeds alone, with the luck of the maximum beside it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from collision.search.reading import done
from collision.search.trials import CONFIRM, SEARCH, Trial

# More than this share of the finished trials, of so many at least, with the very best score: the
# validation split tells them apart no more.
MOST_AT_BEST, FEWEST = 0.05, 40


@dataclass(frozen=True)
class Confirmed:
    """An experiment that was trained again with fresh seeds.

    Attributes:
        trial: The best of its trials of the search.
        searched: Its mean score in the search.
        values: Of its fresh seeds.
    """

    trial: Trial
    searched: float
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Over fresh seeds."""
        return float(np.mean(self.values))


@dataclass(frozen=True)
class Luck:
    """How far the best of so many equal trials lies above their mean by chance.

    Attributes:
        count: Trials of the search.
        sd: Between seeds of an experiment, pooled; None: none was trained twice.
        df: Degrees of freedom behind it.
    """

    count: int
    sd: float | None
    df: int

    @property
    def expected(self) -> float | None:
        """In mAP; None: not known."""
        return None if self.sd is None else self.sd * expected_maximum(self.count)


def best_experiments(trials: Sequence[Trial]) -> list[Trial]:
    """Give the best trial of each experiment, by their mean in the search, the best first."""
    found: dict[str, list[Trial]] = defaultdict(list)
    for trial in done(trials):
        if trial.stage == SEARCH:
            found[trial.experiment].append(trial)
    ordered = sorted(found.values(), key=lambda own: (-_mean(own), min(t.number for t in own)))
    return [max(own, key=lambda t: (t.value or 0.0, -t.number)) for own in ordered]


def best_cells(trials: Sequence[Trial], count: int) -> list[Trial]:
    """Give the best experiment of each of the best cells, as ``best_experiments`` does.

    Where the search has seen fewer cells, their next best experiments come after them.
    """
    first: dict[tuple[str, ...], Trial] = {}
    others = []
    for trial in best_experiments(trials):
        if first.setdefault(tuple(trial.point.cell.values()), trial) is not trial:
            others.append(trial)
    return [*first.values(), *others][:count]


def fresh_seeds(trials: Sequence[Trial], best: Trial, count: int) -> list[int]:
    """List the seeds with which an experiment is still to be confirmed: the same ones for all."""
    first = 1 + max((trial.seed for trial in trials if trial.stage == SEARCH), default=0)
    own = [one for one in trials if one.experiment == best.experiment and one.stage == CONFIRM]
    have = {one.seed for one in own}
    wanted = max(0, count - len(have))
    seeds = (seed for seed in range(first, first + count + len(have)) if seed not in have)
    return [seed for seed, _ in zip(seeds, range(wanted), strict=False)]


def confirmed(trials: Sequence[Trial]) -> list[Confirmed]:
    """List the experiments that have fresh seeds, the best by those first."""
    found = []
    for best in best_experiments(trials):
        own = [one for one in done(trials) if one.experiment == best.experiment]
        fresh = tuple(_value(one) for one in own if one.stage == CONFIRM)
        if fresh:
            searched = _mean([one for one in own if one.stage == SEARCH])
            found.append(Confirmed(best, searched, fresh))
    most = max((len(one.values) for one in found), default=0)
    # Of one of which some seeds failed the mean is of less.
    return sorted(found, key=lambda one: (len(one.values) < most, -one.mean))


def luck_of(trials: Sequence[Trial]) -> Luck:
    """Say how far the search's best would lie above the others by seeds alone."""
    found: dict[str, dict[int, float]] = defaultdict(dict)
    for trial in done(trials):
        found[trial.experiment][trial.seed] = _value(trial)
    groups = [np.array(list(own.values())) for own in found.values() if len(own) > 1]
    count = sum(trial.stage == SEARCH for trial in done(trials))
    df = sum(len(group) - 1 for group in groups)
    if not df:
        return Luck(count, None, 0)
    left = sum(float(((group - group.mean()) ** 2).sum()) for group in groups)
    return Luck(count, math.sqrt(left / df), df)


def expected_maximum(count: int) -> float:
    """Give E max of so many draws of a standard normal: 0 for 1, 1.54 for 10, 2.51 for 100."""
    if count < 2:
        return 0.0
    # E max = integral of 1 - F^N over x > 0, less F^N over x < 0.
    x = np.linspace(0.0, 12.0, 24_001)
    tail = np.array([0.5 * math.erfc(value / math.sqrt(2)) for value in x.tolist()])
    above = -np.expm1(count * np.log1p(-tail))
    with np.errstate(divide="ignore"):
        below = np.exp(count * np.log(tail))
    return float(np.trapezoid(above - below, x))


def is_saturated(trials: Sequence[Trial]) -> bool:
    """Whether more than 5 % of the finished trials share the best score, and it tells no more."""
    values = [_value(trial) for trial in done(trials) if trial.stage == SEARCH]
    if len(values) < FEWEST:
        return False
    return values.count(max(values)) > MOST_AT_BEST * len(values)


def _value(trial: Trial) -> float:
    assert trial.value is not None, trial
    return trial.value


def _mean(trials: Sequence[Trial]) -> float:
    return float(np.mean([_value(trial) for trial in trials]))
