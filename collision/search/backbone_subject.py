"""A backbone as its conformance suite sees it: frames in, features out.

Shapes: B windows, T frames a window, S steps a window, D feature dim, H W image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

import torch
from torch import Tensor, nn

from collision.checks import STRICT
from collision.config import Part
from collision.errors import ConfigError
from collision.features.fingerprint import weights_digest
from collision.types import BackboneSpec


@dataclass(frozen=True)
class BackboneFacts:
    """What a backbone says of itself, and what can be seen of it.

    Attributes:
        num_trained: Parameters that would get a gradient.
        in_training: Modules in training mode.
        moved_chance: Building it drew from torch's own random numbers.
        digest: Of its weights and buffers.
    """

    __pydantic_config__ = STRICT

    spec: BackboneSpec
    num_parameters: int
    num_trained: int
    in_training: int
    moved_chance: bool
    digest: str


class BackboneSubject(Protocol):
    """A backbone, in this process or behind walls."""

    @property
    def facts(self) -> BackboneFacts:
        """What it says of itself, and what can be seen of it now."""
        ...

    @property
    def options(self) -> Mapping[str, Any]:
        """Those of its YAML, as it was made with them."""
        ...

    def embed(self, frames: Tensor) -> Tensor:
        """Turn frames ``uint8 [B, T, H, W, 3]`` into features ``[B, S, D]``."""
        ...

    def reloaded(self) -> Self:
        """Make another one, whose every number was 0, and load this one's state."""
        ...

    def changed(self, **options: Any) -> Self | None:
        """Make another one with other options; None: it refuses them with a sentence."""
        ...


class LocalBackbone:
    """A backbone, in this process."""

    def __init__(self, part: Part):
        self.part = part
        before = torch.random.get_rng_state()
        self.module: Any = part.build()
        self._moved = not torch.equal(before, torch.random.get_rng_state())
        if not isinstance(self.module, nn.Module):
            raise ConfigError(f"The backbone {part.name!r} is no nn.Module: derive it from that.")
        if not isinstance(getattr(self.module, "spec", None), BackboneSpec):
            raise ConfigError(f"The backbone {part.name!r} has no spec: docs/add_a_backbone.md.")

    @property
    def facts(self) -> BackboneFacts:
        """What it says of itself, and what can be seen of it now."""
        parameters = list(self.module.parameters())
        return BackboneFacts(
            self.module.spec,
            sum(one.numel() for one in parameters),
            sum(one.numel() for one in parameters if one.requires_grad),
            sum(module.training for module in self.module.modules()),
            self._moved,
            weights_digest(self.module),
        )

    @property
    def options(self) -> Mapping[str, Any]:
        """Those of its YAML, as it was made with them."""
        return self.part.options

    @torch.inference_mode()
    def embed(self, frames: Tensor) -> Tensor:
        """Turn frames ``uint8 [B, T, H, W, 3]`` into features ``[B, S, D]``."""
        features = self.module(frames)
        if not isinstance(features, Tensor):
            raise ConfigError(f"It gives {type(features).__name__}, not a tensor of features.")
        return features.clone()

    def reloaded(self) -> LocalBackbone:
        """Make another one, whose every number was 0, and load this one's state."""
        other = LocalBackbone(self.part)
        state = {name: value.clone() for name, value in self.module.state_dict().items()}
        with torch.no_grad():
            for value in other.module.state_dict().values():
                value.zero_()
        other.module.load_state_dict(state)
        return other

    def changed(self, **options: Any) -> LocalBackbone | None:
        """Make another one with other options; None: it refuses them with a sentence."""
        try:
            return LocalBackbone(self.part.changed(options))
        except ConfigError:
            return None
