"""Training again on training and validation split together, once the length is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

from collision.features.bank import joined_banks
from collision.learning.datamodule import FeatureDataset
from collision.learning.fit import Place, TrainedHead, TrainingSetup, fit_head
from collision.learning.head import HeadModel
from collision.learning.schedule import schedule_of

FOLDER = "refit"  # beside the checkpoints of the first training


def refitted(
    setup: TrainingSetup,
    data: Mapping[str, FeatureDataset],
    chosen: TrainedHead,
    place: Place,
    initial: HeadModel | None = None,
) -> HeadModel:
    """Train a head on ``train`` and ``val`` for as many passes as were chosen on ``val``.

    Its scores of ``val`` mean nothing: calibration and threshold are those of the ``chosen`` head.
    """
    both = joined(data["train"], data["val"])
    batch_size = schedule_of(setup.trainer, len(data["train"])).batch_size
    steps = max(1, round(chosen.best_step * len(both) / len(data["train"])))
    trainer = replace(
        setup.trainer, max_steps=steps, batch_size=batch_size, selection="last", patience=None
    )
    again = replace(place, folder=place.folder / FOLDER, loggers=())
    setup = replace(setup, trainer=trainer)
    return fit_head(setup, {"train": both, "val": data["val"]}, again, initial).best


def joined(first: FeatureDataset, second: FeatureDataset) -> FeatureDataset:
    """Put the examples of two data sets into one."""
    sizes = [len(data.bank) - 1 for data in (first, second)]
    none = sum(sizes)  # the row that stands for no window
    index = torch.cat(
        [
            torch.where(data.window_index == size, none, data.window_index + before)
            for data, size, before in zip((first, second), sizes, (0, sizes[0]), strict=True)
        ]
    )
    steps = [data.is_real.sum(1) for data in (first, second)]
    return FeatureDataset(
        bank=joined_banks(first.bank, second.bank),
        window_index=index,
        times=torch.cat([first.times, second.times]),
        example_of=torch.cat([first.example_of, second.example_of + len(first.examples)]),
        examples=[*first.examples, *second.examples],
        records=[*first.records, *second.records],
        num_steps=torch.cat([steps[0][:-1], steps[1]]),
    )
