"""A search from its beginning to its end: workers ask, train and tell; this process watches.

    searching     the policy is asked, until budget or hours are spent
    finishing     what was begun, or failed and is to be repeated, is trained
    confirming    the best experiment of each of the best cells is trained again with fresh seeds

Every step follows from the study alone, so that any number of commands on any number of machines
can do it together, and each can end at any moment.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from collision.errors import CollisionError, ConfigError, Interrupted
from collision.features.interruption import StopSignals
from collision.search.design import Planned
from collision.search.desk import (
    Caretaker,
    counted,
    not_put_down,
    num_asked,
    put_down,
    put_down_planned,
    to_repeat,
)
from collision.search.proposing import PARENTS, PROPOSER
from collision.search.reading import (
    CHANGES,
    EXPERIMENT,
    OWNER,
    SEED,
    STAGE,
    STOPPED,
    Reading,
)
from collision.search.storage import close_storage, lost, open_storage, open_study
from collision.search.trials import CONFIRM, Trial
from collision.search.winner import FEWEST, MOST_AT_BEST, best_cells, fresh_seeds, is_saturated
from collision.search.workers import FINISHING, SEARCHING, Orders, Team, context_for
from collision.types import Seconds

_TICK: Seconds = 0.25
_REST = 9  # times as long as it works: of many trials, looking takes a while
_LONGEST_REST: Seconds = 5.0
_MOST_LOST_IN_A_ROW = 20  # workers, without one trial that ended
CONFIG_OF_STUDY = "search"  # user attribute of the study


@dataclass(frozen=True)
class Plan:
    """How long a command searches, and with how many workers.

    Attributes:
        hours: Of this command, until nothing more is asked.
        confirm: Cells whose best experiment is trained again, each with ``confirm_seeds``.
        stop_saturated: End where validation tells trials apart no more.
        lasting: What all trials share, as plain data; another search's is refused.
        design: Trainings that are listed; None: a policy searches.
    """

    workers: int
    hours: float | None = None
    confirm: int = 3
    confirm_seeds: int = 3
    stop_saturated: bool = True
    lasting: Mapping[str, Any] | None = None
    design: Sequence[Planned] | None = None


@dataclass(frozen=True)
class Ending:
    """What a command leaves: all trials, and whether others go on asking."""

    trials: Sequence[Trial]
    others_go_on: bool = False


Show = Callable[[Sequence[Trial]], None]


class Saturated(CollisionError):
    """Validation tells trials apart no more."""


class Engine:
    """One command of a search."""

    def __init__(
        self, orders: Orders, plan: Plan, *, has_gpu: bool = False, how_to_go_on: str = ""
    ):
        self._orders, self._plan = orders, plan
        self._context = context_for(has_gpu)
        self._how_to_go_on = how_to_go_on or "The same command goes on."

    def run(self, show: Show = lambda _: None) -> Ending:
        """Search; ``show`` is called with the trials, again and again.

        Raises:
            Interrupted: By a signal; the trials in flight come again.
            Saturated: More than 5 % of the trials share the best score.
            CollisionError: The policy or the workers cannot go on, or the storage is gone.
        """
        try:
            return self._run(show)
        except Exception as error:
            if said := lost(error):
                raise CollisionError(said) from error
            raise

    def _run(self, show: Show) -> Ending:
        self._prepare()
        orders = self._orders
        with StopSignals() as stop, Team(orders, self._plan.workers, self._context) as team:
            study = open_study(
                open_storage(orders.storage, orders.folder), orders.name, orders.directions
            )
            caretaker = Caretaker(study, orders.terms, orders.token)
            try:
                return self._follow(study, caretaker, team, stop, show)
            finally:
                # Whoever is stopped in a trial leaves it to be trained again.
                caretaker.forsake(team.end(), _why(stop.signal), STOPPED)
                caretaker.look_after()

    def _prepare(self) -> None:
        """Make the study before several would, and see that it is of this search."""
        orders, lasting = self._orders, self._plan.lasting
        storage = open_storage(orders.storage, orders.folder)
        study = open_study(storage, orders.name, orders.directions)
        if lasting is not None:
            before = study.user_attrs.get(CONFIG_OF_STUDY)
            if before is None:
                study.set_user_attr(CONFIG_OF_STUDY, dict(lasting))
            elif before != dict(lasting):
                names = [n for n in {*before, *lasting} if before.get(n) != lasting.get(n)]
                raise ConfigError(
                    f"The search {orders.name!r} was begun with other options or another version "
                    f"({', '.join(sorted(names))}): its trials would not be of one kind. Give the "
                    "same ones, or another name."
                )
        close_storage(storage)

    def _follow(
        self, study: Study, caretaker: Caretaker, team: Team, stop: StopSignals, show: Show
    ) -> Ending:
        reading, plan = Reading(study, self._orders.space), self._plan
        end = None if plan.hours is None else time.monotonic() + 3600 * plan.hours
        num_lost, num_finished = 0, -1
        while True:
            for owner, how in team.lost():
                caretaker.forsake([owner], f"its worker is gone: {how}")
                num_lost += 1
            team.check()
            begun = time.process_time()  # to wait for the storage is no work
            caretaker.look_after()
            frozen = reading.frozen()
            trials = reading.trials(frozen)
            show(trials)
            if stop.signal is not None:
                raise Interrupted(stop.signal, self._how_to_go_on)
            finished = sum(one.state.is_finished() for one in frozen)
            num_lost = _checked(num_lost if finished == num_finished else 0)
            num_finished = finished
            if plan.stop_saturated and is_saturated(trials):
                raise Saturated(saturation(trials))
            is_late = end is not None and time.monotonic() > end
            step = self._stepped if plan.design is None else self._listed
            ending = step(study, team, frozen, trials, is_late)
            if ending is not None:
                return ending
            worked = time.process_time() - begun
            time.sleep(min(max(_TICK, _REST * worked), _LONGEST_REST))

    def _stepped(
        self,
        study: Study,
        team: Team,
        frozen: Sequence[FrozenTrial],
        trials: Sequence[Trial],
        is_late: bool,
    ) -> Ending | None:
        """Say what workers do next; give how it ended once nothing is left to do."""
        budget = self._orders.terms.budget
        if not is_late and (budget is None or num_asked(frozen) < budget):
            team.tell(SEARCHING)
            return None
        team.tell(FINISHING)
        open_ones = [one for one in counted(frozen) if not one.state.is_finished()]
        own = [one for one in open_ones if self._is_own(one)]
        if is_late and open_ones and not own:
            return Ending(trials, others_go_on=True)
        if open_ones or to_repeat(frozen, self._orders.terms.retries):
            return None
        planned = self._to_confirm(trials)
        for best, seed in planned:
            like = frozen[best.number]
            kept = {name: like.user_attrs[name] for name in (EXPERIMENT, CHANGES, PROPOSER)}
            noted = {**kept, SEED: seed, STAGE: CONFIRM, PARENTS: [best.number]}
            put_down(study, like, noted)
        return None if planned else Ending(trials)

    def _listed(
        self,
        study: Study,
        team: Team,
        frozen: Sequence[FrozenTrial],
        trials: Sequence[Trial],
        is_late: bool,
    ) -> Ending | None:
        """Put down what of a design is missing; give how it ended once all of it is trained."""
        missing = not_put_down(frozen, self._plan.design or ())
        for planned in missing:
            put_down_planned(study, self._orders.space, planned)
        team.tell(FINISHING)
        open_ones = [one for one in counted(frozen) if not one.state.is_finished()]
        if is_late and not missing:
            return Ending(trials, others_go_on=bool(open_ones))
        is_over = not (missing or open_ones or to_repeat(frozen, self._orders.terms.retries))
        return Ending(trials) if is_over else None

    def _is_own(self, trial: FrozenTrial) -> bool:
        """Whether this command trains it, or anybody may."""
        owner = str(trial.user_attrs.get(OWNER, ""))
        is_waiting = trial.state is TrialState.WAITING
        return is_waiting or owner.endswith(f":{self._orders.token}")

    def _to_confirm(self, trials: Sequence[Trial]) -> list[tuple[Trial, int]]:
        plan = self._plan
        best = best_cells(trials, plan.confirm)
        # A seed after the other: where it ends early, all have as many.
        missing = [(one, fresh_seeds(trials, one, plan.confirm_seeds)) for one in best]
        rounds = max((len(seeds) for _, seeds in missing), default=0)
        return [(one, seeds[n]) for n in range(rounds) for one, seeds in missing if n < len(seeds)]


def saturation(trials: Sequence[Trial]) -> str:
    """Say that validation tells trials apart no more."""
    values = [one.value for one in trials if one.value is not None]
    best = max(values)
    return (
        f"{values.count(best)} of {len(values)} trials share the best mAP on validation, "
        f"{best:.4f}: more than {MOST_AT_BEST:.0%} (from {FEWEST} trials on). The validation split "
        "tells them apart no more, and what is best is chance. Take a larger or harder one (limit, "
        "val_fraction, another data set); or go on all the same: saturated=go_on"
    )


def _checked(num_lost: int) -> int:
    if num_lost >= _MOST_LOST_IN_A_ROW:
        raise CollisionError(
            f"{num_lost} workers were lost in a row, and no trial ended: is there too little "
            "memory? Give fewer workers (workers=1), or a smaller memory=GB."
        )
    return num_lost


def _why(signal_number: int | None) -> str:
    return "its command ended" if signal_number is None else f"stopped by signal {signal_number}"
