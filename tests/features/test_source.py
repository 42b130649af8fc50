from collision.features.digest import VideoDigests
from collision.features.source import FeatureSource
from collision.sampling.index import index_records
from collision.sampling.policy import SamplingPolicy
from collision.types import VideoRecord


def record(name, path, label, **times):
    return VideoRecord(name, path, label, "val", name, **times)


def test_a_missing_file_of_which_nothing_is_wanted_stops_nothing(tmp_path):
    (tmp_path / "calm.mp4").write_bytes(b"calm")
    records = [record(f"p{i}", tmp_path / f"{i}.mp4", 1, event_time=5.0) for i in range(2)]
    records.append(record("calm", tmp_path / "calm.mp4", 0, mock_event_time=5.0))
    index = index_records("few", records, SamplingPolicy(), ["val"])
    assert len({example.video for example in index.examples["val"]}) == 2
    source = FeatureSource(None, None, None, VideoDigests(tmp_path / "videos.json"))
    assert list(source.digest_of(index, [])) == ["calm"]
