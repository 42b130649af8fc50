"""Logistic regression on level and change: solved, not trained.

Shapes: R rows (examples in their views), B examples, L feature steps, D feature dim, E output dim.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from collision.errors import ConfigError

if TYPE_CHECKING:  # loaded where it is needed
    from sklearn.linear_model import LogisticRegression

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)  # values of C that are tried, strongest first
_MOST_ROWS = 2_000  # that a value of C is chosen on


class Logistic(nn.Module):
    """The last step, and what it differs by from the first and from the mean of all: E is 3D.

    The plain baseline, and the hardest to overfit: with ``solve`` scikit-learn finds the
    classifier's weights, so neither loss, optimizer nor trainer play a part, and the seed decides
    nothing. Every step has the same output, so that the pooling does not matter.

    Args:
        C: scikit-learn's inverse strength of the L2 penalty on standardised features. None: of 1e-4
            to 1e-1 the one with the lowest log loss in cross-validation over the training groups.
        folds: Of that cross-validation.
    """

    def __init__(self, input_dim: int, C: float | None = None, folds: int = 5):
        super().__init__()
        if C is not None and not C > 0:
            raise ConfigError(f"head.C={C}: must be above 0.")
        if folds < 2:
            raise ConfigError(f"head.folds={folds}: give 2 or more.")
        self.C, self.folds = C, folds
        self.output_dim = 3 * input_dim

    def forward(self, features: Tensor, times: Tensor, mask: Tensor) -> Tensor:
        """``[B, L, D]`` to ``[B, L, 3D]``; ``times`` are not used."""
        features = features.masked_fill(~mask.unsqueeze(-1), 0.0)
        rows = torch.arange(len(mask), device=mask.device)
        steps = torch.arange(mask.shape[1], device=mask.device)
        last, first = features[rows, (steps * mask).argmax(1)], features[rows, mask.int().argmax(1)]
        mean = features.sum(1) / mask.sum(1, keepdim=True).clamp_min(1)
        # The same is known from last, first and mean; but the penalty then falls on levels, and
        # the mAP was .01 to .02 lower (docs/small_sets.md).
        seen = torch.cat([last, last - first, last - mean], dim=1)
        return seen.unsqueeze(1).expand(-1, mask.shape[1], -1)

    def solve(
        self, rows: np.ndarray, labels: np.ndarray, weights: np.ndarray, groups: np.ndarray
    ) -> tuple[np.ndarray, float]:
        """Find the classifier's weights ``[E]`` and bias; both classes weigh the same.

        Args:
            rows: float32 ``[R, E]``.
            labels: int ``[R]``, both classes among them.
            weights: ``[R]``, of the examples.
            groups: ``[R]``: rows of a group are never parted.
        """
        from threadpoolctl import threadpool_limits

        weights = weights * _balance(labels, weights)
        mean = rows.mean(axis=0, dtype=np.float64)
        rows = (rows - mean).astype(np.float32)
        # Two threads take longer over small matrices.
        with threadpool_limits(1 if len(rows) <= _MOST_ROWS else None):
            turned, axes = _rotated(rows)
            seen = turned if len(rows) <= _MOST_ROWS else rows  # of more, a part is turned
            strength = self.C or self._chosen(seen, labels, weights, groups)
            model = _regression(strength).fit(turned, labels, sample_weight=weights)
        coefficients = model.coef_[0] if axes is None else axes @ model.coef_[0]
        return coefficients, float(model.intercept_[0] - coefficients @ mean)

    def _chosen(
        self, rows: np.ndarray, labels: np.ndarray, weights: np.ndarray, groups: np.ndarray
    ) -> float:
        """Choose C by the log loss on groups that were left out, of a part of a large set."""
        from sklearn.metrics import log_loss
        from sklearn.model_selection import StratifiedGroupKFold

        names, of_row = np.unique(groups, return_inverse=True)
        if len(rows) > _MOST_ROWS:
            kept = np.random.default_rng(0).permutation(len(names))
            kept = kept[: max(self.folds, int(len(names) * _MOST_ROWS / len(rows)))]
            part = np.isin(of_row, kept)
            rows, labels, weights, of_row = (x[part] for x in (rows, labels, weights, of_row))
        num_folds = min(self.folds, len(np.unique(of_row)))
        if num_folds < 2:
            return STRENGTHS[len(STRENGTHS) // 2]
        rows, _ = _rotated(rows)
        losses = np.zeros(len(STRENGTHS))
        folds = StratifiedGroupKFold(num_folds, shuffle=True, random_state=0)
        for fitted, left in folds.split(rows, labels, of_row):
            if len(np.unique(labels[fitted])) < 2:
                continue
            model = _regression(STRENGTHS[0])
            for place, strength in enumerate(STRENGTHS):  # each starts where the last one ended
                model.set_params(C=strength, warm_start=True)
                model.fit(rows[fitted], labels[fitted], sample_weight=weights[fitted])
                positive = model.predict_proba(rows[left])[:, 1].astype(np.float64)
                loss = log_loss(labels[left], positive, sample_weight=weights[left], labels=[0, 1])
                losses[place] += loss * len(left)
        return STRENGTHS[int(losses.argmin())]


def _rotated(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Give ``[R, K]`` with the same products between rows, and the axes ``[E, K]`` that undo it.

    An L2 penalty does not mind a rotation, and fewer rows than columns span as many axes only.
    """
    if len(rows) >= rows.shape[1]:
        return rows, None
    variances, turned = np.linalg.eigh((rows @ rows.T).astype(np.float64))
    kept = variances > 1e-6 * variances[-1]  # the rest is rounding
    lengths = np.sqrt(variances[kept])
    return (turned[:, kept] * lengths).astype(np.float32), rows.T @ (turned[:, kept] / lengths)


def _balance(labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Give factors ``[R]`` that let both classes weigh the same, the mean weight being 1."""
    factors = np.zeros(len(labels))
    for label in (0, 1):
        factors[labels == label] = len(labels) / 2 / weights[labels == label].sum()
    return factors


def _regression(strength: float) -> LogisticRegression:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, max_iter=1000)
