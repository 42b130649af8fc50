"""The windows of a data set in one array, read from the cache file by file into their rows.

Where they do not fit into memory, the array is a file that is mapped into it.

Shapes: N distinct windows that are needed, M of them that exist, S steps a window, D features;
P backbones, K steps of all windows of one of them, n rows that are asked for.
"""

from __future__ import annotations

import math
import os
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from collision.features.saved import not_written
from collision.features.store import FeatureStore
from collision.sampling.windows import NeededWindows

_CHUNK = 32  # videos that a thread reads in one go
_MOST_THREADS = 8
_SHARE_OF_MEMORY = 0.8  # of what is free: the head, its batches and Python need some, too


@dataclass(frozen=True, eq=False)
class Bank:
    """Windows side by side, and where each is.

    Attributes:
        features: ``[M + 1, S, D]`` in the stored dtype; the last row is zero.
        num_steps: ``int64 [M + 1]`` so many steps of each are real, the newest; 0 in the last row.
        rows: ``int64 [N]`` of the windows that were asked for; -1 where there is none.
    """

    features: Tensor
    num_steps: Tensor
    rows: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class FusedBank:
    """Steps of several backbones side by side, each a window of its own, put together when asked.

    It is used as the tensor ``[M + 1, 1, D]`` that it stands for, whose last row is zero, and which
    would hold every step as often as it meets another one.

    Attributes:
        banks: ``[K, D]`` of each backbone, in the stored dtype; the last row is zero.
        index: ``int64 [P, M + 1]`` rows of ``banks``.
    """

    banks: tuple[Tensor, ...]
    index: Tensor

    @property
    def shape(self) -> torch.Size:
        """Of what it stands for."""
        return torch.Size((len(self), 1, sum(bank.shape[1] for bank in self.banks)))

    def __len__(self) -> int:
        return self.index.shape[1]

    def __getitem__(self, rows: Tensor) -> Tensor:
        return self.index_select(0, rows)

    def index_select(self, dim: int, rows: Tensor) -> Tensor:
        """Give ``[n, 1, D]``; ``dim`` is 0, as of a tensor."""
        assert dim == 0, dim
        parts = [
            bank.index_select(0, own.index_select(0, rows))
            for bank, own in zip(self.banks, self.index, strict=True)
        ]
        return torch.cat(parts, dim=1).unsqueeze(1)


def joined_banks(first: Tensor | FusedBank, second: Tensor | FusedBank) -> Tensor | FusedBank:
    """Put the windows of a second bank, of the same kind, behind the first's."""
    if not isinstance(first, FusedBank) or not isinstance(second, FusedBank):
        assert isinstance(first, Tensor) and isinstance(second, Tensor)
        return torch.cat([first[:-1], second])
    both = zip(first.banks, second.banks, strict=True)
    sizes = torch.tensor([[len(bank)] for bank in first.banks])
    index = torch.cat([first.index[:, :-1], second.index + sizes], dim=1)
    return FusedBank(tuple(torch.cat(pair) for pair in both), index)


