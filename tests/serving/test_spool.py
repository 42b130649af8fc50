"""What visitors send is gone when the page is, also after it was killed."""

import os
import signal
import subprocess
import sys
import tempfile
import time

import pytest

from collision.serving.spool import remove_left, spool
from tests.conftest import ROOT

HOLD = """
from collision.serving.spool import spool
with spool() as folder:
    print(folder, flush=True)
    input()
"""


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_it_is_private_and_removed(place):
    with spool() as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "clip.mp4").write_bytes(b"x")
        assert folder.parent == place and folder.stat().st_mode & 0o777 == 0o700
        assert remove_left(place) == []  # it is in use
    assert not list(place.iterdir())


def test_that_of_a_killed_page_is_removed_by_the_next(place):
    env = {**os.environ, "TMPDIR": str(place), "PYTHONPATH": str(ROOT)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    page = subprocess.Popen([sys.executable, "-c", HOLD], env=env, **pipes)
    folder = place / page.stdout.readline().strip()
    (folder / "clip.mp4").write_bytes(b"x")
    assert remove_left(place) == [] and folder.exists()
    page.send_signal(signal.SIGKILL)
    page.communicate()
    with spool():
        assert not folder.exists()


def test_links_strangers_and_folders_in_the_making_stay(place):
    kept = place / "kept"
    kept.mkdir()
    (kept / "lock").touch()
    (place / "collision-serve-link").symlink_to(kept)
    young, old = place / "collision-serve-young", place / "collision-serve-old"
    young.mkdir()
    old.mkdir()
    os.utime(old, (time.time() - 7200,) * 2)
    assert remove_left(place) == [old]
    assert kept.exists() and young.exists()
