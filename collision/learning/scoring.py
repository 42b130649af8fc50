"""The probabilities that a head gives the examples of a dataset; without Lightning."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from collision.learning.datamodule import FeatureDataset, feature_loader
from collision.learning.ensemble import Ensemble
from collision.learning.head import HeadModel
from collision.metrics.views import mean_by_example

MONITOR = "val/nexar_map"


@torch.inference_mode()
def probabilities(
    model: HeadModel | Ensemble,
    dataset: FeatureDataset,
    device: torch.device,
    batch_size: int = 512,
) -> Tensor:
    """Score every example of a dataset, ``float32 [E]`` on the CPU: the mean over its views."""
    logits = _by_row(model.to(device).eval(), dataset, device, batch_size)
    by_row = torch.cat([torch.zeros(0), *(one.float().sigmoid().cpu() for one in logits)])
    return mean_by_example(by_row, dataset.example_of)


@torch.no_grad()
def logits_by_row(model: HeadModel, dataset: FeatureDataset, device: torch.device) -> Tensor:
    """Give the logits of every row of a dataset, ``float32 [R, 1]`` on the CPU."""
    logits = _by_row(model.to(device).eval(), dataset, device)
    return torch.cat([one.cpu() for one in logits]).unsqueeze(1)


def _by_row(
    model: HeadModel | Ensemble,
    dataset: FeatureDataset,
    device: torch.device,
    batch_size: int = 512,
) -> Iterator[Tensor]:
    for batch in feature_loader(dataset, batch_size):
        yield model(*(batch[key].to(device) for key in ("features", "times", "mask")))
