"""Shards: each moment of the whole is in one of them, and no file is opened more often for it."""

import threading
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from collision.errors import ConfigError, VideoDecodeError
from collision.sampling import durations as module
from collision.sampling.durations import Durations
from collision.sampling.index import Selection, index_records
from collision.sampling.policy import SamplingPolicy
from collision.sampling.shards import Shard
from collision.types import VideoRecord

POLICIES = {
    "drawn": SamplingPolicy(),
    "midpoint": SamplingPolicy(mock_events="midpoint"),
    "dense": SamplingPolicy(dense=0.5),
    "within": SamplingPolicy(within=(0.5, 2.0)),
    "whole": SamplingPolicy(whole_clip=True, allow_leak=True),
}


class Disk:
    """Files that last some time, or cannot be read; counts how often each is opened."""

    def __init__(self):
        self.opened, self.known = [], {}

    def look(self, file):
        self.opened.append(file[0])
        if _number(file[0]) % 7 == 6:
            raise VideoDecodeError(file[0], "damaged")
        length = 8.0 + _number(file[0]) % 5
        return type("Index", (), {"frame_times": [0.0, length]})


class Notes:
    """What one task has seen of the durations on the disk."""

    def __init__(self, disk):
        self.disk, self.known = disk, dict(disk.known)

    def recall(self, file):
        return self.known.get(file)

    def look(self, file):
        return self.disk.look(file)

    def keep(self, durations):
        self.known |= durations
        self.disk.known |= durations

    def refresh(self):
        self.known |= self.disk.known


def _number(path):
    return int(Path(path).stem)


def records_of(numbers, kinds):
    """One of some kinds a number: positives, negatives with and without mock event, cut clips."""
    records = []
    for n in numbers:
        kind, split = kinds[n % len(kinds)], ("train", "train", "test", "val")[n // 3 % 4]
        times = {
            "crash": {"label": 1, "event_time": 4.0 + n % 4},
            "normal": {"label": 0},
            "mocked": {"label": 0, "mock_event_time": 5.0},
            "cut": {"label": n % 2, "cut_horizon": 1.0},
            "secret": {"label": -1, "cut_horizon": 1.0},
        }[kind]
        path = Path(f"{n - n % 2 if n % 10 == 1 else n}.mp4")  # some records share a file
        records.append(VideoRecord(f"v{n}", path, split=split, group=f"g{n // 2}", **times))
    return records


@example({0, 3, 4, 109}, [], 3, "drawn")  # positives alone, beside validation's negatives
@settings(max_examples=60)
@given(
    st.sets(st.integers(0, 300), min_size=4, max_size=60),
    st.lists(st.sampled_from(("crash", "normal", "mocked", "cut", "secret")), max_size=4),
    st.integers(1, 7),
    st.sampled_from(sorted(POLICIES)),
)
def test_the_shards_are_the_whole(numbers, more, count, name):
    records, policy = records_of(sorted(numbers), ["crash", "normal", *more]), POLICIES[name]

    def moments(shard):
        selection = Selection(val_fraction=0.3, shard=shard)
        index = index_records("set", records, policy, selection, Durations(Notes(Disk())))
        return index, {(split, one) for split, some in index.wanted.items() for one in some}

    try:
        whole, wanted = moments(None)
    except ConfigError:  # no positive to draw from
        return
    parts = [moments(Shard(number + 1, count)) for number in range(count)]
    assert sum(len(some) for _, some in parts) == len(wanted)
    assert set().union(*(some for _, some in parts)) == wanted
    files = [{record.path for record in index.records.values()} for index, _ in parts]
    assert sum(map(len, files)) == len({record.path for record in whole.records.values()})
    assert max(map(len, files)) - min(map(len, files)) <= 1


def test_a_shard_needs_only_its_own_files_where_no_mock_event_is_drawn():
    records, disk = records_of(range(60), ["crash", "normal"]), Disk()
    records = [r for r in records if r.split != "val"]
    policy = POLICIES["midpoint"]
    selection = Selection(["train", "test"], shard=Shard(2, 4))
    index = index_records("set", records, policy, selection, Durations(Notes(disk)))
    assert set(disk.opened) == {record.path for record in index.records.values()}


def test_tasks_that_begin_together_open_each_file_about_once(monkeypatch):
    """None saw what the others would find when it began; they take turns, chunk by chunk."""
    monkeypatch.setattr(module, "AT_ONCE", 10)
    records, disk, count = records_of(range(0, 900, 3), ["crash", "normal"]), Disk(), 3
    records = [r for r in records if _number(r.path) % 7 != 6]  # a damaged one is nowhere noted
    turns, lock = threading.Barrier(count), threading.Lock()

    class InTurn(Notes):
        def refresh(self):
            with suppress(threading.BrokenBarrierError):
                turns.wait(30)
            super().refresh()

        def look(self, file):
            with lock:
                return super().look(file)

    def work(number):
        selection = Selection(shard=Shard(number, count))
        index_records("set", records, SamplingPolicy(), selection, Durations(InTurn(disk)))
        turns.abort()  # the others have no more to wait for

    threads = [threading.Thread(target=work, args=(number + 1,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(disk.opened) == {record.path for record in records}
    assert len(disk.opened) < 1.2 * len(records)


@pytest.mark.parametrize(
    "text", ["0/8", "9/8", "3", 3, "3/0", "-1/8", "3/8/2", "3 of 8", "", "٣/٨"]
)
def test_what_is_no_shard_is_said(text):
    with pytest.raises(ConfigError, match=f"shard={text}: give which part of how many"):
        Shard.parse(text)
    assert str(Shard.parse("3/8")) == "3/8"
