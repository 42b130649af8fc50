"""A lead vehicle brakes and the ego follows it.

The lead begins to brake a few seconds before the would-be impact. The ego brakes in time
(``resolved``), swerves around it at the last moment (``near_collision``), or does neither. In
``harmless`` the lead drives on.
"""

from __future__ import annotations

import numpy as np

from collision.datasets.synthetic.motion import Motion
from collision.datasets.synthetic.setting import Setting
from collision.datasets.synthetic.steering import evade, rear_end, stop_within
from collision.datasets.synthetic.traffic import Conflict, Play

SCENES = ("Urban", "Highway", "Rural")


def draw(rng: np.random.Generator, setting: Setting) -> Conflict | None:
    """Draw a conflict; None where the draw has no plausible way out, and is to be repeated."""
    impact, speed, ego = setting.event_time, setting.ego_speed, setting.ego
    resolve_lead = rng.uniform(*setting.resolve_lead)
    evade_lead = rng.uniform(*setting.evade_lead)
    onset = float(impact - resolve_lead - rng.uniform(0.4, 0.9))
    deceleration = rng.uniform(3.0, 6.5)
    shape = setting.draw_shape(rng)
    margin = rng.uniform(2.0, 8.0)
    side = int(rng.choice([-1, 1])) if setting.scene == "Highway" else 1

    braking = ego.along.then((onset, -deceleration))
    headway = speed * impact - braking.at(impact)[0]  # what the ego gains until the impact
    if not (6.0 <= headway <= 32.0 and headway >= 0.45 * speed):
        return None
    place = (rng.uniform(-0.25, 0.25), (ego.shape.length + shape.length) / 2 + headway)
    lead = setting.draw_agent(rng, shape, place, 0.0, speed)
    # Both come to rest, the ego `margin` behind the lead.
    room = headway + braking.at(onset + 30)[0] - speed * (impact - resolve_lead) - margin
    resolving = stop_within(ego.along, impact - resolve_lead, room)
    obstacle = Motion(headway, speed, braking.changes)
    needed = (ego.shape.width + shape.width) / 2 + 0.3 + side * lead.x
    evading = evade(ego, impact - evade_lead, obstacle, needed, side, (5.0, 7.5))
    if resolving is None or evading is None:
        return None
    crashing, pushed = rear_end(ego.along, braking, impact)
    plays = {
        "collision": Play(ego.driven(crashing), lead.driven(pushed)),
        "near_collision": Play(evading, lead.driven(braking)),
        "resolved": Play(ego.driven(resolving), lead.driven(braking)),
        "harmless": Play(ego, lead),
    }
    return Conflict(onset, plays, side)
