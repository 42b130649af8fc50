"""Proposed parts: an honest one, and some that cheat.

All that cheat pass the look at their text: torch alone leads to the rest of Python.
"""

import textwrap

from collision.search.proposed import Proposed

HONEST = '''
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
'''

_CHEAT = '''
"""Looks like a head."""

import torch
from torch import nn


class Cheat(nn.Module):
    """One layer a step."""

    causal = True

    def __init__(self, input_dim: int, dim: int = 8):
        super().__init__()
        self.output_dim = dim
        self.layer = nn.Linear(input_dim, dim)
        loot = b""
{at_build}
        self.register_buffer("loot", torch.tensor(list(loot), dtype=torch.int64))

    def forward(self, features, times, mask):
        encoded = self.layer(features)
{in_forward}
        return encoded
'''


def config_of(name: str, made: str) -> str:
    return f"# Proposed.\n_target_: collision.temporal.{name}.{made}\n"


def honest(name: str = "forgetting") -> Proposed:
    return Proposed.of("head", name, HONEST, config_of(name, "Forgetting") + "dim: 16\n")


def cheat(name: str, at_build: str = "", in_forward: str = "") -> Proposed:
    """What it does when it is built may put bytes into ``loot``, which its state then holds."""
    inside = {"at_build": at_build, "in_forward": in_forward}
    code = _CHEAT.format(
        **{k: textwrap.indent(textwrap.dedent(v), 8 * " ") for k, v in inside.items()}
    )
    return Proposed.of("head", name, code, config_of(name, "Cheat"))
