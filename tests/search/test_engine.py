"""Whole searches by made-up trainers: budget, failures, kills, several commands, what is best."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
from optuna.exceptions import StorageInternalError

from collision.config import part
from collision.errors import CollisionError, ConfigError
from collision.features.claims import is_running
from collision.search.desk import Caretaker, Terms
from collision.search.engine import Engine, Plan, Saturated
from collision.search.pareto import DIRECTIONS
from collision.search.reading import trials_of
from collision.search.storage import open_storage, open_study
from tests.conftest import ROOT
from tests.kit.search import CELLS, SPACE, Made, orders, searched

LONG = 120  # s: what is waited for comes long before, also on a busy machine


def trained(folder):
    """List what trainers began with: number, cell, seed, process."""
    lines = (folder / "trained.txt").read_text().splitlines()
    return [tuple(line.split()) for line in lines]


def until(condition, what):
    end = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def test_a_search_asks_its_budget_and_confirms_the_best(tmp_path):
    ending = searched(tmp_path, Made(tmp_path), Plan(2, confirm=2, confirm_seeds=3))
    stages = Counter(one.stage for one in ending.trials)
    assert stages == {"search": 8, "confirm": 6} and not ending.others_go_on
    assert {one.state for one in ending.trials} == {"done"}
    search = [one for one in ending.trials if one.stage == "search"]
    ranked = sorted(search, key=lambda one: one.value)
    # The last of a key stays: of each cell its best.
    of_cells = {tuple(one.point.cell.values()): one for one in ranked}.values()
    best = sorted(of_cells, key=lambda one: -one.value)[:2]
    confirm = [one for one in ending.trials if one.stage == "confirm"]
    assert {one.experiment for one in confirm} == {one.experiment for one in best}
    assert Counter(one.seed for one in confirm) == {1: 2, 2: 2, 3: 2}
    assert all(one.parents[0] in {best[0].number, best[1].number} for one in confirm)
    # Every one was trained once, as it was asked.
    assert len(trained(tmp_path)) == 14
    assert {(n, cell, seed) for n, cell, seed, _ in trained(tmp_path)} == {
        (str(one.number), one.experiment, str(one.seed)) for one in ending.trials
    }
    # Again, nothing is left to do; with a larger budget it goes on.
    assert len(searched(tmp_path, Made(tmp_path), Plan(2, confirm=2)).trials) == 14
    more = searched(tmp_path, Made(tmp_path), Plan(2, confirm=0), terms=Terms(budget=10))
    assert len(more.trials) == 16


def test_failures_are_told_with_their_cause_and_end_nothing(tmp_path):
    made = Made(tmp_path, fails=(1,), refused=(3,), dies=(5,))
    ending = searched(tmp_path, made)
    causes = {one.cause: one.number for one in ending.trials if one.state == "failed"}
    gone = next(cause for cause in causes if cause.startswith("its worker is gone"))
    assert set(causes) == {"MemoryError: no room", "this cannot be", gone}
    again = {one.retry_of: one for one in ending.trials if one.retry_of is not None}
    assert set(again) == {causes["MemoryError: no room"], causes[gone]}
    assert all(one.state == "done" for one in again.values())
    search = [one for one in ending.trials if one.retry_of is None]
    assert len(search) == 8
    number = {one.number: one for one in ending.trials}
    assert all(one.point == number[old].point for old, one in again.items())
    assert all(one.seed == number[old].seed for old, one in again.items())


def test_a_search_ends_after_its_hours(tmp_path):
    made = Made(tmp_path, seconds=0.1)
    terms, plan = Terms(budget=None), Plan(2, hours=1e-4, confirm=1, confirm_seeds=2)
    ending = searched(tmp_path, made, plan, terms=terms)
    stages = Counter(one.stage for one in ending.trials)
    assert stages["confirm"] == 2 and {one.state for one in ending.trials} == {"done"}


def test_it_stops_where_validation_tells_nothing_apart_any_more(tmp_path):
    made, most = Made(tmp_path, same=True), Terms(budget=2000)  # looked at long before
    with pytest.raises(Saturated, match=r"of \d+ trials share the best mAP .* 0\.9900.*go_on"):
        searched(tmp_path, made, terms=most)
    assert 40 <= len(trained(tmp_path)) < 2000


def test_it_can_be_told_to_go_on_all_the_same(tmp_path):
    made, terms = Made(tmp_path, same=True), Terms(budget=60)
    plan = Plan(2, confirm=0, stop_saturated=False)
    ending = searched(tmp_path, made, plan, terms=terms)
    assert sum(one.state == "done" for one in ending.trials) == 60


def test_several_objectives_are_told(tmp_path):
    directions = [DIRECTIONS["map"], DIRECTIONS["parameters"]]
    ending = searched(
        tmp_path,
        Made(tmp_path, num_objectives=2),
        directions=directions,
        policy=part("policy", "tpe"),
    )
    assert len(ending.trials) == 8 and all(one.num_parameters == 100 for one in ending.trials)
    study = open_study(open_storage(None, tmp_path), "a", directions)
    told = [one.values for one in study.trials if one.values]  # a void one has none
    assert len(told) == 8 and {values[1] for values in told} <= {100.0, 200.0}


def test_cells_that_come_again_are_seeds_of_a_cell(tmp_path):
    ending = searched(tmp_path, Made(tmp_path), space=CELLS, terms=Terms(budget=16))
    pairs = [(one.experiment, one.seed) for one in ending.trials]
    assert len(set(pairs)) == 16 and len({cell for cell, _ in pairs}) <= 4


class Refusing:
    def sampler(self, quest):
        raise ConfigError("this policy knows one objective alone")


class Faulty:
    def sampler(self, quest):
        raise KeyError("a mistake")


def test_a_policy_that_cannot_work_ends_the_search_with_its_sentence(tmp_path):
    with pytest.raises(CollisionError, match="this policy knows one objective alone"):
        searched(tmp_path, Made(tmp_path), policy=Refusing())
    with pytest.raises(RuntimeError, match="KeyError: 'a mistake'"):
        searched(tmp_path, Made(tmp_path), policy=Faulty())


def test_to_wait_for_the_storage_is_no_reason_to_rest(tmp_path, monkeypatch):
    """It rests by what it worked: a lock that took long once made it sleep nine times as long."""
    rests = []

    def rest(seconds):
        rests.append(seconds)
        time.sleep(0.05)

    clock = SimpleNamespace(monotonic=time.monotonic, process_time=time.process_time, sleep=rest)
    monkeypatch.setattr("collision.search.engine.time", clock)
    look_after = Caretaker.look_after
    monkeypatch.setattr(Caretaker, "look_after", lambda one: (time.sleep(0.6), look_after(one)))
    searched(tmp_path, Made(tmp_path, seconds=2), terms=Terms(budget=1))
    assert rests and max(rests) < 4


class Cut:
    def sampler(self, quest):
        raise StorageInternalError("an exception in the backend") from OSError("server closed")


def test_a_storage_that_is_gone_is_a_sentence(tmp_path, monkeypatch):
    with pytest.raises(CollisionError, match=r"storage does not answer any more: server closed"):
        searched(tmp_path, Made(tmp_path), policy=Cut())

    def closed(*_):
        raise StorageInternalError("server closed")

    monkeypatch.setattr("collision.search.engine.to_repeat", closed)
    monkeypatch.setattr("collision.search.desk.Caretaker.look_after", closed)
    with pytest.raises(CollisionError, match="The same command goes on"):
        searched(tmp_path, Made(tmp_path), name="b")


def test_another_search_is_not_gone_on_with(tmp_path):
    plan = Plan(1, confirm=0, lasting={"head": "gru", "limit": None})
    searched(tmp_path, Made(tmp_path), plan, terms=Terms(budget=1))
    other = Plan(1, confirm=0, lasting={"head": "tcn", "limit": None})
    with pytest.raises(ConfigError, match=r"other options or another version \(head\)"):
        searched(tmp_path, Made(tmp_path), other, terms=Terms(budget=2))


def test_spawned_workers_do_the_same(tmp_path):
    """As on a machine with a GPU, whose processes cannot be forked."""
    engine = Engine(
        orders(tmp_path, Made(tmp_path), terms=Terms(budget=2)), Plan(1, confirm=0), has_gpu=True
    )
    assert [one.state for one in engine.run().trials] == ["done", "done"]


PROGRAM = """
import sys
from pathlib import Path
from collision.errors import CollisionError
from collision.search.desk import Terms
from collision.search.engine import Plan
from tests.kit.search import Made, searched
folder, storage, name, budget, seconds, gate = sys.argv[1:]
folder = Path(folder)
try:
    made = Made(folder, seconds=float(seconds), gate=gate)
    searched(folder, made, Plan(2, confirm=2, confirm_seeds=2),
             storage=storage or None, name=name, terms=Terms(budget=int(budget), lease=5))
