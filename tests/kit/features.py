"""Small made-up feature data sets, and a training configuration that suits them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from collision.config import Part, part
from collision.learning.datamodule import FeatureDataset
from collision.learning.fit import TrainingSetup
from collision.learning.head import HeadOptions
from collision.option_groups import TrainerOptions
from collision.types import Example, VideoRecord

FEATURE_DIM, NUM_WINDOWS = 6, 3

SETUP = TrainingSetup(
    head=part("head", "transformer", dim=8, layers=1, heads=2),
    pooling=part("pooling", "mean"),
    loss=part("loss", "bce", label_smoothing=0.0),
    optimizer=part("optimizer", "adamw", lr=1e-2),
    scheduler=part("scheduler", "cosine", warmup=0.0),
    trainer=TrainerOptions(
        max_steps=20,
        validations=4,
        patience=10,
        selection="map",
        batch_size=16,
        gradient_clip=1.0,
        accelerator="cpu",
        precision=None,
    ),
    options=HeadOptions(feature_dropout=0.2),
)


def setup_with(**changes: Mapping[str, Any]) -> TrainingSetup:
    """Take the setup with other values: ``trainer={"patience": 2}``, ``head={"dim": 16}``."""
    changed = {}
    for name, values in changes.items():
        before = getattr(SETUP, name)
        if isinstance(before, Part):
            changed[name] = replace(before, options={**before.options, **values})
        else:
            changed[name] = replace(before, **values)
    return replace(SETUP, **changed)


def planted(num_videos: int, seed: int, signal: float = 3.0) -> FeatureDataset:
    """Half the videos are positives, told by feature 0; two cuts each, the first window missing."""
    generator = torch.Generator().manual_seed(seed)
    labels = [number % 2 for number in range(num_videos)]
    bank = torch.randn(num_videos * NUM_WINDOWS + 1, 1, FEATURE_DIM, generator=generator)
    bank[:-1, 0, 0] += signal * torch.tensor(labels).repeat_interleave(NUM_WINDOWS)
    bank[-1] = 0
    rows = torch.arange(num_videos * NUM_WINDOWS).view(num_videos, NUM_WINDOWS)
    early = torch.cat((torch.full((num_videos, 1), len(bank) - 1), rows[:, :-1]), dim=1)
    names = [f"{seed}_{number}" for number in range(num_videos)]
    examples = [
        Example(name, 5.0 - horizon, label, horizon)
        for horizon in (0.5, 1.0)
        for name, label in zip(names, labels, strict=True)
    ]
    record_of = {
        name: VideoRecord(name, Path(f"{name}.mp4"), label, "train", name, event_time=5.0)
        for name, label in zip(names, labels, strict=True)
    }
    return FeatureDataset(
        bank=bank.half(),
        window_index=torch.cat((rows, early)),
        times=torch.tensor([-0.5, -0.25, 0.0]).expand(len(examples), -1),
        example_of=torch.arange(len(examples)),
        examples=examples,
        records=[record_of[example.video] for example in examples],
    )


def planted_splits() -> dict[str, FeatureDataset]:
    return {"train": planted(40, seed=0), "val": planted(20, seed=1)}
