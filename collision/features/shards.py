"""A table of names and small values on disk, in 256 files that are only added to.

    <folder>/<2 digits of the name's hash>.jsonl     a line of JSON an entry: [name, value]

A file is read when one of its names is first asked for. What is new is appended under the lock of
that file alone; of several lines of a name the last one counts, and a file with more of the others
is written anew. Damaged lines, as of a writer that was killed, are skipped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from collision.features.saved import check_version
from collision.files import locked, write_whole

Value = TypeVar("Value")

_SPARE_LINES = 64  # that no longer count and are left where they are, in however small a file


class ShardedIndex(Generic[Value]):
    """Names with values, of which each process knows what stood there when it first asked."""

    def __init__(self, folder: Path, version: int, typed: Callable[[Any], Value | None]):
        """Use a folder; ``typed`` makes a value of plain JSON data, or None where it is none.

        A value that is a dataclass is written as the list of its fields.

        ``version`` is that of the values: files of a newer one are refused (CacheMismatchError).
        """
        self.folder, self.version, self._typed = folder, version, typed
        self._known: dict[str, dict[str, Value]] = {}
        self._num_lines: dict[str, int] = {}
        self._new: dict[str, Value | None] = {}

    def get(self, name: str) -> Value | None:
        """Give a name's value; None where there is none."""
        return self._new[name] if name in self._new else self._shard(_shard_of(name)).get(name)

    def put(self, name: str, value: Value | None) -> None:
        """Remember a value; None: strike out the name. ``save`` writes it."""
        if self.get(name) != value:
            self._new[name] = value

    def items(self) -> Iterator[tuple[str, Value]]:
        """Give everything, read from all files."""
        shards = sorted({path.stem for path in self.folder.glob("*.jsonl")})
        for shard in shards:
            for name, value in self._shard(shard).items():
                if name not in self._new:
                    yield name, value
        yield from ((name, value) for name, value in self._new.items() if value is not None)

    def refresh(self) -> None:
        """See what others have saved meanwhile; what is new here is kept."""
        self._known.clear()

    def save(self) -> None:
        """Append what is new; OSError: it cannot be written, and is kept for the next time."""
        by_shard: dict[str, dict[str, Value | None]] = {}
        for name, value in self._new.items():
            by_shard.setdefault(_shard_of(name), {})[name] = value
        if by_shard:
            self.folder.mkdir(parents=True, exist_ok=True)
        for shard, entries in by_shard.items():
            known = self._shard(shard)
            with locked(self.folder / f"{shard}.lock"):
                self._append(shard, entries)
                for name, value in entries.items():
                    self._new.pop(name)
                    if value is None:
                        known.pop(name, None)
                    else:
                        known[name] = value
                if self._num_lines[shard] > 2 * len(known) + _SPARE_LINES:
                    self._write_anew(shard)

    def _shard(self, shard: str) -> dict[str, Value]:
        if shard not in self._known:
            known, num_lines = self._read(shard)
            self._num_lines[shard] = num_lines
            self._known[shard] = known
        return self._known[shard]

    def _read(self, shard: str) -> tuple[dict[str, Value], int]:
        """Read a file; count its lines."""
        file = self._file(shard)
        try:
            lines = file.read_bytes().split(b"\n")
        except OSError:
            return {}, 0
        known: dict[str, Value] = {}
        for line in lines:
            try:
                content = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(content, dict) and "version" in content:
                check_version(file, content, self.version)
            elif isinstance(content, list) and len(content) == 2 and isinstance(content[0], str):
                self._take(known, *content)
        return known, len(lines) - 1

    def _take(self, known: dict[str, Value], name: str, content: Any) -> None:
        if content is None:
            known.pop(name, None)
        elif (value := self._typed(content)) is not None:
            known[name] = value

    def _append(self, shard: str, entries: dict[str, Value | None]) -> None:
        with self._file(shard).open("ab+") as file:
            lines = [] if file.tell() else [_line({"version": self.version})]
            if not lines:
                file.seek(-1, 2)
                lines += [] if file.read(1) == b"\n" else [b"\n"]  # of a writer that was killed
            lines += [_entry_line(*entry) for entry in entries.items()]
            file.write(b"".join(lines))
        self._num_lines[shard] += len(lines)

    def _write_anew(self, shard: str) -> None:
        """Keep the lines that count, those of others among them; the caller holds the lock."""
        known, _ = self._read(shard)
        lines = [
            _line({"version": self.version}),
            *(_entry_line(*entry) for entry in known.items()),
        ]
        write_whole(self._file(shard), b"".join(lines))
        self._known[shard], self._num_lines[shard] = known, len(lines)

    def _file(self, shard: str) -> Path:
        return self.folder / f"{shard}.jsonl"


def _shard_of(name: str) -> str:
    return hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:2]


def _entry_line(name: str, value: Any) -> bytes:
    return _line([name, list(vars(value).values()) if is_dataclass(value) else value])


def _line(content: Any) -> bytes:
    return json.dumps(content, separators=(",", ":"), allow_nan=False).encode() + b"\n"
