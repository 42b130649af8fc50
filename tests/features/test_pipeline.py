"""The stages of extraction side by side: full batches, bounded memory, nothing lost."""

import threading
import time

import numpy as np
import pytest
import torch

from collision.features import pipeline, storing
from collision.features.digest import VideoDigests
from collision.features.embedding import batch_that_fits
from collision.features.store import FeatureStore
from collision.features.workers import WorkerPool
from tests.kit.backbone import TinyBackbone
from tests.kit.extraction import END_TIMES, open_store, requests_of, run, write_videos


@pytest.fixture
def folder(tmp_path):
    write_videos(tmp_path, 6)
    return tmp_path


def stored(folder):
    store, digests = open_store(folder, TinyBackbone()), VideoDigests(folder / "none.json")
    return [store.read(digests.digest(r.path), r.end_times) for r in requests_of(folder)]


def test_videos_of_one_window_fill_batches(folder):
    report = run(folder, TinyBackbone(), requests_of(folder, np.array([2.0])), batch_size=3)
    assert (report.num_windows, report.num_batches, report.batch_size) == (6, 2, 3)


def test_the_backbone_sees_whole_batches_of_one_shape(folder):
    shapes = set()

    class Noted(TinyBackbone):
        def forward(self, frames):
            shapes.add(tuple(frames.shape))
            return super().forward(frames)

    assert run(folder, Noted(), batch_size=5).num_windows == 6 * 9
    assert shapes == {(5, 4, 32, 48, 3)}


def test_what_is_decoded_ahead_is_bounded(folder, monkeypatch):
    """A slow backbone makes the workers wait: for buffers, and for memory."""
    monkeypatch.setattr("collision.features.clip_datamodule._SHARED_BYTES", 0)  # room for one clip
    monkeypatch.setattr(pipeline, "_BATCHES_AHEAD", 1)
    waiting = []

    class Slow(TinyBackbone):
        def forward(self, frames):
            time.sleep(0.05)
            return super().forward(frames)

    take = pipeline.Pipeline._take

    def noted(self, index, result):
        take(self, index, result)
        waiting.append((self.cutter.num_windows, len(self.begun)))

    monkeypatch.setattr(pipeline.Pipeline, "_take", noted)
    assert run(folder, Slow(), num_workers=3, batch_size=4).num_windows == 6 * 9
    assert all(windows <= 3 + 9 and begun == 0 for windows, begun in waiting)


def test_a_slow_backbones_features_are_stored_before_their_video_is_done(folder, monkeypatch):
    monkeypatch.setattr(storing, "STORE_EVERY", -1.0)
    sizes = []
    write = FeatureStore.write

    def noted(self, digest, end_times, *rest):
        sizes.append(len(end_times))
        write(self, digest, end_times, *rest)

    monkeypatch.setattr(FeatureStore, "write", noted)
    run(folder, TinyBackbone(), requests_of(folder)[:1], batch_size=2)
    assert sorted(sizes) == [1, 2, 2, 2, 2]
    key = VideoDigests(folder / "none.json").digest(folder / "0.mp4")
    assert open_store(folder, TinyBackbone()).read(key, END_TIMES)[1].sum() == 9


def test_a_starved_backbone_gets_more_workers(folder, monkeypatch):
    monkeypatch.setattr(pipeline, "num_cores", lambda: 4)
    monkeypatch.setattr(pipeline, "_REVIEW", 0.0)
    monkeypatch.setattr(pipeline, "_FIRST_WORKERS", 1)
    counts = []

    class Noted(WorkerPool):
        def add(self):
            super().add()
            counts.append(self.num_workers)

    monkeypatch.setattr(pipeline, "WorkerPool", Noted)
    requests = requests_of(folder) * 4
    ends = [END_TIMES + 0.01 * number for number in range(len(requests))]
    requests = [type(r)(r.video, r.path, end) for r, end in zip(requests, ends, strict=True)]
    for request in requests:
        run(folder, TinyBackbone(), [request], num_workers=None)
    assert set(counts) == {1}  # of one piece, one worker
    counts.clear()
    (folder / "cache").rename(folder / "before")
    run(folder, TinyBackbone(), requests, num_workers=None)
    assert max(counts) <= 4 and counts[:2] == [1, 2]


def test_no_thread_is_left_behind(folder):
    class Broken(TinyBackbone):
        def forward(self, frames):
            raise RuntimeError("broken")

    before = threading.active_count()
    with pytest.raises(RuntimeError, match="broken"):
        run(folder, Broken())
    run(folder, TinyBackbone())
    assert threading.active_count() == before
    assert all(available.sum() == 9 for _, available in stored(folder))


def test_a_batch_size_follows_from_free_memory():
    gib = 2**30
    assert batch_that_fits([2 * gib, 3 * gib], 80 * gib, 256) == 32  # 2 + 62 of 64 GiB
    assert batch_that_fits([2 * gib, 3 * gib], 80 * gib, 16) == 16
    assert batch_that_fits([2 * gib, 3 * gib], gib, 256) == 1
    assert batch_that_fits([gib], 80 * gib, 256) == 1
    assert batch_that_fits([gib, gib], 80 * gib, 256) == 256  # it took no more for two


def test_inference_is_without_gradients_in_the_thread_of_the_backbone(folder):
    seen = []

    class Noted(TinyBackbone):
        def forward(self, frames):
            seen.append((torch.is_inference_mode_enabled(), threading.current_thread().name))
            return super().forward(frames)

    run(folder, Noted(), requests_of(folder)[:1])
    assert set(seen) == {(True, "embedder")}


def test_features_are_the_same_to_the_bit_whatever_was_missing(folder):
    """Whatever is computed together, in whatever order, in one go or after a stop."""
    generator = np.random.default_rng(0)
    run(folder, TinyBackbone(), batch_size=5)
    wanted = stored(folder)
    for num_workers in (0, 2):
        (folder / "cache").rename(folder / f"before {num_workers}")
        requests = requests_of(folder)
        generator.shuffle(requests)
        for request in requests[:3]:
            some = generator.permutation(END_TIMES)[:6]
            request = type(request)(request.video, request.path, np.sort(some))
            run(folder, TinyBackbone(), [request], batch_size=5, num_workers=num_workers)
        run(folder, TinyBackbone(), requests, batch_size=5, num_workers=num_workers)
        for (features, _), (others, _) in zip(stored(folder), wanted, strict=True):
            np.testing.assert_array_equal(features, others)
