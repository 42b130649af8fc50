"""Which URL is a place for a study; told without loading what opens it."""

from __future__ import annotations

from importlib.util import find_spec
from urllib.parse import parse_qs, urlsplit

from collision.errors import ConfigError

_SCHEMES = ("postgresql", "postgres")
EXAMPLE = "storage=postgresql://USER@HOST/DATABASE"


def check_storage(storage: str | None) -> None:
    """Refuse what is no place for a study, or holds a password; nothing is opened."""
    if storage is None:
        return
    try:
        parts = urlsplit(storage)
        password, query = parts.password, parse_qs(parts.query)
    except ValueError:
        raise ConfigError(f"storage: that is no URL. Give {EXAMPLE}, or leave it out.") from None
    if parts.scheme.partition("+")[0] not in _SCHEMES:
        raise ConfigError(
            f"storage={shown(storage)}: give {EXAMPLE}, or leave it out for a file in the search's "
            "folder."
        )
    if password or "password" in query:
        raise ConfigError(
            f"storage={shown(storage)} holds a password, which would lie open in files and lists "
            "of processes. Leave it out, and give it by PGPASSWORD or in ~/.pgpass."
        )
    if find_spec("psycopg") is None:
        raise ConfigError(
            "storage=postgresql://...: psycopg is not installed. "
            "pip install 'dashcam-collision[postgres]'"
        )


def shown(storage: str) -> str:
    """Give a URL without a password."""
    head, separator, rest = storage.partition("://")
    user, at, place = rest.rpartition("@")
    return f"{head}{separator}{user.partition(':')[0]}{at}{place.partition('?')[0]}"
