"""A search that never ran: trials with planted effects, failures, retries and confirmations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from collision.search.space import Point, Space
from collision.search.trials import CONFIRM, DONE, FAILED, RUNNING, SEARCH, WAITING, Trial

# What a choice adds to mAP; what is not listed adds nothing.
EFFECTS: Mapping[str, Mapping[str, float]] = {
    "backbone": {
        "lite0+flow": 0.05,
        "lite2+flow": 0.06,
        "lite0+lite2": 0.035,
        "efficientnet_lite2": 0.03,
        "efficientnet_lite0": 0.02,
        "lite0 random": -0.12,
        "vjepa2 tiny random": -0.15,
    },
    "head": {"zipformer": 0.02, "gru": 0.015, "linear": -0.02},
    "pooling": {"attention": 0.008, "cls": -0.01},
}
SIZES = {"linear": 1_281, "attentive_probe": 9e4, "gru": 3e5, "zipformer": 1.2e6, "hybrid": 9e5}
NOISE = 0.008  # sd between seeds
MEAN = 0.78
PROPOSERS = ("random", "tpe", "map_elites", "agent 0")
START = 1_800_000_000.0


@cache
def offline() -> Space:
    return Space.load("offline")


def expected_score(point: Point) -> float:
    score = MEAN + sum(own.get(point.values.get(key, ""), 0) for key, own in EFFECTS.items())
    rate = math.log10(float(point.values["optimizer.lr"]))
    return score - 0.02 * (rate + 3) ** 2


def search_of(
    count: int,
    *,
    seed: int = 0,
    confirm: int = 3,
    running: int = 0,
    proposers: Sequence[str] = PROPOSERS,
    space: Space | None = None,
) -> tuple[Space, list[Trial]]:
    """A space and its trials: ``count`` of the search, then those of the best with fresh seeds."""
    space = space or offline()
    rng = np.random.default_rng(seed)
    trials: list[Trial] = []
    clock = START
    for point in space.sample(count, seed):
        number = len(trials)
        parents: tuple[int, ...] = ()
        proposer = proposers[0] if number < count / 10 else str(rng.choice(proposers))
        done = [trial for trial in trials[-400:] if trial.state == DONE]
        if proposer in ("map_elites", "agent 0") and done:
            parent = max(done, key=lambda trial: trial.value or 0)
            point, parents = _child(space, parent.point, rng), (parent.number,)
        if number % 17 == 16:  # a cell again, with its next seed
            point = trials[number // 2].point
        clock += float(rng.exponential(12))
        own = _trial(number, SEARCH, point, int(rng.integers(1000)), clock, rng)
        trials.append(replace(own, proposer=proposer, parents=parents))
        if trials[-1].state == FAILED and rng.random() < 0.5:
            again = _trial(len(trials), SEARCH, point, trials[-1].seed, clock + 30, rng)
            trials.append(replace(again, proposer=proposer, parents=parents, retry_of=number))
    best = sorted((t for t in trials if t.state == DONE), key=lambda t: -(t.value or 0))
    chosen = list({trial.experiment: trial for trial in best[: 4 * confirm]}.values())[:confirm]
    for trial in chosen:
        for fresh in range(3):
            clock += 20
            own = _trial(len(trials), CONFIRM, trial.point, 5000 + fresh, clock, rng, sure=True)
            trials.append(replace(own, proposer=trial.proposer))
    for place in range(running):
        (point,) = space.sample(1, 10_000 + place)
        state = WAITING if place % 3 == 2 else RUNNING
        trials.append(Trial(len(trials), state, SEARCH, point, 0, started=clock, owner="b:1:x"))
    return space, trials


def _trial(number, stage, point, seed, clock, rng, sure=False) -> Trial:
    taken = float(rng.gamma(8, 1.5))
    failing = rng.random()
    rate = float(point.values["optimizer.lr"])
    cause = ""
    if failing < 0.03:
        cause = f"out of memory: {int(rng.integers(100, 999))} MiB were asked for"
    elif rate > 6e-3 and failing < 0.3:
        cause = f"the loss is not finite at step {int(rng.integers(10, 200))}"
    if cause and not sure:
        return Trial(
            number, FAILED, stage, point, seed, started=clock, ended=clock + taken, cause=cause
        )
    return Trial(
        number,
        DONE,
        stage,
        point,
        seed,
        value=expected_score(point) + NOISE * float(rng.normal()),
        num_parameters=int(SIZES.get(point.values["head"], 5e5)),
        windows_per_second=float(4e9 / (SIZES.get(point.values["head"], 5e5) + 1e5)),
        seconds=taken,
        overhead=float(rng.uniform(0.1, 0.3)),
        started=clock,
        ended=clock + taken,
        owner=f"node{number % 2}:17:ab",
    )


def _child(space: Space, parent: Point, rng: np.random.Generator) -> Point:
    """The parent with one dimension of its cell drawn anew."""
    dimension = space.cells[int(rng.integers(len(space.cells)))]
    drawn = space.at(rng.random(len(space.dimensions)).tolist())
    values = {d.key: parent.values.get(d.key, d.at(0.5).name) for d in space.dimensions}
    return space.named({**values, dimension.key: drawn.cell[dimension.key]})
