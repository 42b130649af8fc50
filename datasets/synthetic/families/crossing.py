"""Traffic crosses the ego's road at a junction.

A vehicle comes from a side and does not yield. The ego stops before it (``resolved``), brakes and
swerves behind it at the last moment (``near_collision``), or hits its side. In ``harmless`` the
vehicle stops at its line.
"""

from __future__ import annotations

import math

import numpy as np

from collision.datasets.synthetic.motion import Motion
from collision.datasets.synthetic.setting import Setting
from collision.datasets.synthetic.steering import pass_behind, stop_within
from collision.datasets.synthetic.traffic import (
    EGO_SHAPE,
    SHAPES,
    STILL,
    STOP_LINE,
    Conflict,
    Play,
    Vehicle,
)

SCENES = ("Urban", "Rural")


def draw(rng: np.random.Generator, setting: Setting) -> Conflict | None:
    """Draw a conflict; None where the draw has no plausible way out, and is to be repeated."""
    impact, speed = setting.event_time, setting.ego_speed
    shape = SHAPES[str(rng.choice(["hatchback", "sedan", "suv", "van"]))]
    crossing_speed = rng.uniform(0.3, 0.52) * speed  # faster ones stay out of view
    direction = int(rng.choice([-1, 1]))  # 1: from left to right
    beyond = rng.uniform(-1.0, 1.4)  # how far past the ego's middle it is at the impact
    yielding_deceleration = rng.uniform(1.8, 3.5)
    evade_lead = rng.uniform(*setting.evade_lead)
    margin = rng.uniform(2.0, 9.0)
    ego = Vehicle(0.0, 0.0, 0.0, Motion(0.0, speed))

    line = STOP_LINE + shape.length / 2
    yield_lead = crossing_speed / (2 * yielding_deceleration) + (line + beyond) / crossing_speed
    if not setting.resolve_lead[0] + 0.5 <= yield_lead <= setting.resolve_lead[1] + 1.0:
        return None
    commit = impact - yield_lead
    latest = min(setting.resolve_lead[1], yield_lead - 0.1)
    resolve_lead = rng.uniform(setting.resolve_lead[0], latest)

    contact = speed * impact + EGO_SHAPE.length / 2  # z of the ego's bumper at the impact
    lane = contact + shape.width / 2
    agent = Vehicle(
        x=direction * (beyond - crossing_speed * impact),
        z=lane,
        heading=direction * math.pi / 2,
        along=Motion(0.0, crossing_speed),
        shape=shape,
        colour=setting.draw_colour(rng),
    )
    resolving = stop_within(ego.along, impact - resolve_lead, speed * resolve_lead - margin)
    yielding = agent.along.then((commit, -yielding_deceleration))
    evading = pass_behind(ego, agent, impact, evade_lead, beyond)
    if resolving is None or evading is None:
        return None
    crashing = ego.along.then((impact, -0.5 * speed / 0.15), (impact + 0.15, -6.0))
    struck = agent.along.then((impact, -6.0))
    spinning = STILL.then((impact, -direction * 0.3 * speed / 0.15), (impact + 0.15, 0.0))
    plays = {
        "collision": Play(ego.driven(crashing), agent.driven(struck, spinning)),
        "near_collision": Play(evading, agent),
        "resolved": Play(ego.driven(resolving), agent),
        "harmless": Play(ego, agent.driven(yielding)),
    }
    return Conflict(float(commit), plays, lane + direction * 1.75, -direction)
