"""Extraction on a cluster of Ray, whose nodes are processes of this machine."""

import os
import re
import threading
import time

import numpy as np
import pytest

from collision.errors import ConfigError
from collision.features.cluster import connected, extract_on_cluster
from collision.features.digest import VideoDigests
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

pytest.importorskip("ray")


class SlowBackbone(TinyBackbone):
    """A forward takes a third of a second."""

    def forward(self, frames):
        time.sleep(0.3)
        return super().forward(frames)


@pytest.mark.slow
def test_a_node_that_is_lost_loses_nothing(tmp_path, monkeypatch):
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    for folder in (alone, shared):
        folder.mkdir()
        write_videos(folder, 12)
    run(alone, TinyBackbone())
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    second = cluster.add_node(num_cpus=1)

    lost = []

    def lose():
        store = open_store(shared, TinyBackbone())
        while len(list(store.folder.glob("*.safetensors"))) < 3:
            time.sleep(0.05)
        cluster.remove_node(second, allow_graceful=False)
        lost.append(len(list(store.folder.glob("*.safetensors"))) < 12)

    killer = threading.Thread(target=lose)
    try:
        with connected(cluster.address) as has_gpu:
            assert not has_gpu
            killer.start()
            source = open_source(shared, SlowBackbone())
            report = extract_on_cluster(source, requests_of(shared), Options())
        killer.join(60)
    finally:
        cluster.shutdown()
    assert not report.failures and report.signal is None
    assert report.num_windows <= 12 * 9 <= report.num_windows + report.num_reused
    assert lost == [True], "the node was there until the end"
    digests = VideoDigests(tmp_path / "none.json")
    for request in requests_of(shared):
        digest = digests.digest(request.path)
        found, there = open_store(shared, TinyBackbone()).read(digest, END_TIMES)
        wanted, _ = open_store(alone, TinyBackbone()).read(digest, END_TIMES)
        assert there.sum() == 9
        np.testing.assert_array_equal(found, wanted)


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
