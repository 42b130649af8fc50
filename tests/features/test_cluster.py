"""Extraction on a cluster of Ray, whose nodes are processes of this machine."""

import os
import re
import threading
import time

import numpy as np
import pytest

from collision.errors import ConfigError
from collision.features.clip_datamodule import ClipDataModule
from collision.features.cluster import connected, extract_on_cluster
from collision.features.digest import VideoDigests
from collision.features.elsewhere import Elsewhere
from collision.features.workers import WorkerPool
from collision.types import Failure
from collision.video.index import index_video
from tests.conftest import DATA
from tests.kit.backbone import TinyBackbone
from tests.kit.extraction import (
    END_TIMES,
    Options,
    open_source,
    open_store,
    requests_of,
    run,
    write_videos,
)
from tests.kit.video import zero_media

pytest.importorskip("ray")


class SlowBackbone(TinyBackbone):
    """A forward takes a third of a second."""

    def forward(self, frames):
        time.sleep(0.3)
        return super().forward(frames)


def folders(tmp_path, count):
    """Make two folders of the same videos; the first one is extracted here."""
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    for folder in (alone, shared):
        folder.mkdir()
        write_videos(folder, count)
    run(alone, TinyBackbone())
    return alone, shared


def assert_same(alone, shared, count):
    digests, stores = VideoDigests(alone / "none.json"), []
    for folder in (alone, shared):
        stores.append(open_store(folder, TinyBackbone()))
        assert len(set(stores[-1].files.all_keys())) == count
    for request in requests_of(shared):
        digest = digests.digest(request.path)
        (wanted, there), (found, also_there) = (one.read(digest, END_TIMES) for one in stores)
        assert there.sum() == 9
        np.testing.assert_array_equal(also_there, there)
        np.testing.assert_array_equal(found, wanted)


def extracted(shared, address, count, while_running=lambda: None):
    """Extract on a cluster; give the report. Once 3 videos are stored, something may happen."""
    left = []

    def touch():
        store = open_store(shared, TinyBackbone())
        while len(set(store.files.all_keys())) < 3:
            time.sleep(0.05)
        while_running()
        left.append(count - len(set(store.files.all_keys())))

    toucher = threading.Thread(target=touch, daemon=True)
    with connected(address):
        toucher.start()
        source = open_source(shared, SlowBackbone())
        report = extract_on_cluster(source, requests_of(shared), Options())
        toucher.join(60)
    assert left and left[0] > 0, "it was over before it happened"
    return report


@pytest.mark.slow
def test_a_node_that_is_lost_loses_nothing(tmp_path, monkeypatch):
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    alone, shared = folders(tmp_path, 12)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    second = cluster.add_node(num_cpus=1)
    try:
        what = shared, cluster.address, 12
        report = extracted(*what, lambda: cluster.remove_node(second, allow_graceful=False))
    finally:
        cluster.shutdown()
    assert not report.failures and report.signal is None and not report.num_elsewhere
    assert report.num_windows <= 12 * 9 <= report.num_windows + report.num_reused
    assert_same(alone, shared, 12)


