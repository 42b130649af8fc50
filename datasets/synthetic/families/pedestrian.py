"""Someone crosses the ego's road on foot or by bicycle.

They step or ride onto the crosswalk without a look. The ego stops before them (``resolved``),
brakes and swerves behind them at the last moment (``near_collision``), or hits them. In
``harmless`` they stop at the edge of the ego's path.
"""

from __future__ import annotations

import math

import numpy as np

from collision.datasets.synthetic.setting import Setting
from collision.datasets.synthetic.steering import Crossing
from collision.datasets.synthetic.traffic import PEOPLE, Conflict

SCENES = ("Urban", "Rural")
_PACE = {"pedestrian": (1.2, 2.4), "cyclist": (2.5, 4.5)}  # m/s


def draw(rng: np.random.Generator, setting: Setting) -> Conflict | None:
    """Draw a conflict; None where the draw has no plausible way out, and is to be repeated."""
    impact, soonest, latest = setting.event_time, *setting.resolve_lead
    shape = PEOPLE[str(rng.choice(["pedestrian", "cyclist"], p=[0.6, 0.4]))]
    pace = rng.uniform(*_PACE[shape.kind])
    direction = int(rng.choice([-1, 1]))  # 1: from left to right
    beyond = rng.uniform(-0.6, 0.7)
    yield_lead = rng.uniform(soonest + 0.5, latest + 0.8)
    yielding = rng.uniform(1.5, 3.0)
    resolve_lead = rng.uniform(soonest, min(latest, yield_lead - 0.3))
    evade_lead = rng.uniform(*setting.evade_lead)
    margin = rng.uniform(2.0, 8.0)
    # Where they would stop: beside the path of the ego, and not where it cannot be seen.
    waiting = pace * yield_lead - pace**2 / (2 * yielding) - beyond
    if not 2.4 <= waiting - shape.length / 2 <= 7.0 or pace > 0.4 * setting.ego_speed:
        return None
    place = (direction * (beyond - pace * impact), setting.contact + shape.width / 2)
    agent = setting.draw_agent(rng, shape, place, direction * math.pi / 2, pace)
    crossing = Crossing(beyond, yield_lead, yielding, resolve_lead, evade_lead, margin)
    plays = crossing.plays(setting.ego, agent, impact, share=0.95)
    if plays is None:
        return None
    return Conflict(float(impact - yield_lead), plays, -direction, walkway=agent.z)
