"""Optimizers: they set the highest learning rate; ``schedulers.py`` says what becomes of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn
from torch.optim import Optimizer

from collision.errors import ConfigError

LOWEST_RATE, HIGHEST_RATE = 3e-4, 2e-3
LOWEST_UP_TO = 60  # steps


class OptimizerFactory(Protocol):
    """What a YAML in ``configs/optimizer`` names."""

    def build(self, model: nn.Module, total_steps: int) -> Optimizer:
        """Give an optimizer for ``total_steps`` batches, at its highest learning rate."""


@dataclass(frozen=True)
class AdamW:
    """AdamW (arXiv 1711.05101), whose weight decay acts on matrices alone.

    Biases, scales and other vectors are left free. ``lr`` is the highest rate, None for
    ``rate_for`` the length.
    """

    lr: float | None = None
    weight_decay: float = 1.0

    def __post_init__(self) -> None:
        if self.lr is not None and not self.lr > 0:
            raise ConfigError(f"optimizer.lr={self.lr}: must be above 0.")
        if self.weight_decay < 0:
            raise ConfigError(f"optimizer.weight_decay={self.weight_decay}: give 0 or more.")

    def build(self, model: nn.Module, total_steps: int) -> Optimizer:
        """Give the optimizer for ``total_steps`` batches."""
        parameters = [p for p in model.parameters() if p.requires_grad]
        groups: list[dict[str, Any]] = [
            {"params": [p for p in parameters if p.ndim >= 2]},
            {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
        ]
        rate = rate_for(total_steps) if self.lr is None else self.lr
        return torch.optim.AdamW(groups, rate, weight_decay=self.weight_decay, foreach=True)


def rate_for(total_steps: int) -> float:
    """Give the highest learning rate for a training of so many steps: more, the longer it is.

    Sets of 20 groups (60 steps) lose by a high rate, those of thousands of cuts by a low one; how
    that was measured: docs/small_sets.md.
    """
    return min(max(LOWEST_RATE * math.sqrt(total_steps / LOWEST_UP_TO), LOWEST_RATE), HIGHEST_RATE)


def build_optimizer(factory: OptimizerFactory, model: nn.Module, total_steps: int) -> Optimizer:
    """Build a factory's optimizer; ConfigError: its ``build`` gives something else."""
    made = factory.build(model, total_steps)
    if not isinstance(made, Optimizer):
        raise ConfigError(
            f"The optimizer {type(factory).__name__} builds a {type(made).__name__}. Let its build "
            "give a torch optimizer alone: learning rates follow scheduler= (docs/add_a_head.md)."
        )
    return made
