"""Evolution of a distribution over ranges and choices together: CatCMA with margin.

Hamano et al. 2024 and 2025, arXiv 2405.09962 and 2504.07884; package ``cmaes``. Optuna's own
sampler of that name leaves choices to chance. Restarts with a doubled population are IPOP's (Auger
and Hansen 2005).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import numpy as np
from cmaes import CatCMAwM
from optuna import Study
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial
from pydantic import Field

from collision.checks import STRICT, typed
from collision.errors import ConfigError
from collision.search.coordinates import unit_of_choice
from collision.search.history import History, is_enqueued, order_of, rng_of
from collision.search.proposing import OwnSampler, Proposal, Quest, values_of
from collision.search.space import Dimension, Range

_NAME = "cmaes"
_MARGIN = 0.73  # of all choices together, as the paper has it
_RETRY_OF = "retry_of"


@dataclass(frozen=True)
class CMAES:
    """Samples from a distribution that moves to where the first objective is high.

    The distribution follows from the study's finished trials alone: every worker can rebuild it at
    any time. What was drawn is noted with each trial, for dimensions that do not apply there, too.

    Attributes:
        population: Trials after which the distribution moves; None: 4 + 3 ln(dimensions).
        spread: Standard deviation at the start along each range, whose length is 1.
        converged: Once no standard deviation is larger, and each choice is as sure as the margin
            lets it be, it begins anew with twice the population. None: it goes on proposing the
            same.
    """

    population: Annotated[int, Field(ge=4)] | None = None
    spread: Annotated[float, Field(gt=0, le=1)] = 0.2
    converged: Annotated[float, Field(gt=0, lt=1)] | None = 0.01

    def sampler(self, quest: Quest) -> BaseSampler:
        """Give what Optuna asks; ConfigError: several objectives, or nothing to choose."""
        if len(quest.directions) > 1:
            raise ConfigError(
                f"policy=cmaes maximises one objective; the search has {len(quest.directions)}. "
                "Take policy=tpe or qmc, or objectives=[map]."
            )
        if not (_ranges(quest) or _choices(quest)):
            raise ConfigError(f"policy=cmaes: space {quest.space.name} leaves nothing to choose.")
        return _Sampler(quest, self)


@dataclass(frozen=True)
class _Drawn:
    """What a trial's point was made from; lists by ranges and choices of the space.

    Attributes:
        generation: Of the distribution, from 0 at each start.
        raw: Of the normal distribution, before it is cut to [0, 1].
        picked: Indices of choices.
        restarts: How often the distribution had begun anew.
    """

    __pydantic_config__ = STRICT

    generation: int
    raw: tuple[float, ...]
    picked: tuple[int, ...]
    restarts: int = 0


class _Sampler(OwnSampler):
    def __init__(self, quest: Quest, options: CMAES):
        super().__init__(quest)
        self._options = options
        self._ranges, self._choices = _ranges(quest), _choices(quest)
        self._start()

    def _start(self) -> None:
        self._history, self._last = History(), (datetime.min, -1)
        self._restarts = 0
        self._begin(self._options.population)

    def _begin(self, population: int | None) -> None:
        spread, count = self._options.spread, len(self._ranges)
        self._optimizer = CatCMAwM(
            x_space=[[0.0, 1.0]] * count or None,
            c_space=[len(d.choices) for d in self._choices] or None,
            population_size=population,
            cov=spread**2 * np.eye(count),
        )
        self._generation: list[tuple[int, CatCMAwM.Solution, float]] = []

    def propose(self, study: Study, number: int) -> Proposal:
        """Draw from the distribution that all finished trials have made."""
        self._catch_up(study)
        self._optimizer.reseed_rng(int(rng_of(self.quest, number).integers(2**32)))
        asked = self._optimizer.ask()
        places = dict.fromkeys((d.key for d in self.quest.space.dimensions), 0.0)
        raw, picked = [], []
        if self._ranges:
            raw = asked._v_raw.tolist()
            places |= {d.key: x for d, x in zip(self._ranges, asked.x.tolist(), strict=True)}
        if self._choices:
            picked = asked.c.argmax(axis=1).tolist()
            places |= {
                d.key: unit_of_choice(index, len(d.choices))
                for d, index in zip(self._choices, picked, strict=True)
            }
        point = self.quest.space.at(list(places.values()))
        place = {"generation": self._optimizer.generation, "restarts": self._restarts}
        notes = {**place, "raw": raw, "picked": picked}
        return Proposal(values_of(self.quest.space, point), _NAME, notes={_NAME: notes})

    def _catch_up(self, study: Study) -> None:
        """Tell what has ended since, in the order of the ends.

        Trials of the last generation count in this one, too: with many workers most would be lost
        else. Older ones say nothing about the distribution.
        """
        fresh = self._history.fresh(study)
        if fresh and order_of(fresh[0]) < self._last:  # another worker's clock is behind
            self._start()
            fresh = self._history.fresh(study)
        for trial in fresh:
            self._last = order_of(trial)
            drawn = self._drawn(study, trial)
            is_of_now = drawn and drawn.restarts == self._restarts
            if drawn and is_of_now and drawn.generation >= self._optimizer.generation - 1:
                self._generation.append((trial.number, self._solution(drawn), trial.values[0]))
            if len(self._generation) == self._optimizer.population_size:
                self._tell()

    def _tell(self) -> None:
        """Move the distribution, by ranks: as good as values, and flat scores do no harm."""
        ranked = sorted(self._generation, key=lambda one: (-one[2], one[0]))
        self._optimizer.tell([(one[1], float(rank)) for rank, one in enumerate(ranked)])
        self._generation = []
        if self._has_converged():
            self._restarts += 1
            self._begin(2 * self._optimizer.population_size)

    def _has_converged(self) -> bool:
        """Tell whether it would draw nearly the same point from here on."""
        optimizer, limit = self._optimizer, self._options.converged
        if limit is None:
            return False
        if self._ranges:
            deviations = optimizer._sigma * np.sqrt(np.diag(optimizer._C))
            if not (deviations.max() <= limit or optimizer.should_stop()):
                return False
        # The margin leaves this much to the likeliest choice of each, at most.
        surest = _MARGIN ** (1 / max(len(self._choices), 1))
        return not self._choices or bool((optimizer._q.max(axis=1) > 0.99 * surest).all())

    def _drawn(self, study: Study, trial: FrozenTrial) -> _Drawn | None:
        """Read what a trial was made from; a retry, from the trial that failed. None: not by us."""
        while is_enqueued(trial):
            origin = trial.user_attrs.get(_RETRY_OF)
            if not isinstance(origin, int) or not 0 <= origin < trial.number:
                return None
            trial = study.get_trials(deepcopy=False)[origin]
        noted = trial.user_attrs.get(_NAME)
        return None if noted is None else typed(_Drawn, noted, where=_NAME)

    def _solution(self, drawn: _Drawn) -> CatCMAwM.Solution:
        raw = np.array(drawn.raw) if self._ranges else None
        picked = None
        if self._choices:
            most = max(len(d.choices) for d in self._choices)
            picked = np.eye(most, dtype=bool)[list(drawn.picked)]
        return CatCMAwM.Solution(c=picked, _v_raw=raw)


def _ranges(quest: Quest) -> list[Range]:
    return [d for d in quest.space.dimensions if isinstance(d, Range)]


def _choices(quest: Quest) -> list[Dimension]:
    """Give the dimensions with more than one choice."""
    dimensions = quest.space.dimensions
    return [d for d in dimensions if isinstance(d, Dimension) and len(d.choices) > 1]
