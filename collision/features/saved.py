"""What holds for every file of a cache: its version is known, and what stops writing is told."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from collision.errors import CacheMismatchError, CollisionError

_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


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
