"""Who proposed what, and from what: specialisation of proposers, and the trials' family tree.

R: runs. A: proposers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import jensenshannon

from collision.errors import ConfigError
from collision.report.tables import ABSENT, Grid, number, signed
from collision.study.section import Section, interval_text, p_text

_SHUFFLES = 500


@dataclass(frozen=True)
class Specialisation:
    """How far proposers part.

    Attributes:
        divergence: ``[A, A]`` Jensen-Shannon divergence, base 2: 0 the same combinations equally
            often, 1 none in common.
        by_chance: ``[A, A]``: what it is on average where the names are shuffled over the runs; few
            runs alone raise it.
        p_value: ``[A, A]``: share of shuffles with at least as much; NaN on the diagonal.
    """

    proposers: tuple[str, ...]
    runs: tuple[int, ...]
    divergence: np.ndarray
    by_chance: np.ndarray
    p_value: np.ndarray


def specialisation(cells: np.ndarray, proposer: np.ndarray, seed: int = 0) -> Specialisation | None:
    """Compare what proposers ``[R]`` chose, as numbers of combinations ``[R]``; None: only one."""
    names, who = np.unique(np.asarray(proposer, dtype=np.str_), return_inverse=True)
    cells = np.unique(cells, return_inverse=True)[1]
    if len(names) < 2:
        return None
    observed = _divergences(cells, who, len(names))
    rng = np.random.default_rng(seed)
    drawn = np.array(
        [_divergences(cells, rng.permutation(who), len(names)) for _ in range(_SHUFFLES)]
    )
    p_value = (1 + np.sum(drawn >= observed - 1e-12, axis=0)) / (1 + _SHUFFLES)
    np.fill_diagonal(p_value, np.nan)
    return Specialisation(
        tuple(map(str, names)),
        tuple(map(int, np.bincount(who))),
        observed,
        drawn.mean(axis=0),
        p_value,
    )


def _divergences(cells: np.ndarray, who: np.ndarray, count: int) -> np.ndarray:
    table = np.zeros((int(cells.max()) + 1, count))
    np.add.at(table, (cells, who), 1)
    distance = jensenshannon(table[:, :, None], table[:, None, :], base=2, axis=0)
    # Rounding makes some of the zeros NaN: the root of less than nothing.
    return np.asarray(np.nan_to_num(distance) ** 2)


@dataclass(frozen=True)
class Genealogy:
    """The family tree of trials.

    Attributes:
        children: Trials that were made from others.
        depth: Of each trial, by number: 0 made from none, else one more than its deepest parent.
        best: The number of the trial with the best score, and how it came about.
        from_best: Share of the later trials that descend from it.
        founders: Share of all trials that descend from the trials without parents from which the
            best descends (itself, if it has none).
        gain: Mean of a child's score less the mean of its parents', with its interval (95 %,
            bootstrap over children).
        unknown: Parents that are not in the table (failed, for instance).
    """

    trials: int
    children: int
    depth: Mapping[int, int]
    best: int
    best_depth: int
    from_best: float | None
    founders: float
    gain: float | None
    interval: tuple[float, float] | None
    unknown: int


def parents_of(texts: Sequence[str]) -> list[tuple[int, ...]]:
    """Read ``[R]`` lists of numbers, such as ``3 7`` or ``[3, 7]``; ConfigError: another text."""
    found = []
    for row, text in enumerate(texts):
        if re.sub(r"[\d\s,;\[\]()]", "", text):
            raise ConfigError(
                f"Run {row + 1} has parents={str(text)!r}: give numbers of runs, as in `3 7`."
            )
        found.append(tuple(map(int, re.findall(r"\d+", text))))
    return found


def genealogy(
    number_of: Sequence[int], parents: Sequence[Sequence[int]], score: np.ndarray
) -> Genealogy | None:
    """Read the family tree of trials by their numbers; None: no trial was made from another.

    ConfigError: a number comes twice, or a trial is made from itself or a later one.
    """
    numbers = list(map(int, number_of))
    if len(set(numbers)) < len(numbers):
        raise ConfigError("Two runs have the same number: numbers name the runs.")
    if not any(map(len, parents)):
        return None
    value = dict(zip(numbers, map(float, score), strict=True))
    made_from = {n: [p for p in own if p in value] for n, own in zip(numbers, parents, strict=True)}
    unknown = sum(map(len, parents)) - sum(map(len, made_from.values()))
    depth: dict[int, int] = {}
    roots: dict[int, frozenset[int]] = {}
    for n in sorted(numbers):
        own = made_from[n]
        if any(p >= n for p in own):
            raise ConfigError(f"Run {n} is made from itself or a later one ({max(own)}).")
        depth[n] = 1 + max((depth[p] for p in own), default=-1)
        roots[n] = frozenset().union(*(roots[p] for p in own)) if own else frozenset([n])
    best = max(numbers, key=lambda n: (value[n], -n))
    heirs = {best}
    for n in sorted(n for n in numbers if n > best):
        if heirs & set(made_from[n]):
            heirs.add(n)
    later = sum(n > best for n in numbers)
    gains = np.array([value[n] - np.mean([value[p] for p in o]) for n, o in made_from.items() if o])
    return Genealogy(
        len(numbers),
        len(gains),
        depth,
        best,
        depth[best],
        (len(heirs) - 1) / later if later else None,
        float(np.mean([bool(roots[n] & roots[best]) for n in numbers])),
        float(gains.mean()) if len(gains) else None,
        _interval(gains),
        unknown,
    )


def _interval(values: np.ndarray) -> tuple[float, float] | None:
    if len(values) < 2:
        return None
    rng = np.random.default_rng(0)
    means = values[rng.integers(len(values), size=(2000, len(values)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def section_of(parted: Specialisation | None, tree: Genealogy | None) -> Section:
    """Show both."""
    grids, words = [], []
    if parted:
        rows = []
        for a, first in enumerate(parted.proposers):
            for b in range(a + 1, len(parted.proposers)):
                numbers = parted.divergence[a, b], parted.by_chance[a, b]
                own = [number(float(x)) for x in numbers] + [p_text(float(parted.p_value[a, b]))]
                both = f"{parted.runs[a]} + {parted.runs[b]}"
                rows.append([f"{first}, {parted.proposers[b]}", both, *own])
        header = ["proposers", "runs", "divergence", "by chance", "p"]
        grids.append(Grid("How far proposers part", header, rows))
        words.append(
            "Jensen-Shannon divergence of the combinations that two proposers chose, beside what "
            f"it is where their names are shuffled ({_SHUFFLES} times)."
        )
    if tree:
        words.append(_of_tree(tree))
    return Section(
        "lineage", "Who proposed what", words, {"parting": parted, "genealogy": tree}, grids
    )


def _of_tree(tree: Genealogy) -> str:
    deepest = max(tree.depth.values())
    heirs = ABSENT if tree.from_best is None else f"{tree.from_best:.0%}"
    text = (
        f"{tree.children} of {tree.trials} trials were made from others, up to {deepest} "
        f"generations deep. The best, number {tree.best}, is of generation {tree.best_depth}; "
        f"{heirs} of the later trials descend from it, and {tree.founders:.0%} of all share a "
        "founder with it."
    )
    if tree.gain is not None:
        text += (
            f" A child scores {signed(tree.gain)}{interval_text(tree.interval)} against the mean "
            f"of its parents (n {tree.children}). Parents were chosen for their scores, some of it "
            "luck: a copy would score less too."
        )
    if tree.unknown:
        text += f" {tree.unknown} parents are not in the table."
    return text
