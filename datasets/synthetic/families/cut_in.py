"""A slower vehicle of the neighbouring lane cuts in close before the ego.

The ego brakes as it comes over (``resolved``), brakes with all its grip at the last moment
(``near_collision``), or hits its rear. In ``harmless`` the vehicle keeps its lane and is passed.
"""

from __future__ import annotations

import numpy as np

from collision.datasets.synthetic.motion import Motion
from collision.datasets.synthetic.setting import Setting
from collision.datasets.synthetic.steering import steer_to
from collision.datasets.synthetic.traffic import (
    EGO_SHAPE,
    LANE,
    SHAPES,
    STILL,
    Conflict,
    Play,
    Vehicle,
)

SCENES = ("Highway",)  # elsewhere the neighbouring lane is the oncoming one


def draw(rng: np.random.Generator, setting: Setting) -> Conflict | None:
    """Draw a conflict; None where the draw has no plausible way out, and is to be repeated."""
    impact, speed = setting.event_time, setting.ego_speed
    resolve_lead = rng.uniform(*setting.resolve_lead)
    evade_lead = rng.uniform(*setting.evade_lead)
    onset = impact - resolve_lead - rng.uniform(0.4, 0.9)
    shape = SHAPES[str(rng.choice(["hatchback", "sedan", "suv", "van", "truck"]))]
    side = int(rng.choice([-1, 1]))  # from which it comes
    closing = rng.uniform(6.0, 11.0)  # how much faster the ego is
    duration = rng.uniform(2.0, 2.8)  # of the lane change
    push = 4 * LANE / duration**2
    place = rng.uniform(-0.3, 0.3)  # in the ego's lane, once there

    cruising = Motion(0.0, speed)
    slower = Motion(0.0, speed - closing)
    ego = Vehicle(0.0, 0.0, 0.0, cruising)
    agent = Vehicle(
        x=side * LANE,
        z=(EGO_SHAPE.length + shape.length) / 2 + closing * impact,
        heading=0.0,
        along=slower,
        shape=shape,
        colour=setting.draw_colour(rng),
    )
    cutting = steer_to(STILL, onset, place - side * LANE, push)
    # Until the impact it must be before the ego, not beside it.
    beside = abs(agent.x + cutting.now(impact - 0.3)[0])
    if beside > (EGO_SHAPE.width + shape.width) / 2 - 0.3:
        return None
    resolving = _slow_down(cruising, closing, impact, resolve_lead, rng.uniform(2.0, 5.0))
    evading = _slow_down(cruising, closing, impact, evade_lead, rng.uniform(0.3, 1.2))
    if not 2.4 <= -resolving.changes[0][1] <= 6.5 or -evading.changes[0][1] > 8.5:
        return None
    # Both weigh the same: they share what is left of their speeds.
    crashing = cruising.then((impact, -closing / 2 / 0.12), (impact + 0.12, -5.0))
    pushed = slower.then((impact, closing / 2 / 0.12), (impact + 0.12, -5.0))
    plays = {
        "collision": Play(ego.driven(crashing), agent.driven(pushed, cutting)),
        "near_collision": Play(ego.driven(evading), agent.driven(across=cutting)),
        "resolved": Play(ego.driven(resolving), agent.driven(across=cutting)),
        "harmless": Play(ego, agent),
    }
    return Conflict(float(onset), plays, None, side)


def _slow_down(
    cruising: Motion, closing: float, impact: float, lead: float, margin: float
) -> Motion:
    """Brake evenly to the speed of the other, ``margin`` metres behind it."""
    room = max(closing * lead - margin, 0.1)
    deceleration = closing**2 / (2 * room)
    start = impact - lead
    return cruising.then((start, -deceleration), (start + closing / deceleration, 0.0))
