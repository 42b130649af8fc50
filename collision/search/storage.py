"""Where a search keeps its trials: a journal in its folder, or a PostgreSQL for many machines."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import optuna
from optuna.samplers import BaseSampler, RandomSampler
from optuna.storages import BaseStorage, JournalStorage
from optuna.study import StudyDirection

from collision.errors import ConfigError
from collision.search.journal import WholeLines
from collision.search.places import EXAMPLE, check_storage, shown

JOURNAL = "journal.log"
_ATTEMPTS = 5  # two nodes may lay out an empty database at the same moment
_PATIENCE = 10  # s, until a server counts as not there


def open_storage(storage: str | None, folder: Path) -> BaseStorage:
    """Open the place of the study: ``storage``, or the journal in the search's folder.

    ConfigError: As ``check_storage``; or no server answers there, or refuses.
    """
    check_storage(storage)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    if storage is None:
        return JournalStorage(WholeLines((folder / JOURNAL).resolve()))
    return _database(storage)


def _database(storage: str) -> BaseStorage:
    from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

    url = f"postgresql+psycopg://{storage.partition('://')[2]}"
    how = {"pool_pre_ping": True, "connect_args": {"connect_timeout": _PATIENCE}}
    logging.getLogger("alembic").setLevel(logging.ERROR)
    for attempt in range(_ATTEMPTS):
        try:
            return optuna.storages.RDBStorage(url, engine_kwargs=how)
        except ArgumentError:
            raise ConfigError(
                f"storage={shown(storage)}: that is no URL of a database. Give {EXAMPLE}."
            ) from None
        except (DBAPIError, SQLAlchemyError, RuntimeError) as error:
            reason = " ".join(str(getattr(error, "orig", error)).split())
            is_there = not _is_unreachable(error)
            if is_there and attempt + 1 < _ATTEMPTS:
                time.sleep(0.2 * 2**attempt)
                continue
            raise ConfigError(
                f"storage={shown(storage)} cannot be used: {reason[:300]} Start the server, or "
                "mend host, port, user or database; a password comes from PGPASSWORD or ~/.pgpass."
            ) from None
    raise AssertionError("every attempt ends")


def close_storage(storage: BaseStorage) -> None:
    """Give connections back: a process that is forked must not share them."""
    if isinstance(storage, optuna.storages.RDBStorage):
        storage.scoped_session.remove()
        storage.engine.dispose()


def lost(error: Exception) -> str:
    """Say that the storage answers no more, if that is what an error is about; else nothing."""
    is_of_database = type(error).__module__.partition(".")[0] in ("sqlalchemy", "psycopg")
    if not (is_of_database or isinstance(error, optuna.exceptions.StorageInternalError)):
        return ""
    reason = " ".join(str(error.__cause__ or error).split())[:300]
    return (
        f"The search's storage does not answer any more: {reason} The same command goes on once it "
        "does; trials in flight come again."
    )


def _is_unreachable(error: Exception) -> bool:
    from sqlalchemy.exc import OperationalError

    return isinstance(error, OperationalError)


def open_study(
    storage: BaseStorage,
    name: str,
    directions: Sequence[StudyDirection],
    sampler: BaseSampler | None = None,
) -> optuna.Study:
    """Open a study, or begin it.

    ConfigError: It is there, with other objectives.
    """
    with suppress(KeyError):
        study = optuna.load_study(
            study_name=name, storage=storage, sampler=sampler or RandomSampler()
        )
        if list(study.directions) != list(directions):
            raise ConfigError(
                f"The search {name!r} was begun with other objectives. Give it those, or another "
                "name."
            )
        return study
    return optuna.create_study(
        study_name=name,
        storage=storage,
        directions=list(directions),
        sampler=sampler or RandomSampler(),
        load_if_exists=True,
    )


def study_there(storage: BaseStorage, name: str) -> optuna.Study:
    """Open a study that was begun; ConfigError: there is none."""
    try:
        return optuna.load_study(study_name=name, storage=storage, sampler=RandomSampler())
    except KeyError:
        there = ", ".join(sorted(optuna.get_all_study_names(storage))) or "none"
        raise ConfigError(
            f"There is no search {name!r} in this storage. There are: {there}."
        ) from (None)
