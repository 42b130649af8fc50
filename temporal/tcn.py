"""A temporal convolutional network (Bai et al., arXiv 1803.01271).

Shapes: B examples, L feature steps, D feature dim, C channels, E output dim (= C).
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from collision.errors import ConfigError
from collision.learning.fused import is_full
from collision.learning.packing import pack_steps, unpack_steps

_MOST_LAYERS = 12


class TCN(nn.Module):
    """Project the features to a small dim, then convolve over the steps, ever farther apart.

    The taps of layer n lie ``2 ** n`` steps apart, n from 0, and each layer has two convolutions:
    the output sees ``2 * (kernel - 1) * (2 ** layers - 1)`` steps beside its own.

    ``times`` is not used: steps are taken as evenly spaced. Masked steps are taken out of the
    sequence before it runs, wherever they lie, and their outputs are zero.

    Args:
        dim: C.
        layers: Residual blocks, 1 to 12.
        kernel: Steps that a convolution joins; odd where it is not causal.
        causal: A step sees itself and those before it. Otherwise as many on both sides; no step
            lies after the cut, so that this sees no future either.
        dropout: Of the projected features, and in the blocks, where a channel is dropped for the
            whole sequence, as in the paper.
    """

    def __init__(
        self,
        input_dim: int,
        dim: int = 64,
        layers: int = 3,
        kernel: int = 3,
        causal: bool = True,
        dropout: float = 0.3,
    ):
        super().__init__()
        if dim < 1:
            raise ConfigError(f"head.dim={dim}: give 1 or more.")
        if not 1 <= layers <= _MOST_LAYERS:
            raise ConfigError(f"head.layers={layers}: give 1 to {_MOST_LAYERS}.")
        if kernel < 2 or not (causal or kernel % 2):
            raise ConfigError(
                f"head.kernel={kernel} with head.causal={str(causal).lower()}: give 2 or more, and "
                "an odd number where it is not causal, such as 3."
            )
        if not 0 <= dropout < 1:
            raise ConfigError(f"head.dropout={dropout}: it is a share, from 0 to below 1.")
        self.causal, self.output_dim = causal, dim
        self.projection = nn.Linear(input_dim, dim)
        self.input_dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(
            Block(dim, kernel, 2**layer, causal, dropout) for layer in range(layers)
        )

    def forward(self, features: Tensor, times: Tensor, mask: Tensor) -> Tensor:
        """``[B, L, D]`` to ``[B, L, E]``; zeros under the mask."""
        if is_full(mask):
            return self._encode(features, None)
        steps, packed_mask, order = pack_steps(features, mask)
        return unpack_steps(self._encode(steps, packed_mask), order) * mask.unsqueeze(-1)

    def _encode(self, steps: Tensor, mask: Tensor | None) -> Tensor:
        hidden = self.input_dropout(self.projection(steps)).transpose(1, 2)
        gaps = None if mask is None else ~mask.unsqueeze(1)
        for block in self.blocks:
            hidden = block(hidden, gaps)
        return hidden.transpose(1, 2)


class Block(nn.Module):
    """Two dilated convolutions with ReLU and dropout, added to what came in; ReLU again."""

    def __init__(self, dim: int, kernel: int, dilation: int, causal: bool, dropout: float):
        super().__init__()
        reach = (kernel - 1) * dilation
        self.padding = (reach, 0) if causal else (reach // 2, reach // 2)
        self.convolutions = nn.ModuleList(
            weight_norm(nn.Conv1d(dim, dim, kernel, dilation=dilation)) for _ in range(2)
        )
        self.dropout = nn.Dropout1d(dropout)

    def forward(self, hidden: Tensor, gaps: Tensor | None) -> Tensor:
        """``[B, C, L]`` to the same; ``gaps [B, 1, L]`` count as zeros, like the border."""
        inner = hidden
        for convolution in self.convolutions:
            if gaps is not None:
                inner = inner.masked_fill(gaps, 0.0)
            convolved = convolution(functional.pad(inner, self.padding))
            inner = self.dropout(convolved.relu())
        return (hidden + inner).relu()
