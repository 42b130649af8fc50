"""Known files are not opened for their length, under any name and in any run."""

import errno
import json
import shutil

import pytest

from collision.audit import facts as module
from collision.audit.facts import DURATIONS, DurationCache
from collision.features.digest import VideoDigests
from collision.features.looks import VideoLooks
from collision.sampling.durations import Durations
from tests.kit.audit import made_up_record
from tests.kit.video import numbered_frames, write_video


def read(cache, records):
    return Durations(DurationCache(cache, VideoDigests(cache / "videos.json")))(records)


@pytest.fixture
def records(tmp_path):
    path = write_video(tmp_path / "a.mp4", numbered_frames(20), fps=10)
    return [made_up_record(0, 0, path=path), made_up_record(1, 0, path=tmp_path / "gone.mp4")]


def test_a_second_run_opens_nothing_that_it_knows(records, tmp_path, monkeypatch):
    first = read(tmp_path / "cache", records)
    assert first[0] == {"v0": pytest.approx(1.9)} and [f.video for f in first[1]] == ["v1"]
    opened = []
    real = VideoLooks.index
    monkeypatch.setattr(
        VideoLooks, "index", lambda s, *file: opened.append(file[0]) or real(s, *file)
    )
    assert read(tmp_path / "cache", records) == first
    assert opened == [tmp_path / "gone.mp4"]
    shutil.copy(records[0].path, tmp_path / "copy.mp4")  # the same content
    assert read(tmp_path / "cache", [made_up_record(2, 0, path=tmp_path / "copy.mp4")])[0]
    assert len(opened) == 1


@pytest.mark.parametrize("text", ["[]", "{", '["a", "x"]', '["a", NaN]'])
def test_a_damaged_file_is_started_anew(records, tmp_path, text):
    first = read(tmp_path / "cache", records)
    (file,) = (tmp_path / "cache" / DURATIONS).glob("*.jsonl")
    kept = file.read_text()
    file.write_text(text)
    assert read(tmp_path / "cache", records) == first
    assert file.read_text().splitlines()[-1] == kept.splitlines()[-1]


def test_durations_of_an_earlier_version_are_used(records, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    cache.mkdir()
    digest = VideoDigests(cache / "videos.json").digest(records[0].path)
    saved = {"version": 2, "durations": {digest: 1.25}}
    (cache / "durations.json").write_text(json.dumps(saved))
    assert read(cache, records)[0] == {"v0": 1.25}
    (cache / "durations.json").write_text('{"version": 2, "durations": {"a": "x"}}')
    assert read(cache, records)[0] == {"v0": pytest.approx(1.9)}


def test_a_cache_that_may_only_be_read(records, tmp_path, monkeypatch):
    def refuse(path, content):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(module.ShardedIndex, "save", lambda index: refuse(index, ""))
    assert read(tmp_path / "cache", records)[0] == {"v0": pytest.approx(1.9)}
