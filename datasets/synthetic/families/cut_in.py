"""A slower vehicle of the neighbouring lane cuts in close before the ego.

The ego brakes as it comes over (``resolved``), brakes with all its grip at the last moment
(``near_collision``), or hits its rear. In ``harmless`` the vehicle keeps its lane and is passed.
"""

from __future__ import annotations

import numpy as np

from collision.datasets.synthetic.motion import Motion
from collision.datasets.synthetic.setting import Setting
from collision.datasets.synthetic.steering import rear_end, steer_to
from collision.datasets.synthetic.traffic import LANE, STILL, Conflict, Play

SCENES = ("Highway",)  # elsewhere the neighbouring lane is the oncoming one


def draw(rng: np.random.Generator, setting: Setting) -> Conflict | None:
    """Draw a conflict; None where the draw has no plausible way out, and is to be repeated."""
    impact, ego = setting.event_time, setting.ego
    resolve_lead = rng.uniform(*setting.resolve_lead)
    evade_lead = rng.uniform(*setting.evade_lead)
    onset = float(impact - resolve_lead - rng.uniform(0.4, 0.9))
    shape = setting.draw_shape(rng)
    side = int(rng.choice([-1, 1]))  # from which it comes
    closing = rng.uniform(6.0, 11.0)  # how much faster the ego is
    push = 4 * LANE / rng.uniform(2.0, 2.8) ** 2  # of a lane change in so many seconds
    offset = rng.uniform(-0.3, 0.3)  # in the ego's lane, once there

    place = (side * LANE, (ego.shape.length + shape.length) / 2 + closing * impact)
    agent = setting.draw_agent(rng, shape, place, 0.0, setting.ego_speed - closing)
    cutting = steer_to(STILL, onset, offset - side * LANE, push)
    # Until the impact it must be before the ego, not beside it.
    beside = abs(agent.x + cutting.at(impact - 0.3)[0])
    if beside > (ego.shape.width + shape.width) / 2 - 0.3:
        return None
    resolving = _slow_down(ego.along, closing, impact, resolve_lead, rng.uniform(2.0, 5.0))
    evading = _slow_down(ego.along, closing, impact, evade_lead, rng.uniform(0.3, 1.2))
    if not 2.4 <= -resolving.changes[0][1] <= 6.5 or -evading.changes[0][1] > 8.5:
        return None
    crashing, pushed = rear_end(ego.along, agent.along, impact)
    plays = {
        "collision": Play(ego.driven(crashing), agent.driven(pushed, cutting)),
        "near_collision": Play(ego.driven(evading), agent.driven(across=cutting)),
        "resolved": Play(ego.driven(resolving), agent.driven(across=cutting)),
        "harmless": Play(ego, agent),
    }
    return Conflict(onset, plays, side)


def _slow_down(
    cruising: Motion, closing: float, impact: float, lead: float, margin: float
) -> Motion:
    """Brake evenly to the speed of the other, ``margin`` metres behind it."""
    deceleration = closing**2 / (2 * max(closing * lead - margin, 0.1))
    start = impact - lead
    return cruising.then((start, -deceleration), (start + closing / deceleration, 0.0))
