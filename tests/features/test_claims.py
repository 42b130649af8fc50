"""Several processes on one cache: who works on what, and what happens to the work of the dead."""

import json
import multiprocessing
import os
import signal
import time

import numpy as np
import pytest

from collision.features.claims import Claims
from collision.features.digest import VideoDigests
from tests.kit.backbone import TinyBackbone
from tests.kit.extraction import END_TIMES, Job, open_store, requests_of, run, write_videos

_FORK = multiprocessing.get_context("fork")


def age(folder, part, seconds):
    file = folder / f"{part}.json"
    then = time.time() - seconds
    os.utime(file, (then, then))


def elsewhere(folder, part):
    """Let a process of another machine have a part."""
    (folder / f"{part}.json").write_text(json.dumps({"owner": "elsewhere:1:ff"}))


def test_a_part_is_of_one_process_until_it_gives_it_back(tmp_path):
    with Claims(tmp_path) as one, Claims(tmp_path) as other:
        assert one.take("abc") and one.take("abc") and not other.take("abc")
        assert other.take("abd")
        one.release("abc")
        assert other.take("abc") and not one.take("abc")
        one.release("abc")  # it is not its own any more
        assert not one.take("abc")
    assert not [path for path in tmp_path.iterdir() if path.name != ".lock"]


def test_a_lease_runs_out_unless_its_owner_is_heard_of(tmp_path):
    with Claims(tmp_path, lease=60) as here:
        elsewhere(tmp_path, "abc")
        assert not here.take("abc")
        age(tmp_path, "abc", 61)
        assert here.take("abc")
    with Claims(tmp_path, lease=0.6) as here:
        assert here.take("abd")
        age(tmp_path, "abd", 3600)
        deadline = time.monotonic() + 30
        while time.time() - (tmp_path / "abd.json").stat().st_mtime > 60:
            assert time.monotonic() < deadline, "no sign of life"
            time.sleep(0.02)


def test_who_has_ended_on_this_machine_has_no_lease(tmp_path):
    def take_and_die():
        Claims(tmp_path).take("abc")
        os.kill(os.getpid(), signal.SIGKILL)

    child = _FORK.Process(target=take_and_die)
    child.start()
    child.join()
    assert (tmp_path / "abc.json").exists()
    with Claims(tmp_path) as here:
        assert here.take("abc")


@pytest.mark.parametrize("text", ["", "[]", '{"owner": 3}', "{"])
def test_a_damaged_claim_is_one_of_nobody_known(tmp_path, text):
    (tmp_path / "abc.json").write_text(text)
    with Claims(tmp_path, lease=60) as here:
        assert not here.take("abc")  # its owner may be writing it
        age(tmp_path, "abc", 61)
        assert here.take("abc")


@pytest.fixture
def folder(tmp_path):
    write_videos(tmp_path, 4)
    return tmp_path


def features(folder):
    backbone = TinyBackbone()
    store, digests = open_store(folder, backbone), VideoDigests(folder / "none.json")
    return [store.read(digests.digest(r.path), END_TIMES)[0] for r in requests_of(folder)]


def test_two_processes_share_the_work_and_neither_does_it_twice(folder):
    jobs = [Job(folder, 0.1), Job(folder, 0.1)]
    reports = [job.finish()[1] for job in jobs]
    assert sum(report.num_windows for report in reports) == 4 * 9
    assert all(report.num_windows + report.num_reused >= 4 * 9 for report in reports)
    run(folder, TinyBackbone(), (), num_workers=0)
    for found in features(folder):
        assert np.isfinite(found).all()


def test_what_a_killed_process_had_is_done_by_the_others(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("alone")
    write_videos(other, 4)
    run(other, TinyBackbone())
    killed = Job(folder, 60)
    killed.wait_for_forwards(1)
    slow, quick = Job(folder, 0.2), Job(folder, 0.01)
    killed.kill()
    reports = [job.finish()[1] for job in (slow, quick)]
    assert sum(report.num_windows for report in reports) == 4 * 9
    for found, wanted in zip(features(folder), features(other), strict=True):
        np.testing.assert_array_equal(found, wanted)
