import errno
import math
import os

import numpy as np
import pytest

from collision.errors import CacheMismatchError, CollisionError
from collision.features import bank as module
from collision.features.bank import free_memory, read_bank
from collision.features.fingerprint import fingerprint
from collision.features.store import FeatureStore
from collision.sampling.windows import NeededWindows
from collision.types import PLAIN
from tests.kit.backbone import TinyBackbone

STEPS, DIM = 2, 5


@pytest.fixture
def store(tmp_path):
    store = FeatureStore(tmp_path, fingerprint(TinyBackbone(dtype="float16")))
    ends = [1.0, 1.5, 2.0]
    store.write("0" * 32, ends, np.arange(3.0)[:, None, None] * np.ones((1, STEPS, DIM)), [0.5])
    return store


def needed(*ends):
    return NeededWindows(
        [("a", PLAIN)], np.array([0, len(ends)]), np.array(ends), np.zeros((0, 1, 1), np.int64)
    )


@pytest.mark.parametrize(
    "ends, values, rows",
    [
        ((1.0, 1.5, 2.0), [0, 1, 2, 0], [0, 1, 2]),
        ((0.5, 1.5, 2.0), [1, 2, 0], [-1, 0, 1]),
        ((1.0, 2.0), [0, 2, 0], [0, 1]),
        ((1.0, 1.000001, 2.0), [0, 0, 2, 0], [0, 1, 2]),  # the same window by its tolerance
        ((0.5,), [0], [-1]),
        ((), [0], []),
    ],
)
def test_windows_lie_side_by_side_and_a_zero_one_at_the_end(store, ends, values, rows):
    bank = read_bank(store, needed(*ends), {"a": "0" * 32})
    assert bank.features[:, 0, 0].tolist() == values and bank.rows.tolist() == rows
    assert bank.num_steps.tolist() == [STEPS] * (len(values) - 1) + [0]


def test_a_video_that_failed_has_none_and_what_was_never_extracted_is_an_error(store):
    assert read_bank(store, needed(1.0), {}).rows.tolist() == [-1]
    with pytest.raises(CacheMismatchError, match=r"1 of 2 windows.*Run extract"):
        read_bank(store, needed(1.0, 9.0), {"a": "0" * 32})


def test_free_memory_is_some():
    assert 0 < free_memory() < math.inf


def test_no_room_on_the_disk_is_told(store, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module, "free_memory", lambda: 0)
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(CollisionError, match="no space left"):
        read_bank(store, needed(1.0), {"a": "0" * 32})
