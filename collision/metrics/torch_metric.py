"""``nexar_map`` for validation inside Lightning: keeps scores across batches and devices.

Shapes: B examples of a batch.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from collision.metrics.nexar import average_precision, horizon_key, round_horizons


class NexarMAP(Metric):
    """AP of each horizon seen and their mean.

    ``compute`` gives ``{"nexar_map", "ap_0.5", ...}``, scalars. A horizon that holds one class, or
    a probability that is NaN, is NaN and so is the mean: Lightning's sanity check sees only a few
    examples, and a run that diverged is early stopping's to end.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    probabilities: list[Tensor]
    labels: list[Tensor]
    horizons: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        for name in ("probabilities", "labels", "horizons"):
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, probabilities: Tensor, labels: Tensor, horizons: Tensor) -> None:
        """Add examples: ``[B]`` probabilities, ``[B]`` labels 0 or 1, ``[B]`` seconds."""
        self.probabilities.append(probabilities.detach().float().reshape(-1))
        self.labels.append(labels.detach().float().reshape(-1))
        self.horizons.append(horizons.detach().float().reshape(-1))

    def compute(self) -> dict[str, Tensor]:
        """AP by horizon and ``nexar_map`` over all examples added since the last reset."""
        by_horizon = self._by_horizon() if self.probabilities else {}
        mean = sum(by_horizon.values()) / len(by_horizon) if by_horizon else math.nan
        return {
            "nexar_map": self._scalar(mean),
            **{f"ap_{horizon_key(key)}": self._scalar(ap) for key, ap in by_horizon.items()},
        }

    def _by_horizon(self) -> dict[float, float]:
        probabilities = dim_zero_cat(self.probabilities).cpu().numpy()
        labels = dim_zero_cat(self.labels).cpu().numpy()
        horizons = round_horizons(dim_zero_cat(self.horizons).cpu().numpy())
        result = {}
        for horizon in np.unique(horizons):
            rows = horizons == horizon
            defined = np.unique(labels[rows]).size > 1 and not np.isnan(probabilities[rows]).any()
            result[float(horizon)] = (
                average_precision(labels[rows], probabilities[rows]) if defined else math.nan
            )
        return result

    def _scalar(self, value: float) -> Tensor:
        return torch.tensor(value, dtype=torch.float32, device=self.device)
