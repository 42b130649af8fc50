"""Scores that are too good: cells that may see labels, and a validation that tells nothing more.

R: runs. C: cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from collision.report.tables import ABSENT, Grid, number
from collision.study.section import Section, p_text
from collision.study.spread import seed_spread
from collision.study.table import Runs

MOST_TIED = 0.05  # share of runs that may have the best score
FEWEST_RUNS = 20  # for a share to say anything
FEWEST_CELLS = 8  # for siblings to say what is usual
CHANCE = 0.01  # of a flag in a table without a leak, were scores normal
PERFECT = 0.9995  # of the ceiling: what is printed as it
MEDIANS_WORTH = 0.37  # the efficiency of a median of distances, for normal noise
BLATANT = 3.0  # times what is implausible: flagged even where another cell scores more
MOST_FAR = 0.25  # of the cells: more are no odd ones out
_ROUNDS = 10


@dataclass(frozen=True)
class Flag:
    """A choice, or combination of choices, whose scores are implausible, and why.

    ``score`` is its mean, ``usual`` what is usual for it, ``distance`` how far above in sd of such
    differences (None where that is not the reason).
    """

    cell: str
    runs: int
    reason: str
    score: float
    usual: float
    distance: float | None


@dataclass(frozen=True)
class Leaks:
    """What looks too good.

    Attributes:
        tied: Share of runs that have exactly the best score.
        saturated: More than one in twenty, at least two: the score tells the best no more apart.
        rank: Spearman's correlation of validation and test, with ``p_value``; None: no test score.
    """

    runs: int
    flags: tuple[Flag, ...]
    tied: float
    saturated: bool
    rank: float | None
    p_value: float | None


def leaks(runs: Runs, test: np.ndarray | None = None, ceiling: float = 1.0) -> Leaks:
    """Look for implausible scores; ``test`` ``[R]`` is a score that nothing was chosen by."""
    flags = _perfect(runs, ceiling)
    perfect = {flag.cell for flag in flags}
    beyond = _beyond(runs, runs.score, "above what its choices give")
    flags += [flag for flag in beyond if flag.cell not in perfect]
    rank = p_value = None
    if test is not None:
        gap = runs.score - test
        flags += _beyond(runs, gap, "validation far above test")
        if np.ptp(runs.score) and np.ptp(test):
            found = stats.spearmanr(runs.score, test)
            rank, p_value = float(found.statistic), float(found.pvalue)
    best = runs.score == runs.score.max()
    tied = float(best.mean())
    saturated = len(runs) >= FEWEST_RUNS and tied > MOST_TIED and int(best.sum()) > 1
    return Leaks(len(runs), tuple(flags), tied, saturated, rank, p_value)


def _perfect(runs: Runs, ceiling: float) -> list[Flag]:
    """Flag levels and cells at the ceiling whose siblings, as a rule, are not."""
    units = {f"{name}={level}": column == level for name, column in runs.factors.items()
             for level in np.unique(column)}  # fmt: skip
    at_top = runs.score >= PERFECT * ceiling
    flags = []
    for name, own in units.items():
        if at_top[own].all() and at_top[~own].mean() <= MOST_TIED:
            flags.append(_flag(runs, name, own, "perfect, where its siblings are not"))
    covered = np.zeros(len(runs), dtype=bool)
    for flag in flags:
        covered |= units[flag.cell]
    for cell in np.unique(runs.cells):
        own = runs.cells == cell
        siblings = ~own & ~covered
        if covered[own].any() or not siblings.any() or not at_top[own].all():
            continue
        if at_top[siblings].mean() <= MOST_TIED:
            name = cell_name(runs, int(np.argmax(own)))
            flags.append(_flag(runs, name, own, "perfect, where its siblings are not"))
    return flags


def _flag(runs: Runs, name: str, own: np.ndarray, reason: str) -> Flag:
    usual = float(np.median(runs.score[~own]))
    return Flag(name, int(own.sum()), reason, float(runs.score[own].mean()), usual, None)


def _beyond(runs: Runs, value: np.ndarray, reason: str) -> list[Flag]:
    """Flag cells far above what their choices give together, and above all that are not.

    Choices are added up by medians, which a single cell does not move; the spread of what is left
    is that of the middle half of cells, and no less than seeds alone would make it.
    """
    cells = runs.cells
    names, first = np.unique(cells, return_index=True)
    counts = np.bincount(cells)
    means = np.bincount(cells, value - _of_blocks(runs, value)) / counts
    columns = [column[first] for column in runs.factors.values()]
    left, df = _polished(means, columns)
    if len(names) < FEWEST_CELLS or df < len(names) / 3:
        return []
    # Fitting took part of the spread; the middle half is little moved by the cell in question.
    middle = float(np.median(np.abs(left))) / stats.norm.ppf(0.75) * (len(names) / df) ** 0.5
    sd = seed_spread(runs).sd or 0.0
    spread = np.maximum(middle, sd / np.sqrt(counts))
    # A median of distances is worth about a third of their number.
    limit = float(stats.t.isf(CHANCE / len(names), max(2.0, df * MEDIANS_WORTH)))
    distances = left / spread if middle else np.zeros(len(left))
    far = distances > limit
    if not far.any() or far.mean() > MOST_FAR:
        return []
    ceiling_of_siblings = float(means[~far].max())
    flags = []
    for cell in np.argsort(-left):
        blatant = distances[cell] > BLATANT * limit
        if far[cell] and (blatant or means[cell] > ceiling_of_siblings):
            own = cells == names[cell]
            score, name = float(value[own].mean()), cell_name(runs, int(first[cell]))
            usual = score - float(left[cell])
            flags.append(Flag(name, int(own.sum()), reason, score, usual, float(distances[cell])))
    return flags


def _polished(means: np.ndarray, columns: list[np.ndarray]) -> tuple[np.ndarray, int]:
    """Take the medians of every factor's levels off ``[C]``, in turn; what is left, and its df."""
    left = means - np.median(means)
    for _ in range(_ROUNDS):
        for column in columns:
            for level in np.unique(column):
                own = column == level
                left[own] -= np.median(left[own])
    spent = 1 + sum(len(np.unique(column)) - 1 for column in columns)
    return left, len(means) - spent


