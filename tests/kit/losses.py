"""Targets for losses, as a batch gives them."""

from __future__ import annotations

import torch
from torch import Tensor

from collision.learning.losses import Targets


def targets(
    labels: Tensor,
    weights: Tensor | None = None,
    horizons: Tensor | None = None,
    videos: Tensor | None = None,
) -> Targets:
    """Fill in what is not given: weights of 1, horizons of 0.5 s, every cut of its own video."""
    return Targets.of(
        {
            "label": labels,
            "weight": torch.ones_like(labels) if weights is None else weights,
            "horizon": torch.full_like(labels, 0.5) if horizons is None else horizons,
            "video": torch.arange(len(labels)) if videos is None else videos,
        }
    )
