"""Points that cover the space evenly: a scrambled Sobol sequence (Owen 1998).

Optuna's own sampler of that name leaves choices and dimensions with conditions to chance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from optuna import Study
from optuna.samplers import BaseSampler
from scipy.stats import qmc

from collision.errors import ConfigError
from collision.search.history import History
from collision.search.proposing import OwnSampler, Proposal, Quest, values_of


@dataclass(frozen=True)
class QMC:
    """One sequence over all dimensions, choices too, that all workers share.

    A trial takes the point of its place among those that were asked, so a restart goes on where the
    search stood, and trials that were enqueued leave no hole. Each 2, 4, 8 ... first points are
    balanced; where the numbers of choices are no powers of two, up to a trial or two.
    """

    def sampler(self, quest: Quest) -> BaseSampler:
        """Give what Optuna asks; ConfigError: more dimensions than the sequence has."""
        count = len(quest.space.dimensions)
        if count > qmc.Sobol.MAXDIM:
            raise ConfigError(
                f"policy=qmc knows {qmc.Sobol.MAXDIM} dimensions; space {quest.space.name} has "
                f"{count}. Take policy=random."
            )
        return _Sampler(quest)


class _Sampler(OwnSampler):
    def __init__(self, quest: Quest):
        super().__init__(quest)
        self._history = History()
        rng = np.random.default_rng(quest.seed)
        self._sobol = qmc.Sobol(len(quest.space.dimensions), scramble=True, seed=rng)

    def propose(self, study: Study, number: int) -> Proposal:
        """Take the sequence's point of this trial's place."""
        place = self._history.place(study, number)
        if place < self._sobol.num_generated:
            self._sobol.reset()
        if skipped := place - self._sobol.num_generated:  # it cannot skip none
            self._sobol.fast_forward(skipped)
        point = self.quest.space.at(self._sobol.random(1)[0].tolist())
        return Proposal(values_of(self.quest.space, point), "qmc")
