"""What holds for every file of a cache: version and checksum; what stops writing is told."""

from __future__ import annotations

import errno
import json
import math
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from collision.errors import CacheMismatchError, CollisionError
from collision.records.annotations import warn_once

_LONGEST_HEADER = 100_000_000  # bytes, as safetensors has it
_DTYPES = {
    **{"F16": "<f2", "F32": "<f4", "F64": "<f8", "U8": "u1", "I8": "i1", "BOOL": "?"},
    **{"I16": "<i2", "I32": "<i4", "I64": "<i8", "U16": "<u2", "U32": "<u4", "U64": "<u8"},
}
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
_LENGTH = 8  # bytes at the beginning of a safetensors file that say how long its header is


def check_version(file: Path, content: Mapping[str, Any], newest: int) -> None:
    """Refuse a file that newer software wrote by CacheMismatchError; without a version it is 1."""
    version = content.get("version", 1)
    if type(version) is not int or not 1 <= version <= newest:
        raise CacheMismatchError(
            f"{str(file)!r} has version {version!r}; versions up to {newest} can be read here. "
            "Use the software that wrote it, or another cache folder: cache_root=FOLDER."
        )


def is_read_only(error: OSError) -> bool:
    """Whether a file could not be written because nobody may, not because something broke."""
    return error.errno in _READ_ONLY


def not_written(path: Path, error: OSError) -> CollisionError:
    """Say that a file could not be written, and what to do about it."""
    if is_read_only(error):
        return CollisionError(
            f"Cannot write {str(path)!r}: {error.strerror}. What is in the cache can be used, but "
            "some of what is wanted is not there. Choose a folder that you may write to: "
            "cache_root=FOLDER."
        )
    reason = "no space left" if error.errno == errno.ENOSPC else error.strerror
    return CollisionError(
        f"Cannot write {str(path)!r}: {reason}. What was stored before is whole. Make room or "
        "choose another cache folder (cache_root=FOLDER), and run the same command: it goes on "
        "from there."
    )


@contextmanager
def kept_in_cache(file: Path, folder: Path | None = None) -> Iterator[Path]:
    """Write a file of the cache; where that may only be read, say once that nothing is kept.

    ``folder`` is what is named then, if it is not the file's own.

    A full or broken disk is a ``CollisionError``.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        yield file
    except OSError as error:
        if not is_read_only(error):
            raise not_written(file, error) from error
        lost = "what was found in the files is not kept for next time"
        warn_once(f"{folder or file.parent} may only be read: {lost}.")


def pack(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> bytes:
    """Put arrays and what belongs to them into a safetensors file with a checksum.

    The same arrays and metadata give the same bytes, in every process.
    """
    rows = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    written = save(rows)
    length = int.from_bytes(written[:_LENGTH], "little")
    # The library writes metadata in another order each time.
    ordered = {"__metadata__": dict(sorted({**metadata, "checksum": checksum(rows)}.items()))}
    header = json.dumps({**ordered, **json.loads(written[_LENGTH : _LENGTH + length])}).encode()
    header += b" " * (-len(header) % _LENGTH)  # the arrays behind it begin at a multiple of 8
    return len(header).to_bytes(_LENGTH, "little") + header + written[_LENGTH + length :]


def unpack(file: Path, is_sound: bool = False) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read what ``pack`` made: arrays and metadata; the checksum is taken unless it ``is_sound``.

    Raises:
        OSError: There is no such file, or it cannot be read.
        ValueError: It is damaged.
    """
    with file.open("rb") as opened:
        content = np.empty(os.fstat(opened.fileno()).st_size, np.uint8)
        if opened.readinto(content.data) != len(content):
            raise ValueError("it is cut short")
    arrays, metadata = parsed(content)
    if not is_sound and metadata.get("checksum") != checksum(arrays):
        raise ValueError("its checksum is wrong")
    return arrays, metadata


def parsed(content: NDArray[np.uint8]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Find arrays and metadata in the bytes of a safetensors file; the arrays are views of them.

    ValueError: they are none, or not whole.
    """
    begin = 8 + int.from_bytes(content[:8].tobytes(), "little")
    if not 8 < begin <= min(len(content), _LONGEST_HEADER):
        raise ValueError("it has no header")
    try:
        header = json.loads(content[8:begin].tobytes())
        metadata = header.pop("__metadata__", {})
        arrays, ends = {}, [0]
        for name, told in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
            first, last = told["data_offsets"]
            if first != ends[-1]:
                raise ValueError("its arrays leave holes")
            ends.append(last)
            shape, kind = [int(size) for size in told["shape"]], np.dtype(_DTYPES[told["dtype"]])
            count = math.prod(shape)
            if min(shape, default=0) < 0 or last - first != count * kind.itemsize:
                raise ValueError(f"{name} has another size than its shape")
            if begin + last > len(content):
                raise ValueError("it is cut short")
            arrays[name] = np.frombuffer(content, kind, count, begin + first).reshape(shape)
    except (AttributeError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"its header is damaged: {error!r}") from error
    if begin + ends[-1] != len(content) or not isinstance(metadata, dict):
        raise ValueError("its header does not fit")
    return arrays, metadata


def checksum(arrays: Mapping[str, np.ndarray]) -> str:
    """Give the CRC-32 of arrays, in the order of their names, in hex digits."""
    found = 0
    for name in sorted(arrays):
        found = zlib.crc32(np.ascontiguousarray(arrays[name]).data, found)
    return f"{found:08x}"
