"""Blocks of attention that encoders and poolings share: some steps look at others.

Positions play no part here: a step is found by its content.

Shapes: B examples, Q rows that look, L steps that are looked at, C channels, H attention heads, K
channels of one attention head.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from collision.errors import ConfigError


@dataclass(frozen=True)
class BlockOptions:
    """The size of a block; ConfigError for one that cannot work.

    Attributes:
        group: Whose options these are, for messages: ``head`` or ``pooling``.
        dim: C.
        heads: H; each has ``dim / heads`` of the channels.
        feedforward_factor: Hidden channels of the feed-forward module per channel.
        dropout: Of hidden channels, and of what a module adds.
    """

    group: str
    dim: int
    heads: int
    feedforward_factor: float
    dropout: float

    def __post_init__(self) -> None:
        if self.dim < 1:
            raise ConfigError(f"{self.group}.dim={self.dim}: give 1 or more.")
        if self.heads < 1 or self.dim % self.heads:
            raise ConfigError(
                f"{self.group}.heads={self.heads}: attention heads share {self.dim} channels "
                "evenly. Give a number that divides them; 1 always does."
            )
        if self.hidden_dim < 1:
            raise ConfigError(
                f"{self.group}.feedforward_factor={self.feedforward_factor}: no channel is left of "
                f"{self.dim}. Usual values are 1 to 4."
            )
        if not 0 <= self.dropout < 1:
            raise ConfigError(
                f"{self.group}.dropout={self.dropout}: it is a share, from 0 to below 1."
            )

    @property
    def hidden_dim(self) -> int:
        """Count the hidden channels of the feed-forward module."""
        return int(self.feedforward_factor * self.dim)


class Attention(nn.Module):
    """Each row averages the values of the steps that it may see, weighted by their content.

    Args:
        dim: C.
        heads: H.
        has_output: A linear layer mixes the attention heads' results at the end.
    """

    def __init__(self, dim: int, heads: int, has_output: bool = True):
        super().__init__()
        self.heads = heads
        self.query_projection = nn.Linear(dim, dim)
        self.key_value_projection = nn.Linear(dim, 2 * dim)
        self.out_projection = nn.Linear(dim, dim) if has_output else nn.Identity()

    def forward(self, rows: Tensor, steps: Tensor, visible: Tensor | None) -> Tensor:
        """Rows ``[B, Q, C]``, steps ``[B, L, C]`` to ``[B, Q, C]``.

        ``visible [B, L]`` says which steps are seen, all if None. Where it is none of an example,
        all are: nothing of it counts, but it must not become NaN.
        """
        queries = rearrange(self.query_projection(rows), "b q (h k) -> b h q k", h=self.heads)
        keys, values = rearrange(
            self.key_value_projection(steps), "b l (part h k) -> part b h l k", part=2, h=self.heads
        )
        if visible is not None:
            visible = (visible | ~visible.any(dim=1, keepdim=True))[:, None, None, :]
        attend = functional.scaled_dot_product_attention
        mixed = attend(queries, keys, values, attn_mask=visible)
        return self.out_projection(rearrange(mixed, "b h q k -> b q (h k)"))


class SelfBlock(nn.Module):
    """Steps look at each other, then a feed-forward module; each adds to the sum (pre-norm)."""

    def __init__(self, options: BlockOptions):
        super().__init__()
        self.attention_norm = nn.LayerNorm(options.dim)
        self.attention = Attention(options.dim, options.heads)
        self.feedforward_norm = nn.LayerNorm(options.dim)
        self.feedforward = feedforward(options)
        self.dropout = nn.Dropout(options.dropout)

    def forward(self, steps: Tensor, visible: Tensor | None, first: int | None = None) -> Tensor:
        """``[B, L, C]``, ``visible [B, L]`` or all, to the same; of the ``first`` steps alone."""
        normed = self.attention_norm(steps)
        mixed = self.attention(normed[:, :first], normed, visible)
        hidden = steps[:, :first] + self.dropout(mixed)
        return hidden + self.dropout(self.feedforward(self.feedforward_norm(hidden)))


class ProbeBlock(nn.Module):
    """Learned queries look at the steps, then a feed-forward module; each adds to the sum.

    The last block of V-JEPA's attentive pooler (arXiv 2404.08471; ``AttentivePooler`` in Meta's
    code): the queries are not normalised, and nothing mixes the attention heads' results before
    the feed-forward module does.
    """

    def __init__(self, options: BlockOptions, num_queries: int = 1):
        super().__init__()
        self.queries = nn.Parameter(torch.empty(num_queries, options.dim))
        nn.init.trunc_normal_(self.queries, std=0.02)
        self.steps_norm = nn.LayerNorm(options.dim)
        self.attention = Attention(options.dim, options.heads, has_output=False)
        self.feedforward_norm = nn.LayerNorm(options.dim)
        self.feedforward = feedforward(options)
        self.dropout = nn.Dropout(options.dropout)

    def forward(self, steps: Tensor, visible: Tensor | None) -> Tensor:
        """``[B, L, C]``, ``visible [B, L]`` or all, to ``[B, Q, C]``."""
        queries = self.queries.expand(len(steps), -1, -1)
        mixed = self.attention(queries, self.steps_norm(steps), visible)
        hidden = queries + self.dropout(mixed)
        return hidden + self.dropout(self.feedforward(self.feedforward_norm(hidden)))


def feedforward(options: BlockOptions) -> nn.Sequential:
    """Make two linear layers with GELU between them, for each step alone."""
    return nn.Sequential(
        nn.Linear(options.dim, options.hidden_dim),
        nn.GELU(),
        nn.Dropout(options.dropout),
        nn.Linear(options.hidden_dim, options.dim),
    )
