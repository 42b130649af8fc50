"""Vehicles on a road plane, whether they touch, and the true state of a scene over time.

World axes: x to the right and z along the ego's road, both in metres; the ego's lane is centred on
x = 0. Heading 0 drives like the ego, pi comes towards it, pi / 2 crosses from left to right.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from collision.datasets.synthetic.motion import Motion

STILL = Motion(0.0, 0.0, reverses=True)
BRAKE_LIGHT_FROM = -0.6  # m/s²: engine braking alone stays dark
LANE = 3.5  # m, the width of a lane
STOP_LINE = 8.0  # m from the middle of the ego's lane to the line of a crossing road
CAMERA_AHEAD = 0.5  # m from the ego's centre to the camera behind its windscreen

Array = NDArray[np.float64]


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
    """A vehicle, or someone on foot or on a bicycle, and all of its movement."""

    x: float  # of its centre, where ``along`` and ``across`` are 0
    z: float
    heading: float  # radians, clockwise seen from above
    along: Motion  # in the direction of the heading
    across: Motion = STILL  # to its right
    shape: Shape = EGO_SHAPE
    colour: tuple[int, int, int] = (120, 120, 120)  # BGR

    def driven(self, along: Motion | None = None, across: Motion | None = None) -> Vehicle:
        """The same vehicle, driven differently."""
        return replace(self, along=along or self.along, across=across or self.across)

    def brakes(self, times: ArrayLike) -> NDArray[np.bool_]:
        """Whether the brake lights are lit; they stay lit while a stopped vehicle stands."""
        _, speed, acceleration = np.moveaxis(self.along.at(times), -1, 0)
        return (acceleration < BRAKE_LIGHT_FROM) | ((speed < 0.05) & bool(self.along.changes))

    def place(self, times: ArrayLike) -> Array:
        """Give ``[..., 3]``: x, z of the centre, and where it points, steering included (rad)."""
        drift, speed = self.across.at(times)[..., 1], self.along.at(times)[..., 1]
        steering = np.arctan2(drift, np.maximum(speed, 3.0))  # 3 m/s: no spinning on the spot
        heading = self.heading + steering[..., None]
        return np.concatenate([self.kinematics(times)[..., 0, :], heading], axis=-1)

    def kinematics(self, times: ArrayLike) -> Array:
        """Give ``[..., 3, 2]``: position, velocity and acceleration, each as (x, z)."""
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


class Play(NamedTuple):
    """One way in which a scene goes: what the ego does and the agent that it may hit."""

    ego: Vehicle
    agent: Vehicle

    def clearance(self, times: ArrayLike) -> Array:
        """Metres between ego and agent at ``times [N]``; negative where they overlap."""
        between = np.abs(self.agent.kinematics(times)[:, 0] - self.ego.kinematics(times)[:, 0])
        return (between - np.add(self.ego.half_extent(), self.agent.half_extent())).max(axis=-1)

    def parts_from(self, other: Play) -> float:
        """First time at which the two plays may differ."""
        return min(
            min(mine.along.parts_from(theirs.along), mine.across.parts_from(theirs.across))
            for mine, theirs in zip(self, other, strict=True)
        )


@dataclass(frozen=True)
class Conflict:
    """What a family draws: one conflict and the ways in which it can go."""

    alert_time: float  # when the conflict begins to show
    plays: dict[str, Play]  # by variant: collision, near_collision, resolved, harmless
    swerve_side: int  # -1 or 1: the side that an evading ego needs free
    junction: float | None = None  # z of the middle of a crossing road
    walkway: float | None = None  # z of the middle of a crosswalk

    @property
    def cruising_speed(self) -> float:
        """Of the ego before anything happens (m/s)."""
        return self.plays["harmless"].ego.along.speed


def states(play: Play, times: Array) -> dict[str, Array]:
    """Give the columns of the state, each ``[N]``, at ``times [N]``; later times do not matter.

    As written beside each clip and shown to the oracle. Seen from the ego: ``ahead`` is along its
    road, ``side`` to the right; metres, m/s, m/s².
    """
    ego, agent = play.ego.kinematics(times), play.agent.kinematics(times)
    offset, velocity, acceleration = np.moveaxis(agent - ego, 1, 0)
    reach = np.add(play.ego.half_extent(), play.agent.half_extent())
    return {
        "time": times,
        "ego_speed": ego[:, 1, 1],
        "ego_acceleration": ego[:, 2, 1],
        "ego_side_speed": ego[:, 1, 0],
        "ego_brakes": play.ego.brakes(times).astype(float),
        "agent_ahead": offset[:, 1] - reach[1],  # from the ego's front to its nearest side
        "agent_side": offset[:, 0],  # from the ego's middle to the agent's
        "agent_ahead_speed": velocity[:, 1],  # relative to the ego
        "agent_side_speed": velocity[:, 0],
        "agent_ahead_acceleration": acceleration[:, 1],
        "agent_side_acceleration": acceleration[:, 0],
        "agent_speed": play.agent.along.at(times)[:, 1],
        "agent_brakes": play.agent.brakes(times).astype(float),
        "clearance": play.clearance(times),  # between the two; negative where they overlap
        # If both kept their speed; nan if they would not meet.
        "time_to_collision": _time_to_collision(offset, velocity, reach),
    }


def _time_to_collision(offset: Array, velocity: Array, reach: Array) -> Array:
    """When two rectangles at ``offset [N, 2]`` moving with ``velocity [N, 2]`` meet (s), or nan."""
    still = np.abs(velocity) < 1e-9
    safe = np.where(still, 1.0, velocity)
    bounds = np.stack([(-reach - offset) / safe, (reach - offset) / safe])
    # What does not move along an axis overlaps there always or never.
    never = np.where(np.abs(offset) < reach, -math.inf, math.inf)
    first = np.where(still, never, bounds.min(axis=0)).max(axis=1)
    last = np.where(still, -never, bounds.max(axis=0)).min(axis=1)
    return np.where((first <= last) & (last >= 0), np.maximum(first, 0.0), np.nan)
