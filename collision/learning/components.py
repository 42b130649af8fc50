"""Moments of features, and their principal components, where what is left out is noise.

Shapes: N rows (steps of the training set), D features, K components, S steps a window.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from collision.features.bank import FusedBank

BLOCK = 32_768  # steps: 128 MiB of 1024 features
MOST_ROWS = 20_000  # that a covariance is taken from
# White noise of N rows spreads its variances by the Marchenko-Pastur law; steps of overlapping
# windows tell less than N rows, so a little more is called white.
_SLACK = 1.5


@dataclass(frozen=True, eq=False)
class Steps:
    """Steps of windows, ``float32 [N, D]`` in blocks: all at once they would fill the memory.

    Attributes:
        bank: ``[M, S, D]`` windows, of one backbone or of several.
        is_real: bool ``[M, S]``: the steps that count.
        used: ``int64`` rows of the bank that count.
    """

    bank: Tensor | FusedBank
    is_real: Tensor
    used: Tensor

    def __len__(self) -> int:
        return int(self.is_real[self.used].sum())

    def __iter__(self) -> Iterator[Tensor]:
        """Give blocks of ``BLOCK`` steps at most; a single one where there are no more."""
        for part in self.used.split(max(1, BLOCK // self.bank.shape[1])):
            yield self.bank.index_select(0, part)[self.is_real[part]].float()


def std_mean(rows: Tensor | Steps) -> tuple[Tensor, Tensor]:
    """Give standard deviation and mean of each feature, ``[D]``."""
    blocks = [rows] if isinstance(rows, Tensor) else rows
    count, mean, squares = 0, torch.zeros(()), torch.zeros(())
    for block in blocks:
        own_std, own_mean = torch.std_mean(block, dim=0, correction=0)
        if len(block) == len(rows):  # all there is
            return own_std, own_mean
        both, apart = count + len(block), own_mean.double() - mean
        squares = squares + own_std.double().square() * len(block)
        squares = squares + apart.square() * (count * len(block) / max(both, 1))
        count, mean = both, mean + apart * (len(block) / max(both, 1))
    return (squares / max(count, 1)).sqrt().float(), mean.float()


def num_above_noise(rows: Tensor | Steps) -> int | None:
    """Count the components of features ``[N, D]``, standardised, that stand above white noise.

    That is the threshold of Gavish and Donoho (arXiv 1305.5870) for noise of unknown size. None
    where the rest is not white: then it may tell something, and all features are to be kept. So it
    is with every backbone that was looked at (docs/small_sets.md).
    """
    rows = some_rows(rows)
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
    part = some_rows(rows)
    return torch.linalg.eigh(part.T @ part / len(part))


def some_rows(rows: Tensor | Steps) -> Tensor:
    """Take at most ``MOST_ROWS``, evenly."""
    every = max(1, -(-len(rows) // MOST_ROWS))
    if isinstance(rows, Tensor):
        return rows[::every]
    taken, seen = [], 0
    for block in rows:
        taken.append(block[-seen % every :: every])
        seen += len(block)
    return torch.cat(taken)
