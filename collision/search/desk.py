"""The desk of a search: who comes gets a trial that nobody else has, and says how it went.

What has to be trained once (a failed trial again, a seed of an experiment that is confirmed) is
put down as a waiting trial by whoever notices. Several may notice at once, on several machines, and
whoever notices may end before it is put down: nothing holds a lock. Of several such trials the
first counts, by number, which is the same for all; the others are void.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from optuna import Study
from optuna import Trial as OptunaTrial
from optuna.distributions import BaseDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState, create_trial

from collision.search.design import Planned
from collision.search.leases import LEASE, WORKER_GONE, Pulse, Watch, fail, note
from collision.search.proposing import (
    PARENTS,
    PROPOSER,
    distributions,
    suggested,
    values_of,
)
from collision.search.reading import (
    CHANGES,
    ERROR,
    EXPERIMENT,
    GONE,
    KIND,
    OVERHEAD,
    OWNER,
    PARAMETERS,
    RATE,
    REFUSED,
    RETRY_OF,
    SCORES,
    SECONDS,
    SEED,
    SEEN,
    STAGE,
    STOPPED,
    VOID,
)
from collision.search.space import Point, Space
from collision.search.trials import DESIGN, SEARCH
from collision.types import Seconds

MOST_LOST = 3  # workers that one trial may cost before it is not asked again
# Of another command's failures; that command repeats them itself if it lives.
_PATIENCE: Seconds = 5.0


@dataclass(frozen=True)
class Terms:
    """What holds for all trials of a search.

    Attributes:
        budget: Trials that policies may ask; None: any number.
        seed: Of an experiment's first trial.
        retries: How often a trial that failed by an error is repeated.
        lease: Without a sign of life for so long, a worker is gone.
    """

    budget: int | None = None
    seed: int = 0
    retries: int = 1
    lease: Seconds = LEASE
    proposer: str = ""


@dataclass(frozen=True)
class Job:
    """A trial that this worker holds."""

    number: int
    trial_id: int
    point: Point
    seed: int
    stage: str


@dataclass(frozen=True)
class Outcome:
    """What came of a trial: the values of its objectives, mAP on validation first."""

    values: Sequence[float]
    num_parameters: int | None = None
    windows_per_second: float | None = None
    seconds: Seconds | None = None
    overhead: Seconds | None = None
    scores: Mapping[str, float] = field(default_factory=dict)


class Desk:
    """Gives trials of a study to one worker, and takes what comes of them."""

    def __init__(self, study: Study, space: Space, terms: Terms, owner: str, pulse: Pulse):
        self.study, self.space, self.terms = study, space, terms
        self.owner, self._pulse = owner, pulse

    def take(self) -> Job | None:
        """Take a waiting trial, if there is one."""
        trials = self.study.get_trials(deepcopy=False)
        for frozen in trials:
            if frozen.state is TrialState.WAITING and (job := self._taken(frozen, trials)):
                return job
        return None

    def _taken(self, frozen: FrozenTrial, trials: Sequence[FrozenTrial]) -> Job | None:
        try:
            if not self.study._storage.set_trial_state_values(frozen._trial_id, TrialState.RUNNING):
                return None
        except UpdateFinishedTrialError:
            return None
        return self._settled(frozen, trials)

    def _settled(self, frozen: FrozenTrial, trials: Sequence[FrozenTrial]) -> Job | None:
        """Hold a planned trial that this worker has begun, unless it is a second one."""
        if any(one.number < frozen.number and is_same_task(one, frozen) for one in trials):
            self._void(frozen._trial_id, "an earlier trial is the same")
            return None
        self._hold(frozen._trial_id)
        noted = frozen.user_attrs
        point = self.space.named(frozen.params)
        return Job(frozen.number, frozen._trial_id, point, int(noted[SEED]), noted[STAGE])

    def ask(self) -> Job | None:
        """Let the policy propose a trial; None: the budget is spent, or a waiting one came up."""
        trials = self.study.get_trials(deepcopy=False)
        if self.terms.budget is not None and num_asked(trials) >= self.terms.budget:
            return None
        trial = self.study.ask()
        frozen = self.study._storage.get_trial(trial._trial_id)
        trials = self.study.get_trials(deepcopy=False)
        if STAGE in frozen.user_attrs:  # Optuna gave a waiting one
            return self._settled(frozen, trials)
        before = num_asked(one for one in trials if one.number < trial.number)
        if self.terms.budget is not None and before >= self.terms.budget:
            self._void(trial._trial_id, "beyond the budget")
            return None
        return self._proposed(trial)

    def _proposed(self, trial: OptunaTrial) -> Job | None:
        self._hold(trial._trial_id)
        try:
            point = suggested(self.space, trial)
            seed = self._claim_seed(trial, point)
            noted = self.study._storage.get_trial(trial._trial_id).user_attrs
            if not noted.get(PROPOSER):
                note(self.study, trial._trial_id, PROPOSER, self.terms.proposer)
            note(self.study, trial._trial_id, CHANGES, dict(point.changes))
            note(self.study, trial._trial_id, STAGE, SEARCH)
        except UpdateFinishedTrialError:  # it took longer than the lease
            self._pulse.drop(trial._trial_id)
            return None
        except BaseException:
            self._void(trial._trial_id, "the policy failed")
            raise
        return Job(trial.number, trial._trial_id, point, seed, SEARCH)

    def _claim_seed(self, trial: OptunaTrial, point: Point) -> int:
        """Take a seed that no other trial of the experiment has.

        Two may take the same at the same moment; whoever sees that takes another one.
        """
        seed, experiment, mine = self.terms.seed, point.key, trial._trial_id
        others = self._seeds(experiment, mine)
        if others:
            seed = max(others.values()) + 1
        note(self.study, mine, SEED, seed)
        note(self.study, mine, EXPERIMENT, experiment)
        while True:
            others = self._seeds(experiment, mine)
            rivals = [number for number, taken in others.items() if taken == seed]
            if not rivals:
                return seed
            below = sum(number < trial.number for number in rivals)
            seed = max(others.values()) + 1 + below
            note(self.study, mine, SEED, seed)

    def _seeds(self, experiment: str, but: int) -> dict[int, int]:
        """Give the seeds of an experiment's other trials, by number."""
        return {
            one.number: int(one.user_attrs[SEED])
            for one in self.study.get_trials(deepcopy=False)
            if one.user_attrs.get(EXPERIMENT) == experiment and one._trial_id != but
        }

    def _hold(self, trial_id: int) -> None:
        note(self.study, trial_id, OWNER, self.owner)
        note(self.study, trial_id, SEEN, time.time())
        self._pulse.hold(trial_id)

    def _void(self, trial_id: int, why: str) -> None:
        self._pulse.drop(trial_id)
        void(self.study, trial_id, why)

    def bring(self, job: Job, outcome: Outcome) -> bool:
        """Tell how a trial ended; False: another took this worker for gone, and told it before."""
        told = {
            PARAMETERS: outcome.num_parameters,
            RATE: outcome.windows_per_second,
            SECONDS: outcome.seconds,
            OVERHEAD: outcome.overhead,
            SCORES: dict(outcome.scores) or None,
        }
        try:
            # A worker that comes back late: its trial may be over, and asked again.
            if self.study._storage.get_trial(job.trial_id).state is not TrialState.RUNNING:
                return False
            for name, value in told.items():
                if value is not None:
                    note(self.study, job.trial_id, name, value)
            self.study.tell(job.number, list(outcome.values))
        except UpdateFinishedTrialError:
            return False
        except ValueError:
            if self.study._storage.get_trial(job.trial_id).state is TrialState.RUNNING:
                raise
            return False
        finally:
            self._pulse.drop(job.trial_id)
        return True

    def failed(self, job: Job, cause: str, kind: str = ERROR) -> bool:
        """Tell that a trial failed; False as of ``bring``."""
        self._pulse.drop(job.trial_id)
        return fail(self.study, job.trial_id, cause, kind)


