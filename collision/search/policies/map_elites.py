"""MAP-Elites (Mouret and Clune 2015, arXiv 1504.04909): changes to the best of each niche."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from optuna import Study
from optuna.samplers import BaseSampler
from pydantic import Field

from collision.errors import ConfigError
from collision.option_groups import Count, Share, Whole
from collision.search.archive import Archive
from collision.search.coordinates import mutated
from collision.search.history import History, rng_of
from collision.search.proposing import OwnSampler, Proposal, Quest, values_of

_NAME = "map_elites"


@dataclass(frozen=True)
class MapElites:
    """Keeps the best experiment of each niche, and tries changes to one of them at a time.

    The archive follows from the study's trials alone, whoever proposed them.

    Attributes:
        axes: Two dimensions of the cells: a pair of their choices is a niche.
        initial: Trials at random before the first change.
        changes: Dimensions that a change moves: one to so many.
        step: Standard deviation of a step in a range, whose length is 1.
        again: Share of trials that repeat an elite as it is: its next seed shows whether it was
            lucky.
        tournament: So many elites are drawn, and the best of them is changed; 1 is as published.
    """

    axes: tuple[str, ...] = ("backbone", "head")
    initial: Whole = 32
    changes: Count = 2
    step: Annotated[float, Field(gt=0, le=1)] = 0.1
    again: Share = 0.1
    tournament: Count = 2

    def sampler(self, quest: Quest) -> BaseSampler:
        """Give what Optuna asks; ConfigError: several objectives, or wrong axes."""
        if len(quest.directions) > 1:
            raise ConfigError(
                "policy=map_elites keeps the best by one objective; the search has "
                f"{len(quest.directions)}. Take policy=tpe or qmc, or objectives=[map]."
            )
        return _Sampler(quest, self)


class _Sampler(OwnSampler):
    def __init__(self, quest: Quest, options: MapElites):
        super().__init__(quest)
        self._options = options
        self._history = History()
        self._archive = Archive(quest.space, options.axes)

    def propose(self, study: Study, number: int) -> Proposal:
        """Change an elite, or repeat it; at the beginning, draw at random."""
        space, options = self.quest.space, self._options
        for trial in self._history.fresh(study):
            self._archive.add(trial.number, space.named(trial.params), trial.values[0])
        rng, elites = rng_of(self.quest, number), list(self._archive.elites().values())
        if self._history.place(study, number) < options.initial or not elites:
            point = space.at(rng.random(len(space.dimensions)).tolist())
            return Proposal(values_of(space, point), _NAME)
        rivals = rng.integers(len(elites), size=options.tournament)
        elite = max((elites[rival] for rival in rivals), key=lambda one: one.mean)
        point = elite.point
        if rng.random() >= options.again:
            point = mutated(space, point, options.changes, options.step, rng)
        return Proposal(values_of(space, point), _NAME, parents=[elite.first])
