"""Manoeuvres of the families, as exact motion."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from collision.datasets.synthetic.motion import Motion
from collision.datasets.synthetic.traffic import STILL, Play, Vehicle


def steer_to(across: Motion, start: float, target: float, push: float) -> Motion:
    """Move sideways from ``start`` (s) to rest at ``target`` (m), in the least time.

    Pushes with ``push`` (m/s²) one way and then the other; also from a movement under way.
    """
    position, speed, _ = across.at(start).tolist()
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


def rear_end(behind: Motion, ahead: Motion, impact: float) -> tuple[Motion, Motion]:
    """What both do from the impact on: equally heavy, they share what is left of their speeds."""
    change = (behind.at(impact)[1] - ahead.at(impact)[1]) / 2 / 0.12
    return (
        behind.then((impact, -change), (impact + 0.12, -5.0)),
        ahead.then((impact, change), (impact + 0.12, -5.0)),
    )


def evade(
    ego: Vehicle, start: float, obstacle: Motion, needed: float, side: int,
    grip: tuple[float, float], recedes: float = 0.0,
) -> Vehicle | None:  # fmt: skip
    """Brake hard from ``start`` (s) and steer past what is in the way; None beyond its grip.

    Args:
        ego: Undisturbed.
        start: Of the manoeuvre.
        obstacle: z that the ego's middle must not reach before it is past.
        needed: Metres to ``side`` at which it is past.
        side: -1 or 1.
        grip: Deceleration, and the most that is left to steer with (m/s²).
        recedes: How fast the obstacle moves out of the way by itself (m/s).
    """
    along = ego.along.then((start, -grip[0]))
    times = np.arange(start, start + 2.5, 0.01)
    closed = np.flatnonzero(obstacle.at(times)[:, 0] - along.at(times)[:, 0] < 0.3)
    if not len(closed):
        return ego.driven(along)
    duration = float(times[closed[0]] - times[0])
    needed -= recedes * duration
    if needed <= 0:
        return ego.driven(along)
    push = 2 * needed / max(duration, 0.05) ** 2
    if push > grip[1]:
        return None
    turns = ((start, push), (start + duration, -push), (start + 2 * duration, 0.0))
    return ego.driven(along, ego.across.then(*((time, side * turn) for time, turn in turns)))


class Crossing(NamedTuple):
    """How someone crosses the ego's road, who would be hit at the impact; leads in s before it."""

    beyond: float  # metres past the ego's middle at the impact
    yield_lead: float  # when they would begin to stop
    yielding: float  # and their deceleration then, m/s²
    resolve_lead: float  # when the ego brakes in time
    evade_lead: float  # when it evades
    margin: float  # metres that the ego keeps if it brakes in time

    def plays(
        self, ego: Vehicle, agent: Vehicle, impact: float, share: float
    ) -> dict[str, Play] | None:
        """Give the four plays; None where the ego cannot stop or evade.

        ``share`` of the ego's speed is what the agent takes over, and the ego loses the rest.
        """
        speed, direction = ego.along.speed, round(math.sin(agent.heading))
        room = speed * self.resolve_lead - self.margin
        resolving = stop_within(ego.along, impact - self.resolve_lead, room)
        rear = self.beyond - agent.along.speed * self.evade_lead - agent.shape.length / 2
        evading = evade(
            ego, impact - self.evade_lead,
            Motion(agent.z - (ego.shape.length + agent.shape.width) / 2, 0.0),
            ego.shape.width / 2 + 0.3 - rear, -direction, (7.5, 6.0), agent.along.speed,
        )  # fmt: skip
        if resolving is None or evading is None:
            return None
        yielding = agent.along.then((impact - self.yield_lead, -self.yielding))
        crashing = ego.along.then((impact, (share - 1) * speed / 0.15), (impact + 0.15, -6.0))
        thrown = STILL.then((impact, -direction * share * speed / 0.15), (impact + 0.15, 0.0))
        return {
            "collision": Play(
                ego.driven(crashing), agent.driven(agent.along.then((impact, -6.0)), thrown)
            ),
            "near_collision": Play(evading, agent),
            "resolved": Play(ego.driven(resolving), agent),
            "harmless": Play(ego, agent.driven(yielding)),
        }