class Caretaker:
    """Looks after what workers leave behind; one a command, or more."""

    def __init__(
        self,
        study: Study,
        terms: Terms,
        token: str,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.study, self.terms, self._token, self._clock = study, terms, token, clock
        self._watch = Watch(terms.lease, clock)
        self._noticed: dict[int, float] = {}

    def look_after(self) -> None:
        """Tell FAIL what nobody trains any more, and put down again what is to be repeated."""
        for lost in self._watch.lost(self.study.get_trials(deepcopy=False)):
            self._lose(lost, WORKER_GONE, GONE)
        for trial in to_repeat(self.study.get_trials(deepcopy=False), self.terms.retries):
            since = self._noticed.setdefault(trial.number, self._clock())
            owner = str(trial.user_attrs.get(OWNER, ""))
            is_own = owner.endswith(f":{self._token}") or trial.user_attrs.get(KIND) in (
                GONE,
                STOPPED,
            )
            if is_own or self._clock() - since > _PATIENCE:
                self._repeat(trial)

    def forsake(self, processes: Collection[str], cause: str, kind: str = GONE) -> None:
        """Tell FAIL the trials of workers, by their ``owner``, that are known to be over."""
        for trial in self.study.get_trials(deepcopy=False):
            if trial.state is TrialState.RUNNING and trial.user_attrs.get(OWNER) in processes:
                self._lose(trial, cause, kind)

    def _lose(self, trial: FrozenTrial, cause: str, kind: str) -> None:
        if STAGE in trial.user_attrs:
            fail(self.study, trial._trial_id, cause, kind)
        else:  # its point was not settled: nothing can be repeated, and another is asked instead
            void(self.study, trial._trial_id, cause)

    def _repeat(self, trial: FrozenTrial) -> None:
        kept = (EXPERIMENT, SEED, STAGE, CHANGES, PROPOSER, PARENTS)
        noted = {name: trial.user_attrs[name] for name in kept if name in trial.user_attrs}
        put_down(self.study, trial, {**noted, RETRY_OF: trial.number})


def put_down(study: Study, like: FrozenTrial, noted: Mapping[str, Any]) -> None:
    """Add a waiting trial of another's point, all at once."""
    _add(study, like.params, like.distributions, {STAGE: SEARCH, **noted})


def put_down_planned(study: Study, space: Space, planned: Planned) -> None:
    """Add a waiting trial of a design."""
    point, known = planned.point, distributions(space)
    params = values_of(space, point)
    changes = dict(point.changes)
    noted = {
        EXPERIMENT: point.key,
        SEED: planned.seed,
        STAGE: DESIGN,
        CHANGES: changes,
        PROPOSER: DESIGN,
    }
    _add(study, params, {name: known[name] for name in params}, noted)


def _add(
    study: Study,
    params: Mapping[str, Any],
    known: Mapping[str, BaseDistribution],
    noted: Mapping[str, Any],
) -> None:
    made = create_trial(
        state=TrialState.WAITING,
        params=dict(params),
        distributions=dict(known),
        user_attrs=dict(noted),
    )
    study._storage.create_new_trial(study._study_id, template_trial=made)


def void(study: Study, trial_id: int, why: str) -> None:
    """End a trial that does not count."""
    with suppress(UpdateFinishedTrialError):
        note(study, trial_id, VOID, why)
        fail(study, trial_id, why, REFUSED)


def is_same_task(one: FrozenTrial, other: FrozenTrial) -> bool:
    """Whether both repeat the same trial, or the same seed of what is confirmed."""
    if VOID in one.user_attrs or STAGE not in one.user_attrs:
        return False
    names = (STAGE, EXPERIMENT, SEED, RETRY_OF)
    return all(one.user_attrs.get(name) == other.user_attrs.get(name) for name in names)


def counted(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """Leave out what is void."""
    return [trial for trial in trials if VOID not in trial.user_attrs]


def num_asked(trials: Iterable[FrozenTrial]) -> int:
    """Count what policies were asked, whatever came of it; what is repeated counts once."""
    return sum(
        trial.user_attrs.get(STAGE, SEARCH) == SEARCH and RETRY_OF not in trial.user_attrs
        for trial in counted(trials)
    )


def not_put_down(trials: Iterable[FrozenTrial], planned: Sequence[Planned]) -> list[Planned]:
    """List what of a design is no trial yet, in its order."""
    there = {
        (trial.user_attrs[EXPERIMENT], trial.user_attrs[SEED])
        for trial in counted(trials)
        if trial.user_attrs.get(STAGE) == DESIGN
    }
    return [one for one in planned if (one.point.key, one.seed) not in there]


def to_repeat(trials: Sequence[FrozenTrial], retries: int) -> list[FrozenTrial]:
    """List failed trials that are to be trained again and wait for it nowhere."""
    own = {trial.number: trial for trial in counted(trials)}
    repeated = {trial.user_attrs.get(RETRY_OF) for trial in own.values()}
    return [
        trial
        for number, trial in own.items()
        if trial.state is TrialState.FAIL
        and number not in repeated
        and STAGE in trial.user_attrs
        and _may_repeat(trial, own, retries)
    ]


def _may_repeat(trial: FrozenTrial, own: Mapping[int, FrozenTrial], retries: int) -> bool:
    kinds: Counter[str] = Counter()
    at: FrozenTrial | None = trial
    while at is not None:
        kinds[str(at.user_attrs.get(KIND, GONE))] += 1
        at = own.get(at.user_attrs.get(RETRY_OF, -1))
    last = trial.user_attrs.get(KIND, GONE)
    if last == STOPPED:
        return True
    if last == GONE:
        return kinds[GONE] <= MOST_LOST
    return last == ERROR and kinds[ERROR] <= retries
