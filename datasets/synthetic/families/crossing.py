"""Traffic crosses the ego's road at a junction.

A vehicle comes from a side and does not yield. The ego stops before it (``resolved``), brakes and
swerves behind it at the last moment (``near_collision``), or hits its side. In ``harmless`` the
vehicle stops at its line.
"""

from __future__ import annotations

import math

import numpy as np

from collision.datasets.synthetic.setting import Setting
from collision.datasets.synthetic.steering import Crossing
from collision.datasets.synthetic.traffic import LANE, STOP_LINE, Conflict

SCENES = ("Urban", "Rural")


def draw(rng: np.random.Generator, setting: Setting) -> Conflict | None:
    """Draw a conflict; None where the draw has no plausible way out, and is to be repeated."""
    impact, soonest, latest = setting.event_time, *setting.resolve_lead
    shape = setting.draw_shape(rng, "hatchback", "sedan", "suv", "van")
    speed = rng.uniform(0.3, 0.52) * setting.ego_speed  # faster ones stay out of view
    direction = int(rng.choice([-1, 1]))  # 1: from left to right
    beyond = rng.uniform(-1.0, 1.4)
    yielding = rng.uniform(1.8, 3.5)
    evade_lead = rng.uniform(*setting.evade_lead)
    margin = rng.uniform(2.0, 9.0)
    line = STOP_LINE + shape.length / 2
    yield_lead = speed / (2 * yielding) + (line + beyond) / speed
    if not soonest + 0.5 <= yield_lead <= latest + 1.0:
        return None
    resolve_lead = rng.uniform(soonest, min(latest, yield_lead - 0.1))
    place = (direction * (beyond - speed * impact), setting.contact + shape.width / 2)
    agent = setting.draw_agent(rng, shape, place, direction * math.pi / 2, speed)
    crossing = Crossing(beyond, yield_lead, yielding, resolve_lead, evade_lead, margin)
    plays = crossing.plays(setting.ego, agent, impact, share=0.5)
    if plays is None:
        return None
    junction = agent.z + direction * LANE / 2
    return Conflict(float(impact - yield_lead), plays, -direction, junction)
