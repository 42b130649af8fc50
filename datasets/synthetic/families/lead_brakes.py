"""A lead vehicle brakes and the ego follows it.

The lead begins to brake a few seconds before the would-be impact. The ego brakes in time
(``resolved``), swerves around it at the last moment (``near_collision``), or does neither. In
``harmless`` the lead drives on.
"""

from __future__ import annotations

import numpy as np

from collision.datasets.synthetic.motion import Motion
from collision.datasets.synthetic.setting import Setting
from collision.datasets.synthetic.steering import stop_within, swerve, time_left
from collision.datasets.synthetic.traffic import EGO_SHAPE, SHAPES, Conflict, Play, Vehicle

SCENES = ("Urban", "Highway", "Rural")


def draw(rng: np.random.Generator, setting: Setting) -> Conflict | None:
    """Draw a conflict; None where the draw has no plausible way out, and is to be repeated."""
    impact, speed = setting.event_time, setting.ego_speed
    resolve_lead = rng.uniform(*setting.resolve_lead)
    evade_lead = rng.uniform(*setting.evade_lead)
    onset = impact - resolve_lead - rng.uniform(0.4, 0.9)
    deceleration = rng.uniform(3.0, 6.5)
    shape = SHAPES[str(rng.choice(["hatchback", "sedan", "suv", "van", "truck"]))]
    margin = rng.uniform(2.0, 8.0)
    swerve_side = int(rng.choice([-1, 1])) if setting.scene == "Highway" else 1

    cruising = Motion(0.0, speed)
    braking = cruising.then((onset, -deceleration))
    headway = speed * impact - braking.now(impact)[0]  # what the ego gains until the impact
    if not (6.0 <= headway <= 32.0 and headway >= 0.45 * speed):
        return None
    lead = Vehicle(
        x=rng.uniform(-0.25, 0.25),
        z=EGO_SHAPE.length / 2 + headway + shape.length / 2,
        heading=0.0,
        along=cruising,
        shape=shape,
        colour=setting.draw_colour(rng),
    )
    ego = Vehicle(0.0, 0.0, 0.0, cruising)

    # Both come to rest, the ego `margin` behind the lead.
    room = headway + braking.now(onset + 30)[0] - speed * (impact - resolve_lead) - margin
    resolving = stop_within(cruising, impact - resolve_lead, room)
    evading = _evade(ego, lead, braking, impact - evade_lead, swerve_side)
    if resolving is None or evading is None:
        return None
    closing = (speed - braking.now(impact)[1]) / 2
    crashing = cruising.then((impact, -closing / 0.12), (impact + 0.12, -5.0))
    pushed = braking.then((impact, closing / 0.12), (impact + 0.12, -5.0))
    plays = {
        "collision": Play(ego.driven(crashing), lead.driven(pushed)),
        "near_collision": Play(evading, lead.driven(braking)),
        "resolved": Play(ego.driven(resolving), lead.driven(braking)),
        "harmless": Play(ego, lead),
    }
    return Conflict(float(onset), plays, None, swerve_side)


def _evade(ego: Vehicle, lead: Vehicle, braking: Motion, start: float, side: int) -> Vehicle | None:
    """Brake hard and steer past the lead; None if that takes more grip than there is."""
    along = ego.along.then((start, -5.0))
    times = np.arange(start, start + 2.5, 0.01)
    reach = (ego.shape.length + lead.shape.length) / 2
    duration = time_left(times, lead.z + braking.at(times)[:, 0] - along.at(times)[:, 0] - reach)
    if duration is None:
        return None
    needed = (ego.shape.width + lead.shape.width) / 2 + 0.3 + side * lead.x
    across = swerve(ego.across, start, duration, needed, 7.5, side)
    return None if across is None else ego.driven(along, across)
