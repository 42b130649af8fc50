"""A cache is listed, verified, pruned, upgraded and merged; nothing that is needed is lost."""

import os
import shutil
import time

import numpy as np
import pytest

from collision.errors import CollisionError, ConfigError
from collision.features import looks as looks_module
from collision.features.digest import VideoDigests
from collision.features.store import FeatureStore
from collision.features.upgrade import merge, upgrade
from collision.features.upkeep import (
    UNKNOWN,
    damaged,
    disk_usage,
    index_of,
    listing,
    looks_of,
    stores_of,
    superfluous,
)
from tests.kit.backbone import TinyBackbone
from tests.kit.extraction import Options, open_source, requests_of, run, write_videos
from tests.kit.old_cache import made_by_an_earlier_version, take_for_large


@pytest.fixture
def small_parts(monkeypatch):
    take_for_large(monkeypatch)


def quiet(number, total):
    assert 1 <= number <= total


def content_of(root):
    """Every file of a cache but locks."""
    files = (path for path in root.rglob("*") if path.is_file())
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in files
        if path.suffix not in (".lock", ".held") and path.name not in (".lock", "speed.json")
    }


@pytest.fixture
def cache(tmp_path):
    write_videos(tmp_path, 3)
    run(tmp_path, TinyBackbone(), num_workers=0)
    return tmp_path / "cache"


def is_complete(folder):
    source = open_source(folder, TinyBackbone())
    report = source.extract(requests_of(folder), Options(num_workers=0), progress=False)
    return report.num_windows == 0 and report.num_reused > 0 and not report.failures


def test_what_is_there_is_listed(tmp_path, cache):
    (store,), complaints = stores_of(cache)
    digest = index_of(cache).digest(tmp_path / "0.mp4")
    store.write("f" * 32, [1.0], store.read(digest, [1.0])[0])
    rows, _ = listing(cache, quiet)
    assert {row.folder: row.videos for row in rows} == {str(tmp_path): 3, UNKNOWN: 1}
    assert not complaints and {row.store for row in rows} == {store.folder.name}
    assert [row.windows for row in rows if row.folder == UNKNOWN] == [1]
    used = {row.part: row for row in disk_usage(cache)}
    assert {"looks", "videos", store.folder.name} <= used.keys()
    files = [path for path in cache.rglob("*") if path.is_file()]
    assert sum(row.files for row in used.values()) == len(files)
    assert sum(row.inodes for row in used.values()) == len(list(cache.rglob("*"))) + 1
    assert sum(row.bytes for row in used.values()) == sum(path.stat().st_size for path in files)


def test_damaged_files_are_found(cache):
    assert damaged(cache, quiet) == ([], [])
    (store,), _ = stores_of(cache)
    first, second, _ = sorted(store.folder.glob("*/*.safetensors"))
    content = bytearray(first.read_bytes())
    content[-70] ^= 1
    first.write_bytes(content)
    second.write_bytes((sorted(store.folder.glob("*/*.safetensors"))[2]).read_bytes())
    look = next(looks_of(cache).folder.glob("*/*.safetensors"))
    look.write_bytes(look.read_bytes()[:-5])
    found, _ = damaged(cache, quiet)
    assert {path for path, _ in found} == {first, second, look}
    (store.folder / "manifest.json").write_text("{")
    assert len(damaged(cache, quiet)[1]) == 1


def test_what_is_needed_by_nobody_is_found_and_nothing_else(tmp_path, cache):
    digests = index_of(cache)
    assert not any(superfluous(cache, digests, None, False).paths.values())
    digest = digests.digest(tmp_path / "0.mp4")
    (tmp_path / "0.mp4").unlink()
    (store,), _ = stores_of(cache)
    (cache / "looks" / "v1").mkdir()
    halves = [store.folder / f".{name}.partial" for name in "ab"]
    for half in halves:
        half.write_bytes(b"half")
    os.utime(halves[0], (0, 0))  # the other may be of a writer at work
    found = superfluous(cache, digests, None, False)
    paths = {path for paths in found.paths.values() for path in paths}
    gone = {store.files.place(digest), looks_of(cache).place(digest)}
    assert paths == {*gone, halves[0], cache / "looks" / "v1"}
    assert found.names == [str(tmp_path / "0.mp4")]
    found.remove(digests)
    assert not any(path.exists() for path in paths) and halves[1].exists()
    again = index_of(cache)
    assert not any(superfluous(cache, again, None, False).paths.values())
    assert again.files.get(str(tmp_path / "0.mp4")) is None
    assert is_complete(tmp_path)


