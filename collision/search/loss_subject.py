"""A loss as its conformance suite sees it: outputs of a head in, a number and its gradient out.

Shapes: B examples, O outputs of the head.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, Self, TypeAlias

import torch
from torch import Tensor, nn

from collision.checks import STRICT
from collision.config import Part
from collision.errors import ConfigError
from collision.learning.losses import Targets, build_loss

# In the precision of the outputs; under bfloat16's autocast; so, of outputs in bfloat16.
How: TypeAlias = Literal["plain", "autocast", "bfloat16"]


class Measured(NamedTuple):
    """A loss, and its gradient by the outputs ``[B, O]``; None where there is none."""

    value: Tensor
    gradient: Tensor | None


@dataclass(frozen=True)
class LossFacts:
    """What a loss says of itself; ``num_parameters`` would be trained, if anybody did."""

    __pydantic_config__ = STRICT

    num_outputs: int
    by_video: bool
    num_parameters: int


class LossSubject(Protocol):
    """A loss, in this process or behind walls."""

    @property
    def facts(self) -> LossFacts:
        """What it says of itself."""
        ...

    @property
    def options(self) -> Mapping[str, Any]:
        """Those of its YAML, as it was made with them."""
        ...

    def measure(self, outputs: Tensor, targets: Targets, how: How = "plain") -> Measured:
        """Give the loss of outputs ``[B, O]`` and its gradient."""
        ...

    def fitted(self, negative: float, positive: float) -> Self:
        """Make another one and tell it the summed weights of each class in a pass."""
        ...

    def changed(self, **options: Any) -> Self:
        """Make another one with other options."""
        ...


class LocalLoss:
    """A loss, in this process."""

    def __init__(self, part: Part, fit: tuple[float, float] | None = None):
        self.part = part
        torch.manual_seed(0)
        self.loss: Any = build_loss(part)
        if not isinstance(self.loss, nn.Module):
            raise ConfigError(f"The loss {part.name!r} is no nn.Module: derive its class from it.")
        if fit is not None:
            self.loss.fit(*fit)

    @property
    def facts(self) -> LossFacts:
        """What it says of itself."""
        num = sum(parameter.numel() for parameter in self.loss.parameters())
        return LossFacts(self.loss.num_outputs, self.loss.by_video, num)

    @property
    def options(self) -> Mapping[str, Any]:
        """Those of its YAML, as it was made with them."""
        return self.part.options

    def measure(self, outputs: Tensor, targets: Targets, how: How = "plain") -> Measured:
        """Give the loss of outputs ``[B, O]`` and its gradient."""
        kind = torch.bfloat16 if how == "bfloat16" else outputs.dtype
        outputs = outputs.detach().to(kind, copy=True).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=how != "plain"):
            value = self.loss(outputs, targets)
        if not isinstance(value, Tensor):
            raise ConfigError(f"It gives {type(value).__name__}, not a tensor with one number.")
        gradient = None
        if value.requires_grad and value.numel() == 1:
            (gradient,) = torch.autograd.grad(value.sum(), outputs, allow_unused=True)
        return Measured(value.detach(), gradient)

    def fitted(self, negative: float, positive: float) -> LocalLoss:
        """Make another one and tell it the summed weights of each class in a pass."""
        return LocalLoss(self.part, (negative, positive))

    def changed(self, **options: Any) -> LocalLoss:
        """Make another one with other options."""
        return LocalLoss(self.part.changed(options))
