"""A large file is hashed in parts, a small one as it always was; what that cannot see is known."""

import hashlib

import numpy as np
import pytest

from collision.features import hashing
from collision.features.hashing import WHOLE_UP_TO, hashes, whole_hash

SIZE = WHOLE_UP_TO + 12_345


@pytest.fixture(scope="module")
def content():
    return np.random.default_rng(0).bytes(SIZE)


def write(folder, content, name="a.mp4"):
    path = folder / name
    path.write_bytes(content)
    return path


def test_small_files_keep_the_hash_of_earlier_versions(tmp_path):
    content = bytes(WHOLE_UP_TO)
    parts, whole = hashes(write(tmp_path, content))
    assert parts == whole == hashlib.sha256(content).hexdigest()[:32]
    parts, whole = hashes(write(tmp_path, content + b"0"))
    assert whole is None and parts != whole_hash(tmp_path / "a.mp4")


@pytest.mark.parametrize("place", [0, 2**20 - 1, SIZE // 2, SIZE - 2**20, SIZE - 1, 2**20])
def test_a_change_in_a_part_is_seen(tmp_path, content, place):
    before = hashes(write(tmp_path, content)).parts
    starts = [2**20 + (SIZE - 2 * 2**20 - 2**16) * n // 15 for n in range(16)]
    if place == SIZE // 2:  # the block that begins next to the middle
        place = min(starts, key=lambda start: abs(start - place))
    changed = bytearray(content)
    changed[place] ^= 1
    assert hashes(write(tmp_path, changed)).parts != before


def test_a_change_between_the_parts_is_not_seen_but_one_of_size_is(tmp_path, content):
    before = hashes(write(tmp_path, content)).parts
    changed = bytearray(content)
    changed[2**20 + 2**16 + 100] ^= 1
    assert hashes(write(tmp_path, changed)).parts == before
    assert whole_hash(write(tmp_path, changed)) != whole_hash(write(tmp_path, content, "b.mp4"))
    middle = 2**20 + 2**16 + 100
    assert hashes(write(tmp_path, content[:middle] + content[middle + 1 :])).parts != before


def test_only_some_mebibytes_of_a_large_file_are_read(tmp_path):
    path = tmp_path / "large.mp4"
    with path.open("wb") as file:
        file.truncate(50 * 2**30)  # a hole: to hash it whole takes minutes
    assert hashes(path).whole is None


def test_a_folder_of_ordinary_images_keeps_its_hash(tmp_path, monkeypatch):
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(3):
        write(folder, bytes([number]) * 1000, f"{number}.jpg")
    parts, whole = hashes(folder)
    assert parts == whole == whole_hash(folder)
    monkeypatch.setattr(hashing, "WHOLE_UP_TO", 10)
    monkeypatch.setattr(hashing, "_of_parts", lambda path, size: f"parts of {size}")
    assert hashes(folder).whole is None and hashes(folder).parts != parts