def test_a_copy_that_is_there_keeps_the_features(tmp_path, cache):
    shutil.copy(tmp_path / "0.mp4", tmp_path / "copy.mp4")
    digests = index_of(cache)
    digests.digest(tmp_path / "copy.mp4")
    (tmp_path / "0.mp4").unlink()
    found = superfluous(cache, digests, None, False)
    assert not any(found.paths.values()) and len(found.names) == 1


def test_a_disk_that_is_not_mounted_makes_no_orphans(tmp_path):
    videos = tmp_path / "disk"
    videos.mkdir()
    write_videos(videos, 2)
    run(videos, TinyBackbone(), num_workers=0)
    cache = shutil.move(videos / "cache", tmp_path / "cache")
    videos.rename(tmp_path / "elsewhere")
    found = superfluous(cache, index_of(cache), None, False)
    assert not any(found.paths.values()) and found.num_in_doubt == 2
    found = superfluous(cache, index_of(cache), None, True)
    assert len(found.paths["features of videos that are gone"]) == 2
    shutil.rmtree(cache / "videos")
    with pytest.raises(CollisionError, match=r"index .* is empty"):
        superfluous(cache, index_of(cache), None, False)


def test_a_store_that_nobody_has_written_to_is_old(cache):
    (store,), _ = stores_of(cache)
    assert not any(superfluous(cache, index_of(cache), 30, False).paths.values())
    before = time.time() - 31 * 24 * 3600
    for path in (*store.folder.rglob("*"), store.folder):
        os.utime(path, (before, before))
    found = superfluous(cache, index_of(cache), 30, False).paths
    assert found["stores without a change in 30 days"] == [store.folder]


@pytest.mark.parametrize("with_index", [True, False])
def test_an_upgraded_cache_is_as_one_that_was_made_today(
    tmp_path,
    cache,
    small_parts,
    with_index,
    monkeypatch,
):
    shutil.rmtree(cache)
    run(tmp_path, TinyBackbone(), num_workers=0)
    made_today = content_of(cache)
    made_by_an_earlier_version(tmp_path, with_index)
    if not with_index:  # then it was used since
        assert is_complete(tmp_path)
    assert content_of(cache).keys() != made_today.keys()
    moved = upgrade(cache, quiet)
    assert (moved.features, moved.others, moved.left, moved.damaged) == (3, 3, 0, [])
    now = content_of(cache)
    assert now.keys() == made_today.keys()
    features = {name for name in now if name.endswith(".safetensors")}
    assert {n: now[n] for n in features} == {n: made_today[n] for n in features}
    assert not index_of(cache).old_names
    monkeypatch.setattr(looks_module, "index_video", lambda *_, **__: pytest.fail("looked again"))
    assert is_complete(tmp_path)
    again = upgrade(cache, quiet)
    assert (again.features, again.others, again.entries) == (0, 0, 0)


def test_lists_that_name_videos_are_upgraded_too(tmp_path, cache, small_parts):
    shutil.rmtree(cache)
    (tmp_path / "broken.mp4").write_bytes(b"no video" * 1000)
    run(tmp_path, TinyBackbone(), num_workers=0)
    (failures,) = cache.glob("*/failures.csv")
    today, checks = failures.read_text(), f"version,digest\n2,{'0' * 32}\n"
    names = made_by_an_earlier_version(tmp_path)
    whole = names[tmp_path / "broken.mp4"]
    parts = VideoDigests(tmp_path / "none.json").digest(tmp_path / "broken.mp4")
    assert parts in today and parts != whole
    failures.write_text(today.replace(parts, whole))
    (cache / "looks" / "v3" / f"{whole}.safetensors").write_bytes(b"")  # it is known by it
    (cache / "checks.csv").write_text(f"{checks}2,{whole}-v1\n")
    upgrade(cache, quiet)
    assert failures.read_text() == today
    assert (cache / "checks.csv").read_text() == f"{checks}2,{parts}-v1\n"


