"""Hashes of what a video file, or a folder of images, holds: in parts, and whole.

The hash in parts is the key under which a cache keeps what belongs to a video. It reads some 3 MiB
of a large file, however long that is: a night's job begins with its first video, not after every
byte of a disk was read. What it cannot see is a change between the parts of a file that keeps its
size, as a program makes that writes into a file in place; of two takes, codings or cuts of a video
the beginnings and sizes differ. The whole hash sees everything, and is what earlier versions took.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

from collision.files import list_folder

LENGTH = 32  # hex digits: 128 bits, so that two videos never share a name by chance
WHOLE_UP_TO = 4 * 2**20  # bytes; smaller files have one hash

_END = 2**20  # bytes at the beginning, and at the end
_BLOCK, _NUM_BLOCKS = 64 * 2**10, 16  # between them
# Part of what is hashed, so that no file has the hash of another's parts.
_RULE = "dashcam-collision, parts of a video file, 1"


class Hashes(NamedTuple):
    """The two hashes of a content; the whole one is None where it was not taken."""

    parts: str
    whole: str | None


def hashes(path: Path) -> Hashes:
    """Hash a file or a folder of images in parts; small files are hashed whole, and that is both.

    OSError: it cannot be read.
    """
    if has_one_hash(path):
        whole = whole_hash(path)
        return Hashes(whole, whole)
    if path.is_dir():
        images = [(file.name, hashes(file).parts) for file in _files_of(path)]
        return Hashes(_of_folder(images), None)
    return Hashes(_of_parts(path, path.stat().st_size), None)


def has_one_hash(path: Path) -> bool:
    """Whether a file, or each image of a folder, is so small that its hash is the whole one."""
    files = _files_of(path) if path.is_dir() else [path]
    return all(file.stat().st_size <= WHOLE_UP_TO for file in files)


def whole_hash(path: Path) -> str:
    """Hash every byte of a file or of a folder's images; OSError: it cannot be read."""
    if path.is_dir():
        return _of_folder([(file.name, whole_hash(file)) for file in _files_of(path)])
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:LENGTH]


def stamp(path: Path) -> list[int]:
    """Give size and times (ns) of modification and change of a file, or of a folder's together.

    A folder's number of files is mixed into the size, and its own times count too: renaming its
    files changes their order and nothing else.
    """
    every = [path.stat()]
    size = every[0].st_size
    if path.is_dir():
        inside = [entry.stat() for entry in os.scandir(path) if entry.is_file()]
        size = sum(status.st_size for status in inside) + len(inside)
        every += inside
    return [size, max(one.st_mtime_ns for one in every), max(one.st_ctime_ns for one in every)]


def _of_parts(path: Path, size: int) -> str:
    between = size - 2 * _END - _BLOCK
    starts = [_END + between * n // (_NUM_BLOCKS - 1) for n in range(_NUM_BLOCKS)]
    places = [(0, _END), *((start, _BLOCK) for start in starts), (size - _END, _END)]
    hashed = hashlib.sha256(f"{_RULE}, {size} bytes\0".encode())
    with path.open("rb", buffering=0) as file:
        for start, length in places:
            file.seek(start)
            hashed.update(file.read(length))
    return hashed.hexdigest()[:LENGTH]


def _files_of(folder: Path) -> list[Path]:
    return [file for file in list_folder(folder) if file.is_file()]


def _of_folder(images: list[tuple[str, str]]) -> str:
    hashed = hashlib.sha256()
    for name, image in images:
        hashed.update(f"{name}\0{image}\0".encode(errors="surrogateescape"))
    return hashed.hexdigest()[:LENGTH]
