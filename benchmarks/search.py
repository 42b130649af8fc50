"""What a trial of a search costs beside its training: `python -m benchmarks.search`.

On painted scenes (`--scenes`) a small space is searched by warm workers; beside it stands how long
a process of `python train.py` takes that trains a single step: its start, and its end. A trial's
overhead is to be at most a tenth of its training or 0.3 s, whichever is more, and at most a
twentieth of such a process. `--data` keeps data and features between runs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import yaml
from rich.console import Console

from benchmarks.kit import Target, print_targets
from collision.commands._compose import options_for
from collision.config import part
from collision.search.desk import Terms
from collision.search.engine import Engine, Plan
from collision.search.features import Shelf, collect, distinct, feature_points
from collision.search.leases import new_token
from collision.search.pareto import DIRECTIONS
from collision.search.reading import done
from collision.search.recipe import Recipe
from collision.search.space import Space
from collision.search.training import Kitchen
from collision.search.trials import Trial
from collision.search.workers import Orders

CELLS = {"head": ["gru", "linear", "attentive_probe", "tcn"], "pooling": ["mean", "last"]}
WITHIN = {"optimizer.lr": {"low": 1e-4, "high": 1e-2, "log": True}}
MOST_SECONDS, MOST_OF_TRAINING, MOST_OF_START = 0.3, 0.1, 0.05


def searched(
    folder: Path, given: list[str], budget: int, workers: int
) -> tuple[list[Trial], float]:
    """Search with warm workers; give the trials, and the seconds that it took."""
    file = folder / "mine.yaml"
    file.write_text(yaml.safe_dump({"cells": CELLS, "within": WITHIN}))
    space = Space.load(str(file))
    recipe = Recipe.of(space, given, partial(options_for, "train"))
    sets = distinct(recipe.options(point, space, 0) for point in feature_points(space))
    for one in sets:
        collect(one, Console(stderr=True))
    shelf = Shelf()
    shelf.fill(sets)
    orders = Orders(
        name="benchmark",
        storage=None,
        folder=folder,
        space=space,
        policy=part("policy", "tpe", num_startup=5),
        directions=[DIRECTIONS["map"]],
        terms=Terms(budget=budget, proposer="tpe"),
        token=new_token(),
        make_trainer=Kitchen(recipe, space, ["map"], folder, shelf),
    )
    begun = time.perf_counter()
    ending = Engine(orders, Plan(workers, confirm=0, stop_saturated=False)).run()
    return done(ending.trials), time.perf_counter() - begun


def start_of_train(folder: Path, given: list[str]) -> float:
    """Time a process of train.py with a single step, whose training takes next to nothing."""
    short = ["trainer.max_steps=1", "trainer.validations=1", "num_resamples=1", "audit=false"]
    own = [one for one in given if not one.startswith(("trainer.max", "trainer.val"))]
    command = [sys.executable, "train.py", *own, *short, "head=linear", f"runs_root={folder}"]
    begun = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget", type=int, default=24, help="trials")
    parser.add_argument("--steps", type=int, default=200, help="of each training")
    parser.add_argument("--scenes", type=int, default=24)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--data", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = options.data or folder
        given = [
            *(f"data_root={data / 'data'}", f"cache_root={data / 'cache'}"),
            *(f"dataset.num_scenes={options.scenes}", "dataset.domain.event_time=[4.2,5.2]"),
            *("dataset.domain.width=160", "dataset.domain.height=92"),
            *(f"trainer.max_steps={options.steps}", "trainer.validations=5"),
        ]
        trials, seconds = searched(folder, given, options.budget, options.workers)
        starts = np.array([start_of_train(folder, given) for _ in range(options.starts)])
    overhead = np.array([trial.overhead or 0.0 for trial in trials])
    training = np.array([trial.seconds or 0.0 for trial in trials])
    warm = overhead[options.workers :]  # each worker's first one loads what later ones use
    allowed = np.maximum(MOST_SECONDS, MOST_OF_TRAINING * training[options.workers :])
    print(f"{len(trials)} trials of {options.steps} steps, {options.workers} workers")
    print(f"{'':28} {'median':>8} {'most':>8}")
    for title, values in (
        ("training, s", training),
        ("beside it, s", warm),
        ("beside it, first trials, s", overhead[: options.workers]),
        ("train.py with one step, s", starts),
    ):
        print(f"{title:28} {np.median(values):8.3f} {values.max():8.3f}")
    print(f"{3600 * len(trials) / seconds:,.0f} trials an hour")
    print_targets(
        [
            Target("beside training, of 0.3 s or 10 %", warm / allowed, most=1.0),
            Target("beside training, of a start", warm / np.median(starts), most=MOST_OF_START),
        ]
    )


if __name__ == "__main__":
    main()
