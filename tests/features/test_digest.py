import json
import os
from pathlib import Path

import pytest

from collision.errors import CollisionError, VideoDecodeError
from collision.features import digest as module
from collision.features.digest import VideoDigests
from collision.types import View


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "clip(1), ü.mp4"
    path.write_bytes(b"one")
    return path


def test_content_counts_not_the_name(tmp_path, video):
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(b"one")
    other = tmp_path / "other.mp4"
    other.write_bytes(b"two")
    digests = VideoDigests(tmp_path / "videos.json")
    assert digests.digest(video) == digests.digest(copy) != digests.digest(other)


def test_a_second_run_opens_nothing(tmp_path, video, monkeypatch):
    first = VideoDigests(tmp_path / "cache" / "videos.json")
    digest = first.digest(video)
    first.save()
    again = VideoDigests(tmp_path / "cache" / "videos.json")
    monkeypatch.setattr(module, "hashes", None)
    assert again.digest(video) == digest
    monkeypatch.chdir(video.parent)
    assert again.digest(Path(video.name)) == digest


def test_a_changed_file_is_read_again(tmp_path, video):
    digests = VideoDigests(tmp_path / "videos.json")
    before = digests.digest(video)
    stamp = video.stat().st_mtime_ns
    video.write_bytes(b"two")
    os.utime(video, ns=(stamp, stamp + 1))
    assert digests.digest(video) != before


def test_a_changed_file_of_the_same_size_and_time_is_read_again(tmp_path, video):
    digests = VideoDigests(tmp_path / "videos.json")
    before, stamp = digests.digest(video), video.stat()
    video.write_bytes(b"two")
    os.utime(video, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert digests.digest(video) != before


def entries_of(index):
    """What stands in an index, by path."""
    return dict(VideoDigests(index).files.items())


@pytest.mark.parametrize("version", [1, 2, 3])
def test_an_index_of_earlier_versions_is_used_and_moved(tmp_path, video, version):
    index, status = tmp_path / "videos.json", video.stat()
    entry = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, "0" * 32]
    files = {str(video): entry if version == 3 else [*entry[:2], entry[3]]}
    content = files if version == 1 else {"version": version, "files": files}
    index.write_text(json.dumps(content))
    digests = VideoDigests(index)
    assert digests.digest(video) == "0" * 32  # not hashed
    digests.save()
    assert entries_of(index)[str(video)].changed == status.st_ctime_ns
    index.unlink()
    assert VideoDigests(index).digest(video) == "0" * 32


@pytest.mark.parametrize("content", ["", "[", "[1]", '{"a": 1, "b": [1, "x", "y"]}', "\x00"])
def test_a_damaged_index_is_started_anew(tmp_path, video, content):
    index = tmp_path / "videos.json"
    index.write_text(content)
    digests = VideoDigests(index)
    digest = digests.digest(video)
    digests.save()
    (shard,) = (tmp_path / "videos").glob("*.jsonl")
    shard.write_text(content)
    assert not entries_of(index)
    again = VideoDigests(index)
    assert again.digest(video) == digest
    again.save()
    assert [known.parts for known in entries_of(index).values()] == [digest]


def test_an_index_that_cannot_be_written_is_told(tmp_path, video):
    (tmp_path / "file").write_text("")
    digests = VideoDigests(tmp_path / "file" / "videos.json")
    digests.digest(video)
    with pytest.raises(CollisionError, match=r"file/videos"):
        digests.save()


def test_two_processes_keep_each_others_entries(tmp_path, video):
    other_video = tmp_path / "other.mp4"
    other_video.write_bytes(b"two")
    index = tmp_path / "videos.json"
    one, two = VideoDigests(index), VideoDigests(index)
    one.digest(video)
    two.digest(other_video)
    one.save()
    two.save()
    assert len(entries_of(index)) == 2


@pytest.mark.parametrize("name", ["absent.mp4", "absent"])
def test_no_file_is_an_error_with_its_path(tmp_path, name):
    with pytest.raises(VideoDecodeError, match=str(tmp_path / name)):
        VideoDigests(tmp_path / "videos.json").digest(tmp_path / name)


def test_clocks_that_are_nearly_the_same_are_two(tmp_path, video):
    digests = VideoDigests(tmp_path / "videos.json")
    rates = (None, 29.97, 30_000 / 1_001, 30.0)
    assert len({digests.digest(video, rate) for rate in rates}) == len(rates)
    assert digests.digest(video, 10) == digests.digest(video, 10.0)
    assert View(stride=1.5).suffix != View(stride=1.5 + 1e-7).suffix
    assert View(stride=1).suffix == ""


def test_frames_that_change_names_are_another_video(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, content in enumerate((b"one", b"two")):
        (folder / f"{number}.jpg").write_bytes(content)
    os.utime(folder, ns=(0, 0))
    digests = VideoDigests(tmp_path / "videos.json")
    before = digests.digest(folder)
    (folder / "0.jpg").rename(folder / "2.jpg")
    assert digests.digest(folder) != before
