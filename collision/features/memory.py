"""Memory that decoding workers write frames into and this process reads: no pixel is pickled."""

from __future__ import annotations

import mmap
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Place:
    """A stretch of shared memory, in bytes."""

    begin: int
    size: int

    @property
    def end(self) -> int:
        """The first byte behind it."""
        return self.begin + self.size


class SharedMemory:
    """One anonymous mapping that forked processes inherit; this process says who writes where.

    Only what is written to takes memory, and the lowest free place is given first. It is no file:
    containers whose ``/dev/shm`` is small have it, too.
    """

    def __init__(self, size: int):
        """Map so many bytes."""
        self.size = size
        self._bytes = np.frombuffer(mmap.mmap(-1, max(1, size)), np.uint8)
        self._taken: list[Place] = []  # ascending

    def take(self, size: int) -> Place | None:
        """Take a free place; None where there is none so large."""
        begin = 0
        for number, place in enumerate([*self._taken, Place(self.size, 0)]):
            if place.begin - begin >= size:
                found = Place(begin, size)
                self._taken.insert(number, found)
                return found
            begin = place.end
        return None

    def free(self, place: Place) -> None:
        """Give a place back."""
        self._taken.remove(place)

    def view(self, place: Place, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """See the beginning of a place as an array, without copying."""
        count = int(np.prod(shape))
        assert count <= place.size, (shape, place)
        return self._bytes[place.begin : place.begin + count].reshape(shape)
