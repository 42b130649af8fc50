"""ScaledAdam, Zipformer's optimizer (Yao et al., arXiv 2310.11230).

Adam whose steps are in proportion to the size of each tensor, its root mean square (RMS), and which
learns that size as well, as if a tensor were multiplied by the exponential of a number. A step is
what icefall's implementation (Apache-2.0) makes of the same gradients; ``tests/golden`` holds
examples. Single numbers have no size: their steps are ``scalar_rate`` of the others'.

Shapes: N tensors of a group, K steps from one update of sizes to the next, M steps whose gradients'
norms are kept.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from collision.errors import ConfigError

NUM_NORMS = 100  # M
# The median is also taken at these steps, and the norms may then be twice as far from it.
EARLY = (10, 20, 40)
LARGEST_SCALAR = 10.0
LARGEST_GROWTH = 0.1  # of a tensor's size in one update, also the largest shrinkage
SMALLEST_DIVISOR = 1e-8

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScaledAdam:
    """Steps in proportion to each tensor's size, which is learned too; there is no weight decay.

    Attributes:
        lr: The highest rate, a share of a tensor's size a step.
        clipping: Gradients are scaled down to so many times the median norm of the latest 100
            steps, each tensor's weighed by its size; None: never.
        scalar_rate: Rate of sizes and of single numbers, as a share of ``lr``.
        min_rms: A smaller tensor takes steps as if it had this size. The reference has 1e-5, at
            which a classifier that begins at zero, as beside a prior, stays there for hundreds of
            steps.
        max_rms: No tensor grows beyond.
        period: Steps from one update of sizes to the next.
    """

    lr: float = 0.03
    clipping: float | None = 2.0
    beta1: float = 0.9
    beta2: float = 0.98
    scalar_rate: float = 0.1
    min_rms: float = 0.01
    max_rms: float = 3.0
    period: int = 4

    def __post_init__(self) -> None:
        above_0 = ("lr", "clipping", "scalar_rate", "min_rms", "max_rms", "period")
        for name in above_0:
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ConfigError(f"optimizer.{name}={value}: give more than 0.")
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"optimizer.{name}={getattr(self, name)}: from 0 to below 1.")
        if self.min_rms >= self.max_rms:
            raise ConfigError(
                f"optimizer.min_rms={self.min_rms} and optimizer.max_rms={self.max_rms} leave "
                "tensors no size: raise the second."
            )

    def build(self, model: nn.Module, total_steps: int) -> Optimizer:
        """Give the optimizer; the rate does not depend on ``total_steps``."""
        return ScaledAdamOptimizer([p for p in model.parameters() if p.requires_grad], self)


class ScaledAdamOptimizer(Optimizer):
    """The steps of ``ScaledAdam``; a tensor without a gradient is taken to have one of zeros.

    A gradient that is not finite is taken for zeros as well, which is logged; where that is so in
    half of the latest steps, ``step`` raises ConfigError. To know it, each step waits for the
    device once.
    """

    def __init__(self, params: Any, options: ScaledAdam):
        super().__init__(params, asdict(options))

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Make one step; gives what the ``closure`` gives."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            self._step(group)
        return loss

    def _step(self, group: dict[str, Any]) -> None:
        parameters: list[Tensor] = group["params"]
        shared = self._shared_state(group)
        step, squares = shared["step"], [self.state[p]["squares"] for p in parameters]
        given = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        grads = _clipped(given, group, shared)
        torch._foreach_mul_(squares, group["beta2"])
        torch._foreach_addcmul_(squares, grads, grads, 1 - group["beta2"])
        divisors = torch._foreach_sqrt(squares)
        known = 1 - group["beta2"] ** (step + 1)  # the mean of squares began at zero
        torch._foreach_mul_(divisors, known**-0.5 if known < 0.99 else 1.0)
        torch._foreach_add_(divisors, SMALLEST_DIVISOR)
        changes = torch._foreach_div(grads, divisors)
        growth = _growth(parameters, grads, group, shared)
        torch._foreach_mul_(changes, (-group["lr"] * shared["rates"]).unbind())
        if growth is not None:
            torch._foreach_add_(changes, torch._foreach_mul(parameters, growth.unbind()))
        deltas = [self.state[p]["delta"] for p in parameters]
        torch._foreach_mul_(deltas, group["beta1"])
        torch._foreach_add_(deltas, changes, alpha=1 - group["beta1"])
        torch._foreach_add_(parameters, deltas)
        for scalar in (p for p in parameters if p.numel() == 1):
            scalar.clamp_(-LARGEST_SCALAR, LARGEST_SCALAR)
        shared["step"] = step + 1

    def _shared_state(self, group: dict[str, Any]) -> dict[str, Any]:
        """Give what a group's tensors share, which lies with the first of them."""
        parameters: list[Tensor] = group["params"]
        shared = self.state[parameters[0]]
        if not shared:
            for one in parameters:
                self.state[one] |= {"squares": torch.zeros_like(one)}
                self.state[one] |= {"delta": torch.zeros_like(one)}
            shared |= {"step": 0, **_sizes(parameters, group)}
            rms = shared["rms"]
            shared |= {
                "size_grads": rms.new_zeros(group["period"], len(rms)),  # [K, N]
                "size_squares": torch.zeros_like(rms),  # [N]
                "norms": rms.new_zeros(NUM_NORMS),  # [M]
                "threshold": math.inf,
            }
        return shared


