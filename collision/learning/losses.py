"""Losses over logits ``[B]``, labels ``[B]`` and example weights ``[B]``; each gives a scalar."""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from collision.errors import ConfigError


class Loss(Protocol):
    """What a YAML in ``configs/loss`` names: an ``nn.Module`` with these two."""

    def fit(self, negative: float, positive: float) -> None:
        """Take note of the summed weights of each class in a pass, once before training."""

    def __call__(self, logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        """Give the weighted mean loss of a batch."""


class BinaryCrossEntropy(nn.Module):
    """Cross entropy with label smoothing and a weight on positives.

    Args:
        pos_weight: Factor of the positives' loss; ``auto`` makes both classes weigh the same.
        label_smoothing: Labels become ``eps/2`` and ``1 - eps/2``.
    """

    pos_weight: Tensor

    def __init__(self, pos_weight: float | str = "auto", label_smoothing: float = 0.05):
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise ConfigError(f"loss.label_smoothing={label_smoothing}: give 0 or more, below 1.")
        if isinstance(pos_weight, str) and pos_weight != "auto":
            raise ConfigError(f"loss.pos_weight={pos_weight!r}: give a number or 'auto'.")
        self.automatic = pos_weight == "auto"
        if not self.automatic and not float(pos_weight) > 0:
            raise ConfigError(f"loss.pos_weight={pos_weight}: must be above 0.")
        self.label_smoothing = label_smoothing
        given = 1.0 if self.automatic else float(pos_weight)
        self.register_buffer("pos_weight", torch.tensor(given))

    def fit(self, negative: float, positive: float) -> None:
        """Set an automatic ``pos_weight`` from the summed weights of each class in a pass."""
        if self.automatic and negative > 0 and positive > 0:
            self.pos_weight.fill_(negative / positive)

    def forward(self, logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        """Give the weighted mean loss."""
        smooth = labels * (1 - self.label_smoothing) + 0.5 * self.label_smoothing
        each = self.each(logits, smooth)
        return (each * weights).sum() / weights.sum().clamp_min(1e-8)

    def each(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Give the loss of every example, ``[B]``; labels lie between 0 and 1."""
        return functional.binary_cross_entropy_with_logits(
            logits, labels, pos_weight=self.pos_weight, reduction="none"
        )


class FocalLoss(BinaryCrossEntropy):
    """Cross entropy in which examples that are already right count less (arXiv 1708.02002, eq. 5).

    ``(1 - p_t) ** gamma`` scales each example's cross entropy, where ``p_t`` is the probability
    of its class; a smoothed label belongs to both classes in part. ``pos_weight`` takes the place
    of the paper's alpha: ``alpha / (1 - alpha)``. With ``gamma`` 0 it is cross entropy; the paper
    uses 2.
    """

    def __init__(
        self,
        gamma: float = 2.0,
        pos_weight: float | str = "auto",
        label_smoothing: float = 0.0,
    ):
        super().__init__(pos_weight, label_smoothing)
        if not 0 <= gamma < math.inf:
            raise ConfigError(f"loss.gamma={gamma}: give 0 or more; 2 is usual.")
        self.gamma = gamma

    def each(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Give the loss of every example, ``[B]``; labels lie between 0 and 1."""
        # -log(p) and -log(1 - p). Powers of 1 - p are taken as exponentials of them: the gradient
        # of 0 ** gamma is not finite for a gamma below 1.
        as_positive = functional.softplus(-logits.float())
        as_negative = functional.softplus(logits.float())
        positive = (-self.gamma * as_negative).exp() * as_positive
        negative = (-self.gamma * as_positive).exp() * as_negative
        return self.pos_weight * labels * positive + (1 - labels) * negative
