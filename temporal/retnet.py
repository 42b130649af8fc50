"""Retentive network (Sun et al., arXiv 2307.08621): attention that runs as a recurrence in streams.

``collision/learning/retention.py`` holds its blocks; ``temporal/hybrid.py`` has them too.

Shapes: B examples, L feature steps, D feature dim, C channels, E output dim (= C).
"""

from __future__ import annotations

from dataclasses import dataclass

from collision.learning.blocks import BlockStack, check_sizes
from collision.learning.retention import Retention, RetentionBlock


@dataclass(eq=False, repr=False)
class RetNet(BlockStack):
    """Project the features to a small dim, then let every valid step read itself and those before.

    ``step`` takes one step of a stream after the other, with a state of fixed size. Decays are the
    paper's with ``shortest_memory=32 longest_memory=512``; a window of a clip has 8 to 32 steps.

    Attributes:
        dim: C; each retention head has ``dim / heads`` of the channels, an even number.
        feedforward_factor: Hidden channels of the feed-forward modules per channel.
        bidirectional: Add the retention of the steps from the newest to the oldest. No step lies
            after the cut, so this sees no future; but a stream can't be read so.
        dropout: Of the projected features, of hidden channels, and of what a module adds.
        shortest_memory: Steps after which the weights of the first head have fallen to about a
            third; above 1. The heads between it and the last are spaced in even ratios.
        longest_memory: The same of the last head.
    """

    input_dim: int
    dim: int = 64
    layers: int = 2
    heads: int = 4
    feedforward_factor: float = 2.0
    bidirectional: bool = False
    dropout: float = 0.3
    shortest_memory: float = 4.0
    longest_memory: float = 512.0

    def __post_init__(self) -> None:
        hidden_dim = int(self.feedforward_factor * self.dim)
        check_sizes(dim=self.dim, layers=self.layers, heads=self.heads, dropout=self.dropout)
        check_sizes(**{"feedforward_factor * head.dim": hidden_dim})
        memories = self.shortest_memory, self.longest_memory
        blocks = [
            RetentionBlock(
                Retention(self.dim, self.heads, self.bidirectional, memories),
                hidden_dim,
                self.dropout,
            )
            for _ in range(self.layers)
        ]
        super().__init__(self.input_dim, blocks, self.dropout, causal=not self.bidirectional)