except CollisionError as error:
    print(error)
    sys.exit(error.exit_code)
"""


def command(folder, storage, name, budget, seconds=0.0, gate=""):
    arguments = [str(folder), storage or "", name, str(budget), str(seconds), gate]
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def found(folder, storage, name):
    study = open_study(open_storage(storage, folder), name, [DIRECTIONS["map"]])
    return trials_of(study, SPACE)


def check_nothing_lost(trials, budget):
    """Every point that was asked has one score, and nothing is there twice."""
    done = [one for one in trials if one.state == "done"]
    pairs = [(one.experiment, one.seed) for one in done]
    assert len(set(pairs)) == len(pairs)
    assert sum(one.stage == "search" for one in done) == budget
    assert sum(one.stage == "confirm" for one in done) == 4
    asked = [one for one in trials if one.stage == "search" and one.retry_of is None]
    assert len(asked) == budget
    assert {one.state for one in trials} <= {"done", "failed"}
    repeated = [one.retry_of for one in trials if one.retry_of is not None]
    assert len(set(repeated)) == len(repeated)
    assert set(repeated) == {one.number for one in trials if one.state == "failed"}


def workers_of(folder, process):
    """List the workers of a command that have begun to train."""
    found = []
    for worker in {line[3] for line in trained(folder)}:
        with contextlib.suppress(OSError):
            stat = Path(f"/proc/{worker}/stat").read_text()
            if int(stat.rpartition(")")[2].split()[1]) == process.pid:
                found.append(int(worker))
    return found


def test_a_command_and_a_worker_are_killed_and_nothing_is_lost(tmp_path, storage):
    """Two commands, as on two machines; one is killed whole, the other loses a worker."""
    (tmp_path / "trained.txt").touch()
    both = [command(tmp_path, storage, "kill", 14, gate="open") for _ in range(2)]
    until(lambda: all(len(workers_of(tmp_path, one)) == 2 for one in both), "nothing is trained")
    first, second = both
    lost, orphans = workers_of(tmp_path, second)[0], workers_of(tmp_path, first)
    first.kill()
    os.kill(lost, signal.SIGKILL)
    first.communicate()
    until(lambda: not any(is_running(str(one)) for one in orphans), "workers outlive their parent")
    (tmp_path / "open").touch()
    output, _ = second.communicate(timeout=LONG)
    assert second.returncode == 0, output
    trials = found(tmp_path, storage, "kill")
    check_nothing_lost(trials, 14)
    causes = [one.cause for one in trials if one.state == "failed"]
    assert len(causes) == 3 and all("its worker is gone" in cause for cause in causes)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_good_order_and_the_same_command_goes_on(tmp_path, number):
    process = command(tmp_path, None, "stop", 6, seconds=3)
    log = tmp_path / "trained.txt"
    until(lambda: log.exists() and len(trained(tmp_path)) == 2, "nothing is trained")
    process.send_signal(number)
    output, _ = process.communicate(timeout=LONG)
    assert process.returncode == 128 + number, output
    assert "what was finished is kept" in output
    workers = {int(line[3]) for line in trained(tmp_path)}
    until(lambda: not any(is_running(str(one)) for one in workers), "workers are left")
    trials = found(tmp_path, None, "stop")
    assert [one.state for one in trials] == ["failed", "failed", "waiting", "waiting"]
    assert {one.cause for one in trials} - {""} == {f"stopped by signal {int(number)}"}
    again = command(tmp_path, None, "stop", 6, seconds=0)
    output, _ = again.communicate(timeout=LONG)
    assert again.returncode == 0, output
    check_nothing_lost(found(tmp_path, None, "stop"), 6)


def test_workers_end_with_their_parent(tmp_path):
    process = command(tmp_path, None, "orphans", 6, seconds=60)
    log = tmp_path / "trained.txt"
    until(lambda: log.exists() and len(trained(tmp_path)) == 2, "nothing is trained")
    process.kill()
    process.communicate()
    workers = {int(line[3]) for line in trained(tmp_path)}
    until(lambda: not any(is_running(str(one)) for one in workers), "orphans")
