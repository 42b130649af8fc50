"""What earlier versions stored, in one folder under hashes of whole files, is used as it is."""

import json
import shutil

import pytest

from collision.features import hashing
from collision.features import looks as looks_module
from collision.features.digest import VideoDigests
from collision.features.hashing import stamp, whole_hash
from tests.kit.backbone import TinyBackbone
from tests.kit.extraction import Options, open_source, requests_of, run, write_videos


@pytest.fixture
def small_parts(monkeypatch):
    """Take the test's videos for large ones."""
    for name, value in (("WHOLE_UP_TO", 1000), ("_END", 300), ("_BLOCK", 4)):
        monkeypatch.setattr(hashing, name, value)


def made_by_an_earlier_version(folder, with_index=True):
    """Fill the cache of a folder of videos, and put it where and as it would have been."""
    paths = sorted(folder.glob("*.mp4"))
    names = {VideoDigests(folder / "none.json").digest(path): whole_hash(path) for path in paths}
    cache, text = folder / "cache", "latin-1"
    for file in [*cache.rglob("*.safetensors"), *cache.rglob("*.json")]:
        content = file.read_bytes().decode(text)
        if file.parent.name == file.name[:2]:  # names are of equal length
            for parts, whole in names.items():
                content = content.replace(parts, whole)
            file.unlink()
            file = file.parent.parent / file.name.replace(file.name[:32], names[file.name[:32]])
        file.write_bytes(content.encode(text))
    for manifest in cache.glob("*/manifest.json"):
        manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"version": 2}))
    shutil.rmtree(cache / "videos")
    files = {str(path): [*stamp(path), whole_hash(path)] for path in paths}
    if with_index:
        (cache / "videos.json").write_text(json.dumps({"version": 3, "files": files}))
    return {path: whole_hash(path) for path in paths}


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