def read_bank(store: FeatureStore, needed: NeededWindows, digest_of: Mapping[str, str]) -> Bank:
    """Read windows, each once; those of videos that ``digest_of`` lacks do not exist.

    Raises:
        CacheMismatchError: Some were never extracted.
        CollisionError: They fit neither into memory nor on the disk.
    """
    keys = [
        (group, digest_of[video] + view.suffix)
        for group, (video, view) in enumerate(needed.keys)
        if video in digest_of
    ]
    groups = np.array([group for group, _ in keys], np.int64)
    most = np.diff(needed.firsts)[groups]
    begins = np.concatenate([np.zeros(1, np.int64), np.cumsum(most)])  # if all of them exist
    window = store.spec.num_steps, store.spec.feature_dim
    size = (int(begins[-1]) + 1) * math.prod(window) * store.dtype.itemsize
    fits = size <= _SHARE_OF_MEMORY * free_memory()
    if not fits and (mapped := _mapped(store, needed, keys)) is not None:
        return mapped
    features = _allocated(store, (int(begins[-1]) + 1, *window), fits)
    num_steps = np.zeros(len(features), np.int64)
    rows, counts = np.full(len(needed.ends), -1), np.zeros(len(keys), np.int64)

    def read(numbers: Sequence[int]) -> None:
        for number in numbers:
            group, key = keys[number]
            stored, positions = store.take(key, needed.ends_of(group))
            assert stored.num_steps is not None
            found = positions[positions >= 0]
            first, last = int(begins[number]), int(begins[number]) + len(found)
            _take_rows(stored.features, found, features[first:last])
            num_steps[first:last] = stored.num_steps[found]
            own = rows[needed.firsts[group] : needed.firsts[group + 1]]
            own[positions >= 0] = np.arange(first, last)
            counts[number] = len(found)

    chunks = [range(len(keys))[first : first + _CHUNK] for first in range(0, len(keys), _CHUNK)]
    with ThreadPoolExecutor(min(_MOST_THREADS, len(os.sched_getaffinity(0)))) as pool:
        list(pool.map(read, chunks))
    _close_gaps(begins, counts, features, num_steps)
    shifts = np.zeros(len(needed.keys), np.int64)
    shifts[groups] = begins[:-1] - np.cumsum(counts) + counts
    rows -= np.where(rows >= 0, np.repeat(shifts, np.diff(needed.firsts)), 0)
    count = int(counts.sum())
    features[count], num_steps[count] = 0, 0
    return Bank(
        torch.from_numpy(features[: count + 1]), torch.from_numpy(num_steps[: count + 1]), rows
    )


def _take_rows(stored: NDArray[np.floating], found: NDArray[np.int64], out: np.ndarray) -> None:
    """Copy some rows; neighbours in one piece."""
    if len(found) and (np.diff(found) == 1).all():
        out[:] = stored[found[0] : found[-1] + 1]
    else:
        out[:] = stored[found]


def _close_gaps(
    begins: NDArray[np.int64], counts: NDArray[np.int64], *arrays: NDArray[np.generic]
) -> None:
    """Move the rows of each video up to those before it: some of its windows do not exist."""
    ends = np.cumsum(counts)
    for number in np.flatnonzero(begins[:-1] != ends - counts).tolist():
        first, count, end = int(begins[number]), int(counts[number]), int(ends[number])
        for array in arrays:
            array[end - count : end] = array[first : first + count]


def _mapped(
    store: FeatureStore, needed: NeededWindows, keys: Sequence[tuple[int, str]]
) -> Bank | None:
    """Use the pack that holds all videos as it lies on the disk; None where there is none."""
    rows, pack = np.full(len(needed.ends), -1), None
    for group, key in keys:
        found = store.packed(key)
        if found is None or pack not in (None, found[0]):
            return None
        pack, video = found
        _, positions = store.take(key, needed.ends_of(group))
        own = rows[needed.firsts[group] : needed.firsts[group + 1]]
        own[:] = np.where(positions >= 0, video.rows.start + positions, -1)
    if pack is None:
        return None
    with warnings.catch_warnings():  # that nobody may write there
        warnings.simplefilter("ignore", UserWarning)
        features = torch.from_numpy(pack.features)
    return Bank(features, torch.from_numpy(pack.num_steps), rows)


def _allocated(store: FeatureStore, shape: tuple[int, ...], fits: bool) -> NDArray[np.floating]:
    """Make room for windows, in memory or, where they do not fit, in a file."""
    if fits:
        return np.empty(shape, store.dtype)
    try:
        with tempfile.TemporaryFile(dir=store.folder) as file:  # gone when nobody uses it
            os.posix_fallocate(file.fileno(), 0, math.prod(shape) * store.dtype.itemsize)
            return np.memmap(file, store.dtype, "r+", shape=shape)
    except OSError as error:
        raise not_written(store.folder, error) from error


def free_memory() -> float:
    """Bytes that can be had without swapping, also within a container or a job; inf: not known."""
    found = [float("inf")]
    try:
        told = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        found.append(1024 * float(told["MemAvailable"].split()[0]))
        group = Path("/proc/self/cgroup").read_text().strip().rpartition(":")[2]
        folder = Path("/sys/fs/cgroup") / group.strip("/")
        most, used = ((folder / f"memory.{name}").read_text() for name in ("max", "current"))
        found.append(float(most) - float(used))
    except (OSError, KeyError, ValueError):  # another system, or no limit
        pass
    return min(found)
