"""Trials are given out once, come back once, and are not lost, whoever ends when."""

import itertools
import time

import pytest
from optuna.trial import TrialState

from collision.config import part
from collision.search.desk import Caretaker, Desk, Job, Outcome, Terms, num_asked
from collision.search.leases import Pulse, Watch, fail, has_ended, new_token, note, owner_of
from collision.search.pareto import DIRECTIONS
from collision.search.proposing import Quest
from collision.search.reading import (
    EXPERIMENT,
    OWNER,
    RETRY_OF,
    SEED,
    SEEN,
    STAGE,
    VOID,
    failures,
    trials_of,
)
from collision.search.storage import open_storage, open_study
from tests.kit.search import CELLS, SPACE

COUNT = itertools.count()
TOKEN = "0a"
OUTCOME = Outcome([0.7], 5, 9.0, 1.0, 0.1)


class Place:
    """A study, seen by several workers, each with its own connection."""

    def __init__(self, folder, storage, space=SPACE, **terms):
        self.folder, self.storage, self.space = folder, storage, space
        self.name = f"study{next(COUNT)}"
        self.terms = Terms(**{"budget": 20, "lease": 30, "proposer": "random", **terms})
        self.clock = 0.0
        self._own = None

    def opened(self):
        directions = [DIRECTIONS["map"]]
        return open_study(open_storage(self.storage, self.folder), self.name, directions)

    def study(self):
        self._own = self._own or self.opened()
        return self._own

    def desk(self, number=0, token=TOKEN):
        study = self.opened()
        quest = Quest(self.space, study.directions, 0, number, self.folder)
        study.sampler = part("policy", "random").build().sampler(quest)
        pulse = Pulse(study, self.terms.lease)
        return Desk(study, self.space, self.terms, owner_of(token), pulse)

    def caretaker(self, token=TOKEN):
        return Caretaker(self.opened(), self.terms, token, lambda: self.clock)

    def trials(self):
        return trials_of(self.study(), self.space)

    def frozen(self):
        return self.study().get_trials()


@pytest.fixture
def place(tmp_path, storage):
    return Place(tmp_path, storage)


@pytest.fixture
def journal(tmp_path):
    return Place(tmp_path, None)


def test_a_trial_is_leased_trained_and_told(place):
    desk = place.desk()
    job = desk.ask()
    (trial,) = place.trials()
    assert trial.state == "running" and trial.owner == owner_of(TOKEN)
    assert trial.experiment == job.point.key and trial.seed == job.seed == 0
    assert trial.stage == "search" and trial.proposer == "random"
    assert desk.bring(job, OUTCOME)
    (trial,) = place.trials()
    assert (trial.state, trial.value, trial.num_parameters) == ("done", 0.7, 5)
    assert (trial.windows_per_second, trial.seconds, trial.overhead) == (9.0, 1.0, 0.1)
    assert trial.started <= trial.ended and trial.point == job.point


def test_a_lost_lease_is_told_and_asked_again_once(place):
    lost = place.desk().ask()
    note(place.study(), lost.trial_id, OWNER, "elsewhere:1:0b")  # not to be told by its process
    first, second = place.caretaker(), place.caretaker("0c")
    for caretaker in (first, second):
        caretaker.look_after()
    assert [one.state for one in place.trials()] == ["running"]
    place.clock = 29
    first.look_after()
    assert [one.state for one in place.trials()] == ["running"]
    place.clock = 31
    for caretaker in (first, second, first):
        caretaker.look_after()
    failed, again = place.trials()
    assert (failed.state, failed.cause) == ("failed", "its worker is gone")
    assert (again.state, again.retry_of) == ("waiting", failed.number)
    assert (again.point, again.seed, again.stage) == (failed.point, failed.seed, failed.stage)
    job = place.desk().take()
    assert (job.number, job.point, job.seed) == (again.number, lost.point, lost.seed)
    assert place.desk().take() is None


