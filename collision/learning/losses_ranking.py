"""Losses that ask for the right order of a batch's examples, not for their probabilities.

Shapes: B examples of a batch.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from collision.errors import ConfigError
from collision.learning.losses import Targets


class RankingLoss(nn.Module):
    """1 minus a smooth average precision of the batch: Smooth-AP (arXiv 2007.12163).

    AP counts, for each positive, the examples that are above it. Here each of them counts
    ``sigmoid(difference of logits / temperature)`` instead of 0 or 1, which has a gradient; the
    smaller the temperature, the nearer to AP, and the fewer pairs have any gradient left.

    Examples count by their weights, as in scikit-learn's ``average_precision_score``. In a mixture
    (``mixup``) an example is a positive by the one share and a negative by the other: it learns to
    stand where its share of positives belongs.

    A batch with one class alone has nothing to rank: its loss is 0, and so is the gradient. The
    loss knows differences of logits alone, so scores say which example is more dangerous, not how
    probable an event is.

    Args:
        temperature: In logits. The paper's .01 is for cosines, which lie between -1 and 1.
    """

    num_outputs = 1
    by_video = False

    def __init__(self, temperature: float = 1.0):
        super().__init__()
        if not 0 < temperature < math.inf:
            raise ConfigError(f"loss.temperature={temperature}: give a number above 0.")
        self.temperature = temperature

    def fit(self, negative: float, positive: float) -> None:
        """Nothing follows from the classes' weights: average precision looks at positives alone."""

    def forward(self, outputs: Tensor, targets: Targets) -> Tensor:
        """Give the loss of logits ``[B, 1]``, from 0 to 1."""
        logits, weights = outputs.flatten().float(), targets.weights.float()
        is_above = ((logits[None, :] - logits[:, None]) / self.temperature).sigmoid()
        itself = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
        counts = is_above.masked_fill(itself, 1.0) * weights  # [B, B]: whose rank, then who counts
        positives = weights * (targets.labels == 1)
        precision = (counts * (targets.labels == 1)).sum(1) / counts.sum(1).clamp_min(1e-8)
        average = (positives * precision).sum() / positives.sum().clamp_min(1e-8)
        has_both = (positives.sum() > 0) & (positives.sum() < weights.sum())
        return torch.where(has_both, 1 - average, 0.0 * average)
