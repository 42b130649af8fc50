"""Searches without trainings, for tests of policies: small spaces, a journal, planted scores."""

import logging
import math
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path

import optuna
import yaml
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import TrialState

from collision.search.proposing import Policy, Quest, suggested
from collision.search.space import Point, Space

optuna.logging.set_verbosity(logging.ERROR)

SMALL = {
    "cells": {
        "backbone": ["optical_flow", "efficientnet_lite0", "efficientnet_lite1"],
        "head": ["gru", "linear", "tcn", "transformer"],
        "pooling": ["last", "mean", "max"],
        "loss": ["bce", "focal"],
    },
    "within": {
        "optimizer.lr": {"low": 1e-5, "high": 1e-1, "log": True},
        "feature_dropout": {"low": 0.0, "high": 0.5},
        "loss.gamma": {"low": 0.5, "high": 5, "when": {"loss": "focal"}},
        "head.cell": {"choices": ["gru", "lstm"], "when": {"head": "gru"}},
    },
}


def space_of(folder: Path, cells: dict = SMALL["cells"], within: dict = SMALL["within"]) -> Space:
    """Make a space, by default one with ranges, choices and conditions."""
    text = yaml.safe_dump({"cells": cells, "within": within}, sort_keys=False)
    (folder / "mine.yaml").write_text(text)
    return Space.load(str(folder / "mine.yaml"))


def quest(space: Space, seed: int = 0, worker: int = 0, objectives: int = 1) -> Quest:
    return Quest(space, [StudyDirection.MAXIMIZE] * objectives, seed, worker, Path("nowhere"))


def study(
    space: Space, policy: Policy, seed: int = 0, worker: int = 0, journal: Path | None = None
) -> optuna.Study:
    """Open a search in memory, or in a file as a worker of its own does."""
    storage = JournalStorage(JournalFileBackend(str(journal))) if journal else None
    return optuna.create_study(
        storage=storage,
        study_name="one",
        load_if_exists=True,
        direction="maximize",
        sampler=policy.sampler(quest(space, seed, worker)),
    )


def search(
    space: Space, studies: list[optuna.Study], count: int, score: Callable[[Point, int], float]
) -> Iterator[Point]:
    """Try so many points, the workers in turn; a score that is None is a trial that failed."""
    for own, _ in zip(cycle(studies), range(count), strict=False):
        trial = own.ask()
        point = suggested(space, trial)
        value = score(point, trial.number)
        own.tell(trial, value, None if value is not None else TrialState.FAIL)
        yield point


def planted(point: Point, number: int = 0) -> float:
    """Score high for gru with the mean, and a rate of 1e-3: at most 1."""
    away = math.log10(float(point.changes["optimizer.lr"])) + 3
    score = 1 - 0.05 * away**2 - 0.4 * (float(point.changes["feature_dropout"]) - 0.2) ** 2
    for key, best in (("head", "gru"), ("pooling", "mean"), ("backbone", "optical_flow")):
        score -= 0.1 * (point.cell[key] != best)
    return score
