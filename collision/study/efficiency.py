"""How soon policies find something good, over repeated studies.

S: repeats of a policy. T: trials. K: moments that are looked at.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from collision.errors import ConfigError
from collision.report.tables import ABSENT, Grid, number, signed
from collision.study.resampling import Correction, adjusted_p
from collision.study.section import ALPHA, Section, interval_text, p_text
from collision.study.table import combination

NUM_MOMENTS = 200


@dataclass(frozen=True)
class Course:
    """The best so far of one policy after 1, 2, ... trials: ``[K]`` each, over its repeats.

    ``low`` and ``high`` bound the mean (95 %, a bootstrap over repeats, widened for few of them);
    ``tenth`` and ``ninetieth`` are where 80 of 100 repeats lie. ``final`` holds the best of each
    repeat ``[S]``.
    """

    policy: str
    repeats: int
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    tenth: np.ndarray
    ninetieth: np.ndarray
    final: np.ndarray


@dataclass(frozen=True)
class Apart:
    """A policy's mean best less the reference's, after all trials, with Welch's test."""

    policy: str
    difference: float
    interval: tuple[float, float]
    p_value: float
    p_adjusted: float


@dataclass(frozen=True)
class Efficiency:
    """What repeated studies say.

    Attributes:
        trials: ``[K]`` numbers of trials.
        optimum: What regret is counted from; ``known``: it was given, else it is the best score of
            the table, and a policy that found it looks perfect.
        reference: The policy that the others are held against.
    """

    trials: np.ndarray
    budget: int
    optimum: float
    known: bool
    courses: tuple[Course, ...]
    reference: str
    apart: tuple[Apart, ...]


def efficiency(
    policy: np.ndarray,
    repeat: np.ndarray,
    order: np.ndarray,
    score: np.ndarray,
    *,
    optimum: float | None = None,
    correction: Correction = "holm",
) -> Efficiency:
    """Compare policies from one row a trial: who proposed it, in which repeat, when, its score.

    Repeats are cut to the shortest one's length. The reference is ``random``, if it is there, else
    the first policy by name.

    ConfigError: a policy with fewer than two repeats, or a score above the optimum.
    """
    bests = _bests(policy, repeat, order, score)
    for name, own in bests.items():
        if len(own) < 2:
            raise ConfigError(
                f"policy {name!r} has one repeat: what one study found may be luck. Repeat it with "
                "other seeds."
            )
    budget = min(len(one) for own in bests.values() for one in own)
    highest = float(np.max(score))
    if optimum is not None and highest > optimum:
        raise ConfigError(f"optimum={optimum:g}: a run scores {highest:g}, which is more.")
    moments = np.unique(np.geomspace(1, budget, NUM_MOMENTS).round().astype(int))
    courses = tuple(
        _course(name, np.array([one[moments - 1] for one in own])) for name, own in bests.items()
    )
    reference = next((c for c in courses if c.policy == "random"), courses[0])
    apart = _apart(reference, [c for c in courses if c is not reference], correction)
    best = highest if optimum is None else optimum
    return Efficiency(
        moments, budget, best, optimum is not None, courses, reference.policy, tuple(apart)
    )


def _bests(
    policy: np.ndarray, repeat: np.ndarray, order: np.ndarray, score: np.ndarray
) -> dict[str, list[np.ndarray]]:
    studies = combination([policy, repeat], len(score))
    found: dict[str, list[np.ndarray]] = {str(name): [] for name in np.unique(policy)}
    for study in np.unique(studies):
        own = np.flatnonzero(studies == study)
        own = own[np.argsort(order[own], kind="stable")]
        found[str(policy[own[0]])].append(np.maximum.accumulate(score[own]))
    return found


def _course(name: str, best: np.ndarray) -> Course:
    rng = np.random.default_rng(0)
    rows = rng.integers(len(best), size=(2000, len(best)))
    # Counts instead of rows: 2000 means of 100 repeats at 200 moments at once.
    weight = np.stack([np.bincount(row, minlength=len(best)) for row in rows]) / len(best)
    # Of few repeats plain percentiles are too narrow; these are widened as Student's t is, and by
    # n / (n - 1) (Hesterberg 2015): of 30 repeats, 94 of 100 hold the mean, not 92.
    count = len(best)
    tail = stats.norm.cdf(stats.t.ppf(0.025, count - 1) * (count / (count - 1)) ** 0.5)
    low, high = np.quantile(weight @ best, (tail, 1 - tail), axis=0)
    tenth, ninetieth = np.quantile(best, (0.1, 0.9), axis=0)
    return Course(name, len(best), best.mean(axis=0), low, high, tenth, ninetieth, best[:, -1])


