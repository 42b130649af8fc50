"""Mamba (Gu and Dao, arXiv 2312.00752), read both ways as Vision Mamba (Zhu et al., 2401.09417).

``collision/learning/state_space.py`` holds its blocks; ``temporal/hybrid.py`` has them too.

Shapes: B examples, L feature steps, D feature dim, C channels, E output dim (= C).
"""

from __future__ import annotations

from dataclasses import dataclass

from collision.learning.blocks import BlockStack, check_sizes
from collision.learning.state_space import StateSpaceBlock


@dataclass(eq=False, repr=False)
class BiMamba(BlockStack):
    """Project the features to a small dim, then run selective state spaces over the valid steps.

    With ``bidirectional=False`` it is Mamba, and ``step`` takes one step of a stream after the
    other, with a state of fixed size. With the pooling ``last`` and one layer nothing is gained by
    both directions: where the reading from the newest step on begins, it has seen one step.

    Attributes:
        dim: C.
        layers: Blocks; each reads the steps both ways.
        expansion: Channels within a block per channel.
        state_dim: Numbers that each of them remembers; the papers have 16.
        kernel: Steps that the convolution in front of a state space spans; 1 is none.
        bidirectional: Also read from the newest step to the oldest. No step lies after the cut, so
            this sees no future; but a stream can't be read so.
        dropout: Of the projected features and of what a block adds.
    """

    input_dim: int
    dim: int = 64
    layers: int = 2
    expansion: float = 2.0
    state_dim: int = 8
    kernel: int = 4
    bidirectional: bool = True
    dropout: float = 0.3

    def __post_init__(self) -> None:
        inner_dim = int(self.expansion * self.dim)
        check_sizes(dim=self.dim, layers=self.layers, state_dim=self.state_dim, kernel=self.kernel)
        check_sizes(dropout=self.dropout, **{"expansion * head.dim": inner_dim})
        blocks = [
            StateSpaceBlock(
                self.dim, inner_dim, self.state_dim, self.kernel, self.bidirectional, self.dropout
            )
            for _ in range(self.layers)
        ]
        super().__init__(self.input_dim, blocks, self.dropout, causal=not self.bidirectional)
