"""An encoder made of blocks that run over the valid steps, and one step at a time in a stream.

Shapes: B examples, L feature steps, D feature dim, C channels, E encoder output dim (= C).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, cast

from torch import Tensor, nn

from collision.errors import ConfigError
from collision.learning.fused import is_full
from collision.learning.packing import pack_steps, unpack_steps


class Block(Protocol):
    """What a stack is made of: modules of C channels to C channels."""

    def __call__(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """``[B, L, C]`` to the same; ``mask [B, L]`` has the valid steps first; None: all are."""
        ...

    def step(self, state: Any, hidden: Tensor) -> tuple[Tensor, Any]:
        """``[B, C]``, the newest step, to the same and the next state; None is the first state."""
        ...


class BlockStack(nn.Module):
    """Project the features to C channels, run the blocks, normalise.

    ``times`` is not used: steps are taken as evenly spaced. Masked steps are taken out of the
    sequence before it runs, wherever they lie, and their outputs are zero.

    Attributes:
        causal: Whether each output depends on steps up to its own alone, so that ``step`` works.
    """

    dim: int

    def __init__(self, input_dim: int, blocks: Sequence[nn.Module], dropout: float, causal: bool):
        super().__init__()
        self.output_dim = dim = self.dim
        self.causal = causal
        self.projection = nn.Linear(input_dim, dim)
        self.input_dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(dim)

    def forward(self, features: Tensor, times: Tensor, mask: Tensor) -> Tensor:
        """``[B, L, D]`` to ``[B, L, E]``; zeros under the mask."""
        if is_full(mask):
            return self._encode(features, None)
        steps, packed_mask, order = pack_steps(features, mask)
        return unpack_steps(self._encode(steps, packed_mask), order) * mask.unsqueeze(-1)

    def step(self, state: list[Any] | None, features: Tensor) -> tuple[Tensor, list[Any]]:
        """Take the newest step of a stream: ``[B, D]`` to ``[B, E]``, and the state after it.

        Fed step by step from ``state=None`` on, it gives what ``forward`` gives for all at once,
        and the state does not grow. ConfigError where the stack looks ahead.
        """
        if not self.causal:
            raise ConfigError(
                "head.bidirectional=true: such a head reads the steps from their end too, so a "
                "stream has no outputs yet. Train with head.bidirectional=false for that."
            )
        hidden = self.input_dropout(self.projection(features))
        after = []
        for block, before in zip(self.blocks, state or [None] * len(self.blocks), strict=True):
            hidden, changed = cast(Block, block).step(before, hidden)
            after.append(changed)
        return self.norm(hidden), after

    def _encode(self, steps: Tensor, mask: Tensor | None) -> Tensor:
        hidden = self.input_dropout(self.projection(steps))
        for block in self.blocks:
            hidden = block(hidden, mask)
        return self.norm(hidden)


def check_sizes(**sizes: float) -> None:
    """Refuse sizes of a head below 1, and a ``dropout`` that is no share: ConfigError."""
    dropout = sizes.pop("dropout", 0.0)
    if not 0 <= dropout < 1:
        raise ConfigError(f"head.dropout={dropout}: it is a share, from 0 to below 1.")
    for name, size in sizes.items():
        if size < 1:
            raise ConfigError(f"head.{name}={size}: give 1 or more.")
