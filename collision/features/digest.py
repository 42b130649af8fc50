"""Keys of video files by their content, remembered so that an unchanged file is read once.

<root>/videos/<2 digits>.jsonl     by absolute path: see ``collision.features.shards``
<root>/videos.json                 of earlier versions, whose keys were hashes of whole files
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from collision.errors import VideoDecodeError
from collision.features.folders import FannedFolder
from collision.features.hashing import LENGTH, has_one_hash, hashes, stamp, whole_hash
from collision.features.saved import check_version, is_read_only, not_written
from collision.features.shards import ShardedIndex
from collision.files import load_json

_DIGEST = re.compile(rf"[0-9a-f]{{{LENGTH}}}")
_VERSION = 4  # of an entry in ``videos/``
_OLD_VERSION = 3  # of ``videos.json``: 1 was the mapping alone, 2 had no time of change


@dataclass(frozen=True)
class KnownFile:
    """What is remembered of a file, while its size and times (ns) stay the same.

    Attributes:
        changed: None where an earlier version did not note it.
        parts: The hash of size and parts, which is the key.
        whole: That of every byte; None where it was never taken.
        is_old: The cache holds what belongs to the file under ``whole``, as earlier versions did.
    """

    size: int
    modified: int
    changed: int | None
    parts: str
    whole: str | None
    is_old: bool

    @property
    def name(self) -> str:
        """The name of it in the cache."""
        return self.whole if self.is_old and self.whole else self.parts

    def is_of(self, stamped: list[int]) -> bool:
        """Whether a file with this ``stamp`` is unchanged."""
        size, modified, changed = stamped
        return (self.size, self.modified) == (size, modified) and self.changed in (None, changed)


class VideoDigests:
    """Hashes video files by content; a copy or a renamed file keeps its digest.

    A file counts as unchanged while its absolute path, size and times (ns) of modification and of
    change stay the same: the latter moves on even where a program sets the former back. A folder of
    images does while its number of files, their sizes and the latest times do.

    What the digest of a large file cannot see, a changed byte between the parts that are hashed, is
    said in ``collision.features.hashing``.
    """

    def __init__(self, index_file: Path):
        """Remember digests in the folder beside ``index_file``, which earlier versions wrote."""
        self.index_file = index_file
        self.files = ShardedIndex(index_file.with_suffix(""), _VERSION, _typed)

    def digest(
        self, path: Path, frame_rate: float | None = None, video_stream: int | None = None
    ) -> str:
        """Give the cache's name of a video file or a folder of images: 32 hex digits.

        A ``frame_rate`` in place of the file's own clock is added to it: the same frames at other
        times are another video; so is a ``video_stream`` in place of the one that players show.
        VideoDecodeError: there is no such file, or it cannot be read.
        """
        return _timed(self._known(path).name, frame_rate, video_stream)

    def content(
        self, path: Path, frame_rate: float | None = None, video_stream: int | None = None
    ) -> str:
        """Give what the digest is in every cache, also in one whose names are of earlier versions.

        VideoDecodeError: as ``digest``.
        """
        return _timed(self._known(path).parts, frame_rate, video_stream)

    def whole(
        self, path: Path, frame_rate: float | None = None, video_stream: int | None = None
    ) -> str:
        """Give the digest of earlier versions, for which every byte of a file is read, once.

        VideoDecodeError: as ``digest``.
        """
        known = self._known(path)
        if known.whole is None:
            try:
                known = replace(known, whole=whole_hash(path))
            except OSError as error:
                raise VideoDecodeError(path, error.strerror or str(error)) from error
            self.files.put(_absolute(path), known)
        assert known.whole is not None
        return _timed(known.whole, frame_rate, video_stream)

    def refresh(self) -> None:
        """See what other processes have saved meanwhile."""
        self.files.refresh()

    def save(self) -> None:
        """Add what is new to the index; what other processes add meanwhile is kept."""
        try:
            self.files.save()
        except OSError as error:
            if not is_read_only(error):
                raise not_written(self.files.folder, error) from error

    def _known(self, path: Path) -> KnownFile:
        try:
            name, stamped = _absolute(path), stamp(path)
            known = self.files.get(name)
            if known is None or not known.is_of(stamped):
                known = self._look(name, path, stamped)
            known = replace(known, changed=stamped[2])
            self.files.put(name, known)
        except OSError as error:
            raise VideoDecodeError(path, error.strerror or str(error)) from error
        return known

    def _look(self, name: str, path: Path, stamped: list[int]) -> KnownFile:
        size, modified, changed = stamped
        before = self.old_files.get(name)
        whole = before.whole if before is not None and before.is_of(stamped) else None
        if whole is not None and has_one_hash(path):
            return KnownFile(size, modified, changed, whole, whole, is_old=False)
        parts, found = hashes(path)
        whole = whole or found
        if whole is None and self.old_names:
            whole = whole_hash(path)
        is_old = parts != whole and whole in self.old_names
        return KnownFile(size, modified, changed, parts, whole, is_old)

    @cached_property
    def old_files(self) -> dict[str, KnownFile]:
        """What the index of earlier versions says, if there is one."""
        return dict(_read_old(self.index_file))

    @cached_property
    def old_names(self) -> frozenset[str]:
        """The hashes under which earlier versions left anything in this cache."""
        names = {name[:LENGTH] for folder in old_folders(self.index_file.parent) for name in folder}
        if names:  # some of it has been written anew since
            names |= {known.name for _, known in self.files.items() if known.is_old}
        return frozenset(names)


def old_folders(root: Path) -> Iterator[Iterator[str]]:
    """Give the names in each folder of a cache that earlier versions have filled."""
    for suffix, pattern in (
        (".safetensors", "*"),
        (".safetensors", "looks/*"),
        (".json", "facts/*"),
    ):
        for folder in root.glob(pattern):
            if folder.is_dir():
                names = FannedFolder(folder, suffix).flat_keys()
                yield (name for name in names if _DIGEST.fullmatch(name[:LENGTH]))


def _absolute(path: Path) -> str:
    return os.path.abspath(path)  # noqa: PTH100


def _timed(digest: str, frame_rate: float | None, video_stream: int | None) -> str:
    digest += "" if video_stream is None else f"-v{video_stream}"
    return digest if frame_rate is None else f"{digest}-{frame_rate:.12g}fps"


def _typed(content: Any) -> KnownFile | None:
    """Make an entry of what stands in the index; None: it is none."""
    if not isinstance(content, list) or len(content) != 6:
        return None
    size, modified, changed, parts, whole, is_old = content
    numbers = all(type(value) is int for value in (size, modified, changed or 0))
    named = isinstance(parts, str) and _DIGEST.fullmatch(parts)  # files are named by it
    twice = whole is None or (isinstance(whole, str) and _DIGEST.fullmatch(whole))
    return KnownFile(*content) if numbers and named and twice and type(is_old) is bool else None


def _read_old(index_file: Path) -> Iterator[tuple[str, KnownFile]]:
    """Read ``{path: [size, mtime_ns, ctime_ns, digest]}``; what is no such entry is left out."""
    try:
        content = load_json(index_file)
    except (OSError, ValueError):
        return
    if isinstance(content, dict) and "version" in content:
        check_version(index_file, content, _OLD_VERSION)
        content = content.get("files", {})
    for name, row in content.items() if isinstance(content, dict) else ():
        if isinstance(row, list) and len(row) in (3, 4):
            *stamped, digest = row if len(row) == 4 else [*row[:-1], None, row[-1]]
            if known := _typed([*stamped, digest, digest, False]):
                yield name, known
