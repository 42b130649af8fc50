"""Durations by the content of files, kept in the cache: no run opens a known file for them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from filelock import FileLock

from collision.audit.facts import keep_going_if_read_only
from collision.checks import STRICT, typed
from collision.errors import CollisionError, ConfigError, VideoDecodeError
from collision.features.digest import VideoDigests
from collision.files import write_json
from collision.sampling.durations import TimedFile
from collision.types import Seconds

FILE_NAME = "durations.json"


@dataclass(frozen=True)
class _Saved:
    __pydantic_config__ = STRICT

    durations: dict[str, float] = field(default_factory=dict)
    version: Literal[1] = 1


class DurationCache:
    """A ``DurationStore`` in a cache folder."""

    def __init__(self, cache_root: Path, digests: VideoDigests):
        """Read what is known; a damaged file is started anew."""
        self.file = cache_root / FILE_NAME
        self.digests = digests
        self._known = _read(self.file)

    def recall(self, file: TimedFile) -> Seconds | None:
        """Give the time of the last frame, if the file's content is known."""
        try:
            return self._known.get(self.digests.digest(*file))
        except VideoDecodeError:
            return None  # whoever opens the file says why

    def keep(self, durations: Mapping[TimedFile, Seconds]) -> None:
        """Remember durations; in a cache that may only be read, for as long as this lives.

        Raises:
            CollisionError: The disk is full.
        """
        new = {self.digests.digest(*file): duration for file, duration in durations.items()}
        self._known |= new
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self.file.with_suffix(".lock")):
                write_json(self.file, {"version": 1, "durations": _read(self.file) | new})
        except OSError as error:
            keep_going_if_read_only(self.file, error)
        with suppress(CollisionError):  # extraction saves them, too, and says what is wrong
            self.digests.save()


def _read(file: Path) -> dict[str, Seconds]:
    try:
        saved: _Saved = typed(_Saved, json.loads(file.read_bytes()))
    except (OSError, ValueError, ConfigError):
        return {}
    return saved.durations
