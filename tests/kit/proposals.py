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


_LOSS = '''
"""Looks like a loss."""

import torch

from collision.learning.losses import ClassWeighted, weighted_mean


class Cheat(ClassWeighted):
    """Cross entropy of one output."""

    def __init__(self, pos_weight: float | str = "auto"):
        super().__init__(pos_weight)
        loot = b""
{at_build}
        self.register_buffer("loot", torch.tensor(list(loot), dtype=torch.int64))

    def forward(self, outputs, targets):
        each = torch.nn.functional.binary_cross_entropy_with_logits(
            outputs.flatten(), targets.labels.to(outputs.dtype), reduction="none"
        )
        each, weights = each * self.of_class(targets.labels), targets.weights
{in_forward}
        return weighted_mean(each, weights)
'''

_BACKBONE = '''
"""Looks like a backbone."""

import torch
from torch import nn

from collision.types import BackboneSpec


class Cheat(nn.Module):
    """Means over blocks of pixels."""

    def __init__(self, height: int = 32, width: int = 48):
        super().__init__()
        self.before = 0.0
        self.spec = BackboneSpec(
            name="cheat",
            implementation="1",
            num_frames=1,
            fps=10.0,
            height=height,
            width=width,
            mean=(0.0, 0.0, 0.0),
            std=(1.0, 1.0, 1.0),
            num_steps=1,
            feature_dim=18,
            source="computed",
        )
        loot = b""
{at_build}
        self.register_buffer("loot", torch.tensor(list(loot), dtype=torch.int64))
        self.eval()

    def forward(self, frames):
        images = frames[:, 0].movedim(-1, 1).float() / 255
        features = nn.functional.adaptive_avg_pool2d(images, (2, 3)).flatten(1)[:, None]
{in_forward}
        return features
'''


def _filled(code: str, at_build: str, in_forward: str) -> str:
    inside = {"at_build": at_build, "in_forward": in_forward}
    return code.format(
        **{k: textwrap.indent(textwrap.dedent(v), 8 * " ") for k, v in inside.items()}
    )


def cheating_loss(name: str, at_build: str = "", in_forward: str = "") -> Proposed:
    """Honest, where nothing is added."""
    config = f"_target_: collision.learning.{name}.Cheat\npos_weight: auto\n"
    return Proposed.of("loss", name, _filled(_LOSS, at_build, in_forward), config)


def cheating_backbone(name: str, at_build: str = "", in_forward: str = "") -> Proposed:
    """Honest, where nothing is added."""
    config = f"_target_: collision.backbones.{name}.Cheat\nheight: 32\nwidth: 48\n"
    return Proposed.of("backbone", name, _filled(_BACKBONE, at_build, in_forward), config)


def cheat(name: str, at_build: str = "", in_forward: str = "") -> Proposed:
    """What it does when it is built may put bytes into ``loot``, which its state then holds."""
    code = _filled(_CHEAT, at_build, in_forward)
    return Proposed.of("head", name, code, config_of(name, "Cheat"))
