import os
import pickle
import struct

import numpy as np
import pytest
from safetensors import safe_open

from collision.errors import CacheMismatchError, CollisionError
from collision.features import bank as bank_module
from collision.features.bank import read_bank
from collision.features.fingerprint import Fingerprint
from collision.features.pack_file import FOLDER
from collision.features.packed import pack_store, stored_keys
from collision.features.store import FeatureStore
from collision.sampling.windows import NeededWindows
from collision.types import PLAIN, BackboneSpec

SPEC = BackboneSpec(
    name="test/made up",
    implementation="kit 1",
    num_frames=4,
    fps=10.0,
    height=8,
    width=8,
    mean=(0.0,) * 3,
    std=(1.0,) * 3,
    num_steps=2,
    feature_dim=3,
    min_frames=2,
)
KEYS = [f"{number:032x}" for number in range(5)]


def opened(folder):
    fields = {**SPEC.as_dict(), "weights_digest": "0", "precision": "32-true", "schema": 1}
    return FeatureStore(folder, Fingerprint(fields))


def ends_of(number):
    return np.arange(1, 3 + number) * 0.5


@pytest.fixture
def store(tmp_path):
    store = opened(tmp_path)
    rng = np.random.default_rng(0)
    for number, key in enumerate(KEYS):
        ends = ends_of(number)
        steps = rng.integers(1, 3, len(ends))
        store.write(key, ends, rng.normal(size=(len(ends), 2, 3)), [0.0], num_steps=steps)
    return store


def everything(store):
    return {
        key: [store.read(key, times)[0].tobytes(), store.num_steps(key, times).tolist()]
        for number, key in enumerate(KEYS)
        for times in [[0.0, *ends_of(number)]]
    }


def without_files(store):
    """Leave the pack alone."""
    for key in KEYS:
        store.files.place(key).unlink()
    return opened(store.folder.parent)


def needed(numbers=range(5)):
    ends = [np.array([0.0, *ends_of(number)[1:]]) for number in numbers]
    firsts = np.cumsum([0, *map(len, ends)])
    keys = [(str(number), PLAIN) for number in numbers]
    return NeededWindows(keys, firsts, np.concatenate(ends), np.zeros((0, 1, 1), np.int64))


def test_a_pack_gives_what_the_files_of_single_videos_gave(store):
    before, done = everything(store), []
    file = pack_store(store, on_file=lambda *step: done.append(step))
    assert done == [(number, 5) for number in range(1, 6)]
    assert file == store.folder / FOLDER / "features.safetensors"
    alone = without_files(store)
    assert everything(alone) == before
    assert alone.missing(KEYS[0], [0.0, 0.5, 9.0]).tolist() == [9.0]
    assert stored_keys(alone) == KEYS
    assert pack_store(alone) == file and everything(opened(store.folder.parent)) == before


def test_a_pack_is_plain_safetensors_whose_last_window_is_zero(store):
    file = pack_store(store, KEYS[1:3])
    with safe_open(file, "numpy") as plain:
        features = plain.get_tensor("features")
        assert bytes(plain.get_tensor("keys")).decode().split("\n") == KEYS[1:3]
    assert features.shape == (3 + 4 + 1, 2, 3) and not features[-1].any()
    assert np.array_equal(features[:3], store.read(KEYS[1], ends_of(1))[0])


def test_of_a_video_that_is_packed_no_file_is_opened(store, monkeypatch):
    pack_store(store)
    monkeypatch.setattr(FeatureStore, "_decode", None)
    again = opened(store.folder.parent)
    assert everything(again) == everything(pickle.loads(pickle.dumps(again)))


