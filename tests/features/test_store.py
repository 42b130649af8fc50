import errno
import json
import logging
import multiprocessing
import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collision.errors import CacheMismatchError, CollisionError, ConfigError
from collision.features import store as module
from collision.features.fingerprint import Fingerprint, fingerprint
from collision.features.manifest import Maker
from collision.features.saved import pack, unpack
from collision.features.store import FeatureStore, NotFiniteError
from collision.features.stored import StoredVideo, merged
from collision.video.index import VERSION as READER
from tests.kit.backbone import TinyBackbone

PRINT = fingerprint(TinyBackbone(dtype="float16"))
STEPS, DIM = 2, 5
VIDEO = "0123456789abcdef"


def features_of(end_times):
    """Features that can be told from their time."""
    times = np.asarray(end_times, np.float64)
    return np.broadcast_to(times[:, None, None], (len(times), STEPS, DIM))


def write(store, end_times, unavailable=()):
    store.write(VIDEO, end_times, features_of(end_times), unavailable, "clip.mp4")


@pytest.fixture
def store(tmp_path):
    return FeatureStore(tmp_path, PRINT)


def test_reads_what_was_written_in_the_order_asked_for(store):
    write(store, [3.0, 1.0, 2.0], unavailable=[0.0])
    features, available = store.read(VIDEO, [2.0, 0.0, 3.0, 2.0])
    assert features.dtype == np.float16 and features.shape == (4, STEPS, DIM)
    assert features[:, 0, 0].tolist() == [2, 0, 3, 2]
    assert available.tolist() == [True, False, True, True]


def test_windows_are_added_and_the_new_one_wins(store):
    write(store, [1.0, 2.0])
    store.write(VIDEO, [2.0, 0.5], features_of([7.0, 0.5]))
    features, _ = store.read(VIDEO, [0.5, 1.0, 2.0])
    assert features[:, 0, 0].tolist() == [0.5, 1, 7]


def test_times_are_the_same_within_a_microsecond(store):
    noisy = [0.0078125, 1 / 3, 10 - 37 * 0.25, 2.0]
    write(store, noisy, unavailable=[-0.5])
    moved = np.add(noisy, [9e-7, -9e-7, 1e-12, 0])
    assert len(store.missing(VIDEO, [*moved, -0.5000001])) == 0
    assert store.read(VIDEO, moved)[1].all()
    assert store.missing(VIDEO, [2.00001, 1.0]).tolist() == [1.0, 2.00001]
    write(store, moved)
    stored = store._load(VIDEO)
    assert len(stored.end_times) == 4


def test_a_window_that_appears_is_no_longer_unavailable(store):
    write(store, [], unavailable=[1.0, 2.0])
    assert store.read(VIDEO, [1.0, 2.0])[1].tolist() == [False, False]
    write(store, [1.0])
    assert store.read(VIDEO, [1.0, 2.0])[1].tolist() == [True, False]


def test_never_extracted_says_what_to_do(store):
    write(store, [1.0])
    with pytest.raises(CacheMismatchError, match=r"1 of 2 windows.*2\.500 s.*extract"):
        store.read(VIDEO, [1.0, 2.5])
    with pytest.raises(CacheMismatchError):
        store.read("unknown", [1.0])


finite_times = st.lists(st.integers(-50, 50).map(lambda n: n / 4), max_size=12)


@settings(max_examples=50)
@given(st.lists(st.tuples(finite_times, finite_times), min_size=1, max_size=4))
def test_merging_gives_the_union_whatever_the_order(writes):
    stored = StoredVideo(np.zeros((0, 1, 1)), np.zeros(0), np.zeros(0))
    for ends, unavailable in writes:
        features = np.asarray(ends, float).reshape(-1, 1, 1)
        stored = merged(stored, StoredVideo(features, np.asarray(ends), np.asarray(unavailable)))
    all_ends = sorted({end for ends, _ in writes for end in ends})
    rest = {end for _, unavailable in writes for end in unavailable} - set(all_ends)
    assert stored.end_times.tolist() == all_ends
    assert stored.features.ravel().tolist() == all_ends
    assert stored.unavailable.tolist() == sorted(rest)


def _write_many(root, first):
    store = FeatureStore(root, PRINT)
    for number in range(20):
        write(store, [first + number])


