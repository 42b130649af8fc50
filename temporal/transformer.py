"""A transformer encoder whose positions are seconds.

Pre-norm blocks (Xiong et al., arXiv 2002.04745) with rotary positions (Su et al., arXiv
2104.09864), turned by each step's time instead of its number: a head knows how long lies between
two steps, whatever the rate of the features and wherever steps are missing.

Shapes: B examples, L feature steps, D feature dim, C channels, H attention heads, K channels of one
attention head, E output dim (= C).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from collision.errors import ConfigError
from collision.learning.fused import is_full
from collision.types import Seconds


@dataclass(eq=False, repr=False)
class Transformer(nn.Module):
    """Project the features to a small dim, then let every valid step look at every other.

    Attention goes both ways: no step lies after the cut, so this sees no future. Only differences
    of ``times`` matter, not how far the steps lie from the cut.

    Attributes:
        dim: C; each attention head has ``dim / heads`` of the channels, an even number.
        feedforward_factor: Hidden channels of the feed-forward modules per channel.
        dropout: Of the projected features, of hidden channels, and of what a module adds.
        shortest_period: Time in which the fastest pair of channels turns once. Twice the distance
            of neighbouring steps is enough to tell them apart.
        longest_period: The same of the slowest pair; longer than any context.
        causal: Each step looks at itself and at those before it alone.
    """

    input_dim: int
    dim: int = 64
    layers: int = 2
    heads: int = 4
    feedforward_factor: float = 2.0
    dropout: float = 0.3
    shortest_period: Seconds = 0.5
    longest_period: Seconds = 30.0
    causal: bool = False
    frequencies: Tensor = field(init=False)

    def __post_init__(self) -> None:
        super().__init__()
        self._check_options()
        dim, dropout = self.dim, self.dropout
        self.output_dim = dim
        self.projection = nn.Linear(self.input_dim, dim)
        self.input_dropout = nn.Dropout(dropout)
        hidden_dim = int(self.feedforward_factor * dim)
        blocks = (Block(dim, self.heads, hidden_dim, dropout) for _ in range(self.layers))
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(dim)
        # Follows from the options, so it needs no place in checkpoints.
        periods = self.shortest_period, self.longest_period
        frequencies = rotary_frequencies(dim // self.heads, *periods)
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, features: Tensor, times: Tensor, mask: Tensor) -> Tensor:
        """``[B, L, D]`` to ``[B, L, E]``; zeros under the mask."""
        if is_full(mask):
            visible = visible_steps(mask[:1], causal=True) if self.causal else None
            return self._encode(features, times, visible)
        # Weight zero is not enough to hide a step: NaN times zero is NaN.
        features = features.masked_fill(~mask.unsqueeze(-1), 0.0)
        visible = visible_steps(mask, self.causal)
        encoded = self._encode(features, times.masked_fill(~mask, 0.0), visible)
        return encoded * mask.unsqueeze(-1)

    def _encode(self, features: Tensor, times: Tensor, visible: Tensor | None) -> Tensor:
        angles = times.float().unsqueeze(-1) * self.frequencies
        hidden = self.input_dropout(self.projection(features))
        for block in self.blocks:
            hidden = block(hidden, angles, visible)
        return self.norm(hidden)

    def _check_options(self) -> None:
        for name in ("dim", "layers", "heads"):
            if getattr(self, name) < 1:
                raise ConfigError(f"head.{name}={getattr(self, name)}: give 1 or more.")
        step = 2 * self.heads
        if self.dim % step:
            raise ConfigError(
                f"head.dim={self.dim} with head.heads={self.heads}: each attention head needs an "
                f"even number of channels. Give a multiple of {step}, such as "
                f"head.dim={self.dim + step - self.dim % step}."
            )
        if int(self.feedforward_factor * self.dim) < 1:
            raise ConfigError(
                f"head.feedforward_factor={self.feedforward_factor}: no channel is left of "
                f"{self.dim}. Usual values are 1 to 4."
            )
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"head.dropout={self.dropout}: it is a share, from 0 to below 1.")
        if not 0 < self.shortest_period < self.longest_period < math.inf:
            raise ConfigError(
                f"head.shortest_period={self.shortest_period} and head.longest_period="
                f"{self.longest_period}: give seconds above 0, the longest above the shortest, "
                "such as 0.5 and 30."
            )


class Block(nn.Module):
    """Attention, then a feed-forward module; each reads a normalised copy and adds to the sum."""

    def __init__(self, dim: int, heads: int, feedforward_dim: int, dropout: float):
        super().__init__()
        self.attention_norm = nn.LayerNorm(dim)
        self.attention = Attention(dim, heads)
        self.feedforward_norm = nn.LayerNorm(dim)
        self.feedforward = nn.Sequential(
            nn.Linear(dim, feedforward_dim),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(feedforward_dim, dim),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, angles: Tensor, visible: Tensor | None) -> Tensor:
        """``[B, L, C]`` to the same; ``angles [B, L, K/2]``, ``visible [B, 1, L, L]`` or all."""
        mixed = self.attention(self.attention_norm(hidden), angles, visible)
        hidden = hidden + self.dropout(mixed)
        return hidden + self.dropout(self.feedforward(self.feedforward_norm(hidden)))


class Attention(nn.Module):
    """Each step averages the steps that it may see, weighted by content and distance in time."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.in_projection = nn.Linear(dim, 3 * dim)
        # A step is found by its content, or by its distance alone; the latter needs a constant part
        # of queries and keys, which from zero is hardly learned: the gradient of each is the other.
        nn.init.normal_(self.in_projection.bias[: 2 * dim])
        nn.init.zeros_(self.in_projection.bias[2 * dim :])
        self.out_projection = nn.Linear(dim, dim)
        self.register_load_state_dict_pre_hook(_without_bias)

    def forward(self, hidden: Tensor, angles: Tensor, visible: Tensor | None) -> Tensor:
        """``[B, L, C]`` to the same; ``angles [B, L, K/2]``, ``visible [B, 1, L, L]`` or all."""
        parts = rearrange(
            self.in_projection(hidden), "b l (part h k) -> part b h l k", part=3, h=self.heads
        )
        # Queries and keys at once; the angles are the same for every attention head.
        queries, keys = rotate(parts[:2], angles.unsqueeze(1))
        attend = functional.scaled_dot_product_attention
        mixed = attend(queries, keys, parts[2], attn_mask=visible)
        return self.out_projection(rearrange(mixed, "b h l k -> b l (h k)"))


