"""Proposed parts: an honest one, and some that cheat.

All that cheat pass the look at their text: torch alone leads to the rest of Python.
"""

import textwrap
from pathlib import Path

from collision.search.proposed import Proposed

EXAMPLE = Path(__file__).parents[2] / "examples" / "new_head"
HONEST = (EXAMPLE / "forgetting.py").read_text()

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


def honest() -> Proposed:
    return Proposed.read("head", [str(EXAMPLE)])


def cheat(name: str, at_build: str = "", in_forward: str = "") -> Proposed:
    """What it does when it is built may put bytes into ``loot``, which its state then holds."""
    inside = {"at_build": at_build, "in_forward": in_forward}
    code = _CHEAT.format(
        **{k: textwrap.indent(textwrap.dedent(v), 8 * " ") for k, v in inside.items()}
    )
    return Proposed.of("head", name, code, config_of(name, "Cheat"))