def test_two_writers_lose_nothing(tmp_path, store):
    context = multiprocessing.get_context("fork")
    writers = [
        context.Process(target=_write_many, args=(tmp_path, first)) for first in (0.0, 100.0)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    times = [*np.arange(20.0), *np.arange(100.0, 120.0)]
    assert store.read(VIDEO, times)[0][:, 0, 0].tolist() == times


def damage_truncate(path):
    path.write_bytes(path.read_bytes()[:-7])


def damage_empty(path):
    path.write_bytes(b"")


def damage_zeros(path):
    path.write_bytes(bytes(len(path.read_bytes())))


def damage_flip(path):
    data = bytearray(path.read_bytes())
    data[-70] ^= 1
    path.write_bytes(data)


def damage_other_video(path):
    other = FeatureStore(path.parent.parent.parent, PRINT)
    other.write("other", [1.0], features_of([9.0]))
    path.write_bytes(other.files.place("other").read_bytes())


@pytest.mark.parametrize(
    "damage",
    [damage_truncate, damage_empty, damage_zeros, damage_flip, damage_other_video],
)
def test_a_damaged_file_is_computed_again_not_trusted(tmp_path, store, caplog, damage):
    write(store, [1.0, 2.0])
    damage(store.files.place(VIDEO))
    store = FeatureStore(tmp_path, PRINT)
    with caplog.at_level(logging.WARNING):
        assert store.missing(VIDEO, [1.0, 2.0]).tolist() == [1.0, 2.0]
        store.missing(VIDEO, [1.0])
    assert [VIDEO in record.getMessage() for record in caplog.records] == [True]
    with pytest.raises(CacheMismatchError):
        store.read(VIDEO, [1.0])
    write(store, [1.0, 2.0])
    assert store.read(VIDEO, [1.0, 2.0])[0][:, 0, 0].tolist() == [1, 2]


@pytest.mark.parametrize("value", [np.nan, np.inf, 70_000.0])
def test_what_is_not_finite_is_refused_and_leaves_the_rest(store, value):
    write(store, [1.0])
    features = features_of([2.0]).copy()
    features[0, 1, 3] = value
    with pytest.raises(NotFiniteError, match="float16"):
        store.write(VIDEO, [2.0], features)
    assert store.read(VIDEO, [1.0])[1].all()
    assert store.missing(VIDEO, [2.0]).tolist() == [2.0]


def test_a_full_disk_loses_nothing_and_says_so(store, monkeypatch):
    write(store, [1.0])

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(CollisionError, match=r"no space left.*run the same command"):
            write(store, [2.0])
    assert store.read(VIDEO, [1.0])[1].all()
    there = sorted(str(p.relative_to(store.folder)) for p in store.folder.rglob("*") if p.is_file())
    assert there == [".lock", "01/.lock", f"01/{VIDEO}.safetensors", "manifest.json"]
    write(store, [2.0])
    assert store.read(VIDEO, [1.0, 2.0])[1].all()


def test_leftovers_of_a_killed_writer_go_with_the_next(tmp_path, store):
    write(store, [1.0])
    files = (store.files.place(VIDEO), store.folder / "manifest.json")
    left = [file.with_name(f".{file.name}.0123abcd.partial") for file in files]
    for half in left:
        half.write_bytes(b"half")
    again = FeatureStore(tmp_path, PRINT)
    assert again.read(VIDEO, [1.0])[1].all() and left[0].exists()
    write(again, [2.0])
    assert again.read(VIDEO, [1.0, 2.0])[1].all() and not left[0].exists()
    with again.changing():
        assert not left[1].exists()


def flattened(store):
    """Put a store's files where earlier versions had them."""
    for file in store.folder.glob("*/*.safetensors"):
        file.rename(store.folder / file.name)
    shutil.rmtree(store.folder / VIDEO[:2])
    manifest = store.folder / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"version": 2}))


def test_files_of_earlier_versions_are_found_and_replaced_in_their_new_place(tmp_path, store):
    write(store, [1.0])
    flattened(store)
    old = FeatureStore.open(store.folder)
    assert old.read(VIDEO, [1.0])[1].all() and len(old.missing(VIDEO, [1.0])) == 0
    assert list(old.files.all_keys()) == [VIDEO]
    write(old, [2.0])
    assert [file.parent.name for file in store.folder.rglob("*.safetensors")] == [VIDEO[:2]]
    assert FeatureStore(tmp_path, PRINT).read(VIDEO, [1.0, 2.0])[1].all()
    # Software that looks for files in one folder refuses this one.
    assert json.loads((store.folder / "manifest.json").read_text())["version"] == 3


