"""A training behind walls: what goes in, and what is made of it there.

Labels of validation are not part of it: heads keep the weights of the last step, and scores are
judged outside.

Shapes: R rows (examples in their views), N windows, W windows of an example, S steps a window,
L = W * S, D features, E examples.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from collision.checks import typed
from collision.config import Part
from collision.errors import ConfigError
from collision.learning.datamodule import FeatureDataset
from collision.learning.fit import Place, TrainingSetup, fit_head
from collision.learning.head import HeadModel, HeadOptions
from collision.option_groups import TrainerOptions
from collision.search.wire import tensor_of
from collision.types import Example, VideoRecord

_PARTS = ("head", "pooling", "loss", "optimizer", "scheduler")
_STAND_IN = 64  # examples of each class that stand where training wants a validation split


def setup_as_data(setup: TrainingSetup) -> dict[str, Any]:
    """Give a setup as plain data, on a CPU, with the last weights.

    ConfigError: It needs what is not in there.
    """
    if setup.fused is not None:
        raise ConfigError("A trial sees one backbone: give backbone=NAME, not several.")
    trainer = setup.trainer
    if trainer.selection != "last" or trainer.patience is not None or trainer.refit:
        raise ConfigError(
            "A trial keeps the weights of the last step, since labels of validation are not where "
            "it trains: leave trainer.selection, trainer.patience and trainer.refit out."
        )
    if trainer.accelerator == "gpu":
        raise ConfigError("A trial runs on the CPU: leave trainer.accelerator=gpu out.")
    return {
        "parts": {name: asdict(getattr(setup, name)) for name in _PARTS},
        "prior": None if setup.prior is None else asdict(setup.prior),
        "trainer": asdict(replace(trainer, accelerator="cpu", precision=None, validations=1)),
        "options": asdict(setup.options),
        "find_components": setup.find_components,
        "balanced": setup.balanced,
        "mixup": setup.mixup,
    }


def train_as_data(train: FeatureDataset) -> dict[str, Any]:
    """Give the training split as arrays: nothing of it names a video."""
    bank = (
        train.bank if isinstance(train.bank, Tensor) else train.bank[torch.arange(len(train.bank))]
    )
    return {
        "bank": bank,
        "num_steps": train.is_real.sum(1),
        "window_index": train.window_index,
        "times": train.times,
        "example_of": train.example_of,
        "labels": train.labels,
        "weights": train.weights,
        "horizons": train.horizons,
        "videos": train.videos,
        "groups": _numbered([record.group for record in train.records]),
    }


def _numbered(names: list[str]) -> Tensor:
    number = {name: n for n, name in enumerate(dict.fromkeys(names))}
    return torch.tensor([number[name] for name in names])


class Fitting:
    """A setup and a training split, read from a message."""

    def __init__(self, setup: Mapping[str, Any], train: Mapping[str, Any]):
        parts: dict[str, Any] = {n: Part(**value) for n, value in setup["parts"].items()}
        self.setup = TrainingSetup(
            **parts,
            trainer=typed(TrainerOptions, setup["trainer"]),
            options=typed(HeadOptions, setup["options"]),
            find_components=setup["find_components"],
            prior=None if setup["prior"] is None else Part(**setup["prior"]),
            balanced=setup["balanced"],
            mixup=setup["mixup"],
        )
        self.train = _dataset({name: tensor_of(value) for name, value in train.items()})

    def fit(self, seed: int, place: Path) -> tuple[HeadModel, float]:
        """Train with a seed; give the head of the last step, and seconds."""
        began = time.monotonic()
        data = {"train": self.train, "val": _stand_in(self.train)}
        where = Place(place / f"seed_{seed}_{time.monotonic_ns()}", seed, Console(quiet=True))
        trained = fit_head(self.setup, data, where)
        for file in where.folder.glob("*.ckpt"):  # they fill the memory that there is for files
            file.unlink()
        return trained.last, time.monotonic() - began


def _dataset(arrays: Mapping[str, Tensor]) -> FeatureDataset:
    names = ("labels", "weights", "horizons", "videos", "groups")
    examples, records = [], []
    for label, weight, horizon, video, group in zip(
        *(arrays[name].tolist() for name in names), strict=True
    ):
        name, label = f"v{video}", int(label)
        examples.append(Example(name, 0.0, label, horizon, weight))
        records.append(VideoRecord(name, Path(name), label, "train", f"g{group}"))
    names = ("bank", "num_steps", "window_index", "times", "example_of")
    kept: dict[str, Any] = {name: arrays[name] for name in names}
    return FeatureDataset(**kept, examples=examples, records=records)


def _stand_in(train: FeatureDataset) -> FeatureDataset:
    """Take some training examples, all at one horizon, where a validation split is wanted."""
    kept = torch.zeros(len(train.examples), dtype=torch.bool)
    for label in (0, 1):
        kept[(train.labels == label).nonzero().flatten()[:_STAND_IN]] = True
    some = train.of_examples(kept)
    return replace(some, examples=[replace(one, horizon=1.0) for one in some.examples])
