"""How a head sees the features of several backbones: the ``fusion`` group.

Each class has ``make(widths, encoder_of, pooling_of)``: how many numbers a step are of each
backbone, and what makes an encoder or a pooling for so many. It gives an encoder, of all numbers
side by side in the order of the backbones, and a pooling of what that gives. ``needs_columns`` says
whether it must know which number is whose, which principal components would hide.

Shapes: B examples, L feature steps, N backbones, K numbers a step of all of them, E encoder output
dim, P pooled dim.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from collision.errors import ConfigError
from collision.types import Encoder

EncoderOf = Callable[[int], Encoder]
PoolingOf = Callable[[int], nn.Module]


class Concat:
    """One encoder sees all features side by side."""

    needs_columns = False

    def make(
        self, widths: Sequence[int], encoder_of: EncoderOf, pooling_of: PoolingOf
    ) -> tuple[Encoder, nn.Module]:
        """Give the encoder of all numbers, and its pooling."""
        encoder = encoder_of(sum(widths))
        return encoder, pooling_of(encoder.output_dim)


class Late:
    """An encoder and a pooling for each backbone; their vectors are put side by side.

    The classifier is linear, so that the logit is a sum of one logit for each backbone.
    """

    needs_columns = True

    def make(
        self, widths: Sequence[int], encoder_of: EncoderOf, pooling_of: PoolingOf
    ) -> tuple[Encoder, nn.Module]:
        """Give the encoders as one, and the poolings as one."""
        encoders = [encoder_of(width) for width in widths]
        dims = [encoder.output_dim for encoder in encoders]
        return EncodersApart(encoders, widths), PoolingsApart([pooling_of(d) for d in dims], dims)


class Gated:
    """One encoder sees a weighted mean of the backbones' features, projected to a common size.

    The weights are a softmax over the backbones, at each step, of scores that are linear in all
    projected features: gated multimodal units (Arevalo et al., arXiv 1702.01992).

    Args:
        dim: Of the projected features.
    """

    needs_columns = True

    def __init__(self, dim: int = 64):
        if dim < 1:
            raise ConfigError(f"fusion.dim={dim}: give 1 or more.")
        self.dim = dim

    def make(
        self, widths: Sequence[int], encoder_of: EncoderOf, pooling_of: PoolingOf
    ) -> tuple[Encoder, nn.Module]:
        """Give gate and encoder as one, and the encoder's pooling."""
        encoder = encoder_of(self.dim)
        return GatedEncoder(encoder, widths, self.dim), pooling_of(encoder.output_dim)


class EncodersApart(nn.Module):
    """Each encoder sees the columns of its backbone: ``[B, L, K]`` to ``[B, L, E]``, in order."""

    def __init__(self, encoders: Sequence[Encoder], widths: Sequence[int]):
        super().__init__()
        self.encoders = nn.ModuleList(encoders)  # type: ignore[arg-type]  # Modules, by contract
        self.widths = list(widths)
        self.output_dim = sum(encoder.output_dim for encoder in encoders)

    def forward(self, features: Tensor, times: Tensor, mask: Tensor) -> Tensor:
        """``[B, L, K]`` to ``[B, L, E]``."""
        parts = features.split(self.widths, dim=-1)
        encoded = [
            encoder(part, times, mask) for encoder, part in zip(self.encoders, parts, strict=True)
        ]
        return torch.cat(encoded, dim=-1)


class PoolingsApart(nn.Module):
    """Each pooling sees what the encoder of its backbone gave."""

    def __init__(self, poolings: Sequence[nn.Module], dims: Sequence[int]):
        super().__init__()
        self.poolings, self.dims = nn.ModuleList(poolings), list(dims)
        both = zip(self.poolings, self.dims, strict=True)
        self.output_dim = sum(getattr(pooling, "output_dim", dim) for pooling, dim in both)

    def forward(self, encoded: Tensor, mask: Tensor) -> Tensor:
        """``[B, L, E]`` to ``[B, P]``, as wide as the poolings make it."""
        parts = encoded.split(self.dims, dim=-1)
        pooled = [pooling(part, mask) for pooling, part in zip(self.poolings, parts, strict=True)]
        return torch.cat(pooled, dim=-1)


class GatedEncoder(nn.Module):
    """Project, weigh, sum up, encode: ``[B, L, K]`` to ``[B, L, E]``."""

    def __init__(self, encoder: Encoder, widths: Sequence[int], dim: int):
        super().__init__()
        self.widths = list(widths)
        self.projections = nn.ModuleList(nn.Linear(width, dim) for width in widths)
        self.gate = nn.Linear(dim * len(self.widths), len(self.widths))
        nn.init.zeros_(self.gate.weight)  # begins as the plain mean
        nn.init.zeros_(self.gate.bias)
        self.encoder = encoder
        self.output_dim = encoder.output_dim

    def weights(self, projected: Sequence[Tensor]) -> Tensor:
        """Give each backbone's share of each step, ``[B, L, N]``, from its ``[B, L, dim]``."""
        return self.gate(torch.cat(list(projected), dim=-1)).float().softmax(dim=-1)

    def forward(self, features: Tensor, times: Tensor, mask: Tensor) -> Tensor:
        """``[B, L, K]`` to ``[B, L, E]``."""
        parts = features.split(self.widths, dim=-1)
        projected = [
            torch.tanh(projection(part))
            for projection, part in zip(self.projections, parts, strict=True)
        ]
        shares = self.weights(projected).unsqueeze(-2)
        mean = (torch.stack(projected, dim=-1) * shares).sum(dim=-1)
        return self.encoder(mean, times, mask)
