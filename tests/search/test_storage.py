import json
import multiprocessing
import time

import optuna
import pytest

from collision.errors import ConfigError
from collision.search.journal import NamedLock, WholeLines
from collision.search.leases import owner_of
from collision.search.pareto import DIRECTIONS
from collision.search.places import check_storage
from collision.search.storage import JOURNAL, open_storage, open_study, study_there

MAP = [DIRECTIONS["map"]]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite:///a.db", "storage=sqlite:///a.db: give storage=postgresql://USER@HOST/DATABASE"),
        ("postgresql://me:secret@db/a", "holds a password"),
        ("postgresql://me@db/a?password=secret", "holds a password"),
        ("postgresql+psycopg://me:secret@db/a", "holds a password"),
        ("postgresql://[me", "that is no URL"),
        ("runs/a.log", "give storage=postgresql://"),
    ],
)
def test_what_is_no_place_is_refused_and_no_password_is_shown(url, said):
    with pytest.raises(ConfigError) as error:
        check_storage(url)
    assert said in str(error.value) and "secret" not in str(error.value)


def test_without_its_package_a_database_is_refused(monkeypatch):
    monkeypatch.setattr("collision.search.places.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"pip install 'dashcam-collision\[postgres\]'"):
        check_storage("postgresql://me@db/a")


@pytest.mark.parametrize(
    "url", ["postgresql://me@127.0.0.1:9/a", "postgres://me@127.0.0.1:9/a?connect_timeout=1"]
)
def test_a_server_that_is_not_there_is_a_sentence(url, tmp_path):
    with pytest.raises(ConfigError, match=r"127\.0\.0\.1:9/a cannot be used: .*Start the server"):
        open_storage(url, tmp_path)


def test_a_database_that_is_not_there_is_a_sentence(database, tmp_path):
    with pytest.raises(ConfigError, match='database "nothing" does not exist'):
        open_storage(database.replace("/postgres?", "/nothing?"), tmp_path)


def test_a_study_is_begun_once_and_keeps_its_objectives(storage, tmp_path):
    first = open_study(open_storage(storage, tmp_path), "objectives", MAP)
    again = open_study(open_storage(storage, tmp_path), "objectives", MAP)
    first.add_trial(optuna.trial.create_trial(value=0.5))
    assert len(again.trials) == 1
    with pytest.raises(ConfigError, match="begun with other objectives"):
        open_study(open_storage(storage, tmp_path), "objectives", [*MAP, DIRECTIONS["parameters"]])
    with pytest.raises(ConfigError, match=r"There is no search 'x'.*There are: .*objectives"):
        study_there(open_storage(storage, tmp_path), "x")


def test_a_journal_goes_on_after_half_a_line(tmp_path):
    study = open_study(open_storage(None, tmp_path), "a", MAP)
    study.add_trial(optuna.trial.create_trial(value=0.5))
    journal = tmp_path / JOURNAL
    whole = journal.read_bytes()
    journal.write_bytes(whole + whole.splitlines()[-1][:30])  # a writer was cut off
    again = open_study(open_storage(None, tmp_path), "a", MAP)
    assert len(again.trials) == 1
    again.add_trial(optuna.trial.create_trial(value=0.6))
    assert [one.value for one in study.trials] == [0.5, 0.6]
    assert all(json.loads(line) for line in journal.read_text().splitlines())
    assert [one.value for one in open_study(open_storage(None, tmp_path), "a", MAP).trials] == [
        0.5,
        0.6,
    ]


def lock_of(folder, holder):
    link = folder / f"{JOURNAL}.lock"
    link.symlink_to(holder)
    return link


def test_a_killed_writers_lock_keeps_nobody_waiting(tmp_path):
    study = open_study(open_storage(None, tmp_path), "a", MAP)
    link = lock_of(tmp_path, owner_of("0a", 2**22 + 1))  # no such process
    begun = time.monotonic()
    study.add_trial(optuna.trial.create_trial(value=0.5))
    assert len(study.trials) == 1 and not link.is_symlink()
    assert time.monotonic() - begun < 25  # Optuna's own waits for 30 s


def test_a_lock_of_another_machine_is_kept_for_its_grace(tmp_path):
    link = lock_of(tmp_path, "elsewhere:1:0a")
    lock = NamedLock(tmp_path / JOURNAL, grace=0.5)
    begun = time.monotonic()
    assert lock.acquire() and time.monotonic() - begun > 0.5
    assert str(link.readlink()) == lock._mine
    lock.release()
    assert not link.is_symlink()


def test_what_lives_keeps_its_lock_and_what_was_taken_away_is_not_given_back(tmp_path):
    first = NamedLock(tmp_path / JOURNAL)
    assert first.acquire()
    first._break("somebody:1:else")
    link = tmp_path / f"{JOURNAL}.lock"
    assert str(link.readlink()) == first._mine
    link.unlink()
    second = NamedLock(tmp_path / JOURNAL)
    second.acquire()
    first.release()
    assert str(link.readlink()) == second._mine


def test_writers_that_break_a_lock_together_write_whole_lines(tmp_path):
    journal = tmp_path / JOURNAL
    lock_of(tmp_path, owner_of("0a", 2**22 + 1))
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_write, args=(journal, n)) for n in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    rows = [json.loads(line) for line in journal.read_text().splitlines()]
    assert sorted((row["who"], row["n"]) for row in rows) == [
        (who, n) for who in range(4) for n in range(20)
    ]


def _write(journal, who):
    backend = WholeLines(journal)
    for n in range(20):
        backend.append_logs([{"who": who, "n": n}])
