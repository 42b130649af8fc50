"""Sequences of several shapes, whole and with gaps, and what a reference makes of them.

Shapes: B examples, L steps, C channels.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

SHAPES = ((2, 1), (1, 3), (3, 8), (2, 17), (2, 40))  # B, L


def cases(reference: Callable[[Tensor], Tensor], dim: int) -> dict[str, Tensor]:
    """For each shape: features, the outputs, a mask, and the outputs of the steps that it keeps.

    The reference maps ``[1, L, C]`` to the same. It sees one example at a time, and of masked ones
    the valid steps alone, so that it needs no mask of its own.
    """
    tensors = {}
    for number, (examples, length) in enumerate(SHAPES):
        features = torch.randn(examples, length, dim)
        mask = torch.rand(examples, length) < 0.7
        mask[:, length // 2] = True
        masked = torch.zeros(examples, length, dim)
        for row, valid in enumerate(mask):
            masked[row, valid] = reference(features[row, valid].unsqueeze(0))[0]
        whole = torch.cat([reference(row.unsqueeze(0)) for row in features])
        made = {"features": features, "mask": mask, "whole": whole, "masked": masked}
        tensors |= {f"{number}.{name}": value for name, value in made.items()}
    return tensors


def identity_projection(dim: int) -> dict[str, Tensor]:
    """Weights of a projection that changes nothing."""
    return {"projection.weight": torch.eye(dim), "projection.bias": torch.zeros(dim)}


def read_golden(path: Path) -> tuple[dict[str, str], dict[str, Tensor], list[dict[str, Any]]]:
    """Give a golden file's metadata, the weights, and the cases in their order."""
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    parts: dict[str, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        group, _, rest = name.partition(".")
        parts.setdefault(group, {})[rest] = value
    weights = parts.pop("weights")
    return metadata, weights, [parts[number] for number in sorted(parts, key=int)]
