"""Content hashes of video files, remembered so that an unchanged file is read once."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from collision.errors import VideoDecodeError
from collision.features.saved import check_version, is_read_only, not_written
from collision.files import list_folder, load_json, locked, write_json

_LENGTH = 32  # hex digits: 128 bits, so that two videos never share a name by chance
_DIGEST = re.compile(rf"[0-9a-f]{{{_LENGTH}}}")
_VERSION = 2  # of the index file; the first was the mapping of files alone


class VideoDigests:
    """Hashes video files by content; a copy or a renamed file keeps its digest.

    A file counts as unchanged while its absolute path, size and modification time (ns) stay the
    same; a folder of images while its number of files, their sizes and the latest time do.
    """

    def __init__(self, index_file: Path):
        """Remember digests in ``index_file`` (JSON); an unreadable one is started anew."""
        self.index_file = index_file
        self._known = _read_index(index_file)
        self._new: dict[str, list[int | str]] = {}

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
            if known is not None and known[:2] == stamped:
                digest = str(known[2])
            else:
                digest = _digest_folder(path) if path.is_dir() else _digest_file(path)
                self._known[name] = self._new[name] = [*stamped, digest]
        except OSError as error:
            raise VideoDecodeError(path, error.strerror or str(error)) from error
        digest += "" if video_stream is None else f"-v{video_stream}"
        return digest if frame_rate is None else f"{digest}-{frame_rate:.12g}fps"

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
    """Give size and modification time (ns) of a file, or of a folder's files together.

    A folder's number of files is mixed into the size, and its own time counts too: renaming its
    files changes their order and nothing else.
    """
    own = path.stat()
    if not path.is_dir():
        return [own.st_size, own.st_mtime_ns]
    inside = [entry.stat() for entry in os.scandir(path) if entry.is_file()]
    size = sum(status.st_size for status in inside) + len(inside)
    return [size, max(status.st_mtime_ns for status in [own, *inside])]


def _digest_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:_LENGTH]


def _digest_folder(path: Path) -> str:
    whole = hashlib.sha256()
    for file in filter(Path.is_file, list_folder(path)):
        whole.update(f"{file.name}\0{_digest_file(file)}\0".encode(errors="surrogateescape"))
    return whole.hexdigest()[:_LENGTH]


def _read_index(index_file: Path) -> dict[str, list[int | str]]:
    """Read ``{path: [size, mtime_ns, digest]}``; whatever is not such an entry is left out."""
    try:
        content = load_json(index_file)
    except (OSError, ValueError):
        return {}
    if isinstance(content, dict) and "version" in content:
        check_version(index_file, content, _VERSION)
        content = content.get("files", {})
    return {
        name: entry
        for name, entry in (content.items() if isinstance(content, dict) else ())
        if isinstance(entry, list) and [type(value) for value in entry] == [int, int, str]
        if _DIGEST.fullmatch(entry[2])  # files are named by it
    }
