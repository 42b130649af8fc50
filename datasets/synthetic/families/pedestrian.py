"""Someone crosses the ego's road on foot or by bicycle.

They step or ride onto the crosswalk without a look. The ego stops before them (``resolved``),
brakes and swerves behind them at the last moment (``near_collision``), or hits them. In
``harmless`` they stop at the edge of the ego's path.
"""

from __future__ import annotations

import math

import numpy as np

from collision.datasets.synthetic.motion import Motion
from collision.datasets.synthetic.setting import Setting
from collision.datasets.synthetic.steering import pass_behind, stop_within
from collision.datasets.synthetic.traffic import (
    EGO_SHAPE,
    PEOPLE,
    STILL,
    Conflict,
    Play,
    Vehicle,
)

SCENES = ("Urban", "Rural")
_PACE = {"pedestrian": (1.2, 2.4), "cyclist": (2.5, 4.5)}  # m/s


def draw(rng: np.random.Generator, setting: Setting) -> Conflict | None:
    """Draw a conflict; None where the draw has no plausible way out, and is to be repeated."""
    impact, speed = setting.event_time, setting.ego_speed
    shape = PEOPLE[str(rng.choice(["pedestrian", "cyclist"], p=[0.6, 0.4]))]
    pace = rng.uniform(*_PACE[shape.kind])
    direction = int(rng.choice([-1, 1]))  # 1: from left to right
    beyond = rng.uniform(-0.6, 0.7)  # how far past the ego's middle they are at the impact
    yield_lead = rng.uniform(setting.resolve_lead[0] + 0.5, setting.resolve_lead[1] + 0.8)
    yielding_deceleration = rng.uniform(1.5, 3.0)
    resolve_lead = rng.uniform(
        setting.resolve_lead[0], min(setting.resolve_lead[1], yield_lead - 0.3)
    )
    evade_lead = rng.uniform(*setting.evade_lead)
    margin = rng.uniform(2.0, 8.0)
    commit = impact - yield_lead

    # Where they would stop: beside the path of the ego, and not where it cannot be seen.
    waiting = pace * yield_lead - pace**2 / (2 * yielding_deceleration) - beyond
    if not 2.4 <= waiting - shape.length / 2 <= 7.0 or pace > 0.4 * speed:
        return None
    ego = Vehicle(0.0, 0.0, 0.0, Motion(0.0, speed))
    agent = Vehicle(
        x=direction * (beyond - pace * impact),
        z=speed * impact + EGO_SHAPE.length / 2 + shape.width / 2,
        heading=direction * math.pi / 2,
        along=Motion(0.0, pace),
        shape=shape,
        colour=setting.draw_colour(rng),
    )
    resolving = stop_within(ego.along, impact - resolve_lead, speed * resolve_lead - margin)
    yielding = agent.along.then((commit, -yielding_deceleration))
    evading = pass_behind(ego, agent, impact, evade_lead, beyond)
    if resolving is None or evading is None:
        return None
    crashing = ego.along.then((impact, -7.0))
    struck = agent.along.then((impact, -6.0))
    thrown = STILL.then((impact, -direction * 0.95 * speed / 0.15), (impact + 0.15, 0.0))
    plays = {
        "collision": Play(ego.driven(crashing), agent.driven(struck, thrown)),
        "near_collision": Play(evading, agent),
        "resolved": Play(ego.driven(resolving), agent),
        "harmless": Play(ego, agent.driven(yielding)),
    }
    return Conflict(float(commit), plays, None, -direction, walkway=agent.z)
