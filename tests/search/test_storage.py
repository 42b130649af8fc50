import json

import optuna
import pytest

from collision.errors import ConfigError
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


def test_the_lock_of_a_journal_leads_to_it_from_any_folder(tmp_path, monkeypatch):
    """A lock is a link; one that leads nowhere would never count as left behind."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "below").mkdir()
    storage = open_storage(None, (tmp_path / "below").relative_to(tmp_path))
    assert storage._backend._lock._lock_target_file == str(tmp_path / "below" / JOURNAL)