def _apart(reference: Course, others: list[Course], correction: Correction) -> list[Apart]:
    found = []
    for one in others:
        if np.ptp(one.final) == 0 and np.ptp(reference.final) == 0:
            reach = float(one.final[0] - reference.final[0])
            found.append((one.policy, reach, (reach, reach), float(reach == 0)))
            continue
        test = stats.ttest_ind(one.final, reference.final, equal_var=False)
        bounds = test.confidence_interval(0.95)
        interval = float(bounds.low), float(bounds.high)
        reach = float(one.final.mean() - reference.final.mean())
        found.append((one.policy, reach, interval, float(test.pvalue)))
    adjusted = adjusted_p([p_value for *_, p_value in found], correction)
    return [Apart(*one, p) for one, p in zip(found, adjusted, strict=True)]


def trials_to(course: Course, trials: np.ndarray, level: float) -> int | None:
    """Give after how many trials the mean best reaches a score; None: not within the budget."""
    reached = np.flatnonzero(course.mean >= level)
    return int(trials[reached[0]]) if len(reached) else None


def section_of(one: Efficiency, score: str) -> Section:
    """Show policies, the best mean first."""
    from collision.study.plots import efficiency_curves
    from collision.study.section import Drawing

    places = [int(np.argmin(np.abs(one.trials - n))) for n in _shown(one.budget)]
    at = [int(one.trials[place]) for place in places]
    ordered = sorted(one.courses, key=lambda course: -course.mean[-1])
    level = next(c for c in one.courses if c.policy == one.reference).mean[-1]
    rows = []
    for course in ordered:
        reached = trials_to(course, one.trials, level)
        bests = [
            number(course.mean[p]) + interval_text((course.low[p], course.high[p])) for p in places
        ]
        regret = number(one.optimum - course.mean[-1])
        to = ABSENT if reached is None else str(reached)
        rows.append([course.policy, str(course.repeats), *bests, regret, to])
    header = ["policy", "repeats", *(f"best after {n}\n[95 % interval]" for n in at)]
    header += [f"regret\nafter {one.budget}", f"trials to what\n{one.reference} reaches"]
    grids = [Grid(f"Best {score} so far, mean over repeats", header, rows)]
    if one.apart:
        rows = [
            [
                a.policy,
                signed(a.difference) + interval_text(a.interval),
                p_text(a.p_value),
                p_text(a.p_adjusted),
            ]
            for a in sorted(one.apart, key=lambda a: -a.difference)
        ]
        header = ["policy", "difference\n[95 % interval]", "p (Welch)", "p, corrected"]
        grids.append(Grid(f"Against {one.reference} after {one.budget} trials", header, rows))
    drawing = Drawing("efficiency", "Best so far by policy", lambda p: efficiency_curves(one, p))
    return Section("efficiency", "How soon policies find", [_words(one)], one, grids, [drawing])


def _words(one: Efficiency) -> str:
    sure = [a for a in one.apart if a.p_adjusted <= ALPHA]
    parts = [
        f"{a.policy} finds {signed(a.difference)} ({signed(a.interval[0])} to "
        f"{signed(a.interval[1])}) against {one.reference}"
        for a in sure
    ]
    unsure = [a.policy for a in one.apart if a not in sure]
    text = f"After {one.budget} trials {'; '.join(parts)}. " if parts else ""
    if unsure:
        text += f"Not told from {one.reference} after {one.budget} trials: {', '.join(unsure)}. "
    text += f"Regret is counted from {number(one.optimum)}"
    if not one.known:
        text += ", the best score of this table: give optimum= where a better one is known"
    return f"{text}. A best of noisy scores holds the luck of its draw."


def _shown(budget: int) -> list[int]:
    return sorted({max(1, budget // 10), max(1, budget // 3), budget})
