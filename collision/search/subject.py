"""A head with its pooling as the conformance suite sees it: tensors in, tensors out.

Shapes: B examples, L feature steps, D feature dim, E encoder output dim, P pooled dim.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, Self

import torch
from torch import Tensor

from collision.checks import STRICT
from collision.config import Part
from collision.learning.head import HeadModel, build_model

FEATURE_DIM = 24
LARGE = 5_000_000  # parameters


class Batch(NamedTuple):
    """What a head takes: features ``[B, L, D]``, times and mask ``[B, L]``."""

    features: Tensor
    times: Tensor
    mask: Tensor


@dataclass(frozen=True)
class Ask:
    """What is wanted of a batch.

    Attributes:
        what: The logits ``[B]``, what the encoder gives ``[B, L, E]``, or what pooling makes of it
            ``[B, P]``.
        gradients: Of all outputs, under weights that differ, by each parameter.
        autocast: In bfloat16, as on a GPU.
        double: In float64.
        compiled: By this backend of ``torch.compile``; empty for none.
        training: With dropout.
    """

    __pydantic_config__ = STRICT

    what: Literal["logits", "encoded", "pooled"] = "logits"
    gradients: bool = False
    autocast: bool = False
    double: bool = False
    compiled: str = ""
    training: bool = False


@dataclass(frozen=True)
class Answer:
    """Outputs, and gradients by parameter; None for a parameter that plays no part."""

    outputs: Tensor
    gradients: dict[str, Tensor | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Facts:
    """What a head says of itself."""

    __pydantic_config__ = STRICT

    output_dim: int
    causal: bool
    num_parameters: int


class Subject(Protocol):
    """A head with its pooling, in this process or behind walls."""

    @property
    def facts(self) -> Facts:
        """What it says of itself."""
        ...

    def run(self, batch: Batch, ask: Ask) -> Answer:
        """Give what is asked for."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Give all its weights and buffers."""
        ...

    def loaded(self, state: dict[str, Tensor]) -> Self:
        """Make another one, whose every number was .5, and load this state."""
        ...

    def pooled_by(self, pooling: str) -> Self:
        """Make another one with this pooling."""
        ...

    def learned(self, batch: Batch, labels: Tensor, steps: int) -> Self:
        """Make another one without noise and train it on labels ``[B]`` for so many steps."""
        ...


class Local:
    """A head with its pooling, in this process."""

    def __init__(self, head: Part, pooling: Part, feature_dim: int = FEATURE_DIM):
        self.head, self.pooling, self.feature_dim = head, pooling, feature_dim
        self.model = self._made(noise=True)

    def _made(self, *, noise: bool) -> HeadModel:
        torch.manual_seed(0)
        model = build_model(self.head, self.pooling, self.feature_dim)
        if noise:
            model.fit_standardiser(3 + 2 * torch.randn(100, self.feature_dim))
            # Modules that begin at nothing must take part in what is compared. Of many channels
            # the sum grows, and with it what rounding does.
            sd = 0.01 if model.num_parameters > LARGE else 0.05
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.add_(sd * torch.randn_like(parameter))
        return model.eval()

    @property
    def facts(self) -> Facts:
        """What it says of itself."""
        causal = getattr(self.model.encoder, "causal", False) is True
        return Facts(self.model.encoder.output_dim, causal, self.model.num_parameters)

    def run(self, batch: Batch, ask: Ask) -> Answer:
        """Give what is asked for; the model stays as it is."""
        model = copy.deepcopy(self.model) if ask.double or ask.training else self.model
        model.train(ask.training)
        if ask.double:
            model, batch = model.double(), Batch(batch[0].double(), batch[1].double(), batch[2])
        with torch.set_grad_enabled(ask.gradients):
            with torch.autocast("cpu", torch.bfloat16, enabled=ask.autocast):
                outputs = _called(model, batch, ask)
            gradients = _gradients(model, outputs, ask) if ask.gradients else {}
        return Answer(outputs.detach(), gradients)

    def state(self) -> dict[str, Tensor]:
        """Give all its weights and buffers."""
        return dict(self.model.state_dict())

    def loaded(self, state: dict[str, Tensor]) -> Local:
        """Make another one, whose every number was .5, and load this state."""
        other = Local(self.head, self.pooling, self.feature_dim)
        for value in other.model.state_dict().values():
            value.fill_(0.5)
        other.model.load_state_dict(state)
        return other

    def pooled_by(self, pooling: str) -> Local:
        """Make another one with this pooling."""
        from collision.config import part

        return Local(self.head, part("pooling", pooling), self.feature_dim)

    def learned(self, batch: Batch, labels: Tensor, steps: int) -> Local:
        """Make another one without noise and train it on labels ``[B]`` for so many steps."""
        other = Local(self.head, self.pooling, self.feature_dim)
        other.model = model = self._made(noise=False)
        model.fit_standardiser(batch.features[batch.mask])
        model.train()
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=1e-2)
        for _ in range(steps):
            loss = torch.nn.functional.binary_cross_entropy_with_logits(model(*batch), labels)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
        model.eval()
        return other


def _called(model: HeadModel, batch: Batch, ask: Ask) -> Tensor:
    if ask.what == "logits" and not ask.compiled:
        return model(*batch)

    # Of what is compiled, encoder and pooling alone: around them it is asked where gaps are.
    def run(features: Tensor, times: Tensor, mask: Tensor) -> Tensor:
        encoded = model.encoder(features, times, mask)
        return encoded if ask.what == "encoded" else model.pooling(encoded, mask)

    if not ask.compiled:
        return run(*batch)
    torch.compiler.reset()
    made: Any = torch.compile(run, backend=ask.compiled)
    return made(*batch)


def _gradients(model: HeadModel, outputs: Tensor, ask: Ask) -> dict[str, Tensor | None]:
    """The derivatives of outputs by all that is trained, under a weight that differs everywhere."""
    if not outputs.requires_grad:
        return {}
    named = {name: one for name, one in model.named_parameters() if one.requires_grad}
    weights = torch.linspace(-1.0, 2.0, outputs.numel(), dtype=outputs.dtype).view(outputs.shape)
    total = (weights * outputs).sum()
    found = torch.autograd.grad(total, list(named.values()), allow_unused=True)
    return dict(zip(named, found, strict=True))
