"""``nexar_map`` for validation inside Lightning: keeps scores across batches and devices.

Shapes: B rows of a batch, R rows in all (examples in their views), E examples.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from collision.metrics.nexar import average_precision, horizon_key, round_horizons
from collision.metrics.views import mean_by_example


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
    examples: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        for name in ("probabilities", "labels", "horizons", "examples"):
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(
        self,
        probabilities: Tensor,
        labels: Tensor,
        horizons: Tensor,
        examples: Tensor | None = None,
    ) -> None:
        """Add rows ``[B]``: probabilities, labels 0 or 1, seconds, and which example each is of.

        The probabilities of an example's rows, its views, are averaged; without ``examples`` every
        row is an example.
        """
        if examples is None:
            start = sum(len(part) for part in self.examples)
            examples = torch.arange(start, start + probabilities.numel())
        columns = (self.probabilities, self.labels, self.horizons)
        for column, rows in zip(columns, (probabilities, labels, horizons), strict=True):
            column.append(rows.detach().float().reshape(-1))
        self.examples.append(examples.detach().long().reshape(-1))

    def compute(self) -> dict[str, Tensor]:
        """AP by horizon and ``nexar_map`` over all examples added since the last reset."""
        by_horizon = self._by_horizon() if self.probabilities else {}
        mean = sum(by_horizon.values()) / len(by_horizon) if by_horizon else math.nan
        numbers = {"nexar_map": mean} | {f"ap_{key}": ap for key, ap in by_horizon.items()}
        return {
            name: torch.tensor(value, dtype=torch.float32, device=self.device)
            for name, value in numbers.items()
        }

    def _by_horizon(self) -> dict[str, float]:
        example_of = dim_zero_cat(self.examples).cpu()
        # Each example's number becomes its place: a part of the examples may be missing.
        example_of = torch.unique(example_of, return_inverse=True)[1]
        columns = (self.probabilities, self.labels, self.horizons)
        probabilities, labels, horizons = (
            mean_by_example(dim_zero_cat(column).cpu(), example_of).numpy() for column in columns
        )
        horizons = round_horizons(horizons)
        result = {}
        for horizon in np.unique(horizons):
            rows = horizons == horizon
            key, own = horizon_key(horizon), (labels[rows], probabilities[rows])
            is_defined = np.unique(own[0]).size > 1 and not np.isnan(own[1]).any()
            result[key] = average_precision(*own) if is_defined else math.nan
        return result
