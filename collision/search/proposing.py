"""Between a policy and Optuna: a policy is a sampler, a point is what a trial was suggested."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, Protocol

import numpy as np
from optuna import Study, Trial
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from collision.search.space import Dimension, Point, Range, Space

# User attributes of a trial that a policy sets; the rest are the engine's.
PROPOSER, PARENTS = "proposer", "parents"


@dataclass(frozen=True)
class Quest:
    """What a policy is asked to search.

    Attributes:
        directions: Of the objectives; the first is mAP on validation.
        worker: Number of the process that asks, from 0: each has a sampler of its own.
        folder: The search's own, for what a policy keeps beside the study.
        draw: Trials that there were when this worker began: the same worker, come again, draws
            other numbers.
        budget: Trials that the search may take in all; None: not known.
    """

    space: Space
    directions: Sequence[StudyDirection]
    seed: int
    worker: int
    folder: Path
    draw: int = 0
    budget: int | None = None


def seed_of(quest: Quest) -> int:
    """Give the seed of a worker's draws.

    A worker that comes back has another one, or it would draw the same again: ``draw`` is how many
    trials there were when it began.
    """
    return int(np.random.SeedSequence([quest.seed, quest.worker, quest.draw]).generate_state(1)[0])


class Policy(Protocol):
    """Chooses the next point; its YAML lies in ``configs/policy``."""

    def sampler(self, quest: Quest) -> BaseSampler:
        """Give what Optuna asks."""
        ...


@dataclass(frozen=True)
class Proposal:
    """Values by dimension, all that apply (``Space.named``); who proposed them, made from which.

    Attributes:
        notes: Further user attributes of the trial, which the policy reads again.
    """

    values: Mapping[str, str | float]
    proposer: str
    parents: Sequence[int] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)


class OwnSampler(BaseSampler):
    """A sampler that proposes whole points, and never falls back to another one unseen."""

    def __init__(self, quest: Quest):
        self.quest = quest

    @abstractmethod
    def propose(self, study: Study, number: int) -> Proposal:
        """Propose the point of the trial of this number, from what ``study`` knows."""

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """All dimensions: the values of those that apply are taken."""
        return distributions(self.quest.space)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Let it be proposed, and noted who did."""
        proposal = self.propose(study, trial.number)
        point = self.quest.space.named(proposal.values)
        own = {PROPOSER: proposal.proposer, PARENTS: list(proposal.parents)}
        noted = {**proposal.notes, **own}
        for name, value in noted.items():
            study._storage.set_trial_user_attr(trial._trial_id, name, value)
            trial.user_attrs[name] = value  # of the copy that whoever asked has
        return values_of(self.quest.space, point)

    def sample_independent(self, *_: Any, **__: Any) -> NoReturn:
        """Never: a policy proposes everything."""
        raise AssertionError("a policy's point lacked a dimension that applies")


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """Give what Optuna is to choose from, by dimension."""
    return {dimension.key: distribution_of(dimension) for dimension in space.dimensions}


def distribution_of(dimension: Dimension | Range) -> BaseDistribution:
    """Give what Optuna is to choose from."""
    if isinstance(dimension, Range):
        return FloatDistribution(dimension.low, dimension.high, log=dimension.log)
    return CategoricalDistribution([choice.name for choice in dimension.choices])


def suggested(space: Space, trial: Trial) -> Point:
    """Let Optuna suggest a point: the cell first, then what applies within it."""
    values: dict[str, str | float] = {}
    for dimension in space.dimensions:
        if not space.applies(dimension, {d.key: str(values.get(d.key)) for d in space.cells}):
            continue
        if isinstance(dimension, Range):
            low, high = dimension.low, dimension.high
            values[dimension.key] = trial.suggest_float(dimension.key, low, high, log=dimension.log)
        else:
            names = [choice.name for choice in dimension.choices]
            values[dimension.key] = trial.suggest_categorical(dimension.key, names)
    return space.named(values)


def values_of(space: Space, point: Point) -> dict[str, str | float]:
    """Give a point as the values of Optuna's parameters."""
    ranges = {dimension.key for dimension in space.within if isinstance(dimension, Range)}
    return {
        key: float(point.changes[key]) if key in ranges else name
        for key, name in point.values.items()
    }
