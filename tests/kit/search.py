"""A small space, and trainers that need no features: a search in seconds."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from collision.config import part
from collision.errors import ConfigError
from collision.search.desk import Job, Outcome, Terms
from collision.search.engine import Engine, Plan
from collision.search.leases import new_token
from collision.search.pareto import DIRECTIONS
from collision.search.space import Choice, Dimension, Range, Space
from collision.search.workers import Orders


def choices(key: str, *names: str) -> Dimension:
    return Dimension(key, tuple(Choice(name, {key: name}) for name in names))


SPACE = Space(
    "made_up",
    "",
    (choices("backbone", "optical_flow", "efficientnet_lite0"), choices("head", "gru", "linear")),
    (Range("optimizer.lr", 1e-5, 1e-2, log=True),),
)
CELLS = Space("few", "", SPACE.cells)


def score_of(job: Job, noise: float = 0.0) -> float:
    """What a point is worth: its own, and what its seed adds."""
    own = 0.6 + 0.1 * (job.point.cell["head"] == "gru")
    rate = float(job.point.changes.get("optimizer.lr", 1e-3))
    own += 0.02 * (1 - abs(np.log10(rate) + 3))
    rng = np.random.default_rng([job.seed, int(job.point.key, 16) % 2**31])
    return float(own + noise * rng.normal())


@dataclass
class Made:
    """Gives a made-up score; what befalls it lies in a folder that all processes see.

    ``fails``: which points raise when they are first trained, counted in that order; ``refused``:
    with a sentence; ``dies``: whose process kills itself. With a ``gate``, all wait until that
    file is there.
    """

    folder: Path
    seconds: float = 0.0
    noise: float = 0.01
    fails: tuple[int, ...] = ()
    refused: tuple[int, ...] = ()
    dies: tuple[int, ...] = ()
    same: bool = False
    num_objectives: int = 1
    gate: str = ""

    def __call__(self) -> Made:
        return self

    def train(self, job: Job) -> Outcome:
        log = self.folder / "trained.txt"
        with log.open("a") as file:
            file.write(f"{job.number} {job.point.key} {job.seed} {os.getpid()}\n")
        time.sleep(self.seconds)
        while self.gate and not (self.folder / self.gate).exists():
            time.sleep(0.02)
        place = self._place(log, job)
        if place in self.dies:
            os.kill(os.getpid(), signal.SIGKILL)
        if place in self.fails:
            raise MemoryError("no room")
        if place in self.refused:
            raise ConfigError("this cannot be")
        value = 0.99 if self.same else score_of(job, self.noise)
        values = [value, 100.0 * (1 + (job.point.cell["head"] == "gru")), 10.0]
        return Outcome(values[: self.num_objectives], 100, 10.0, self.seconds)

    def _place(self, log: Path, job: Job) -> int | None:
        """Count the points that were begun before; None: this one was, too."""
        first: dict[tuple[str, str], str] = {}
        for line in log.read_text().splitlines():
            number, cell, seed, _ = line.split()
            first.setdefault((cell, seed), number)
        own = (job.point.key, str(job.seed))
        return list(first).index(own) if first[own] == str(job.number) else None


@dataclass
class Making:
    made: Made

    def __call__(self) -> Any:
        return self.made.train


def orders(folder: Path, made: Made, **changes: Any) -> Orders:
    given: dict[str, Any] = {
        "name": "a",
        "storage": None,
        "folder": folder,
        "space": SPACE,
        "policy": part("policy", "random"),
        "directions": [DIRECTIONS["map"]],
        "terms": Terms(budget=8, lease=30),
        "token": new_token(),
        "make_trainer": Making(made),
    }
    return Orders(**{**given, **changes})


def searched(folder: Path, made: Made, plan: Plan | None = None, **changes: Any) -> Any:
    return Engine(orders(folder, made, **changes), plan or Plan(2, confirm=0)).run()
