"""An oncoming vehicle swerves into the ego's lane.

It steers back in time while the ego brakes (``resolved``), both jerk apart at the last moment
(``near_collision``), or they collide head-on. In ``harmless`` it keeps its lane.
"""

from __future__ import annotations

import math

import numpy as np

from collision.datasets.synthetic.setting import Setting
from collision.datasets.synthetic.steering import steer_to
from collision.datasets.synthetic.traffic import LANE, STILL, Conflict, Play

SCENES = ("Urban", "Rural")  # the lanes of a highway all go one way
_CRUSH = 0.06  # seconds in which both come to a standstill


def draw(rng: np.random.Generator, setting: Setting) -> Conflict | None:
    """Draw a conflict; None where the draw has no plausible way out, and is to be repeated."""
    impact, speed, ego = setting.event_time, setting.ego_speed, setting.ego
    resolve = impact - rng.uniform(*setting.resolve_lead)
    evade = impact - rng.uniform(*setting.evade_lead)
    onset = float(resolve - rng.uniform(0.6, 1.1))
    shape = setting.draw_shape(rng)
    oncoming_speed = speed * rng.uniform(0.7, 1.1)
    shift = LANE - rng.uniform(0.4, 1.2)  # how far it comes over
    drift_push = 4 * shift / (impact - onset - rng.uniform(0.1, 0.5)) ** 2
    return_push = rng.uniform(2.0, 3.5)
    deceleration, braking_time = rng.uniform(2.8, 4.5), rng.uniform(1.0, 1.8)
    jerk_push = rng.uniform(4.5, 6.5)
    if drift_push > 4.0:
        return None

    place = (-LANE, (ego.shape.length + shape.length) / 2 + (speed + oncoming_speed) * impact)
    agent = setting.draw_agent(rng, shape, place, math.pi, oncoming_speed)
    drifting = steer_to(STILL, onset, -shift, drift_push)  # its left is the ego's side
    returning = steer_to(drifting, resolve, 0.0, return_push)
    slowing = ego.along.then((resolve, -deceleration), (resolve + braking_time, 0.0))
    braking = ego.along.then((evade, -4.0), (evade + 1.5, 0.0))
    evading = ego.driven(braking, steer_to(STILL, evade, rng.uniform(0.9, 1.3), jerk_push))
    jerking = steer_to(drifting, evade, 0.0, jerk_push)
    crashing = ego.along.then((impact, -speed / _CRUSH))
    struck = agent.along.then((impact, -oncoming_speed / _CRUSH))
    plays = {
        "collision": Play(ego.driven(crashing), agent.driven(struck, drifting)),
        "near_collision": Play(evading, agent.driven(across=jerking)),
        "resolved": Play(ego.driven(slowing), agent.driven(across=returning)),
        "harmless": Play(ego, agent),
    }
    return Conflict(onset, plays, 1)