def _of_blocks(runs: Runs, value: np.ndarray) -> np.ndarray:
    strata = runs.strata
    of_each = [np.median(value[strata == stratum]) for stratum in range(int(strata.max()) + 1)]
    return np.array(of_each)[strata]


def cell_name(runs: Runs, row: int) -> str:
    """Name the combination of one run."""
    return ", ".join(f"{name}={column[row]}" for name, column in runs.factors.items())


def section_of(one: Leaks, score: str) -> Section:
    """Show flags, and say what else there is to say."""
    words = []
    if one.flags:
        named = dict.fromkeys(flag.cell for flag in one.flags)
        words.append(
            f"Implausible scores, {len(named)} of them: look for a leak (labels among the inputs, "
            "validation clips in the training, a cut that sees the event) before you believe "
            f"{'; '.join(list(named)[:3])}."
        )
    else:
        words.append(
            f"No combination's {score} stands out as implausible. That is no proof that none "
            "leaks: one that lifts all combinations alike, or by little, is not seen from here."
        )
    if one.saturated:
        words.append(
            f"{one.tied:.0%} of {one.runs} runs share the best {score}: it tells the best no more "
            "apart. Choose by another score, or a harder validation."
        )
    if one.rank is not None:
        words.append(
            f"Validation and test rank the {one.runs} runs with a Spearman correlation of "
            f"{number(one.rank)} (p {p_text(one.p_value)})."
        )
    rows = [
        [
            flag.cell,
            str(flag.runs),
            flag.reason,
            number(flag.score),
            number(flag.usual),
            ABSENT if flag.distance is None else f"{flag.distance:.1f}",
        ]
        for flag in one.flags
    ]
    header = ["choice", "runs", "why", "value", "usual", "in sd"]
    grids = [Grid("Implausible", header, rows)] if rows else []
    return Section("leaks", "Too good to be true", words, one, grids)