def _clipped(grads: list[Tensor], group: dict[str, Any], shared: dict[str, Any]) -> list[Tensor]:
    """Scale gradients down whose norm is beyond the threshold; zeros for what is not finite."""
    step, norms = shared["step"], shared["norms"]
    norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(grads)) * shared["rms"])
    # As in the reference, the first step is not among them.
    if step:
        norms[step % NUM_NORMS] = norm
    if step in EARLY or (step and step % NUM_NORMS == 0):
        latest = norms.sort().values[-min(step, NUM_NORMS) :]
        median = float(latest[len(latest) // 4 * 2])
        if not math.isfinite(median):
            raise ConfigError(
                "Training diverged: of the latest gradients, half are not finite. Start again with "
                f"a lower optimizer.lr (now {group['lr']:g})."
            )
        if group["clipping"] is not None:
            shared["threshold"] = group["clipping"] * median * (2 if step in EARLY else 1)
    found = float(norm)
    if not math.isfinite(found):
        logger.warning("Step %d: the gradient is not finite; it is taken for zeros.", step)
        return [torch.zeros_like(grad) for grad in grads]
    scale = shared["threshold"] / (found + 1e-20)
    return grads if scale >= 1 else list(torch._foreach_mul(grads, scale))


def _growth(
    parameters: list[Tensor],
    grads: list[Tensor],
    group: dict[str, Any],
    shared: dict[str, Any],
) -> Tensor | None:
    """Note by how much the loss wants each tensor larger; every K steps say by how much, ``[N]``.

    The RMS is measured anew at the same time.
    """
    step, period = shared["step"], group["period"]
    rows, squares, eps = shared["size_grads"], shared["size_squares"], SMALLEST_DIVISOR
    rows[step % period] = torch.stack(
        [torch.dot(p.reshape(-1), g.reshape(-1)) for p, g in zip(parameters, grads, strict=True)]
    )
    if step % period != period - 1:
        return None
    shared |= _sizes(parameters, group)
    if step == 0:
        return None
    rms = shared["rms"]
    beta = group["beta2"] ** period
    squares.mul_(beta).add_(rows.square().mean(dim=0), alpha=1 - beta)
    known = 1 - beta ** ((step + 1) // period)
    rate = group["lr"] * group["scalar_rate"] * known**0.5
    growth = -rate * rows.sum(dim=0) / (squares.sqrt() + eps)
    growth = growth.masked_fill(rms < group["min_rms"], 0.0)
    growth = growth.clamp(-LARGEST_GROWTH, LARGEST_GROWTH)
    growth = growth.minimum((group["max_rms"] - rms) / rms)
    return growth.masked_fill(_are_scalars(parameters), 0.0)


def _sizes(parameters: list[Tensor], group: dict[str, Any]) -> dict[str, Tensor]:
    """Measure each tensor's RMS, ``[N]``, and what its rate is multiplied by, ``[N]``.

    In the norm of all gradients single numbers weigh as much as in the steps.
    """
    scalars, scalar_rate = _are_scalars(parameters), group["scalar_rate"]
    norms = torch.stack(torch._foreach_norm(parameters))
    rms = norms / norms.new_tensor([one.numel() for one in parameters]).sqrt()
    rates = rms.clamp_min(group["min_rms"]).masked_fill(scalars, scalar_rate)
    return {"rms": rms.masked_fill(scalars, scalar_rate), "rates": rates}


def _are_scalars(parameters: list[Tensor]) -> Tensor:
    are = [one.numel() == 1 for one in parameters]
    return torch.tensor(are, device=parameters[0].device)
