"""How much of the differences between scores goes with each dimension. N: trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

FEWEST_LEFT = 10  # degrees of freedom for noise, below which no share is given


@dataclass(frozen=True)
class Share:
    """Shares of the differences, beyond what chance gives (omega squared); None: not known.

    Attributes:
        alone: What goes with the dimension, with what others do that were chosen together with it.
        beside: What it explains beside all others: what they could explain as well is left out.
    """

    alone: float | None
    beside: float | None


def shares(chosen: Mapping[str, Sequence[str]], scores: Sequence[float]) -> dict[str, Share]:
    """Give the shares of ``[N]`` names of choices by dimension, in ``[N]`` scores.

    Main effects by least squares, each dimension against all others (type II).
    """
    if not len(scores):
        return {key: Share(None, None) for key in chosen}
    y = np.asarray(scores, dtype=np.float64)
    y = y - y.mean()
    total = float(y @ y)
    columns = {key: _columns(names) for key, names in chosen.items()}
    left, rank = _left(list(columns.values()), y)
    found = {}
    for key, own in columns.items():
        alone, levels = _left([own], y)
        without, smaller = _left([other for name, other in columns.items() if name != key], y)
        found[key] = Share(
            _omega(total - alone, levels, alone, len(y) - 1 - levels, total),
            _omega(without - left, rank - smaller, left, len(y) - 1 - rank, total),
        )
    return found


def _columns(names: Sequence[str]) -> np.ndarray:
    """``[N, K - 1]`` indicators of K names, each less its mean."""
    _, codes = np.unique(np.asarray(names, dtype=np.str_), return_inverse=True)
    made = np.eye(int(codes.max(initial=0)) + 1)[codes][:, 1:]
    return made - made.mean(axis=0)


def _left(columns: Sequence[np.ndarray], y: np.ndarray) -> tuple[float, int]:
    """Give the sum of squares that columns leave of ``y``, and their rank."""
    if not columns:
        return float(y @ y), 0
    design = np.hstack(columns)
    values, vectors = np.linalg.eigh(design.T @ design)
    kept = vectors[:, values > 1e-9 * max(values.max(initial=0.0), 1e-300)]
    if not kept.shape[1]:
        return float(y @ y), 0
    basis, _ = np.linalg.qr(design @ kept)
    explained = basis.T @ y
    return max(0.0, float(y @ y - explained @ explained)), kept.shape[1]


def _omega(squares: float, df: int, left: float, left_df: int, total: float) -> float | None:
    if df <= 0 or left_df < FEWEST_LEFT or total <= 0:
        return None
    noise = left / left_df
    return max(0.0, (squares - df * noise) / (total + noise))
