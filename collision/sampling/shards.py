"""A shard of a data set: what one task of a job array does, by file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from collision.errors import ConfigError
from collision.records.splits import fraction_from
from collision.types import VideoRecord

_TEXT = re.compile(r"([1-9][0-9]*)/([1-9][0-9]*)")


@dataclass(frozen=True)
class Shard:
    """The ``number``-th, from 1, of ``count`` parts."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str | int) -> Shard:
        """Read ``3/8``; a ConfigError where it is no part of a whole."""
        found = _TEXT.fullmatch(str(text))
        shard = cls(*map(int, found.groups())) if found else None
        if shard is None or shard.number > shard.count:
            raise ConfigError(
                f"shard={text}: give which part of how many, from shard=1/8 to shard=8/8."
            )
        return shard

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @property
    def is_whole(self) -> bool:
        """Whether there is no other part."""
        return self.count == 1

    def own(self, records: Iterable[VideoRecord]) -> set[Path]:
        """Give this shard's files, dealt in the order of their paths; all records of one together.

        Parted, a file would be decoded twice.
        """
        files = sorted({record.path for record in records})
        return set(files[self.number - 1 :: self.count])

    def shuffled(self, records: Iterable[VideoRecord]) -> Sequence[VideoRecord]:
        """Put records into an order that no other shard has.

        Tasks that go through the same files, and tell each other, so seldom meet at one.
        """
        return sorted(records, key=lambda r: fraction_from(f"shard/{self}/{r.path}"))
