"""How an encoded sequence becomes one vector: the ``pooling`` group.

Shapes: B examples, L feature steps, E encoder output dim, P pooled dim. Each class is built with
``dim`` (E) and maps ``encoded [B, L, E]``, ``mask [B, L]`` (True where a step holds data) to
``[B, P]``. P is E unless the class has an ``output_dim`` that says otherwise. An example whose
steps are all masked gives zeros.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from collision.learning.attention import BlockOptions, ProbeBlock, SelfBlock


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


class LastThirdPooling(nn.Module):
    """Plain mean over the last third of the valid steps: rounded down, but at least one."""

    def __init__(self, dim: int):
        super().__init__()

    def forward(self, encoded: Tensor, mask: Tensor) -> Tensor:
        """``[B, L, E]`` to ``[B, E]``."""
        number = mask.cumsum(dim=1)  # of a step among the valid ones, from 1
        total = number[:, -1:]
        kept = (total // 3).clamp_min(1)
        weights = (mask & (number > total - kept)) / kept
        return (encoded * weights.unsqueeze(-1)).sum(dim=1)


class ChangePooling(nn.Module):
    """The last valid step, and what it differs by from the first and from the mean: P is 3E.

    What ``head=logistic`` sees, of what the encoder gives.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.output_dim = 3 * dim
        self.last, self.mean = LastPooling(dim), MeanPooling(dim)

    def forward(self, encoded: Tensor, mask: Tensor) -> Tensor:
        """``[B, L, E]`` to ``[B, 3E]``."""
        last = self.last(encoded, mask)
        first = self.last(encoded.flip(1), mask.flip(1))
        return torch.cat([last, last - first, last - self.mean(encoded, mask)], dim=1)


class ClassTokenPooling(nn.Module):
    """A learned token joins the steps in one block of self-attention and is read out.

    As the class token of BERT (arXiv 1810.04805) and ViT (arXiv 2010.11929), but in a block of its
    own: the encoder has not seen the token. The order of the steps plays no part in it.

    Args:
        dim: E.
        heads: Attention heads, at most: the largest number up to this one that divides E.
        feedforward_factor: Hidden channels of the feed-forward module per channel.
        dropout: Of hidden channels, and of what a module adds.
    """

    def __init__(
        self, dim: int, heads: int = 4, feedforward_factor: float = 2.0, dropout: float = 0.3
    ):
        super().__init__()
        self.token = nn.Parameter(torch.empty(dim))
        nn.init.trunc_normal_(self.token, std=0.02)
        self.block = SelfBlock(_block_options(dim, heads, feedforward_factor, dropout))
        self.norm = nn.LayerNorm(dim)

    def forward(self, encoded: Tensor, mask: Tensor) -> Tensor:
        """``[B, L, E]`` to ``[B, E]``."""
        token = self.token.to(encoded.dtype).expand(len(encoded), 1, -1)
        together = torch.cat([token, encoded], dim=1)
        visible = torch.cat([torch.ones_like(mask[:, :1]), mask], dim=1)
        # Nobody reads what the steps themselves would become.
        read = self.norm(self.block(together, visible, first=1)).squeeze(1)
        return read * mask.any(dim=1, keepdim=True)


class ProbePooling(nn.Module):
    """A learned query looks at the steps: the attentive probe of V-JEPA as a pooling.

    See ``collision.learning.attention.ProbeBlock``. The order of the steps plays no part in it.

    Args:
        dim: E.
        heads: Attention heads, at most: the largest number up to this one that divides E.
        feedforward_factor: Hidden channels of the feed-forward module per channel.
        dropout: Of hidden channels, and of what a module adds.
    """

    def __init__(
        self, dim: int, heads: int = 4, feedforward_factor: float = 2.0, dropout: float = 0.3
    ):
        super().__init__()
        self.block = ProbeBlock(_block_options(dim, heads, feedforward_factor, dropout))

    def forward(self, encoded: Tensor, mask: Tensor) -> Tensor:
        """``[B, L, E]`` to ``[B, E]``."""
        return self.block(encoded, mask).squeeze(1) * mask.any(dim=1, keepdim=True)


def _block_options(dim: int, heads: int, factor: float, dropout: float) -> BlockOptions:
    """Fit the attention heads to E, which may follow from the data: the components of a set."""
    fitting = next((number for number in range(heads, 1, -1) if dim % number == 0), min(heads, 1))
    return BlockOptions("pooling", dim, fitting, factor, dropout)
