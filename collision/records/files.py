"""What several data sets need beside reading lines: JSON entry by entry, and which files are there.

Plug-ins in ``datasets/`` may not import each other; what they share is here and in
``collision.records.annotations``.
"""

from __future__ import annotations

import json
import math
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from collision.errors import (
    MOST_LINES_SHOWN,
    AnnotationError,
    CollisionError,
    ConfigError,
    DatasetNotFoundError,
)
from collision.records.annotations import decoded, parse_each, read_json
from collision.records.near import alike, with_other_suffix
from collision.types import SPLITS, Dataset, Split, VideoRecord

Value = TypeVar("Value")

_BETWEEN = re.compile(r"[\s,:]*")


def parse_entries(
    file: Path, kind: type[dict] | type[list], parse: Callable[[Any], Value]
) -> list[tuple[int, Value]]:
    """Read a JSON object or list entry by entry; no wrong one is lost.

    Gives the line, from 1, in which each entry begins (all 1 in a file without line breaks), and
    its value. Entries of an object are pairs of key and value, a key that comes twice included;
    ``parse`` rejects one by a ``ValueError``.

    Raises:
        AnnotationError: No JSON, something else, or all the entries that ``parse`` rejected.
    """
    whole = read_json(file)
    if not isinstance(whole, kind):
        wanted = {dict: "object", list: "list"}[kind]
        raise AnnotationError(f"{str(file)!r} holds no JSON {wanted} but {str(whole)[:40]!r}.")
    return parse_each(file, _entries(decoded(file), kind is dict), parse)


def _entries(text: str, is_object: bool) -> Iterator[tuple[int, Any]]:
    """Walk through text that is known to be a JSON object or list."""
    decoder = json.JSONDecoder()
    position = _skip(text, 0) + 1
    line, counted = 1, 0
    while text[position := _skip(text, position)] not in "]}":
        line, counted = line + text.count("\n", counted, position), position
        entry, position = decoder.raw_decode(text, position)
        if is_object:
            value, position = decoder.raw_decode(text, _skip(text, position))
            entry = (entry, value)
        yield line, entry


def _skip(text: str, position: int) -> int:
    found = _BETWEEN.match(text, position)
    assert found is not None, "the pattern matches nothing, too"
    return found.end()


def first_present(root: Path, names: Sequence[str]) -> str:
    """Give the first name that exists below the root; the first of all if none does."""
    return next((name for name in names if alike(root / name, root)), names[0])


class VideosNotFoundError(DatasetNotFoundError):
    """The annotation files are there, but ``expected``, of ``number`` listed videos, are not."""

    def __init__(self, root: Path, missing: Sequence[Path], number: int, where: str):
        self.root, self.number, self.where = root, number, where
        self.expected = [path.relative_to(root).as_posix() for path in missing]
        shown = [_and_near(root, path) for path in missing[:MOST_LINES_SHOWN]]
        if rest := len(missing) - len(shown):
            shown.append(f"... and {rest} more")
        listing = "\n".join(f"  {name}" for name in shown)
        count = f"{len(missing)} of {number} listed videos are not in {str(root)!r}"
        skip = "\nTo go on without them: skip_failures=true." if len(missing) < number else ""
        CollisionError.__init__(self, f"{count}:\n{listing}\n{where}{skip}")


def _and_near(root: Path, path: Path) -> str:
    near = with_other_suffix(path)
    said = f" (there is {', '.join(near)})" if near else ""
    return path.relative_to(root).as_posix() + said


def require_videos(root: Path, paths: Sequence[Path], where: str) -> None:
    """Check that videos, files or folders of images, are there; else VideosNotFoundError."""
    if missing := [path for path in paths if not _exists(path)]:
        raise VideosNotFoundError(root.resolve(), missing, len(paths), where)


def prepare(dataset: Dataset, splits: Sequence[Split] | None, skip_missing: bool = False) -> None:
    """Let a data set check or make its files.

    ``skip_missing``: Videos that are not there are left to who reads them, and fails, unless none
    is there.
    """
    try:
        dataset.prepare(splits)
    except VideosNotFoundError as error:
        if not skip_missing or len(error.expected) == error.number:
            raise


class ListedVideos(ABC):
    """A base of data sets whose annotation files list videos in a folder; gives ``prepare``.

    Attributes:
        folder: That the videos are in.
        remedy: What to do about missing videos.
    """

    folder: Path
    remedy = "Complete the download."

    @abstractmethod
    def records(self) -> list[VideoRecord]:
        """As in ``collision.types.Dataset``."""

    def prepare(self, splits: Sequence[Split] | None = None) -> None:
        """Check every line, and that the videos of some splits (default: all) are there.

        Where train or val is wanted, both are: one may be made of the other, and their negatives
        draw mock events from both.

        Raises:
            CollisionError: As ``records``, or videos are missing; lists them.
        """
        wanted = set(SPLITS if splits is None else splits)
        if wanted & {"train", "val"}:
            wanted |= {"train", "val"}
        paths = [record.path for record in self.records() if record.split in wanted]
        require_videos(self.folder, paths, self.remedy)


def with_unique_ids(records: Sequence[VideoRecord], root: Path) -> list[VideoRecord]:
    """Put the path below the root in place of ids that repeat, and of groups named by them."""
    count = Counter(record.id for record in records)

    def unique(record: VideoRecord) -> VideoRecord:
        if count[record.id] == 1:
            return record
        name = record.path.relative_to(root.resolve()).with_suffix("").as_posix()
        return replace(record, id=name, group=name if record.group == record.id else record.group)

    return [unique(record) for record in records]


def check_rate(frame_rate: float) -> float:
    """Take an option ``frame_rate``; ConfigError if it is no rate."""
    is_number = isinstance(frame_rate, (int, float)) and not isinstance(frame_rate, bool)
    if not is_number or not 0 < frame_rate < math.inf:
        raise ConfigError(f"dataset.frame_rate={frame_rate!r}: give frames a second, such as 10.")
    return float(frame_rate)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name too long for the file system, for instance
        return False
