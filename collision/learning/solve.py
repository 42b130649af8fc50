"""Heads that are solved, not trained.

Shapes: R rows (examples in their views), E encoder output dim.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from collision.learning.datamodule import FeatureDataset, feature_loader
from collision.learning.head import HeadModel


@torch.no_grad()
def solve(model: HeadModel, train: FeatureDataset) -> HeadModel:
    """Standardise, let the encoder find the classifier's weights, and fill them in."""
    model.fit_standardiser(train.steps)
    model.eval()
    example = train.example_of
    groups = np.array([train.records[place].group for place in example.tolist()])
    labels, weights = train.labels[example].numpy().astype(int), train.weights[example].numpy()
    encoder: Any = model.encoder
    found, bias = encoder.solve(_pooled(model, train).numpy(), labels, weights, groups)
    model.classifier.weight.copy_(torch.as_tensor(found).reshape(1, -1))
    model.classifier.bias.fill_(bias)
    return model


def _pooled(model: HeadModel, data: FeatureDataset) -> Tensor:
    """Give what the classifier sees of each row, ``float32 [R, E]``."""
    keys = ("features", "times", "mask")
    return torch.cat([model.pooled(*(b[key] for key in keys)) for b in feature_loader(data, 512)])
