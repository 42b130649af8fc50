"""Files are written whole, and one writer at a time, whatever the file system has."""

import errno
import fcntl
import os
import threading

import pytest

from collision import files
from collision.audit.check import CheckResult, _append, _read
from collision.commands._entry import guarded
from collision.features.digest import VideoDigests
from collision.files import locked

NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS)


@pytest.fixture(params=NO_LOCKS, ids=errno.errorcode.get)
def no_locks(request, monkeypatch):
    def flock(*_):
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", flock)


def test_without_locks_of_the_file_system_writers_still_take_turns(no_locks, tmp_path):
    path, inside, most = tmp_path / ".lock", [], []

    def write():
        with locked(path):
            inside.append(1)
            most.append(len(inside))
            inside.pop()

    threads = [threading.Thread(target=write) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 6
    assert not path.with_name(".lock.held").exists()


def test_the_cache_works_without_locks(no_locks, tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"video")
    digests = VideoDigests(tmp_path / "videos.json")
    digest = digests.digest(tmp_path / "a.mp4")
    digests.save()
    assert digest in next((tmp_path / "videos").glob("*.jsonl")).read_text()
    _append(tmp_path / "checks.csv", digest, CheckResult("torn"))
    assert _read(tmp_path / "checks.csv") == {digest: CheckResult("torn")}


def test_a_lock_that_nobody_gives_back_is_a_sentence(tmp_path, monkeypatch, capsys):
    def flock(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    monkeypatch.setattr(files, "_LONGEST_WAIT", 0.1)

    def work():
        with locked(tmp_path / ".lock"), locked(tmp_path / ".lock"):
            return 0

    assert guarded(work) == 2
    assert "delete it if none is running" in (said := capsys.readouterr().err)
    assert ".lock.held" in said


@pytest.mark.parametrize(
    "number", [errno.ESTALE, errno.EBUSY, errno.EDQUOT, errno.ENODEV, errno.EMFILE, *NO_LOCKS]
)
def test_what_disks_and_mounts_say_is_a_sentence(number, capsys):
    def work():
        raise OSError(number, os.strerror(number), "/mnt/x")

    assert guarded(work) == 2
    assert f"error: {os.strerror(number)} (/mnt/x)." in capsys.readouterr().err
