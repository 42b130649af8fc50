"""A running mean that forgets, of rates that are learned.

Shapes: B examples, L feature steps, D feature dim, E output dim.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from collision.learning.packing import pack_steps, unpack_steps


class Forgetting(nn.Module):
    """Project each step, then mix it with what was before; ``times`` are not used."""

    causal = True

    def __init__(self, input_dim: int, dim: int = 16):
        super().__init__()
        self.output_dim = dim
        self.projection = nn.Linear(input_dim, dim)
        self.rate = nn.Parameter(torch.zeros(dim))

    def forward(self, features: Tensor, times: Tensor, mask: Tensor) -> Tensor:
        """``[B, L, D]`` to ``[B, L, E]``."""
        steps, packed_mask, order = pack_steps(self.projection(features), mask)
        kept, state, states = self.rate.sigmoid(), torch.zeros_like(steps[:, 0]), []
        for step in steps.unbind(1):
            state = kept * state + (1 - kept) * torch.tanh(step)
            states.append(state)
        mixed = torch.stack(states, 1) * packed_mask.unsqueeze(-1)
        return unpack_steps(mixed, order)
