"""Manoeuvres of the families, as exact motion."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from collision.datasets.synthetic.motion import Motion
from collision.datasets.synthetic.traffic import Vehicle


def steer_to(across: Motion, start: float, target: float, push: float) -> Motion:
    """Move sideways from ``start`` (s) to rest at ``target`` (m), in the least time.

    Pushes with ``push`` (m/s²) one way and then the other; also from a movement under way.
    """
    position, speed, _ = across.now(start)
    offset = position - target
    # Where it would come to rest if pushed against its movement: that tells the first push's side.
    side = math.copysign(1.0, offset + speed * abs(speed) / (2 * push))
    second = math.sqrt((side * offset + speed**2 / (2 * push)) / push)
    first = second + side * speed / push
    return across.then(
        (start, -side * push), (start + first, side * push), (start + first + second, 0.0)
    )


def stop_within(cruising: Motion, start: float, room: float) -> Motion | None:
    """Brake evenly from ``start`` (s) to a standstill; None if that is no ordinary braking."""
    deceleration = cruising.speed**2 / (2 * room) if room > 0 else math.inf
    return cruising.then((start, -deceleration)) if 2.8 <= deceleration <= 6.5 else None


def pass_behind(
    ego: Vehicle, agent: Vehicle, impact: float, lead: float, beyond: float
) -> Vehicle | None:
    """Brake hard ``lead`` seconds before the impact and steer behind an agent that crosses.

    Args:
        ego: Undisturbed.
        agent: Heading pi / 2 or -pi / 2, at constant speed.
        impact: When the two would meet (s).
        lead: Seconds before the impact at which the manoeuvre begins.
        beyond: How far past the ego's middle the agent is at the impact (m).

    Returns:
        The ego as driven; None if no grip suffices.
    """
    start = impact - lead
    along = ego.along.then((start, -7.5))
    times = np.arange(start, start + 2.5, 0.01)
    reach = (ego.shape.length + agent.shape.width) / 2
    duration = time_left(times, agent.z - along.at(times)[:, 0] - reach)
    if duration is None:
        return ego.driven(along)
    rear = beyond + agent.along.speed * (duration - lead) - agent.shape.length / 2
    needed = ego.shape.width / 2 + 0.3 - rear
    if needed <= 0:
        return ego.driven(along)
    across = swerve(ego.across, start, duration, needed, 6.0, -math.sin(agent.heading))
    return None if across is None else ego.driven(along, across)


def time_left(times: NDArray[np.float64], gap: NDArray[np.float64]) -> float | None:
    """Seconds from the first of ``times [N]`` until less than 0.3 m of ``gap [N]`` is left."""
    closed = np.flatnonzero(gap < 0.3)
    return float(times[closed[0]]) - float(times[0]) if len(closed) else None


def swerve(
    across: Motion, start: float, duration: float, needed: float, grip: float, side: float
) -> Motion | None:
    """Move ``needed`` metres to ``side`` (its sign) and rest; None beyond ``grip`` (m/s²)."""
    push = 2 * needed / max(duration, 0.05) ** 2
    if push > grip:
        return None
    push = math.copysign(push, side)
    return across.then((start, push), (start + duration, -push), (start + 2 * duration, 0.0))
