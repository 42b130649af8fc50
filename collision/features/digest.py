"""Content hashes of video files, remembered so that an unchanged file is read once."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import TypeAlias

from collision.errors import VideoDecodeError
from collision.features.saved import check_version, is_read_only, not_written
from collision.files import list_folder, load_json, locked, write_json

_LENGTH = 32  # hex digits: 128 bits, so that two videos never share a name by chance
_DIGEST = re.compile(rf"[0-9a-f]{{{_LENGTH}}}")
_VERSION = 3  # of the index file: 1 was the mapping of files alone, 2 had no time of change

# Size, times of modification and change (None where an older version did not note it), digest.
_Entry: TypeAlias = list[int | str | None]


class VideoDigests:
    """Hashes video files by content; a copy or a renamed file keeps its digest.

    A file counts as unchanged while its absolute path, size and times (ns) of modification and of
    change stay the same: the latter moves on even where a program sets the former back. A folder of
    images does while its number of files, their sizes and the latest times do.
    """

    def __init__(self, index_file: Path):
        """Remember digests in ``index_file`` (JSON); an unreadable one is started anew."""
        self.index_file = index_file
        self._known = _read_index(index_file)
        self._new: dict[str, _Entry] = {}

    def digest(
        self, path: Path, frame_rate: float | None = None, video_stream: int | None = None
    ) -> str:
        """Give the digest of a video file or a folder of images: 32 hex digits.

        A ``frame_rate`` in place of the file's own clock is added to it: the same frames at other
        times are another video; so is a ``video_stream`` in place of the one that players show.
        VideoDecodeError: there is no such file, or it cannot be read.
        """
        try:
            name = os.path.abspath(path)  # noqa: PTH100
            stamped = stamp(path)
            known = self._known.get(name)
            if known is not None and known[:2] == stamped[:2] and known[2] in (None, stamped[2]):
                digest = str(known[3])
            else:
                digest = _digest_folder(path) if path.is_dir() else _digest_file(path)
            entry: _Entry = [*stamped, digest]
            if known != entry:
                self._known[name] = self._new[name] = entry
        except OSError as error:
            raise VideoDecodeError(path, error.strerror or str(error)) from error
        digest += "" if video_stream is None else f"-v{video_stream}"
        return digest if frame_rate is None else f"{digest}-{frame_rate:.12g}fps"

    def refresh(self) -> None:
        """Add what other processes have saved meanwhile."""
        self._known = self._known | _read_index(self.index_file) | self._new

    def save(self) -> None:
        """Write what is new to the index file, keeping what other processes wrote meanwhile."""
        if not self._new:
            return
        try:
            self.index_file.parent.mkdir(parents=True, exist_ok=True)
            with locked(self.index_file.with_suffix(".lock")):
                files = _read_index(self.index_file) | self._new
                write_json(self.index_file, {"version": _VERSION, "files": files})
        except OSError as error:
            if not is_read_only(error):
                raise not_written(self.index_file, error) from error
        self._new = {}


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


def _digest_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:_LENGTH]


def _digest_folder(path: Path) -> str:
    whole = hashlib.sha256()
    for file in filter(Path.is_file, list_folder(path)):
        whole.update(f"{file.name}\0{_digest_file(file)}\0".encode(errors="surrogateescape"))
    return whole.hexdigest()[:_LENGTH]


def _read_index(index_file: Path) -> dict[str, _Entry]:
    """Read ``{path: [size, mtime_ns, ctime_ns, digest]}``; what is no such entry is left out."""
    try:
        content = load_json(index_file)
    except (OSError, ValueError):
        return {}
    if isinstance(content, dict) and "version" in content:
        check_version(index_file, content, _VERSION)
        content = content.get("files", {})
    found = {}
    for name, entry in content.items() if isinstance(content, dict) else ():
        row = (
            [*entry[:-1], None, entry[-1]] if isinstance(entry, list) and len(entry) == 3 else entry
        )
        kinds = [type(value) for value in row] if isinstance(row, list) else []
        is_entry = kinds in ([int, int, int, str], [int, int, type(None), str])
        if is_entry and _DIGEST.fullmatch(row[3]):  # files are named by it
            found[name] = row
    return found
