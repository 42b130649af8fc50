"""What a policy reads of a study: each trial once, and the same whichever worker reads it."""

from __future__ import annotations

import math
from datetime import datetime

import numpy as np
from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from collision.search.proposing import Quest
from collision.search.reading import RETRY_OF, STAGE
from collision.search.trials import SEARCH

_FIXED = "fixed_params"  # Optuna's own name for the point of a trial that was enqueued


def rng_of(quest: Quest, number: int) -> np.random.Generator:
    """Give the random numbers of one trial: the same again after a restart, in no other trial."""
    return np.random.default_rng([quest.seed, number])


def is_enqueued(trial: FrozenTrial) -> bool:
    """Tell whether its point was given (a retry, a confirmation) and no policy proposed it."""
    noted = trial.user_attrs
    is_put_down = RETRY_OF in noted or noted.get(STAGE, SEARCH) != SEARCH
    return is_put_down or _FIXED in trial.system_attrs


def order_of(trial: FrozenTrial) -> tuple[datetime, int]:
    """Give the key that sorts finished trials as they ended."""
    return trial.datetime_complete or datetime.min, trial.number


class History:
    """The trials of one study, for one sampler, which asks again and again."""

    def __init__(self) -> None:
        self._read: set[int] = set()
        self._looked, self._asked = 0, 0

    def fresh(self, study: Study) -> list[FrozenTrial]:
        """Give the trials with a score that it has not given yet, in the order of their end."""
        done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        fresh = [trial for trial in done if trial.number not in self._read]
        self._read.update(trial.number for trial in fresh)
        return sorted((t for t in fresh if math.isfinite(t.values[0])), key=order_of)

    def place(self, study: Study, number: int) -> int:
        """Count the trials before this one whose points were asked of a policy.

        All workers count alike: a trial's number is taken when it is made, and so is its point if
        it is enqueued.
        """
        trials = study.get_trials(deepcopy=False)
        if number < self._looked:
            self._looked, self._asked = 0, 0
        self._asked += sum(not is_enqueued(trial) for trial in trials[self._looked : number])
        self._looked = number
        return self._asked
