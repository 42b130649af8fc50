"""Exact motion along straight axes: acceleration is constant between changes.

Positions in metres, speeds in m/s, accelerations in m/s², times in seconds from the first frame.
Closed forms instead of time steps: a state at t needs nothing after t, and two motions that share
their changes up to t are equal to the last bit up to t.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Motion:
    """One coordinate over time.

    Attributes:
        position: At time 0.
        speed: At time 0.
        changes: ``(time, acceleration)`` in order of time; before the first it is 0.
        reverses: Whether the speed may cross 0; a braking vehicle stands still instead.
    """

    position: float
    speed: float
    changes: tuple[tuple[float, float], ...] = ()
    reverses: bool = False

    @cached_property
    def _segments(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Starts ``[S]`` of the stretches of constant acceleration, and the state at each."""
        rows = [(0.0, self.position, self.speed, 0.0)]
        for time, pushed in (*self.changes, (math.inf, 0.0)):
            start, _, speed, before = rows[-1]
            if not self.reverses and before < 0 and start - speed / before < time:
                stop = start - speed / before
                rows.append((stop, _advanced(rows[-1], stop)[0], 0.0, 0.0))
            if time < math.inf:
                position, speed = _advanced(rows[-1], time)
                stands = not self.reverses and speed <= 0
                rows.append((time, position, speed, max(pushed, 0.0) if stands else pushed))
        table = np.array(rows)
        return table[:, 0].copy(), table[:, 1:].copy()

    def then(self, *changes: tuple[float, float]) -> Motion:
        """Give this motion with its changes from the first new one's time on replaced."""
        kept = tuple(change for change in self.changes if change[0] < changes[0][0])
        return Motion(self.position, self.speed, kept + changes, self.reverses)

    def at(self, times: ArrayLike) -> NDArray[np.float64]:
        """Give position, speed and acceleration at ``times [...]`` as ``[..., 3]``."""
        starts, states = self._segments
        times = np.asarray(times, dtype=np.float64)
        segment = starts.searchsorted(times, side="right") - 1
        result = states.take(segment, axis=0)  # a copy, for a single time, too
        step, acceleration = times - starts[segment], result[..., 2]
        result[..., 0] += result[..., 1] * step + 0.5 * acceleration * step * step
        result[..., 1] += acceleration * step
        return result

    def felt_acceleration(self, times: ArrayLike, settling: float) -> NDArray[np.float64]:
        """Acceleration as a sprung body shows it: a first-order lag of ``settling`` seconds."""
        starts, states = self._segments
        waited = np.maximum(np.asarray(times)[..., None] - starts, 0.0)
        steps = np.diff(states[:, 2], prepend=0.0)
        return -np.expm1(-waited / settling) @ steps

    def parts_from(self, other: Motion) -> float:
        """First time at which the two may differ; infinity if they are the same motion."""
        if (self.position, self.speed) != (other.position, other.speed):
            return 0.0
        return min((time for time, _ in {*self.changes} ^ {*other.changes}), default=math.inf)


def _advanced(row: tuple[float, float, float, float], time: float) -> tuple[float, float]:
    """Position and speed at ``time`` of what starts as ``row`` says: a time, and the state then."""
    start, position, speed, acceleration = row
    step = time - start
    return position + speed * step + 0.5 * acceleration * step * step, speed + acceleration * step
