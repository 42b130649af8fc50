"""The folder of what visitors send, gone when the page is: also after a kill, at the next start."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

_PREFIX = "collision-serve-"
_LOCK = "lock"
_YOUNG = 3600.0  # seconds; a folder without a lock may be one that is being made


@contextmanager
def spool() -> Iterator[Path]:
    """Give a new folder that only this user can read; remove it, and those that nobody holds.

    It lies where TMPDIR says. A lock in it tells that it is in use; the system frees the lock of a
    process that was killed.
    """
    remove_left(Path(tempfile.gettempdir()))
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    lock = FileLock(folder / _LOCK)
    lock.acquire()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)  # some systems keep a file that is open


def remove_left(root: Path) -> list[Path]:
    """Remove this user's folders that no running page holds; give those that were removed."""
    removed = []
    for folder in sorted(root.glob(f"{_PREFIX}*")):
        if folder.is_symlink() or not folder.is_dir():
            continue
        with suppress(OSError):  # another user's
            if not (folder / _LOCK).exists():
                is_left = time.time() - folder.stat().st_mtime > _YOUNG
            else:
                is_left = _is_free(folder / _LOCK)
            if is_left:
                shutil.rmtree(folder)
                removed.append(folder)
    return removed


def _is_free(lock: Path) -> bool:
    try:
        with FileLock(lock, timeout=0):
            return True
    except Timeout:
        return False
