"""One trial: a head trained on features that stay in memory, scored on validation."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console

from collision.devices import device_of
from collision.errors import ConfigError
from collision.learning.asked import setup_of
from collision.learning.datamodule import FeatureDataset
from collision.learning.fit import Place, fit_head
from collision.learning.head import HeadModel, is_chosen
from collision.learning.scoring import probabilities
from collision.search.desk import Job, Outcome
from collision.search.features import Shelf
from collision.search.judging import TestSplits
from collision.search.pareto import MAP, PARAMETERS, RATE
from collision.search.recipe import Recipe
from collision.search.space import Space
from collision.search.trainers import Trainer
from collision.types import Seconds

_LONG_ENOUGH: Seconds = 0.02  # for a rate
_MOST_ROUNDS = 20


@dataclass
class Kitchen:
    """What trains the trials of a search.

    Attributes:
        scratch: A folder for what a training keeps until its end.
        shelf: With what was loaded ahead, for workers that are forked.
        memory: That features may take in a worker without it, bytes; None: what is free.
        tests: On which the trials of a design are scored.
    """

    recipe: Recipe
    space: Space
    objectives: Sequence[str]
    scratch: Path
    shelf: Shelf | None = None
    memory: float | None = None
    tests: TestSplits | None = None

    def __call__(self) -> Trainer:
        """Get ready, in the process of a worker."""
        torch.set_num_threads(1)
        return HeadTrainer(self)


class HeadTrainer:
    """Trains heads on cached features."""

    def __init__(self, kitchen: Kitchen):
        self._kitchen = kitchen
        self._shelf = kitchen.shelf or Shelf(kitchen.memory)

    def __call__(self, job: Job) -> Outcome:
        """Train the head of a trial and score it on validation."""
        kitchen = self._kitchen
        options = kitchen.recipe.options(job.point, kitchen.space, job.seed)
        if is_chosen(options.head):
            raise ConfigError(
                f"head={options.head.name} is a choice between heads, which is what a search does: "
                "name them as choices of the space."
            )
        have = self._shelf.get(options)
        policy = options.sampling.build()
        setup = have.settled(setup_of(options, policy, source=have.source))
        prior = have.prior(setup)
        quiet = Console(quiet=True, force_terminal=False)
        with tempfile.TemporaryDirectory(dir=kitchen.scratch, prefix="trial-") as folder:
            place = Place(Path(folder), job.seed, quiet)
            start = time.perf_counter()
            trained = fit_head(setup, have.data, place, prior=prior)
            seconds = time.perf_counter() - start
        if not math.isfinite(trained.best_value):
            raise ConfigError(f"mAP on validation is {trained.best_value}: training diverged.")
        device = device_of(options.trainer.accelerator)
        rate = windows_per_second(trained.best, have.data["val"], device)
        known = {
            MAP: trained.best_value,
            PARAMETERS: float(trained.best.num_parameters),
            RATE: rate,
        }
        tests = kitchen.tests
        return Outcome(
            scores=tests.scores(trained.best, options, device) if tests else {},
            values=[known[name] for name in kitchen.objectives],
            num_parameters=trained.best.num_parameters,
            windows_per_second=rate,
            seconds=seconds,
        )


def windows_per_second(model: HeadModel, data: FeatureDataset, device: torch.device) -> float:
    """Measure how many windows a head scores a second, each example in each view being some."""
    count = data.window_index.numel()
    rounds, begun = 0, time.perf_counter()
    while rounds < _MOST_ROUNDS:
        probabilities(model, data, device)
        rounds += 1
        if (passed := time.perf_counter() - begun) > _LONG_ENOUGH:
            break
    else:
        passed = time.perf_counter() - begun
    return float(f"{rounds * count / max(passed, 1e-9):.4g}")