def test_writers_of_other_subfolders_do_not_wait(tmp_path, store):
    write(store, [1.0])
    other = "ff" + VIDEO[2:]
    second = FeatureStore(tmp_path, PRINT)
    done = threading.Event()

    def write_other():
        second.write(other, [1.0], features_of([1.0]))
        done.set()

    with store.changing(), store.changing(VIDEO):
        thread = threading.Thread(target=write_other)
        thread.start()
        assert done.wait(60)
        waiting = threading.Thread(target=write, args=(FeatureStore(tmp_path, PRINT), [2.0]))
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive()
    thread.join()
    waiting.join(60)
    assert second.read(VIDEO, [1.0, 2.0])[1].all() and second.read(other, [1.0])[1].all()


def test_the_folder_tells_its_backbone(tmp_path, store):
    assert not store.folder.exists()  # until something is written
    write(store, [1.0])
    assert store.folder.parent == tmp_path
    assert store.folder.name == f"test-tiny-{PRINT.key}"
    assert json.loads((store.folder / "manifest.json").read_text()) == {
        "fingerprint": dict(PRINT.fields),
        "made_by": [],
        "version": 3,
    }


def test_a_folder_is_read_with_no_knowledge_of_what_made_it(tmp_path, store):
    write(store, [1.0])
    store.folder.rename(tmp_path / "copied")
    opened = FeatureStore.open(tmp_path / "copied")
    assert opened.fingerprint == PRINT and opened.spec == TinyBackbone(dtype="float16").spec
    assert opened.read(VIDEO, [1.0])[0][:, 0, 0].tolist() == [1]
    with pytest.raises(CacheMismatchError, match=r"no manifest\.json"):
        FeatureStore.open(tmp_path)


def test_a_manifest_of_the_first_version_is_upgraded_with_the_next_write(store):
    manifest = store.folder / "manifest.json"
    write(store, [1.0])
    first = json.dumps(dict(PRINT.fields), indent=2, sort_keys=True) + "\n"
    manifest.write_text(first)
    old = FeatureStore.open(store.folder)
    assert old.read(VIDEO, [1.0])[1].all() and manifest.read_text() == first
    write(old, [2.0])
    assert json.loads(manifest.read_text())["version"] == 3
    assert FeatureStore.open(store.folder).read(VIDEO, [1.0, 2.0])[1].all()


