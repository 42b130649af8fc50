"""How fast each head trains and scores, on random features.

    python -m benchmarks.heads [--steps 16] [--batch 64] [--feature-dim 1280] [--seconds 3]

One row for each file in configs/head, with attention pooling; the ratio is to ``linear``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from collision.config import part
from collision.devices import device_of
from collision.learning.head import HeadModel, build_model
from tests.kit.heads import HEADS, is_large


def rate(work: Callable[[], None], seconds: float) -> float:
    """How often ``work`` runs in a second, after a warm-up."""
    for _ in range(3):
        work()
    count, begin = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - begin) < seconds:
        work()
        count += 1
    return count / elapsed


def training_rate(model: HeadModel, batch: tuple[torch.Tensor, ...], seconds: float) -> float:
    labels = (torch.arange(len(batch[0])) % 2).float().to(batch[0].device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    model.train()

    def step() -> None:
        optimizer.zero_grad()
        binary_cross_entropy_with_logits(model(*batch), labels).backward()
        optimizer.step()

    return rate(step, seconds)


def scoring_rate(model: HeadModel, batch: tuple[torch.Tensor, ...], seconds: float) -> float:
    model.eval()

    def score() -> None:
        with torch.inference_mode():
            model(*batch)

    return rate(score, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--feature-dim", type=int, default=1280)
    parser.add_argument("--accelerator", default="cpu")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each measurement")
    options = parser.parse_args()
    device = device_of(options.accelerator)
    batch = (
        torch.randn(options.batch, options.steps, options.feature_dim),
        torch.linspace(-2, 0, options.steps).expand(options.batch, -1),
        torch.ones(options.batch, options.steps, dtype=torch.bool),
    )
    batch = tuple(tensor.to(device) for tensor in batch)
    rows = {}
    for name in [name for name in HEADS if not is_large(name)]:
        model = build_model(part("head", name), part("pooling", "attention"), options.feature_dim)
        model = model.to(device)
        rows[name] = (
            model.num_parameters,
            training_rate(model, batch, options.seconds),
            scoring_rate(model, batch, options.seconds),
        )
    print(f"{torch.get_num_threads()} threads, batch {options.batch}, L {options.steps}")
    print("head          parameters  training steps/s  (ratio)  examples/s scored  (ratio)")
    _, base_training, base_scoring = rows["linear"]
    for name, (parameters, training, scoring) in rows.items():
        print(
            f"{name:<12} {parameters:>11,} {training:>17.1f} {training / base_training:>8.3f} "
            f"{scoring * options.batch:>18.0f} {scoring / base_scoring:>8.3f}"
        )


if __name__ == "__main__":
    main()
