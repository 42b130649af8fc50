"""Optimizers with their learning-rate schedules."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from collision.errors import ConfigError

LOWEST_RATE, HIGHEST_RATE = 3e-4, 2e-3
LOWEST_UP_TO = 60  # steps


class OptimizerFactory(Protocol):
    """What a YAML in ``configs/optimizer`` names."""

    def build(self, model: nn.Module, total_steps: int) -> tuple[Optimizer, LRScheduler]:
        """Give optimizer and scheduler for ``total_steps`` batches, stepped every batch."""


@dataclass(frozen=True)
class AdamWCosine:
    """AdamW with a linear warm-up and a cosine decay, stepped every batch.

    Weight decay acts on matrices alone: biases, scales and other vectors are left free.
    ``lr`` is the highest rate, None for ``rate_for`` the length. ``warmup`` is the share of all
    steps in which it rises; ``final_fraction`` the share of it that is left at the end.
    """

    lr: float | None = None
    weight_decay: float = 1.0
    warmup: float = 0.1
    final_fraction: float = 0.01

    def __post_init__(self) -> None:
        if self.lr is not None and not self.lr > 0:
            raise ConfigError(f"optimizer.lr={self.lr}: must be above 0.")
        if self.weight_decay < 0 or not 0 <= self.warmup <= 1:
            raise ConfigError("optimizer.weight_decay: 0 or more; optimizer.warmup: from 0 to 1.")

    def build(self, model: nn.Module, total_steps: int) -> tuple[Optimizer, LRScheduler]:
        """Give optimizer and scheduler for ``total_steps`` batches."""
        parameters = [p for p in model.parameters() if p.requires_grad]
        groups: list[dict[str, Any]] = [
            {"params": [p for p in parameters if p.ndim >= 2]},
            {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
        ]
        rate = rate_for(total_steps) if self.lr is None else self.lr
        optimizer = AdamW(groups, rate, weight_decay=self.weight_decay, foreach=True)
        warmup = min(round(self.warmup * total_steps), max(total_steps - 1, 0))

        def factor(step: int) -> float:
            if step < warmup:
                return (step + 1) / (warmup + 1)
            progress = min(1.0, (step - warmup) / max(1, total_steps - warmup))
            cosine = 0.5 * (1 + math.cos(math.pi * progress))
            return self.final_fraction + (1 - self.final_fraction) * cosine

        return optimizer, LambdaLR(optimizer, factor)


def rate_for(total_steps: int) -> float:
    """Give the highest learning rate for a training of so many steps: more, the longer it is.

    Sets of 20 groups (60 steps) lose by a high rate, those of thousands of cuts by a low one; how
    that was measured: docs/small_sets.md.
    """
    return min(max(LOWEST_RATE * math.sqrt(total_steps / LOWEST_UP_TO), LOWEST_RATE), HIGHEST_RATE)