@pytest.mark.parametrize("by", ["more windows", "being newer"])
def test_a_file_beats_the_pack_by(store, by):
    pack_store(store)
    one = np.ones((1, 2, 3))
    store.write(KEYS[0], [9.0] if by == "more windows" else [0.5], one, num_steps=np.array([2]))
    later = (
        store.files.place(KEYS[0]).stat().st_mtime_ns + 10**9
    )  # not all disks tell times this close
    os.utime(store.files.place(KEYS[0]), ns=(later, later))
    for reader in (store, opened(store.folder.parent)):
        assert reader.read(KEYS[0], [9.0 if by == "more windows" else 0.5])[0].tolist() == [
            [[1.0] * 3] * 2
        ]
        assert reader.packed(KEYS[0]) is None and reader.packed(KEYS[1]) is not None


def test_what_is_added_to_a_packed_video_keeps_its_windows(store):
    before = everything(store)
    pack_store(store)
    alone = without_files(store)
    alone.write(KEYS[0], [9.0], np.ones((1, 2, 3)), num_steps=np.array([2]))
    assert everything(opened(store.folder.parent)) == before


def broken(file, place):
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("place", [3, 20, 4096, -1])
def test_a_damaged_pack_is_told_and_the_files_are_used(store, place, caplog):
    before = everything(store)
    broken(pack_store(store), place)
    again = opened(store.folder.parent)
    assert everything(again) == before
    assert [record.getMessage()[:12] for record in caplog.records] == ["Damaged pack"]
    assert again.packed(KEYS[3]) is None or place == 4096


def test_of_a_damaged_pack_without_files_windows_count_as_missing(store):
    broken(pack_store(store), 4096)
    alone = without_files(store)
    assert alone.missing(KEYS[0], [0.0, 0.5]).tolist() == [0.0, 0.5]
    assert alone.missing(KEYS[1], [0.0, 0.5]).tolist() == []


@pytest.mark.parametrize("length", [0, 7, 100, 4096, 4500])
def test_a_pack_that_was_cut_short_is_not_used(store, length, caplog):
    file = pack_store(store)
    file.write_bytes(file.read_bytes()[:length])
    assert opened(store.folder.parent).packed(KEYS[0]) is None and "Damaged pack" in caplog.text


def test_a_pack_of_a_newer_version_is_not_used(store, caplog):
    file = pack_store(store)
    content = file.read_bytes()
    assert struct.unpack("<Q", content[:8])[0] == 4096 - 8
    file.write_bytes(content.replace(b'"version": "1"', b'"version": "2"'))
    assert opened(store.folder.parent).packed(KEYS[0]) is None and "version '2'" in caplog.text


def test_packing_says_what_it_lacks(store, tmp_path):
    with pytest.raises(CacheMismatchError, match=r"No features of 'nobody'.*collision extract"):
        pack_store(store, ["nobody"])
    with pytest.raises(CacheMismatchError, match=r"No features to pack.*collision extract"):
        pack_store(opened(tmp_path / "empty"))
    assert not list((store.folder / FOLDER).glob("*"))


def test_a_pack_that_cannot_be_written_is_told_and_the_earlier_one_stays(store, monkeypatch):
    before = pack_store(store).read_bytes()

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(CollisionError, match="no space left"):
        pack_store(store)
    assert [file.read_bytes() for file in (store.folder / FOLDER).iterdir()] == [before]


@pytest.mark.parametrize("is_packed", [False, True])
def test_what_does_not_fit_into_memory_is_mapped_and_the_same(store, monkeypatch, is_packed):
    digest_of = {str(number): key for number, key in enumerate(KEYS) if number != 2}
    if is_packed:
        pack_store(store)
    plain = read_bank(store, needed(), digest_of)
    monkeypatch.setattr(bank_module, "free_memory", lambda: 0)
    mapped = read_bank(store, needed(), digest_of)
    assert mapped.features.is_contiguous() and len(mapped.features) >= len(plain.features)
    assert ((mapped.rows < 0) == (plain.rows < 0)).all()
    for name in ("features", "num_steps"):
        one, other = (getattr(bank, name)[bank.rows] for bank in (mapped, plain))
        assert one.equal(other)
        assert not getattr(mapped, name)[-1].any()
    assert len(mapped.features) == (20 if is_packed else 12) + 1
    assert sorted(path.name for path in store.folder.glob("tmp*")) == []