def test_signs_of_life_keep_a_lease(journal):
    study, desk, clock = journal.study(), journal.desk(), [0.0]
    desk._pulse = Pulse(study, 0.1)
    watch = Watch(30, lambda: clock[0])
    with desk._pulse:
        job = desk.ask()
        note(study, job.trial_id, OWNER, "elsewhere:1:0b")
        assert not watch.lost(study.get_trials())
        for _ in range(3):
            clock[0] += 20
            before = study.get_trials()[0].user_attrs[SEEN]
            end = time.monotonic() + 60
            while study.get_trials()[0].user_attrs[SEEN] == before:
                assert time.monotonic() < end, "no sign of life"
                time.sleep(0.01)
            assert not watch.lost(study.get_trials())
    clock[0] += 20
    watch.lost(study.get_trials())  # one may have come since
    clock[0] += 31
    assert len(watch.lost(study.get_trials())) == 1
    assert desk.failed(job, "no room")


def test_a_process_of_this_machine_is_known_to_be_gone_at_once(journal):
    job = journal.desk().ask()
    assert not has_ended(owner_of(TOKEN))
    note(journal.study(), job.trial_id, OWNER, owner_of(TOKEN, 2**22 + 1))  # no such process
    journal.caretaker().look_after()
    assert [one.state for one in journal.trials()] == ["failed", "waiting"]


def test_whoever_tells_first_tells(place):
    """A worker that was taken for gone comes back, and its result is dropped."""
    desk = place.desk()
    job = desk.ask()
    assert fail(place.study(), job.trial_id, "its worker is gone")
    assert not desk.bring(job, OUTCOME) and not desk.failed(job, "late")
    assert [(one.state, one.cause) for one in place.trials()] == [("failed", "its worker is gone")]
    other = place.desk()
    job = other.ask()
    assert other.bring(job, OUTCOME)
    assert not fail(place.study(), job.trial_id, "its worker is gone")
    assert place.trials()[1].state == "done"


def test_a_caretaker_that_ends_in_between_loses_nothing(place):
    job = place.desk().ask()
    fail(place.study(), job.trial_id, "its worker is gone")  # and then it is gone itself
    place.caretaker().look_after()
    assert [one.retry_of for one in place.trials()] == [None, 0]


def test_two_that_put_down_the_same_at_the_same_moment_give_one_trial(place):
    job = place.desk().ask()
    fail(place.study(), job.trial_id, "its worker is gone")
    frozen = place.frozen()[0]
    for caretaker in (place.caretaker(), place.caretaker("0c")):
        caretaker._repeat(frozen)  # neither has seen the other's
    assert [one.state for one in place.frozen()] == [TrialState.FAIL] + 2 * [TrialState.WAITING]
    taken = [one for one in (place.desk().take(), place.desk().take()) if one]
    assert [one.number for one in taken] == [1]
    assert VOID in place.frozen()[2].user_attrs
    assert [(one.number, one.state) for one in place.trials()] == [(0, "failed"), (1, "running")]
    place.caretaker().look_after()
    assert len(place.frozen()) == 3


def test_one_of_two_takes_a_waiting_trial(place):
    job = place.desk().ask()
    fail(place.study(), job.trial_id, "its worker is gone")
    place.caretaker().look_after()
    waiting = place.frozen()[1]
    one, other = place.desk(), place.desk()
    trials = place.frozen()
    taken = [desk._taken(waiting, trials) for desk in (one, other)]  # both saw it waiting
    assert isinstance(taken[0], Job) and taken[1] is None


def test_a_waiting_trial_that_optuna_gives_out_keeps_its_point(journal):
    job = journal.desk().ask()
    fail(journal.study(), job.trial_id, "its worker is gone")
    journal.caretaker().look_after()
    again = journal.desk(1).ask()
    assert (again.number, again.point, again.seed) == (1, job.point, job.seed)
    assert len(journal.frozen()) == 2


@pytest.mark.parametrize(("kind", "trials"), [("error", 3), ("refused", 1), ("gone", 4)])
def test_how_often_a_trial_is_repeated_hangs_on_why_it_failed(journal, kind, trials):
    journal.terms = Terms(budget=20, lease=30, retries=2)
    desk, caretaker = journal.desk(), journal.caretaker()
    job = desk.ask()
    for _ in range(10):
        if job is None:
            break
        desk.failed(job, "why", kind)
        caretaker.look_after()
        job = desk.take()
    found = journal.trials()
    assert len(found) == trials and {one.state for one in found} == {"failed"}
    assert {one.lost for one in found} == {kind == "gone"}
    assert sum(failures(found).values()) == (1 if kind == "gone" else trials)
    assert num_asked(journal.frozen()) == 1


