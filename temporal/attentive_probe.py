"""The attentive probe by which V-JEPA and V-JEPA 2 are evaluated (arXiv 2404.08471, 2506.09985).

Learned queries look at all steps at once. In eval mode it computes what Meta's ``AttentivePooler``
computes from the same weights.

Shapes: B examples, L feature steps, D feature dim, C channels, Q queries, E output dim (= Q * C).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from collision.errors import ConfigError
from collision.learning.attention import BlockOptions, ProbeBlock, SelfBlock
from collision.learning.fused import is_full


@dataclass(eq=False, repr=False)
class AttentiveProbe(nn.Module):
    """Project the features to a small dim, then let a learned query sum up the valid steps.

    What it gives is one vector an example. It stands at every valid step, so that every pooling
    that picks or averages steps (``last``, ``mean``, ``max``, ``attention``, ``last_third``) hands
    it through as it is.

    ``times`` is not used, and there are no positions, as in the protocol: the backbone has put the
    place in its window into each feature. Windows of one example are not told apart by their order.

    The protocol itself is ``dim=None, heads=16, feedforward_factor=4.0, dropout=0.0``; V-JEPA 2 has
    ``layers=3`` beside it.

    Attributes:
        dim: C; None: D, without a projection.
        layers: Blocks of self-attention before the queries look.
        queries: Q; their results lie side by side.
        heads: Each has ``dim / heads`` of the channels.
        feedforward_factor: Hidden channels of the feed-forward modules per channel.
        dropout: Of the projected features, of hidden channels, and of what a module adds.
    """

    input_dim: int
    dim: int | None = 64
    layers: int = 0
    queries: int = 1
    heads: int = 4
    feedforward_factor: float = 2.0
    dropout: float = 0.3

    causal = False  # every step has the output of all

    def __post_init__(self) -> None:
        super().__init__()
        for name, least in (("layers", 0), ("queries", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"head.{name}={getattr(self, name)}: give {least} or more.")
        dim = self.input_dim if self.dim is None else self.dim
        options = BlockOptions("head", dim, self.heads, self.feedforward_factor, self.dropout)
        self.output_dim = self.queries * dim
        self.projection = nn.Identity() if self.dim is None else nn.Linear(self.input_dim, dim)
        self.input_dropout = nn.Dropout(self.dropout)
        self.blocks = nn.ModuleList(SelfBlock(options) for _ in range(self.layers))
        self.probe = ProbeBlock(options, self.queries)

    def forward(self, features: Tensor, times: Tensor, mask: Tensor) -> Tensor:
        """``[B, L, D]`` to ``[B, L, E]``, the same at every valid step; zeros under the mask."""
        visible = None
        if not is_full(mask):
            # Weight zero is not enough to hide a step: NaN times zero is NaN.
            visible, features = mask, features.masked_fill(~mask.unsqueeze(-1), 0.0)
        hidden = self.input_dropout(self.projection(features))
        for block in self.blocks:
            hidden = block(hidden, visible)
        return self.probe(hidden, visible).flatten(1).unsqueeze(1) * mask.unsqueeze(-1)
