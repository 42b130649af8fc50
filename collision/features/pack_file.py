"""A file of the features of many videos, which training maps into memory.

    <store>/packed/<name>.safetensors

It holds ``features [N + 1, S, D]``, the last window zero, so that training can use it as it lies on
the disk; ``end_times [N]``, ``num_steps [N]`` and ``unavailable [K]`` as the files of single videos
have them; and by video the ``keys`` (text, a line each), where its rows begin in both,
``firsts [V + 1]`` and ``firsts_unavailable [V + 1]``, the ``readers [V]``, the ``checksums [V]`` of
its features, and size and time of change ``stamps [V, 2]`` of the file that it was read from: where
that is newer or larger now, it counts. All but the features have a checksum together.

Shapes: V videos, N windows, K windows that do not exist, S steps a window, D features.
"""

from __future__ import annotations

import json
import logging
import math
import os
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from collision.features.saved import checksum, parsed
from collision.files import written_whole

logger = logging.getLogger(__name__)

FOLDER = "packed"
VERSION = "1"
_HEADER = 4096  # bytes kept for it: features begin at a page
Window: TypeAlias = tuple[tuple[int, int], np.dtype[np.floating]]  # shape and dtype of each
Stamp: TypeAlias = tuple[int, int, int]  # size, time of change (ns) and number of a file
_KINDS = {np.dtype("f2"): "F16", np.dtype("f4"): "F32"}


def stamp_of(file: Path) -> Stamp | None:
    """Give what tells whether a file has changed; None where there is none."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ino


@dataclass(frozen=True, eq=False)
class PackedVideo:
    """What a pack holds of one video.

    ``rows`` are its windows among all of the pack; ``stamp`` is of the file that it was read from.
    """

    features: NDArray[np.floating]
    end_times: NDArray[np.float64]
    unavailable: NDArray[np.float64]
    num_steps: NDArray[np.int64]
    reader: int
    rows: range
    stamp: tuple[int, int]


class Pack:
    """A file of many videos, mapped into memory."""

    def __init__(self, file: Path, window: Window, fingerprint: str):
        """Read all but the features.

        Raises:
            OSError: There is no such file, or it cannot be read.
            ValueError: It is damaged, of other features, or of newer software.
        """
        self.file = file
        if file.stat().st_size < _HEADER:
            raise ValueError("it is cut short")
        arrays, told = parsed(np.memmap(file, np.uint8, "r"))
        if told.get("version") != VERSION:
            raise ValueError(f"it has version {told.get('version')!r}, not {VERSION}")
        if told.get("fingerprint") != fingerprint:
            raise ValueError("it is of another backbone")
        self.features = arrays.pop("features", np.zeros(0))
        self._index = {name: array.copy() for name, array in arrays.items()}
        if told.get("checksum") != checksum(self._index):
            raise ValueError("the checksum of its index is wrong")
        self.keys = self._index["keys"].tobytes().decode().split("\n")
        self._number_of = {key: number for number, key in enumerate(self.keys)}
        self._is_sound: set[str] = set()  # of the videos read before
        self._opened = file.open("rb", buffering=0)
        self._window_bytes = math.prod(self.features.shape[1:]) * self.features.itemsize
        num_windows, num_videos = len(self._index["end_times"]), len(self.keys)
        lengths = [len(self._index[name]) for name in ("firsts", "firsts_unavailable", "stamps")]
        if lengths != [num_videos + 1, num_videos + 1, num_videos]:
            raise ValueError("its index does not fit")
        if (self.features.shape[1:], self.features.dtype) != window or len(
            self.features
        ) != num_windows + 1:
            raise ValueError("its features have another shape than its index")

    def __contains__(self, key: str) -> bool:
        return key in self._number_of

    def stamp(self, key: str) -> tuple[int, int]:
        """Give size and time of change (ns) of the file that a video was read from."""
        size, changed = self._index["stamps"][self._number_of[key]].tolist()
        return size, changed

    def read(self, key: str) -> PackedVideo:
        """Read a video's features; ValueError where their checksum is wrong."""
        number, index = self._number_of[key], self._index
        first, last = index["firsts"][number : number + 2].tolist()
        none = slice(*index["firsts_unavailable"][number : number + 2].tolist())
        features = np.empty((last - first, *self.features.shape[1:]), self.features.dtype)
        # Not from the map: what is read there counts as memory of this process.
        begin = _HEADER + first * self._window_bytes
        if os.preadv(self._opened.fileno(), [features.data], begin) != features.nbytes:
            raise ValueError(f"{key} is cut short")
        if key not in self._is_sound:
            if zlib.crc32(features.data) != index["checksums"][number]:
                raise ValueError(f"the checksum of {key} is wrong")
            self._is_sound.add(key)
        times, steps = index["end_times"][first:last], index["num_steps"][first:last]
        about = int(index["readers"][number]), range(first, last), self.stamp(key)
        return PackedVideo(features, times, index["unavailable"][none], steps, *about)

    @property
    def num_steps(self) -> NDArray[np.int64]:
        """Real steps of every window, ``[N + 1]``; 0 of the last."""
        return np.append(self._index["num_steps"], 0)


