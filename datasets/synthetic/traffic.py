"""Vehicles on a road plane, and whether they touch.

World axes: x to the right and z along the ego's road, both in metres; the ego's lane is centred on
x = 0. Heading 0 drives like the ego, pi comes towards it, pi / 2 crosses from left to right.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from collision.datasets.synthetic.motion import Motion

STILL = Motion(0.0, 0.0, reverses=True)
BRAKE_LIGHT_FROM = -0.6  # m/s²: engine braking alone stays dark
LANE = 3.5  # m, the width of a lane
STOP_LINE = 8.0  # m from the middle of the ego's lane to the line of a crossing road
CAMERA_AHEAD = 0.5  # m from the ego's centre to the camera behind its windscreen


class Shape(NamedTuple):
    """Outer size in metres."""

    kind: str
    length: float
    width: float
    height: float


SHAPES = {
    "hatchback": Shape("hatchback", 4.0, 1.75, 1.48),
    "sedan": Shape("sedan", 4.6, 1.82, 1.45),
    "suv": Shape("suv", 4.7, 1.9, 1.72),
    "van": Shape("van", 5.2, 2.0, 2.2),
    "truck": Shape("truck", 8.5, 2.45, 3.3),
}
EGO_SHAPE = SHAPES["sedan"]
PEOPLE = {
    "pedestrian": Shape("pedestrian", 0.5, 0.6, 1.75),
    "cyclist": Shape("cyclist", 1.8, 0.6, 1.75),
}


@dataclass(frozen=True)
class Vehicle:
    """A vehicle, or someone on foot or on a bicycle, and all of its movement.

    Attributes:
        x: Of its centre at time 0, where ``along`` and ``across`` are 0.
        z: Likewise.
        heading: Radians, clockwise seen from above; constant.
        along: Movement in the direction of the heading.
        across: Movement to the right of the heading.
        shape: Outer size.
        colour: Of the body, BGR.
    """

    x: float
    z: float
    heading: float
    along: Motion
    across: Motion = STILL
    shape: Shape = EGO_SHAPE
    colour: tuple[int, int, int] = (120, 120, 120)

    def driven(self, along: Motion | None = None, across: Motion | None = None) -> Vehicle:
        """The same vehicle, driven differently."""
        return replace(self, along=along or self.along, across=across or self.across)

    def brakes(self, time: float) -> bool:
        """Whether the brake lights are lit; they stay lit while a stopped vehicle stands."""
        _, speed, acceleration = self.along.now(time)
        return acceleration < BRAKE_LIGHT_FROM or (bool(self.along.changes) and speed < 0.05)

    def place(self, time: float) -> tuple[float, float, float]:
        """Give x, z of the centre and the direction it points in, steering included (radians)."""
        along, speed, _ = self.along.now(time)
        across, drift, _ = self.across.now(time)
        sin, cos = math.sin(self.heading), math.cos(self.heading)
        steering = math.atan2(drift, max(speed, 3.0))  # 3 m/s: no spinning on the spot
        return (
            self.x + along * sin + across * cos,
            self.z + along * cos - across * sin,
            self.heading + steering,
        )

    def kinematics(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give ``[N, 3, 2]``: position, velocity and acceleration, each as (x, z)."""
        along, across = self.along.at(times), self.across.at(times)
        sin, cos = math.sin(self.heading), math.cos(self.heading)
        states = np.stack([along * sin + across * cos, along * cos - across * sin], axis=-1)
        states[..., 0, :] += (self.x, self.z)
        return states

    def half_extent(self) -> tuple[float, float]:
        """Half of what it covers in x and z, steering neglected."""
        half_length, half_width = self.shape.length / 2, self.shape.width / 2
        sideways = abs(math.sin(self.heading)) > 0.5
        return (half_length, half_width) if sideways else (half_width, half_length)


@dataclass(frozen=True)
class Play:
    """One way in which a scene goes: what the ego does and the agent that it may hit."""

    ego: Vehicle
    agent: Vehicle

    def clearance(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Metres between ego and agent at ``times [N]``; negative where they overlap."""
        between = np.abs(self.agent.kinematics(times)[:, 0] - self.ego.kinematics(times)[:, 0])
        reach = np.add(self.ego.half_extent(), self.agent.half_extent())
        return (between - reach).max(axis=-1)

    def parts_from(self, other: Play) -> float:
        """First time at which the two plays may differ."""
        pairs = (
            (self.ego.along, other.ego.along),
            (self.ego.across, other.ego.across),
            (self.agent.along, other.agent.along),
            (self.agent.across, other.agent.across),
        )
        return min(mine.parts_from(theirs) for mine, theirs in pairs)


@dataclass(frozen=True)
class Conflict:
    """What a family draws: one conflict and the ways in which it can go.

    Attributes:
        alert_time: When the conflict begins to show (s).
        plays: By variant: ``collision``, ``near_collision``, ``resolved``, ``harmless``.
        junction: z of the centre of a crossing road, if there is one.
        swerve_side: -1 or 1: the side that an evading ego needs free.
        walkway: z of the middle of a crosswalk, if there is one.
    """

    alert_time: float
    plays: dict[str, Play]
    junction: float | None
    swerve_side: int
    walkway: float | None = None

    @property
    def cruising_speed(self) -> float:
        """Of the ego before anything happens (m/s)."""
        return self.plays["harmless"].ego.along.speed
