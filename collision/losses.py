"""Losses over logits ``[B]``, labels ``[B]`` and example weights ``[B]``; each gives a scalar."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from collision.errors import ConfigError


class BinaryCrossEntropy(nn.Module):
    """Cross entropy with label smoothing and a weight on positives.

    Args:
        pos_weight: Factor of the positives' loss; ``auto`` makes both classes weigh the same.
        label_smoothing: Labels become ``eps/2`` and ``1 - eps/2``.
    """

    pos_weight: Tensor

    def __init__(self, pos_weight: float | str = "auto", label_smoothing: float = 0.0):
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise ConfigError(f"loss.label_smoothing={label_smoothing}: give 0 or more, below 1.")
        if isinstance(pos_weight, str) and pos_weight != "auto":
            raise ConfigError(f"loss.pos_weight={pos_weight!r}: give a number or 'auto'.")
        self.automatic = pos_weight == "auto"
        if not self.automatic and not float(pos_weight) > 0:
            raise ConfigError(f"loss.pos_weight={pos_weight}: must be above 0.")
        self.label_smoothing = label_smoothing
        self.register_buffer(
            "pos_weight", torch.tensor(1.0 if self.automatic else float(pos_weight))
        )

    def fit(self, num_negative: float, num_positive: float) -> None:
        """Set an automatic ``pos_weight`` from the training examples' counts."""
        if self.automatic and num_positive > 0:
            self.pos_weight.fill_(max(num_negative, 1.0) / num_positive)

    def forward(self, logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        """Give the weighted mean loss."""
        smooth = labels * (1 - self.label_smoothing) + 0.5 * self.label_smoothing
        each = functional.binary_cross_entropy_with_logits(
            logits, smooth, pos_weight=self.pos_weight, reduction="none"
        )
        return (each * weights).sum() / weights.sum().clamp_min(1e-8)