def damage(file: Path, window: Window, fingerprint: str) -> str:
    """Say what is wrong with a pack, read whole; nothing if it is sound."""
    try:
        pack = Pack(file, window, fingerprint)
        for key in pack.keys:
            pack.read(key)
    except (OSError, ValueError, KeyError) as error:
        return str(error)
    return ""


class Packs:
    """All packs of a folder, opened when a video is first asked for."""

    def __init__(self, folder: Path, window: Window, fingerprint: str):
        """Take the folder of a fingerprint; what is damaged in it is told and not used."""
        self.folder, self.window, self.fingerprint = folder / FOLDER, window, fingerprint
        self._warned: set[str] = set()

    def __getstate__(self) -> dict[str, Any]:
        """Leave open files behind: another process opens its own."""
        return {name: value for name, value in vars(self).items() if name != "packs"}

    @cached_property
    def packs(self) -> list[Pack]:
        """Those that are sound."""
        found = []
        for file in sorted(self.folder.glob("[!.]*.safetensors")):
            try:
                found.append(Pack(file, self.window, self.fingerprint))
            except (OSError, ValueError, KeyError) as error:
                self._warn(file, error)
        return found

    def keys(self) -> list[str]:
        """List the videos that they hold."""
        return [key for pack in self.packs for key in pack.keys]

    def forget(self) -> None:
        """Look for packs anew when a video is next asked for."""
        vars(self).pop("packs", None)

    def find(self, key: str, stamp: Stamp | None) -> tuple[Pack, PackedVideo] | None:
        """Give a video, unless its own file, of this size and time of change, has more to say."""
        for pack in self.packs:
            if key not in pack:
                continue
            size, changed = pack.stamp(key)
            if stamp is not None and (stamp[0] > size or stamp[1] > changed):
                continue
            try:
                return pack, pack.read(key)
            except ValueError as error:
                self._warn(pack.file, error)
        return None

    def _warn(self, file: Path, error: Exception) -> None:
        text = "Damaged pack %s (%s): the files of single videos are used. Pack them again."
        if str(error) not in self._warned:
            self._warned.add(str(error))
            logger.warning(text, file, error)


def write_pack(
    file: Path,
    videos: Iterable[tuple[str, PackedVideo]],
    window: Window,
    fingerprint: str,
) -> None:
    """Write videos, by their keys, one after the other; a reader sees all of them or none.

    OSError: The disk is full or not writable.
    """
    with written_whole(file) as opened:
        opened.seek(_HEADER)
        index = _write_features(opened, videos, window)
        for name in index:
            opened.write(index[name].tobytes())
        opened.seek(0)
        opened.write(_header(index, window, fingerprint))


def _write_features(
    opened: BinaryIO,
    videos: Iterable[tuple[str, PackedVideo]],
    window: Window,
) -> dict[str, np.ndarray]:
    """Write the features of videos, and a window of zeros; give what belongs to them."""
    shape, dtype = window
    rows: list[PackedVideo] = []
    keys, sums = [], []
    for key, video in videos:
        features = np.ascontiguousarray(video.features, dtype)
        assert features.shape == (len(video.end_times), *shape), features.shape
        opened.write(features.data)
        keys.append(key)
        sums.append(zlib.crc32(features.data))
        times = video.end_times.copy(), video.unavailable.copy(), video.num_steps.copy()
        rows.append(PackedVideo(features[:0].copy(), *times, video.reader, range(0), video.stamp))
    opened.write(np.zeros(shape, dtype).data)
    none = np.zeros(0)
    return {
        "checksums": np.array(sums, np.int64),
        "end_times": np.concatenate([none, *(row.end_times for row in rows)]),
        "firsts": np.cumsum([0, *(len(row.end_times) for row in rows)], dtype=np.int64),
        "firsts_unavailable": np.cumsum([0, *(len(r.unavailable) for r in rows)], dtype=np.int64),
        "keys": np.frombuffer("\n".join(keys).encode(), np.uint8),
        "num_steps": np.concatenate([none, *(r.num_steps for r in rows)]).astype(np.int64),
        "readers": np.array([row.reader for row in rows], np.int64),
        "stamps": np.array([row.stamp for row in rows], np.int64).reshape(-1, 2),
        "unavailable": np.concatenate([none, *(row.unavailable for row in rows)]),
    }


def _header(index: dict[str, np.ndarray], window: Window, fingerprint: str) -> bytes:
    """Say where everything lies, filled up with spaces to the length that is kept for it."""
    shape, dtype = window
    num_windows = len(index["end_times"]) + 1
    end = num_windows * shape[0] * shape[1] * dtype.itemsize
    about: dict[str, object] = {
        "__metadata__": {
            "version": VERSION,
            "fingerprint": fingerprint,
            "checksum": checksum(index),
        },
        "features": {
            "dtype": _KINDS[dtype],
            "shape": [num_windows, *shape],
            "data_offsets": [0, end],
        },
    }
    for name, array in index.items():
        kind = {"f": "F64", "i": "I64", "u": "U8"}[array.dtype.kind]
        offsets = [end, end + array.nbytes]
        about[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": offsets}
        end += array.nbytes
    text = json.dumps(about).encode().ljust(_HEADER - 8)
    assert len(text) == _HEADER - 8, len(text)
    return len(text).to_bytes(8, "little") + text
