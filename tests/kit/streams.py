"""A head that is fed one step after the other."""

import torch
from torch import Tensor


def outputs_step_by_step(encoder: torch.nn.Module, features: Tensor) -> Tensor:
    """Give the outputs ``[B, L, E]`` of ``encoder.step`` for features ``[B, L, D]``."""
    state, outputs = None, []
    for newest in features.unbind(dim=1):
        output, state = encoder.step(state, newest)
        outputs.append(output)
    return torch.stack(outputs, dim=1)
