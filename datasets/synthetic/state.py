"""The true state of a scene over time, as it is written beside each clip and shown to the oracle.

A row holds what is true at its time and nothing later. Seen from the ego: ``ahead`` is along its
road, ``side`` to the right; metres, m/s, m/s².
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from collision.datasets.synthetic.traffic import Play

COLUMNS = (
    "time",
    "ego_speed",
    "ego_acceleration",
    "ego_side_speed",
    "ego_brakes",
    "agent_ahead",  # from the ego's front to the nearest side of the agent
    "agent_side",  # from the ego's middle to the agent's
    "agent_ahead_speed",  # relative to the ego
    "agent_side_speed",
    "agent_ahead_acceleration",
    "agent_side_acceleration",
    "agent_speed",
    "agent_brakes",
    "clearance",  # between the two; negative where they overlap
    "time_to_collision",  # if both kept their speed; nan if they would not meet
    "least_clearance",  # over the next 4 s, if both kept their acceleration
)

_AHEAD = np.arange(0.0, 4.0, 0.05)


def states(play: Play, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the state at ``times [N]`` as ``[N, len(COLUMNS)]``."""
    ego, agent = play.ego.kinematics(times), play.agent.kinematics(times)
    relative = agent - ego
    reach = np.add(play.ego.half_extent(), play.agent.half_extent())
    clearance = play.clearance(times)
    agent_motion = play.agent.along.at(times)
    rows = np.stack(
        [
            times,
            ego[:, 1, 1],
            ego[:, 2, 1],
            ego[:, 1, 0],
            [play.ego.brakes(time) for time in times.tolist()],
            relative[:, 0, 1] - reach[1],
            relative[:, 0, 0],
            relative[:, 1, 1],
            relative[:, 1, 0],
            relative[:, 2, 1],
            relative[:, 2, 0],
            agent_motion[:, 1],
            [play.agent.brakes(time) for time in times.tolist()],
            clearance,
            _time_to_collision(relative[:, 0], relative[:, 1], reach),
            _least_clearance(ego, agent, reach),
        ],
        axis=1,
    )
    return rows


def _time_to_collision(
    offset: NDArray[np.float64], velocity: NDArray[np.float64], reach: NDArray[np.float64]
) -> NDArray[np.float64]:
    """When two rectangles at ``offset [N, 2]`` moving with ``velocity [N, 2]`` meet (s), or nan."""
    still = np.abs(velocity) < 1e-9
    safe = np.where(still, 1.0, velocity)
    bounds = np.stack([(-reach - offset) / safe, (reach - offset) / safe])
    enter, leave = bounds.min(axis=0), bounds.max(axis=0)
    overlapping = np.abs(offset) < reach
    enter = np.where(still, np.where(overlapping, -math.inf, math.inf), enter)
    leave = np.where(still, np.where(overlapping, math.inf, -math.inf), leave)
    first, last = enter.max(axis=1), leave.min(axis=1)
    meets = (first <= last) & (last >= 0)
    return np.where(meets, np.maximum(first, 0.0), np.nan)


def _least_clearance(
    ego: NDArray[np.float64], agent: NDArray[np.float64], reach: NDArray[np.float64]
) -> NDArray[np.float64]:
    between = np.abs(_extrapolate(agent) - _extrapolate(ego)) - reach
    return between.max(axis=-1).min(axis=-1)


def _extrapolate(kinematics: NDArray[np.float64]) -> NDArray[np.float64]:
    """Positions ``[N, len(_AHEAD), 2]`` at kept acceleration; braking ends at a standstill."""
    position, velocity, acceleration = (kinematics[:, None, i] for i in range(3))
    braking = velocity * acceleration < 0
    stop = np.where(braking, -velocity / np.where(braking, acceleration, 1.0), math.inf)
    step = np.minimum(_AHEAD[None, :, None], stop)
    return position + velocity * step + 0.5 * acceleration * step**2
