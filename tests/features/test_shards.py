"""An index in many files: added to, by several at once, and never trusted if damaged."""

import json
import multiprocessing

import pytest

from collision.errors import CacheMismatchError
from collision.features import shards as module
from collision.features.shards import ShardedIndex


def whole_number(value):
    return value if type(value) is int else None


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "index"


def opened(folder, version=1):
    return ShardedIndex(folder, version, whole_number)


def filled(folder, count=600):
    index = opened(folder)
    for number in range(count):
        index.put(f"/videos/{number}.mp4", number)
    index.save()
    return index


def test_what_was_put_is_there_in_the_next_process(folder):
    filled(folder)
    again = opened(folder)
    assert [again.get(f"/videos/{n}.mp4") for n in (0, 77, 599)] == [0, 77, 599]
    assert again.get("/videos/600.mp4") is None
    assert sorted(value for _, value in again.items()) == list(range(600))
    assert 100 < len(list(folder.glob("*.jsonl"))) <= 256


def test_only_what_is_asked_for_is_read(folder, monkeypatch):
    filled(folder)
    read = []
    real = ShardedIndex._read
    monkeypatch.setattr(
        ShardedIndex, "_read", lambda self, shard: read.append(shard) or real(self, shard)
    )
    again = opened(folder)
    assert again.get("/videos/3.mp4") == again.get("/videos/3.mp4") == 3
    assert len(read) == 1


def test_an_entry_is_appended_to_its_file_alone(folder):
    filled(folder)
    before = {file: file.read_bytes() for file in folder.glob("*.jsonl")}
    index = opened(folder)
    index.put("/videos/3.mp4", 4)
    index.put("/videos/5.mp4", 5)  # as it was
    index.save()
    changed = [file for file, content in before.items() if file.read_bytes() != content]
    assert len(changed) == 1
    assert changed[0].read_bytes().startswith(before[changed[0]])
    assert opened(folder).get("/videos/3.mp4") == 4


def _put_many(folder, first):
    for number in range(30):
        index = opened(folder)
        index.put(f"/videos/{first + number}.mp4", number)
        index.save()


def test_several_writers_lose_nothing(folder, monkeypatch):
    monkeypatch.setattr(module, "_shard_of", lambda name: "00")  # all into one file
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_put_many, args=(folder, first)) for first in (0, 100)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    assert len(dict(opened(folder).items())) == 60


def test_lines_that_no_longer_count_are_thrown_away_and_those_of_others_kept(folder, monkeypatch):
    monkeypatch.setattr(module, "_shard_of", lambda name: "00")
    monkeypatch.setattr(module, "_SPARE_LINES", 4)
    index, other = opened(folder), opened(folder)
    index.put("a", 0)
    index.save()
    other.put("b", 7)
    other.save()
    for number in range(1, 20):
        index.put("a", number)
        index.save()
    assert len((folder / "00.jsonl").read_text().splitlines()) < 10
    assert dict(opened(folder).items()) == {"a": 19, "b": 7}


def test_a_name_can_be_struck_out(folder):
    index = filled(folder, 3)
    index.put("/videos/1.mp4", None)
    assert index.get("/videos/1.mp4") is None and len(dict(index.items())) == 2
    index.save()
    assert dict(opened(folder).items()) == {"/videos/0.mp4": 0, "/videos/2.mp4": 2}


@pytest.mark.parametrize(
    "damage",
    ['["/videos/1.mp4", 1', "\0\0\0", "[" * 10_000, '["/videos/1.mp4","x"]', '"a"', "[1,2]", "[]"],
)
def test_damaged_lines_are_skipped(folder, monkeypatch, damage):
    monkeypatch.setattr(module, "_shard_of", lambda name: "00")
    filled(folder, 3)
    file = folder / "00.jsonl"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[:2], damage, *lines[3:], damage]))  # the last without its end
    again = opened(folder)
    assert dict(again.items()) == {"/videos/0.mp4": 0, "/videos/2.mp4": 2}
    again.put("/videos/1.mp4", 1)
    again.save()
    assert opened(folder).get("/videos/1.mp4") == 1


def test_names_that_are_no_text_and_a_newer_version(folder):
    index = opened(folder)
    index.put("/videos/\udcff\n.mp4", 1)
    index.save()
    assert opened(folder).get("/videos/\udcff\n.mp4") == 1
    (file,) = folder.glob("*.jsonl")
    assert json.loads(file.read_text().splitlines()[0]) == {"version": 1}
    with pytest.raises(CacheMismatchError, match="version 1; versions up to 0"):
        opened(folder, version=0).get("/videos/\udcff\n.mp4")


def test_what_another_has_saved_is_seen_after_a_refresh(folder):
    here, there = (ShardedIndex(folder, 1, whole_number) for _ in range(2))
    assert here.get("a") is None
    here.put("b", 1)
    there.put("a", 2)
    there.save()
    assert here.get("a") is None
    here.refresh()
    assert (here.get("a"), here.get("b")) == (2, 1)
