"""Videos that kill or hang the process that decodes them."""

import dataclasses
import faulthandler
import os
import signal
import time

import numpy as np
import pytest

from collision.features.clips import ClipDataset
from collision.features.workers import decode_all
from collision.types import Failure
from tests.kit.backbone import TinyBackbone
from tests.kit.extraction import requests_of, run, write_videos


class FaultyDataset(ClipDataset):
    """Does to its process what the file's name says."""

    def decode(self, request):
        kind = request.path.stem.split("_")[0]
        if kind == "exit":
            os._exit(3)
        if kind == "segfault":
            faulthandler.disable()  # pytest's would print pages
            os.kill(os.getpid(), signal.SIGSEGV)
        if kind == "oom":
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "hang":
            time.sleep(1000)
        if kind == "raise":
            raise RuntimeError("odd codec")
        return super().decode(request)


@pytest.fixture
def folder(tmp_path):
    for path in write_videos(tmp_path, 5):
        if path.stem != "0":
            path.rename(tmp_path / f"good_{path.name}")
    return tmp_path


def add(folder, *names):
    """Add files of different content; what they hold is not read."""
    for name in names:
        (folder / name).write_text(name)


@pytest.mark.parametrize("num_workers", [1, 2])
def test_each_is_one_failure_and_the_rest_go_on(folder, monkeypatch, num_workers):
    monkeypatch.setattr("collision.features.clip_datamodule.ClipDataset", FaultyDataset)
    add(folder, "exit.mp4", "segfault.mp4", "oom.mp4", "hang.mp4", "hang_2.mp4", "raise.mp4")
    report = run(folder, TinyBackbone(), num_workers=num_workers, timeout=1.5)
    reasons = {failure.video: failure.reason for failure in report.failures}
    assert reasons == {
        "exit": "the process that decoded it died (exit code 3)",
        "segfault": "the process that decoded it died (SIGSEGV)",
        "oom": "the process that decoded it died (SIGKILL, perhaps for want of memory)",
        "hang": "decoding took longer than 1.5 s",
        "hang_2": "decoding took longer than 1.5 s",
        "raise": "RuntimeError: odd codec",
    }
    assert report.num_windows == 5 * 9
    assert len(report.failures) == 6


def test_a_slow_consumer_is_no_hang(folder):
    dataset = ClipDataset(requests_of(folder), TinyBackbone().spec)
    results = []
    for _, result in decode_all(dataset, 2, timeout=1.0, should_stop=lambda: False):
        results.append(result)
        if len(results) == 1:
            time.sleep(2.0)
    assert len(results) == 5
    assert not any(isinstance(result, Failure) for result in results)


def test_stopping_ends_a_worker_that_hangs(folder):
    add(folder, "hang.mp4")
    dataset = FaultyDataset(requests_of(folder), TinyBackbone().spec)
    seen = []
    for index, _ in decode_all(dataset, 2, 600, lambda: len(seen) == 5):
        seen.append(index)
    assert sorted(seen) == [0, 1, 2, 3, 4]


def test_large_clips_come_through_whole(folder):
    spec = dataclasses.replace(TinyBackbone().spec, height=360, width=640)
    ends = np.array([0.5, 2.0])  # more than a pipe holds
    dataset = ClipDataset(requests_of(folder, ends)[:3], spec)
    wanted = [dataset[index] for index in range(len(dataset))]
    for index, result in decode_all(dataset, 2, 60, lambda: False):
        np.testing.assert_array_equal(result.frames, wanted[index].frames)
        np.testing.assert_array_equal(result.windows, wanted[index].windows)
