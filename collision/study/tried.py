"""What was tried over time: how varied it was, and how far two proposers part.

By the definitions of arXiv 2603.15916. T: runs, in their order. K: points in time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import jensenshannon

from collision.errors import ConfigError


@dataclass(frozen=True)
class Trajectory:
    """A number over time: ``[K]`` counts of runs so far, and ``[K]`` values."""

    runs: np.ndarray
    value: np.ndarray


@dataclass(frozen=True)
class LogFit:
    """The line value = h0 - k ln(runs): k below 0 says that the value grows."""

    h0: float
    k: float
    r_squared: float | None


def points_in_time(count: int) -> tuple[np.ndarray, int]:
    """Give the ``[K]`` moments that are looked at, every 50 runs or 1 %, and the window."""
    every, window = max(50, count // 100), max(200, count // 10)
    moments = np.arange(every, count + 1, every)
    return np.unique(np.append(moments, count)), window


def entropy_over_time(cells: np.ndarray) -> Trajectory:
    """Give the entropy in bits of ``[T]`` cells within a sliding window that ends at each moment.

    0: one cell was tried again and again; log2 of the number of cells: all equally often. Early
    windows are shorter than later ones, which alone keeps their entropy lower.
    """
    cells = _numbered(cells)
    moments, window = points_in_time(len(cells))
    values = [entropy(np.bincount(cells[max(0, moment - window) : moment])) for moment in moments]
    return Trajectory(moments, np.array(values))


def divergence_over_time(
    cells: np.ndarray, proposer: np.ndarray, first: str, second: str
) -> Trajectory:
    """Give the Jensen-Shannon divergence of what two proposers have tried until each moment.

    ``[T]`` cells and ``[T]`` names of proposers; runs of others pass by. NaN until both have tried
    something.

    ConfigError: a proposer that made no run.
    """
    cells, proposer = _numbered(cells), np.asarray(proposer, dtype=np.str_)
    for name in (first, second):
        if name not in proposer:
            there = ", ".join(np.unique(proposer))
            raise ConfigError(f"No run was proposed by {name!r}. There are: {there}.")
    moments, _ = points_in_time(len(cells))
    size = int(cells.max()) + 1
    values = []
    for moment in moments:
        until, who = cells[:moment], proposer[:moment]
        counts = [np.bincount(until[who == name], minlength=size) for name in (first, second)]
        values.append(jensen_shannon(*counts))
    return Trajectory(moments, np.array(values))


def entropy(counts: np.ndarray) -> float:
    """Give -sum p log2 p of counts, in bits."""
    share = counts[counts > 0] / counts.sum()
    return max(0.0, float(-np.sum(share * np.log2(share))))


def jensen_shannon(first: np.ndarray, second: np.ndarray) -> float:
    """Give the divergence of two vectors of counts: 0 the same shares, 1 nothing in common.

    NaN where either is empty.
    """
    if not first.sum() or not second.sum():
        return float("nan")
    distance = float(jensenshannon(first, second, base=2))
    # Rounding makes some zeros NaN: the root of less than nothing.
    return 0.0 if np.isnan(distance) else distance**2


def fit_log(trajectory: Trajectory) -> LogFit:
    """Fit the line by least squares; at least two moments are needed.

    Neighbouring windows share most of their runs, so an interval from these points would be too
    narrow by far; none is given.
    """
    if len(trajectory.runs) < 2:
        raise ConfigError("A line over time needs at least 2 moments: 100 runs.")
    log = np.log(trajectory.runs)
    slope, start = np.polyfit(log, trajectory.value, 1)
    left = np.sum((trajectory.value - start - slope * log) ** 2)
    spread = np.sum((trajectory.value - trajectory.value.mean()) ** 2)
    return LogFit(float(start), -float(slope), float(1 - left / spread) if spread else None)


def _numbered(cells: np.ndarray) -> np.ndarray:
    return np.unique(np.asarray(cells), return_inverse=True)[1]
