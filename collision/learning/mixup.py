"""Mixup (arXiv 1710.09412): training on what lies between two examples.

Shapes: B examples, L feature steps, D feature dim.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from collision.learning.losses import Targets


def mixed(
    batch: Mapping[str, Tensor], alpha: float
) -> tuple[tuple[Tensor, Tensor, Tensor], Targets]:
    """Mix each example with another one of its batch, by a share from Beta(alpha, alpha).

    A step that one of the two lacks is missing in the mixture; an example that has no step in
    common with the other stays as it is.

    Returns:
        Features ``[B, L, D]``, times and mask ``[B, L]``; and targets ``[2B]``, for the outputs
        written twice: those of the examples, then those of the others, whose weights are multiplied
        by the shares. A loss that is a weighted mean so mixes the losses, which for cross entropy
        is the loss of mixed labels.
    """
    features, times, mask = batch["features"], batch["times"], batch["mask"]
    other = torch.randperm(len(mask)).to(mask.device)
    share = torch.distributions.Beta(alpha, alpha).sample((len(mask),)).to(mask.device)
    common = mask & mask[other]
    alone = ~common.any(dim=1)
    share = share.masked_fill(alone, 1.0)
    mask = torch.where(alone[:, None], mask, common)
    # What the other one lacks may be NaN there, which a share of 0 leaves NaN.
    mixture = torch.where(
        alone[:, None, None],
        features,
        share[:, None, None] * features + (1 - share)[:, None, None] * features[other],
    )
    times = torch.where(
        alone[:, None], times, share[:, None] * times + (1 - share)[:, None] * times[other]
    )
    own = Targets.of(batch)
    both = Targets(
        labels=torch.cat([own.labels, own.labels[other]]),
        weights=torch.cat([share * own.weights, (1 - share) * own.weights[other]]),
        horizons=torch.cat([own.horizons, own.horizons[other]]),
        videos=torch.cat([own.videos, own.videos[other]]),
    )
    return (mixture, times, mask), both
