"""Retention (arXiv 2307.08621) and state-space blocks (arXiv 2312.00752) in turn.

The blocks of ``temporal/retnet.py`` and of ``temporal/bimamba.py``. Retention can look up a single
step by its content; a state space follows what changes.

Shapes: B examples, L feature steps, D feature dim, C channels, E output dim (= C).
"""

from __future__ import annotations

from dataclasses import dataclass

from collision.learning.blocks import BlockStack, check_sizes
from collision.learning.retention import Retention, RetentionBlock
from collision.learning.state_space import StateSpaceBlock


@dataclass(eq=False, repr=False)
class Hybrid(BlockStack):
    """Project the features to a small dim, then run the two kinds of blocks in turn.

    ``step`` takes one step of a stream after the other, with a state of fixed size.

    Attributes:
        dim: C; each retention head has ``dim / heads`` of the channels, an even number.
        layers: Blocks: a retention, a state space, a retention, ...
        heads: Of a retention.
        feedforward_factor: Hidden channels per channel of the feed-forward module that follows a
            retention.
        expansion: Channels within a state-space block per channel.
        state_dim: Numbers that each of them remembers; the papers have 16.
        kernel: Steps that the convolution in front of a state space spans; 1 is none.
        bidirectional: All blocks also read from the newest step to the oldest. No step lies after
            the cut, so this sees no future; but a stream can't be read so.
        dropout: Of the projected features, of hidden channels, and of what a module adds.
        shortest_memory: Steps after which the weights of a retention's first head have fallen to
            about a third; above 1. The heads between it and the last are spaced in even ratios.
        longest_memory: The same of the last head.
    """

    input_dim: int
    dim: int = 64
    layers: int = 2
    heads: int = 4
    feedforward_factor: float = 2.0
    expansion: float = 2.0
    state_dim: int = 8
    kernel: int = 4
    bidirectional: bool = False
    dropout: float = 0.3
    shortest_memory: float = 4.0
    longest_memory: float = 512.0

    def __post_init__(self) -> None:
        check_sizes(dim=self.dim, layers=self.layers, heads=self.heads, dropout=self.dropout)
        check_sizes(state_dim=self.state_dim, kernel=self.kernel)
        for name in ("feedforward_factor", "expansion"):
            check_sizes(**{f"{name} * head.dim": int(getattr(self, name) * self.dim)})
        kinds = self._retention, self._state_space
        blocks = [kinds[layer % 2]() for layer in range(self.layers)]
        super().__init__(self.input_dim, blocks, self.dropout, causal=not self.bidirectional)

    def _retention(self) -> RetentionBlock:
        memories = self.shortest_memory, self.longest_memory
        retention = Retention(self.dim, self.heads, self.bidirectional, memories)
        return RetentionBlock(retention, int(self.feedforward_factor * self.dim), self.dropout)

    def _state_space(self) -> StateSpaceBlock:
        return StateSpaceBlock(
            self.dim,
            int(self.expansion * self.dim),
            self.state_dim,
            self.kernel,
            self.bidirectional,
            self.dropout,
        )
