"""Principal components of features, where what is left out is noise.

Shapes: N rows (steps of the training set), D features, K components.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

MOST_ROWS = 20_000  # that a covariance is taken from
# White noise of N rows spreads its variances by the Marchenko-Pastur law; steps of overlapping
# windows tell less than N rows, so a little more is called white.
_SLACK = 1.5


def num_above_noise(rows: Tensor) -> int | None:
    """Count the components of features ``[N, D]``, standardised, that stand above white noise.

    That is the threshold of Gavish and Donoho (arXiv 1305.5870) for noise of unknown size. None
    where the rest is not white: then it may tell something, and all features are to be kept. So it
    is with every backbone that was looked at (docs/small_sets.md).
    """
    rows = _some(rows)
    num_rows, dim = rows.shape
    if num_rows <= 2 * dim:  # too few to tell
        return None
    std, mean = torch.std_mean(rows, dim=0, correction=0)
    if not (std + mean).isfinite().all():  # standardising says so, by name
        return None
    variances = components_of((rows - mean) / std.clamp_min(1e-12))[0].flip(0)
    beta = dim / num_rows
    threshold = 0.56 * beta**3 - 0.95 * beta**2 + 1.82 * beta + 1.43
    count = int((variances > threshold**2 * variances.median()).sum())
    if not 0 < count < dim:
        return None
    spread = variances[count] / variances[-1].clamp_min(1e-12)
    white = ((1 + np.sqrt(beta)) / (1 - np.sqrt(beta))) ** 2
    return count if spread <= _SLACK * white else None


def components_of(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Give variances ``[D]``, ascending, of rows ``[N, D]`` of mean 0, and directions as columns.

    Of many rows every so many-th is taken.
    """
    part = _some(rows)
    return torch.linalg.eigh(part.T @ part / len(part))


def _some(rows: Tensor) -> Tensor:
    """Take at most ``MOST_ROWS``, evenly."""
    return rows[:: max(1, -(-len(rows) // MOST_ROWS))]
