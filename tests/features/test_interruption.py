"""Signals, in a real process: what a scheduler, a user and the kernel do to a long job."""

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from collision.features.digest import VideoDigests
from collision.features.interruption import OutOfTime, StopSignals
from tests.kit.backbone import TinyBackbone
from tests.kit.extraction import END_TIMES, Job, open_store, requests_of, run, write_videos


@pytest.fixture
def folder(tmp_path):
    write_videos(tmp_path, 4)
    return tmp_path


def features(folder):
    backbone = TinyBackbone()
    store, digests = open_store(folder, backbone), VideoDigests(folder / "none.json")
    return [store.read(digests.digest(r.path), r.end_times)[0] for r in requests_of(folder)]


def stored_windows(folder):
    store, digests = open_store(folder, TinyBackbone()), VideoDigests(folder / "none.json")
    return [
        len(END_TIMES) - len(store.missing(digests.digest(request.path), END_TIMES))
        for request in requests_of(folder)
    ]


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGUSR1, 138)],
    ids=["TERM", "INT", "USR1"],
)
def test_a_signal_lets_the_videos_in_flight_finish(folder, number, code):
    """A batch that is on its way holds windows of two."""
    job = Job(folder, 0.3)
    job.wait_for_forwards(2)
    os.killpg(job.process.pid, number)  # to the workers too, as a terminal and a scheduler do
    returned, report = job.finish()
    assert returned == code
    whole = stored_windows(folder).count(14)
    assert report.signal == number and report.num_windows == 9 * whole and not report.failures
    assert whole in (1, 2) and stored_windows(folder).count(0) == 4 - whole


def test_a_long_video_in_flight_is_stored_as_far_as_it_came(folder):
    job = Job(folder, 1.0, grace=1.5)
    job.wait_for_forwards(1)
    os.kill(job.process.pid, signal.SIGTERM)
    returned, report = job.finish()
    assert returned == 143
    assert report.num_windows == 4  # the second batch was dropped half-way


def test_killed_at_any_moment_and_run_again_it_gives_the_same(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("whole")
    write_videos(other, 4)
    run(other, TinyBackbone())
    for forwards in (1, 4, 5):
        job = Job(folder, 0.05)
        job.wait_for_forwards(forwards)
        job.kill()
    run(folder, TinyBackbone())
    for found, wanted in zip(features(folder), features(other), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_a_killed_run_leaves_no_worker_behind(folder):
    job = Job(folder, 5.0)
    job.wait_for_forwards(1)
    process_id = job.process.pid
    children = Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()
    assert children
    job.kill()
    deadline = time.monotonic() + 100
    while any(_is_running(child) for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _is_running(process_id):
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_second_signal_acts_as_ever():
    with pytest.raises(KeyboardInterrupt), StopSignals() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.is_requested() and stop.signal == signal.SIGINT
        signal.raise_signal(signal.SIGINT)


def test_out_of_time_is_raised_where_it_may_be_only():
    with StopSignals(grace=0.2) as stop:
        with stop.interruptible():
            pass
        signal.raise_signal(signal.SIGTERM)
        time.sleep(0.3)  # not in interruptible work: nothing is raised
        assert stop.is_out_of_time
        with pytest.raises(OutOfTime), stop.interruptible():
            pass
    with StopSignals(grace=0.1) as stop:
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(OutOfTime), stop.interruptible():
            time.sleep(5)


def test_handlers_are_put_back():
    numbers = signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGALRM
    before = [signal.getsignal(number) for number in numbers]
    with StopSignals():
        pass
    assert before == [signal.getsignal(number) for number in numbers]


def test_outside_the_main_thread_it_does_nothing():
    entered = []

    def work():
        with StopSignals() as stop:
            entered.append(stop.is_requested())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert entered == [False]
