"""How an encoded sequence becomes one vector: the ``pooling`` group.

Shapes: B examples, L feature steps, E encoder output dim. Each class is built with ``dim`` (E) and
maps ``encoded [B, L, E]``, ``mask [B, L]`` (True where a step holds data) to ``[B, E]``. An example
whose steps are all masked gives zeros.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class AttentionPooling(nn.Module):
    """Mean over the valid steps, weighted by a learned score of each step's content."""

    def __init__(self, dim: int):
        super().__init__()
        # No bias: it would shift every score alike, which the softmax undoes.
        self.score = nn.Linear(dim, 1, bias=False)
        nn.init.zeros_(self.score.weight)  # begins as the plain mean

    def forward(self, encoded: Tensor, mask: Tensor) -> Tensor:
        """``[B, L, E]`` to ``[B, E]``."""
        scores = self.score(encoded).squeeze(-1).float()
        # The lowest finite number, not -inf: a row without a valid step must not become NaN.
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
        weights = scores.softmax(dim=1) * mask
        return (encoded * weights.unsqueeze(-1)).sum(dim=1)


class MeanPooling(nn.Module):
    """Plain mean over the valid steps."""

    def __init__(self, dim: int):
        super().__init__()

    def forward(self, encoded: Tensor, mask: Tensor) -> Tensor:
        """``[B, L, E]`` to ``[B, E]``."""
        weights = mask / mask.sum(dim=1, keepdim=True).clamp_min(1)
        return (encoded * weights.unsqueeze(-1)).sum(dim=1)


class LastPooling(nn.Module):
    """The last valid step: the one nearest to the cut."""

    def __init__(self, dim: int):
        super().__init__()

    def forward(self, encoded: Tensor, mask: Tensor) -> Tensor:
        """``[B, L, E]`` to ``[B, E]``."""
        positions = torch.arange(mask.shape[1], device=mask.device)
        last = (positions * mask).argmax(dim=1)
        rows = torch.arange(mask.shape[0], device=mask.device)
        return encoded[rows, last] * mask[rows, last].unsqueeze(-1)


class MaxPooling(nn.Module):
    """The largest value of each channel over the valid steps: one striking moment is enough."""

    def __init__(self, dim: int):
        super().__init__()

    def forward(self, encoded: Tensor, mask: Tensor) -> Tensor:
        """``[B, L, E]`` to ``[B, E]``."""
        lowest = torch.finfo(encoded.dtype).min
        largest = encoded.masked_fill(~mask.unsqueeze(-1), lowest).amax(dim=1)
        return largest.masked_fill(~mask.any(dim=1, keepdim=True), 0.0)