def test_two_writers_note_what_makes_the_features_both(tmp_path, store):
    write(store, [1.0])
    makers = [Maker({"name": name}, "32-true", {}, {}) for name in "ab"]
    other = FeatureStore(tmp_path, PRINT)
    for one, maker in zip((store, other), makers, strict=True):
        one.claim(maker)
    assert list(FeatureStore(tmp_path, PRINT).made_by) == makers
    store.disclaim(makers[1])
    assert list(FeatureStore(tmp_path, PRINT).made_by) == makers[:1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"fingerprint": {**PRINT.fields, "height": 224}, "version": 2}, "height: 32 here, 224"),
        ({**PRINT.fields, "height": 224}, "height: 32 here, 224 there"),
        ({"fingerprint": dict(PRINT.fields), "version": 4}, r"manifest\.json' has version 4"),
        ({"fingerprint": dict(PRINT.fields), "version": "x"}, "has version 'x'"),
        ({"fingerprint": dict(PRINT.fields), "made_by": 1, "version": 2}, "made_by=1"),
        ([1], "Delete the folder"),
    ],
)
def test_a_manifest_of_something_else_is_refused(tmp_path, store, content, message):
    write(store, [1.0])
    (store.folder / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(CacheMismatchError, match=message):
        FeatureStore(tmp_path, PRINT)


def test_only_two_dtypes(tmp_path):
    with pytest.raises(ConfigError, match="float16 or float32"):
        FeatureStore(tmp_path, Fingerprint({**PRINT.fields, "dtype": "bfloat16"}))


def test_names_cannot_leave_the_root(tmp_path):
    store = FeatureStore(tmp_path, Fingerprint({**PRINT.fields, "name": "../../etc/ü x"}))
    assert store.folder.parent == Path(tmp_path)


CUT = fingerprint(TinyBackbone(dtype="float16", min_frames=2))


def test_a_file_has_the_same_bytes_whoever_made_it(tmp_path):
    """Windows in two orders and parts, by sums of floats that differ, of a copy's other name."""
    times = [0.1 + 0.2, 1.0, 2.5, 4.0]
    one, other = (FeatureStore(tmp_path / name, PRINT) for name in ("one", "other"))
    one.write(VIDEO, times, features_of(times), [5.0, -0.25, 0.0], "a.mp4")
    for part in ([2.5, 0.3], [4.0, 1.0]):
        other.write(VIDEO, part, features_of(part), [-0.25, 5.0 + 1e-12, -0.0], "b.mp4")
    contents = {store.files.place(VIDEO).read_bytes() for store in (one, other)}
    contents |= {pack(*unpacked_of(one)) for _ in range(20)}
    assert len(contents) == 1


def unpacked_of(store):
    tensors, metadata = unpack(store.files.place(VIDEO))
    return tensors, {k: v for k, v in reversed(metadata.items()) if k != "checksum"}


def test_steps_that_are_real_are_kept_with_their_windows(tmp_path):
    store = FeatureStore(tmp_path, CUT)
    store.write(VIDEO, [2.0, 0.5], features_of([2.0, 0.5]), num_steps=np.array([2, 1]))
    assert store.num_steps(VIDEO, [0.5, 1.0, 2.0]).tolist() == [1, 0, 2]
    store.write(VIDEO, [1.0, 0.5], features_of([1.0, 0.5]), num_steps=np.array([2, 2]))
    again = FeatureStore.open(store.folder)
    assert again.num_steps(VIDEO, [0.5, 1.0, 2.0]).tolist() == [2, 2, 2]
    assert store.num_steps("unknown", [1.0]).tolist() == [0]


def test_a_store_of_whole_windows_is_as_it_was(store):
    write(store, [1.0, 2.0], unavailable=[0.0])
    tensors, _ = unpack(store.files.place(VIDEO))
    assert sorted(tensors) == ["end_times", "features", "unavailable"]
    assert store.num_steps(VIDEO, [2.0, 0.0, 1.0]).tolist() == [STEPS, 0, STEPS]


@pytest.mark.parametrize("steps", [[1, 3], [0, 1], [1], [1.0, 2.0]])
def test_steps_that_cannot_be_are_damage(tmp_path, steps, caplog):
    store = FeatureStore(tmp_path, CUT)
    store.write(VIDEO, [1.0, 2.0], features_of([1.0, 2.0]))
    tensors, metadata = unpack(store.files.place(VIDEO))
    metadata.pop("checksum")
    store.files.place(VIDEO).write_bytes(pack({**tensors, "num_steps": np.array(steps)}, metadata))
    assert store.missing(VIDEO, [1.0]).tolist() == [1.0] and "num_steps" in caplog.text


def test_looking_a_video_up_opens_its_file_once_until_it_changes(store, monkeypatch):
    write(store, [1.0])
    opened = []
    monkeypatch.setattr(module, "unpack", lambda file, *how: opened.append(how) or unpack(file))
    again = FeatureStore(store.folder.parent, PRINT)

    def look_up():
        return again.reader(VIDEO), again.missing(VIDEO, [1.0, 2.0]).tolist()

    assert look_up() == look_up() == (READER, [2.0]) and opened == [(False,)]
    again.read(VIDEO, [1.0])
    assert opened == [(False,), (True,)]  # of what was sound the checksum is not taken again
    write(store, [2.0])
    assert look_up() == (READER, [])


def test_what_was_damaged_when_it_was_looked_up_is_damaged_when_it_is_read(store):
    write(store, [1.0])
    content = bytearray(store.files.place(VIDEO).read_bytes())
    content[-1] ^= 1
    store.files.place(VIDEO).write_bytes(content)
    for _ in range(2):
        assert store.missing(VIDEO, [1.0]).tolist() == [1.0]
        with pytest.raises(CacheMismatchError):
            store.read(VIDEO, [1.0])


def test_features_of_another_shape_are_damaged(store, caplog):
    write(store, [1.0])
    tensors, metadata = unpack(store.files.place(VIDEO))
    tensors["features"] = tensors["features"][:, :, :-1]
    store.files.place(VIDEO).write_bytes(pack(tensors, metadata))
    assert store.missing(VIDEO, [1.0]).tolist() == [1.0] and "have shape" in caplog.text
