"""Files: written whole or not at all, by one writer at a time; and which a folder holds."""

from __future__ import annotations

import errno
import json
import os
import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

# What flock gives on some mounts of NFS, Lustre, SMB and FUSE.
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS)
_LONGEST_WAIT = 300.0  # s, for a lock that its holder, if killed on another machine, leaves behind


def write_whole(path: Path, content: bytes | str) -> None:
    """Put content under a name at once: readers see the old file or the new one, never half of it.

    Text is UTF-8; bytes of file names that are none survive.

    Raises:
        OSError: The disk is full or not writable; the old file stays.
    """
    data = content.encode(errors="surrogateescape") if isinstance(content, str) else content
    with written_whole(path) as file:
        file.write(data)


@contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """Give a file to write to, which takes its name once the block has ended well.

    OSError: The disk is full or not writable; the old file stays.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_json(path: Path, data: Any) -> None:
    """Write JSON whole; NaN and infinity are refused, since other programs cannot read them."""
    write_whole(path, json.dumps(data, indent=2, allow_nan=False) + "\n")


def load_json(path: Path) -> Any:
    """Read JSON that this software wrote; ValueError where it is damaged, or holds NaN."""

    def refuse(constant: str) -> None:
        raise ValueError(f"it holds {constant}")

    try:
        return json.loads(path.read_bytes(), parse_constant=refuse)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file; the lock is the file ``PATH.held`` itself where the disk has no locks.

    Raises:
        OSError: The file cannot be made, or such a ``PATH.held`` does not go away.
    """
    lock: BaseFileLock = FileLock(path)
    try:
        lock.acquire()
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        lock = SoftFileLock(path.with_name(f"{path.name}.held"), timeout=_LONGEST_WAIT)
        try:
            lock.acquire()
        except Timeout as held:
            reason = "Another process holds this file; delete it if none is running"
            raise OSError(errno.ETIMEDOUT, reason, lock.lock_file) from held
    try:
        yield
    finally:
        lock.release()


def list_folder(folder: Path, suffixes: Collection[str] = ()) -> list[Path]:
    """List what a folder holds, by name; nothing where there is none.

    Names that begin with a dot are left out, as of the ``._clip.mp4`` that macOS writes beside
    each file. Of ``suffixes`` (in lower case) those in any case are listed.
    """
    try:
        found = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except FileNotFoundError:
        return []
    return [path for path in found if not suffixes or path.suffix.lower() in suffixes]
