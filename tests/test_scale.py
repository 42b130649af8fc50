"""The benchmark of many videos runs; what it measures touches each file so many times, no more."""

from collections import Counter

import pytest

from benchmarks import scale
from collision.features.missing import look_up
from collision.features.store import FeatureStore


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scale")
    scale.make_videos(folder, 5)
    results = {stage: {5: scale.measure(stage, folder, 5)} for stage in scale.STAGES}
    assert set(results["extract"][5]) == {"seconds", "processor", "MB"}
    scale.draw(results, folder / "scale.png")
    assert scale.table(results).count("\n") == 1 + len(scale.STAGES)
    assert (folder / "scale.png").stat().st_size > 1000
    return folder


def test_videos_differ_and_are_whole(folder):
    source = scale.source_of(folder)
    requests = scale.requests_of(folder, 5)
    assert len({source.digests.digest(request.path) for request in requests}) == 5
    assert len({len(request.path.read_bytes()) for request in requests}) == 1


def test_looking_up_reads_the_features_of_a_video_once(folder, monkeypatch):
    read = Counter()
    real = FeatureStore._decode

    def counted(store, path, digest, *how):
        read[digest] += 1
        return real(store, path, digest, *how)

    monkeypatch.setattr(FeatureStore, "_decode", counted)
    source, requests = scale.source_of(folder), scale.requests_of(folder, 5)
    look_up(requests, source.store, source.looks)
    assert len(read) == 5 and set(read.values()) == {1}
    read.clear()
    source.look(requests)  # nothing has changed since
    assert not read
