"""Formulas of the Zipformer with fewer passes over memory than torch's derivatives need.

Beside the matrix products these passes are what a step of training takes on a CPU. All give what
the plain formula gives, and so do their first derivatives; a second one they do not have.

Shapes: B examples, L steps, C channels, K taps of a kernel.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

SLOPE = 0.08
# Steps that are multiplied at once for the derivative by a kernel: more are more work, fewer are
# many small products.
SPAN = 32


def is_full(mask: Tensor) -> bool:
    """Say whether it is known that no step is masked: a GPU is not waited for to find out."""
    return mask.device.type == "cpu" and not torch.compiler.is_compiling() and bool(mask.all())


def swoosh(values: Tensor, offset: float, constant: float) -> Tensor:
    """``softplus(values - offset) - 0.08 * values - constant``, of any shape."""
    result: Tensor = _Swoosh.apply(values, offset, constant)
    return result


class _Swoosh(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, offset: float, constant: float) -> Tensor:
        shifted = values - offset
        ctx.save_for_backward(shifted)
        result = functional.softplus(shifted).add_(shifted, alpha=-SLOPE)
        return result.sub_(SLOPE * offset + constant)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (shifted,) = ctx.saved_tensors
        if shifted.dtype.itemsize <= 2:  # else the derivative is rounded three times
            slope = shifted.float().sigmoid() - SLOPE
            return (slope * gradient).to(gradient.dtype), None, None
        return shifted.sigmoid().sub_(SLOPE).mul_(gradient), None, None


def bypass(before: Tensor, after: Tensor, scale: Tensor) -> Tensor:
    """``before + (after - before) * scale``: two ``[B, L, C]`` and ``[C]`` to ``[B, L, C]``."""
    if not before.dtype == after.dtype == scale.dtype:
        return before + (after - before) * scale
    result: Tensor = _Bypass.apply(before, after, scale)
    return result


class _Bypass(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, before: Tensor, after: Tensor, scale: Tensor) -> Tensor:
        difference = after - before
        ctx.save_for_backward(difference, scale)
        return torch.addcmul(before, difference, scale)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        difference, scale = ctx.saved_tensors
        after = gradient * scale
        by_scale = (gradient * difference).flatten(0, -2).sum(0)
        return gradient - after, after, by_scale


def depthwise(values: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Convolve each channel over the steps: ``[B, L, C]``, ``[C, 1, K]``, ``[C]`` to ``[B, L, C]``.

    K is odd; beyond the borders are zeros.
    """
    if values.device.type == "cpu" and values.dtype == weight.dtype == torch.float32:
        result: Tensor = _Depthwise.apply(values, weight, bias)
        return result
    padding = weight.shape[-1] // 2
    columns = values.transpose(1, 2)
    return functional.conv1d(columns, weight, bias, 1, padding, 1, len(weight)).transpose(1, 2)


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(values, weight)
        return _channels_last(values, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        values, weight = ctx.saved_tensors
        gradient = gradient.contiguous()
        by_values = _channels_last(gradient, weight.flip(-1), None)
        return by_values, _by_taps(values, gradient, weight.shape[-1]), gradient.sum((0, 1))


def _channels_last(values: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A convolution over one row: of these torch's library reads ``[B, L, C]`` as it lies.

    A ``conv1d`` turns the channels around before and after, which takes ten times as long.
    """
    rows = values.transpose(1, 2).unsqueeze(2)
    kernel, padding = weight.unsqueeze(2), (0, weight.shape[-1] // 2)
    result = functional.conv2d(rows, kernel, bias, 1, padding, 1, len(weight))
    return result.squeeze(2).transpose(1, 2)


def _by_taps(values: Tensor, gradient: Tensor, taps: int) -> Tensor:
    """The derivative by a kernel, ``[C, 1, K]``: products of all pairs of near steps, then sums.

    More than the K pairs that count, but as matrix products, which are far faster than sums.
    """
    batch, steps, channels = values.shape
    span = min(steps, SPAN)
    chunks = math.ceil(steps / span)
    reach, missing = taps // 2, chunks * span - steps
    padded = functional.pad(values, (0, 0, reach, reach + missing))
    given = functional.pad(gradient, (0, 0, 0, missing)) if missing else gradient
    if chunks > 1:
        padded = padded.unfold(1, span + 2 * reach, span).transpose(-1, -2)
    rows = padded.reshape(-1, channels).t().contiguous().view(channels, batch * chunks, -1)
    columns = given.reshape(-1, channels).t().contiguous().view(channels, batch * chunks, -1)
    products = torch.bmm(rows.transpose(1, 2), columns)  # [C, span + K - 1, span]
    # Tap k joins step t of the gradient with step t + k of the padded values: diagonals.
    outer, inner = products.stride(1), products.stride(2)
    shape, strides = (channels, taps, span), (products.stride(0), outer, outer + inner)
    return products.as_strided(shape, strides).sum(-1).unsqueeze(1)