@pytest.mark.slow
@pytest.mark.parametrize("is_lost", [False, True])
def test_nodes_without_a_gpu_decode_for_the_one_that_has_one(tmp_path, monkeypatch, is_lost):
    """A damaged file is told as it is without them; a node that is lost loses nothing."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    alone, shared = folders(tmp_path, 16)
    for folder in (alone, shared):
        zero_media(folder / "9.mp4", folder / "damaged.mp4", 0.5, 0.9)
    wanted = run(alone, TinyBackbone()).failures
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "num_gpus": 1})
    second = cluster.add_node(num_cpus=2)

    def lose():
        if is_lost:
            cluster.remove_node(second, allow_graceful=False)

    try:
        report = extracted(shared, cluster.address, 16, lose)
    finally:
        cluster.shutdown()
    assert report.signal is None and report.num_elsewhere <= 16
    assert is_lost or report.num_elsewhere > 0  # a chunk is over when all that began has come
    assert report.num_windows == 16 * 9
    assert [(one.video, one.reason) for one in report.failures] == [
        (one.video, one.reason) for one in wanted
    ]
    (shared / "damaged.mp4").unlink()
    assert_same(alone, shared, 16)


class Hangs:
    """Says what a file holds; of one it never does in another process."""

    def __init__(self, name):
        self.name, self.process = name, os.getpid()

    def __call__(self, path, frame_rate=None, video_stream=None):
        if path.stem == self.name and os.getpid() != self.process:
            time.sleep(3600)
        return index_video(path, frame_rate, video_stream)


class Decoding:
    """Items that are decoded here and elsewhere, as a pipeline has it done."""

    def __init__(self, dataset, timeout):
        self.dataset, self.places, self.results = dataset, {}, {}
        self.pool = Elsewhere(1).beside(WorkerPool(dataset, 0, timeout), dataset)

    def begin(self, *numbers):
        for number in numbers:
            place = self.dataset.memory.take(self.dataset.num_bytes(number))
            self.places[number] = place
            self.pool.begin(number, place)
        return self

    def end(self):
        while self.pool.num_begun:
            for number, result in self.pool.ready(0.25):
                place = self.places[number]
                clip = result if isinstance(result, Failure) else self.dataset.seen(result, place)
                self.results[number] = clip
        return self

    @property
    def came_from(self):
        """How many were decoded elsewhere, and which there are at all."""
        return self.pool.num_elsewhere, sorted(self.results)


def occupied():
    time.sleep(3600)


@pytest.mark.slow
def test_what_a_node_gives_up_is_decoded_here(tmp_path):
    """Its cores are busy; a file hangs there, another is damaged, and then the node is lost."""
    import ray
    from ray.cluster_utils import Cluster

    write_videos(tmp_path, 10)
    zero_media(tmp_path / "9.mp4", tmp_path / "0.mp4", 0.5, 0.9)
    clips = ClipDataModule(requests_of(tmp_path), TinyBackbone().spec, 0, index=Hangs("1"))
    dataset = clips.share_memory()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "num_gpus": 1})
    second = cluster.add_node(num_cpus=2)
    try:
        with connected(cluster.address):
            busy = ray.remote(occupied).options(num_cpus=2).remote()
            while ray.available_resources().get("CPU", 0):
                time.sleep(0.1)
            waited = Decoding(dataset, 1.0).begin(2, 3)
            assert waited.pool.num_begun == 2 and not waited.pool.local.num_begun
            assert waited.end().came_from == (0, [2, 3])
            waited.pool.close()
            ray.cancel(busy, force=True)
            hung = Decoding(dataset, 5.0).begin(1).end()
            assert hung.came_from == (0, [1])
            hung.pool.close()
            many = Decoding(dataset, 600.0).begin(0, 2, 3).end()
            assert many.came_from == (2, [0, 2, 3])
            many.begin(4, 5, 6, 7)
            cluster.remove_node(second, allow_graceful=False)
            many.begin(8, 9).end()
            assert many.came_from[1] == [0, *range(2, 10)]
            many.pool.close()
            assert not list(many.pool.ready(0))
    finally:
        cluster.shutdown()
    for number, found in (many.results | hung.results).items():
        wanted = clips.dataset[number]
        if isinstance(wanted, Failure):
            assert found == wanted and number == 0
            continue
        assert found.notes == wanted.notes
        for name in ("frames", "windows", "end_times", "unavailable"):
            np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))


@pytest.mark.slow
def test_where_there_is_no_cluster_it_is_said(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    said = r"ray\.address=auto: there is no such cluster\. Start one"
    with pytest.raises(ConfigError, match=said), connected("auto"):
        pass
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


@pytest.mark.slow
def test_the_command_works_on_a_cluster_of_its_own(workshop, tmp_path):
    asked = (*DATA, "limit=4", f"cache_root={tmp_path}")
    output = workshop.command("extract", *asked, "engine=ray", "ray.address=local")
    assert re.search(r"synthetic with .*: [1-9]\d* windows computed, 0 reused", output)
    assert re.search(r"synthetic with .*: 0 windows computed", workshop.command("extract", *asked))
    refused = workshop.command("extract", *asked, "engine=ray", "devices=2", code=2)
    assert "devices=2 num_nodes=1 with engine=ray" in refused
