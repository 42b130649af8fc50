"""Sequences of steps without the gaps that masking leaves.

Shapes: B examples, L feature steps, D feature dim.
"""

from __future__ import annotations

import torch
from torch import Tensor


def pack_steps(sequence: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Move the valid steps to the front, in their order, and put zeros behind them.

    An encoder that works on packed steps can't tell padding on the left from padding on the right,
    nor a padded sequence from the shorter one. Takes ``[B, L, D]``, anything under the mask, and
    ``[B, L]``; gives the packed steps, their mask, and the order ``[B, L]`` for ``unpack_steps``.
    """
    # All keys differ, so that no stable sort is needed, which ONNX does not have.
    steps = torch.arange(mask.shape[1], device=mask.device)
    order = torch.where(mask, steps, steps + mask.shape[1]).argsort(dim=1)
    packed_mask = mask.gather(1, order)
    packed = take_steps(sequence, order).masked_fill(~packed_mask.unsqueeze(-1), 0.0)
    return packed, packed_mask, order


def unpack_steps(packed: Tensor, order: Tensor) -> Tensor:
    """Put the steps of ``[B, L, D]`` back to where ``pack_steps`` took them from."""
    return take_steps(packed, order.argsort(dim=1))


def take_steps(sequence: Tensor, steps: Tensor) -> Tensor:
    """Pick steps of ``[B, L, D]`` by their numbers ``[B, K]``: ``[B, K, D]``."""
    return sequence.gather(1, steps.unsqueeze(-1).expand(-1, -1, sequence.shape[-1]))


def reverse_steps(packed: Tensor, mask: Tensor | None) -> Tensor:
    """Turn the order of the valid steps of ``[B, L, D]`` around; they stay in front.

    ``mask [B, L]`` has the valid steps first; None: all are. Twice, it changes nothing.
    """
    if mask is None:
        return packed.flip(1)
    steps = torch.arange(mask.shape[1], device=mask.device)
    lengths = mask.sum(dim=1, keepdim=True)
    return take_steps(packed, torch.where(steps < lengths, lengths - 1 - steps, steps))
