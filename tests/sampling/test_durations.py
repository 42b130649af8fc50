"""Each file is opened once, whatever asks for its length."""

from dataclasses import replace

import pytest

from collision.records.splits import folded
from collision.sampling import durations as module
from collision.sampling.durations import Durations
from collision.sampling.index import Selection, index_dataset, index_records
from collision.sampling.policy import SamplingPolicy
from collision.types import SPLITS, VideoRecord
from tests.kit.video import numbered_frames, write_video


class Notebook:
    """A store that remembers in a dictionary."""

    def __init__(self):
        self.known = {}

    def recall(self, file):
        return self.known.get(file)

    def look(self, file):
        return module.index_video(*file)

    def keep(self, durations):
        self.known |= durations

    def refresh(self):
        pass


@pytest.fixture
def opened(monkeypatch):
    """The files that are opened, in turn; each seems to last 10 s."""
    paths = []

    class Index:
        frame_times = (0.0, 10.0)

    def index_video(path, frame_rate=None, video_stream=None):
        paths.append(path)
        return Index()

    monkeypatch.setattr(module, "index_video", index_video)
    return paths


def records_of(folder, count=100):
    """Negatives without a mock event: their cuts depend on how long all files are."""
    return [
        VideoRecord(f"v{n}", folder / f"{n}.mp4", n % 2, "train", f"g{n}",
                    event_time=4.0 + n % 5 if n % 2 else None)
        for n in range(count)
    ]  # fmt: skip


def test_five_folds_open_each_file_once(opened, tmp_path):
    records, policy, durations = records_of(tmp_path), SamplingPolicy(), Durations()
    selection = Selection(SPLITS, separate_pools=False)
    for fold in range(5):
        index = index_records("set", folded(records, 5, fold, 0), policy, selection, durations)
        assert len(index.durations) == 100 and index.anchors["v1"] == 5.0
    assert len(opened) == len(set(opened)) == 100


def test_a_store_remembers_from_run_to_run(opened, tmp_path):
    store = Notebook()
    records = records_of(tmp_path, 6)
    for _ in range(2):
        found, failures = Durations(store)(records)
        assert found == dict.fromkeys([r.id for r in records], 10.0) and not failures
    assert len(opened) == 6
    slower = [replace(record, frame_rate=5.0) for record in records]  # another clock, other times
    Durations(store)(slower)
    assert len(opened) == 12


def test_what_cannot_be_read_is_a_failure_each_time(tmp_path):
    path = write_video(tmp_path / "there.mp4", numbered_frames(20), fps=10)
    there = VideoRecord("there", path, 0, "test", "a")
    gone = VideoRecord("gone", tmp_path / "gone.mp4", 0, "test", "b")
    durations = Durations()
    for _ in range(2):
        found, failures = durations([there, gone])
        assert found == {"there": pytest.approx(1.9)}
        assert [(one.video, one.reason) for one in failures] == [("gone", "no such file")]
    assert Durations()([there])[0] == found


def test_a_data_set_checks_the_wanted_splits_alone(opened, tmp_path):
    class Listed:
        name = "listed"
        asked = None

        def prepare(self, splits=None):
            self.asked = splits

        def records(self):
            return [replace(record, split="test") for record in records_of(tmp_path, 4)]

    dataset = Listed()
    index = index_dataset(dataset, SamplingPolicy(), Selection(["test"]))
    assert dataset.asked == ["test"] and set(index.examples) == {"test"}
