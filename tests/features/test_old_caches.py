"""What earlier versions stored, in one folder under hashes of whole files, is used as it is."""

import shutil

import pytest

from collision.features import hashing
from collision.features import looks as looks_module
from collision.features.digest import VideoDigests
from tests.kit.backbone import TinyBackbone
from tests.kit.extraction import Options, open_source, requests_of, run, write_videos
from tests.kit.old_cache import made_by_an_earlier_version, take_for_large


@pytest.fixture
def small_parts(monkeypatch):
    take_for_large(monkeypatch)


@pytest.fixture
def old_cache(tmp_path, small_parts):
    write_videos(tmp_path, 2)
    run(tmp_path, TinyBackbone(), num_workers=0)
    return made_by_an_earlier_version(tmp_path)


def test_nothing_of_an_old_cache_is_computed_again(tmp_path, old_cache, monkeypatch):
    monkeypatch.setattr(hashing, "whole_hash", None)  # its index knows them
    monkeypatch.setattr(looks_module, "index_video", lambda *_, **__: pytest.fail("looked again"))
    source = open_source(tmp_path, TinyBackbone())
    assert [source.digests.digest(path) for path in old_cache] == list(old_cache.values())
    report = source.extract(requests_of(tmp_path), Options(num_workers=0), progress=False)
    assert report.num_windows == 0 and report.num_reused > 0
    # Elsewhere they are known by what they are in every cache.
    elsewhere = VideoDigests(tmp_path / "none.json")
    for path in old_cache:
        assert source.digests.content(path) == elsewhere.digest(path) != source.digests.digest(path)
        assert source.digests.whole(path) == old_cache[path]


def test_files_that_an_old_index_does_not_know_are_hashed_whole_once(tmp_path, old_cache):
    (tmp_path / "cache" / "videos.json").unlink()
    assert run(tmp_path, TinyBackbone(), num_workers=0).num_windows == 0
    again = VideoDigests(tmp_path / "cache" / "videos.json")
    assert [again.digest(path) for path in old_cache] == list(old_cache.values())
    assert again.files._new == {}  # remembered


def test_windows_that_are_added_leave_the_old_ones_where_they_are_found(tmp_path, old_cache):
    (first, *_) = old_cache
    more = [r for r in requests_of(tmp_path, [0.6, 1.3]) if r.path == first]
    assert run(tmp_path, TinyBackbone(), more, num_workers=0).num_windows == 2
    assert run(tmp_path, TinyBackbone(), num_workers=0).num_windows == 0
    copy = shutil.copy(first, tmp_path / "copy.mp4")
    assert VideoDigests(tmp_path / "cache" / "videos.json").digest(copy) == old_cache[first]


def test_in_a_new_cache_no_file_is_read_whole(tmp_path, small_parts, monkeypatch):
    write_videos(tmp_path, 2)
    monkeypatch.setattr("collision.features.digest.whole_hash", None)
    assert run(tmp_path, TinyBackbone(), num_workers=0).num_windows > 0
    assert run(tmp_path, TinyBackbone(), num_workers=0).num_windows == 0
