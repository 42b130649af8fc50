"""How the learning rate changes from step to step, as a factor of the optimizer's own.

``warmup`` is everywhere the share of all steps in which the rate rises. A pass is once over the
training rows, as long as ``steps_per_pass`` steps, which need not be whole.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from collision.errors import ConfigError


class SchedulerFactory(Protocol):
    """What a YAML in ``configs/scheduler`` names."""

    def build(self, optimizer: Optimizer, total_steps: int, steps_per_pass: float) -> LRScheduler:
        """Give a scheduler for ``total_steps`` batches, stepped every batch."""


@dataclass(frozen=True)
class Cosine:
    """A linear warm-up, then half a cosine down to ``final_fraction`` of the highest rate."""

    warmup: float = 0.1
    final_fraction: float = 0.01

    def __post_init__(self) -> None:
        _check_shares(warmup=self.warmup, final_fraction=self.final_fraction)

    def build(self, optimizer: Optimizer, total_steps: int, steps_per_pass: float) -> LRScheduler:
        """Give a scheduler for ``total_steps`` batches, stepped every batch."""
        warmup = _warmup_steps(self.warmup, total_steps)

        def factor(step: int) -> float:
            if step < warmup:
                return (step + 1) / (warmup + 1)
            progress = min(1.0, (step - warmup) / max(1, total_steps - warmup))
            cosine = 0.5 * (1 + math.cos(math.pi * progress))
            return self.final_fraction + (1 - self.final_fraction) * cosine

        return LambdaLR(optimizer, factor)


@dataclass(frozen=True)
class Constant:
    """A linear warm-up, then the highest rate to the end."""

    warmup: float = 0.1

    def __post_init__(self) -> None:
        _check_shares(warmup=self.warmup)

    def build(self, optimizer: Optimizer, total_steps: int, steps_per_pass: float) -> LRScheduler:
        """Give a scheduler for ``total_steps`` batches, stepped every batch."""
        warmup = _warmup_steps(self.warmup, total_steps)
        return LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / (warmup + 1)))


@dataclass(frozen=True)
class OneCycle:
    """One cycle (Smith and Topin, arXiv 1708.07120): half a cosine up, and one down to almost 0.

    The rates are those of torch's ``OneCycleLR`` in two phases; momentum is left as it is.
    ``start_fraction`` and ``final_fraction`` are of the highest rate.
    """

    warmup: float = 0.3
    start_fraction: float = 0.04
    final_fraction: float = 4e-6

    def __post_init__(self) -> None:
        shares = {"start_fraction": self.start_fraction, "final_fraction": self.final_fraction}
        _check_shares(warmup=self.warmup, **shares)

    def build(self, optimizer: Optimizer, total_steps: int, steps_per_pass: float) -> LRScheduler:
        """Give a scheduler for ``total_steps`` batches, stepped every batch."""
        last = total_steps - 1
        top = self.warmup * total_steps - 1  # below 0 where nothing rises; need not be whole

        def factor(step: int) -> float:
            if step <= top:
                return _between(self.start_fraction, 1.0, step / top if top > 0 else 1.0)
            start = max(top, 0.0)
            progress = (step - start) / (last - start) if last > start else float(step > start)
            return _between(1.0, self.final_fraction, min(1.0, progress))

        return LambdaLR(optimizer, factor)


@dataclass(frozen=True)
class Eden:
    """Zipformer's schedule (Yao et al., arXiv 2310.11230): falls with steps and with passes.

    At step s, e passes being over, it is ``((s² + S²) / S²) ** -1/4 * ((e² + E²) / E²) ** -1/4``.
    What the paper calls an epoch is a pass here: validation comes every so many steps and ends
    none. S is ``steps``, E ``passes``; None is a third of this training's, where the paper has
    7,500 steps and 3.5 epochs for a set of its own size. In the warm-up the rate rises linearly
    from ``warmup_start`` of that.
    """

    steps: float | None = None
    passes: float | None = None
    warmup: float = 0.1
    warmup_start: float = 0.5

    def __post_init__(self) -> None:
        for name in ("steps", "passes"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ConfigError(
                    f"scheduler.{name}={value}: give more than 0, or null for a third of all."
                )
        _check_shares(warmup=self.warmup, warmup_start=self.warmup_start)

    def build(self, optimizer: Optimizer, total_steps: int, steps_per_pass: float) -> LRScheduler:
        """Give a scheduler for ``total_steps`` batches, stepped every batch."""
        warmup = round(self.warmup * total_steps)
        steps = self.steps or max(1, total_steps) / 3
        passes = self.passes or max(1.0, total_steps / steps_per_pass) / 3

        def factor(step: int) -> float:
            over = step // steps_per_pass
            fallen = (1 + (step / steps) ** 2) ** -0.25 * (1 + (over / passes) ** 2) ** -0.25
            rising = 1.0 if step >= warmup else _line(self.warmup_start, 1.0, step / warmup)
            return fallen * rising

        return LambdaLR(optimizer, factor)


def _warmup_steps(warmup: float, total_steps: int) -> int:
    """Turn a share into steps, of which one is left for the highest rate."""
    return min(round(warmup * total_steps), max(total_steps - 1, 0))


def _line(start: float, end: float, progress: float) -> float:
    return start + (end - start) * progress


def _between(start: float, end: float, progress: float) -> float:
    """Go from ``start`` to ``end`` along half a cosine."""
    return end + (start - end) / 2 * (1 + math.cos(math.pi * progress))


def _check_shares(**shares: float) -> None:
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise ConfigError(f"scheduler.{name}={share}: it is a share, from 0 to 1.")
