"""Exact motion along straight axes: acceleration is constant between changes.

Positions in metres, speeds in m/s, accelerations in m/s², times in seconds from the first frame.
Closed forms instead of time steps: a state at t needs nothing after t, and two motions that share
their changes up to t are equal to the last bit up to t.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, field

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
    _starts: NDArray[np.float64] = field(init=False, repr=False, compare=False)
    _states: NDArray[np.float64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        position, speed, acceleration, start = self.position, self.speed, 0.0, 0.0
        starts, states = [0.0], [(position, speed, acceleration)]

        def advance(until: float) -> None:
            nonlocal position, speed, start
            step = until - start
            position += speed * step + 0.5 * acceleration * step * step
            speed += acceleration * step
            start = until

        for time, next_acceleration in (*self.changes, (math.inf, 0.0)):
            if not self.reverses and acceleration < 0 and start - speed / acceleration < time:
                advance(start - speed / acceleration)
                speed = acceleration = 0.0
                starts.append(start)
                states.append((position, speed, acceleration))
            if time == math.inf:
                break
            advance(time)
            acceleration = next_acceleration
            if not self.reverses and speed <= 0 and acceleration < 0:
                acceleration = 0.0
            starts.append(start)
            states.append((position, speed, acceleration))
        object.__setattr__(self, "_starts", np.array(starts))
        object.__setattr__(self, "_states", np.array(states))

    def then(self, *changes: tuple[float, float]) -> Motion:
        """Give this motion with its changes from the first new one's time on replaced."""
        kept = tuple(change for change in self.changes if change[0] < changes[0][0])
        return Motion(self.position, self.speed, kept + changes, self.reverses)

    def at(self, times: ArrayLike) -> NDArray[np.float64]:
        """Give position, speed and acceleration at ``times [...]`` as ``[..., 3]``."""
        times = np.asarray(times, dtype=np.float64)
        segment = self._starts.searchsorted(times, side="right") - 1
        result = self._states[segment]
        step, acceleration = times - self._starts[segment], result[..., 2]
        result[..., 0] += result[..., 1] * step + 0.5 * acceleration * step * step
        result[..., 1] += acceleration * step
        return result

    def now(self, time: float) -> tuple[float, float, float]:
        """Like ``at`` for one time, without numpy's overhead."""
        segment = bisect_right(self._starts, time) - 1
        position, speed, acceleration = self._states[segment].tolist()
        step = time - float(self._starts[segment])
        return (
            position + speed * step + 0.5 * acceleration * step * step,
            speed + acceleration * step,
            acceleration,
        )

    def felt_acceleration(self, time: float, settling: float) -> float:
        """Acceleration as a sprung body shows it: a first-order lag of ``settling`` seconds."""
        felt = 0.0
        starts = [*self._starts.tolist(), math.inf]
        for start, end, state in zip(starts, starts[1:], self._states, strict=False):
            if time <= start:
                break
            decay = math.exp(-(min(time, end) - start) / settling)
            felt = float(state[2]) + (felt - float(state[2])) * decay
        return felt

    def parts_from(self, other: Motion) -> float:
        """First time at which the two may differ; infinity if they are the same motion."""
        if (self.position, self.speed) != (other.position, other.speed):
            return 0.0
        for mine, theirs in zip(self.changes, other.changes, strict=False):
            if mine != theirs:
                return min(mine[0], theirs[0])
        longer = max(self.changes, other.changes, key=len)
        shared = min(len(self.changes), len(other.changes))
        return longer[shared][0] if len(longer) > shared else math.inf