def test_an_upgrade_leaves_what_it_cannot_name(tmp_path, cache, small_parts, monkeypatch):
    monkeypatch.setattr("collision.features.upgrade.WHOLE_UP_TO", 1000)
    shutil.rmtree(cache)
    run(tmp_path, TinyBackbone(), num_workers=0)
    made_by_an_earlier_version(tmp_path)
    gone = (tmp_path / "0.mp4").read_bytes()
    status = (tmp_path / "0.mp4").stat()
    (tmp_path / "0.mp4").rename(tmp_path / "0.away")
    moved = upgrade(cache, quiet)
    assert (moved.features, moved.left) == (2, 2)
    (tmp_path / "0.away").rename(tmp_path / "0.mp4")
    assert (tmp_path / "0.mp4").read_bytes() == gone and status.st_size == len(gone)
    assert is_complete(tmp_path)  # it came back
    assert upgrade(cache, quiet).features == 1
    assert is_complete(tmp_path)


def filled(folder, end_times, count=2):
    folder.mkdir()
    write_videos(folder, count)
    run(folder, TinyBackbone(), requests_of(folder, np.asarray(end_times)), num_workers=0)
    return folder / "cache"


def test_a_merged_cache_has_what_both_had(tmp_path):
    first = filled(tmp_path / "a", [1.0, 2.0])
    second = filled(tmp_path / "b", [1.0, 1.5], count=3)
    (bad,) = (
        set(second.glob("*/*/*.safetensors"))
        - {second / path.relative_to(first) for path in first.glob("*/*/*.safetensors")}
        - set((second / "looks").rglob("*"))
    )
    before = content_of(second)
    moved = merge(first, second, quiet)
    assert (moved.features, moved.others, moved.damaged) == (3, 1, [])
    assert content_of(second) == before
    (store,), _ = stores_of(first)
    for key in store.files.all_keys():
        wanted = [1.0, 1.5] if store.files.place(key).name == bad.name else [1.0, 1.5, 2.0]
        assert len(store.missing(key, wanted)) == 0
    after = content_of(first)
    again = merge(first, second, quiet)
    assert (again.features, again.others, again.entries) == (0, 0, 0)
    assert content_of(first) == after
    assert index_of(first).files.get(str(tmp_path / "b" / "2.mp4"))
    # Computed in one place, the bytes are the same.
    together = filled(tmp_path / "c", [2.0, 1.5, 1.0])
    one = FeatureStore.open(next(together.glob("*/manifest.json")).parent)
    for key in one.files.all_keys():
        assert one.files.place(key).read_bytes() == store.files.place(key).read_bytes()


def test_damaged_files_are_not_merged_and_what_is_no_cache_is_refused(tmp_path):
    first, second = filled(tmp_path / "a", [1.0]), filled(tmp_path / "b", [1.0, 1.5])
    (store,), _ = stores_of(second)
    file = next(store.folder.glob("*/*.safetensors"))
    file.write_bytes(file.read_bytes()[:-9])
    moved = merge(first, second, quiet)
    assert moved.features == 1 and [path for path, _ in moved.damaged] == [file]
    with pytest.raises(ConfigError, match="There is no cache in"):
        merge(first, tmp_path / "a", quiet)
    with pytest.raises(ConfigError, match="is this cache itself"):
        merge(first, first, quiet)


def test_an_old_cache_is_merged_under_the_names_of_this_one(tmp_path, small_parts):
    first, second = filled(tmp_path / "a", [1.0, 2.0]), filled(tmp_path / "b", [1.0, 1.5])
    made_by_an_earlier_version(tmp_path / "b")
    assert merge(first, second, quiet).features == 2
    third = filled(tmp_path / "c", [0.75])
    made_by_an_earlier_version(tmp_path / "c")
    assert merge(third, first, quiet).features == 2  # into an old one
    for folder in "ac":
        source = open_source(tmp_path / folder, TinyBackbone())
        for path in (tmp_path / folder).glob("*.mp4"):
            assert len(source.store.missing(source.digests.digest(path), [1.0, 1.5, 2.0])) == 0
