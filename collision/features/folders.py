"""Where a cache keeps the file of each key: in 256 subfolders, by the key's first two digits.

A folder of 200,000 names is slow to list and to add to on many disks. Earlier versions kept all
files in one: they are found there, and replaced in the new place when they are written.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path


class FannedFolder:
    """The files ``<key><suffix>`` of a folder."""

    def __init__(self, folder: Path, suffix: str):
        self.folder, self.suffix = folder, suffix

    def place(self, key: str) -> Path:
        """Where the file of a key is written."""
        return self.folder / key[:2] / f"{key}{self.suffix}"

    def find(self, key: str) -> Path:
        """Where the file of a key is: in its place, or where earlier versions put it."""
        place = self.place(key)
        if not self.has_flat or place.exists():
            return place
        flat = self.flat(key)
        return flat if flat.exists() else place

    def flat(self, key: str) -> Path:
        """Where earlier versions put it."""
        return self.folder / f"{key}{self.suffix}"

    def settle(self, key: str) -> None:
        """Remove what earlier versions had of a key, once its place is filled."""
        if self.has_flat:
            self.flat(key).unlink(missing_ok=True)

    @cached_property
    def has_flat(self) -> bool:
        """Whether earlier versions left files here; found out once."""
        return next(self.flat_keys(), None) is not None

    def flat_keys(self) -> Iterator[str]:
        """Give the keys of the files that earlier versions left."""
        yield from self._keys_in(self.folder)

    def all_keys(self) -> Iterator[str]:
        """Give every key that has a file, in no order; one with an old file too comes twice."""
        yield from self._keys_in(self.folder)
        for subfolder in self.subfolders():
            yield from self._keys_in(subfolder)

    def subfolders(self) -> list[Path]:
        """List the subfolders that there are."""
        try:
            return sorted(path for path in self.folder.iterdir() if len(path.name) == 2)
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _keys_in(self, folder: Path) -> Iterator[str]:
        try:
            for path in folder.iterdir():
                if path.name.endswith(self.suffix) and not path.name.startswith("."):
                    yield path.name.removesuffix(self.suffix)
        except (FileNotFoundError, NotADirectoryError):
            return