def test_what_is_stopped_comes_again_as_often_as_it_is_stopped(journal):
    desk, caretaker = journal.desk(), journal.caretaker()
    job = desk.ask()
    for _ in range(6):
        caretaker.forsake([owner_of(TOKEN)], "stopped by signal 15", "stopped")
        caretaker.look_after()
        again = desk.take()
        assert again.point == job.point and again.seed == job.seed


def test_another_commands_failure_is_left_to_it_for_a_while(journal):
    desk = journal.desk()
    desk.failed(desk.ask(), "no room")
    other = journal.caretaker("0c")
    other.look_after()
    assert len(journal.trials()) == 1
    journal.clock = 6
    other.look_after()
    assert len(journal.trials()) == 2


def test_a_trial_lost_before_its_point_was_settled_does_not_count(journal):
    study = journal.study()
    journal.caretaker()
    trial = study.ask()
    note(study, trial._trial_id, OWNER, owner_of(TOKEN, 2**22 + 1))
    note(study, trial._trial_id, EXPERIMENT, "half")
    journal.caretaker().look_after()
    assert num_asked(journal.frozen()) == 0 and journal.trials() == []
    assert [one.state for one in journal.frozen()] == [TrialState.FAIL]


def test_the_budget_counts_what_was_asked_by_its_place(place):
    place.terms = Terms(budget=2, lease=30)
    desk = place.desk()
    assert desk.ask() and desk.ask() and desk.ask() is None
    assert len(place.frozen()) == 2


def test_a_trial_beyond_the_budget_is_void(journal, monkeypatch):
    journal.terms = Terms(budget=1, lease=30)
    desk, late = journal.desk(), journal.desk(1)
    counts = iter([0, 1])  # it looks, another asks, then it asks
    monkeypatch.setattr("collision.search.desk.num_asked", lambda _: next(counts))
    assert late.ask() is None
    assert VOID in journal.frozen()[0].user_attrs
    monkeypatch.undo()
    assert desk.ask() is not None and len(journal.trials()) == 1


def test_a_cell_that_comes_again_gets_the_next_seed(place):
    place.space, place.terms = CELLS, Terms(budget=40, lease=30, seed=3)
    desk = place.desk()
    for _ in range(12):
        desk.bring(desk.ask(), OUTCOME)
    of_cell = {}
    for trial in place.trials():
        of_cell.setdefault(trial.experiment, []).append(trial.seed)
    assert len(of_cell) == 4
    assert all(seeds == list(range(3, 3 + len(seeds))) for seeds in of_cell.values())


def test_two_that_take_the_same_seed_part(journal, monkeypatch):
    journal.space = CELLS
    first = journal.desk().ask()
    desk = journal.desk(1)
    trial = desk.study.ask()
    real, calls = desk._seeds, []

    def blind(cell, but):
        calls.append(cell)
        return {} if len(calls) == 1 else real(cell, but)

    monkeypatch.setattr(desk, "_seeds", blind)
    seed = desk._claim_seed(trial, first.point)
    assert seed != first.seed and journal.frozen()[1].user_attrs[SEED] == seed and len(calls) == 3


def test_a_policy_that_fails_leaves_no_trial_behind(journal, monkeypatch):
    desk = journal.desk()

    def refuse(*_, **__):
        raise RuntimeError("a mistake")

    monkeypatch.setattr(desk.study.sampler, "sample_independent", refuse)
    with pytest.raises(RuntimeError):
        desk.ask()
    assert journal.trials() == [] and num_asked(journal.frozen()) == 0


def test_only_what_was_put_down_says_what_it_repeats(journal):
    assert new_token() != new_token()
    job = journal.desk().ask()
    noted = journal.frozen()[0].user_attrs
    assert RETRY_OF not in noted and noted[STAGE] == "search" and noted[SEED] == job.seed