def _without_bias(module: nn.Module, state: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Read weights of heads whose projections had no bias: it is zero."""
    weight = state.get(f"{prefix}in_projection.weight")
    if weight is not None:
        state.setdefault(f"{prefix}in_projection.bias", weight.new_zeros(len(weight)))


def visible_steps(mask: Tensor, causal: bool = False) -> Tensor:
    """Say which step sees which, ``bool [B, 1, L, L]``: the valid ones, and itself.

    With ``causal`` none behind it.

    A step that sees nothing would become NaN; one under the mask may see itself, since nobody
    else does.
    """
    itself = torch.eye(mask.shape[1], dtype=torch.bool, device=mask.device)
    seen = mask.unsqueeze(1) | itself
    return (seen.tril() if causal else seen).unsqueeze(1)


def rotary_frequencies(head_dim: int, shortest_period: Seconds, longest_period: Seconds) -> Tensor:
    """Give radians a second for each pair of channels, ``[K/2]``: periods in even ratios."""
    periods = torch.logspace(math.log10(shortest_period), math.log10(longest_period), head_dim // 2)
    return 2 * math.pi / periods


def rotate(vectors: Tensor, angles: Tensor) -> Tensor:
    """Turn each pair of channels by its angle: products then depend on differences of angles.

    Channel k of ``vectors [..., B, H, L, K]`` is paired with k + K/2; ``angles [B, 1, L, K/2]`` are
    in radians. Turned in float32; the dtype stays.
    """
    first, second = vectors.float().chunk(2, dim=-1)
    cosine, sine = angles.cos(), angles.sin()
    turned = torch.cat((first * cosine - second * sine, first * sine + second * cosine), dim=-1)
    return turned.to(vectors.dtype)
