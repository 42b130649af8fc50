"""How people on foot and on bicycles look: limbs of thick lines, moved by the way they have gone.

Joints are ``(ahead, up, right)`` of the person, metres; the origin lies on the road below.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from collision.datasets.synthetic.camera import NEAR, Camera
from collision.datasets.synthetic.light import Atmosphere, Colour, Glow
from collision.datasets.synthetic.traffic import Vehicle

_SKIN: Colour = (135, 165, 205)
_TROUSERS: Colour = (92, 66, 54)
_METAL: Colour = (40, 40, 44)
_STRIDE = 1.5  # metres that two steps take
_GEAR = 5.0  # metres that one turn of the pedals takes
_WHEEL = 0.34

_BICYCLE_LAMPS = (((0.6, 0.8, 0.0), (150.0, 165.0, 170.0)), ((-0.6, 0.7, 0.0), (15.0, 10.0, 160.0)))

Joint = tuple[float, float, float]
Limb = tuple[list[Joint], float, Colour]  # joints along it, thickness in metres, colour


def paint_person(
    picture: NDArray[np.uint8],
    camera: Camera,
    atmosphere: Atmosphere,
    glow: Glow,
    person: Vehicle,
    time: float,
) -> None:
    """Draw someone at ``time``, unless they are behind the camera."""
    x, z, heading = person.place(time)
    travelled, speed, _ = person.along.now(time)
    sin, cos = math.sin(heading), math.cos(heading)

    def seen(joints: list[Joint]) -> NDArray[np.float64]:
        points = [
            (x + ahead * sin + right * cos, up, z + ahead * cos - right * sin)
            for ahead, up, right in joints
        ]
        return camera.view(np.array(points))

    middle = seen([(0.0, 1.0, 0.0)])[0]
    if middle[2] < 2 * NEAR:
        return
    scale = camera.focal / middle[2]
    on_foot = person.shape.kind == "pedestrian"
    limbs, head = (
        _walker(travelled, speed, person.colour)
        if on_foot
        else _cyclist(travelled, speed, person.colour)
    )
    for joints, thickness, colour in limbs:
        corners = np.clip(camera.project(seen(joints)), -2000, 2000)
        lit = atmosphere.lit(colour, middle[0], middle[2])
        width = max(1, round(thickness * scale))
        points = [np.round(corners * 16).astype(np.int32)]
        cv2.polylines(picture, points, False, lit, width, cv2.LINE_AA, 4)
    column, row = camera.project(seen([head]))[0].tolist()
    skin = atmosphere.lit(_SKIN, middle[0], middle[2])
    centre = (round(column), round(row))
    cv2.circle(picture, centre, max(1, round(0.13 * scale)), skin, cv2.FILLED, cv2.LINE_AA)
    if not on_foot and atmosphere.lamps:
        for place, colour in (
            ((0.6, 0.8, 0.0), (150, 165, 170)),
            ((-0.6, 0.7, 0.0), (15, 10, 160)),
        ):
            column, row = camera.project(seen([place]))[0].tolist()
            glow.add(picture, column, row, max(0.25 * scale, 1.6), colour)


def _walker(travelled: float, speed: float, coat: Colour) -> tuple[list[Limb], Joint]:
    """Limbs, far ones first, and the middle of the head."""
    swing = 0.36 * min(speed, 1.0) * math.sin(2 * math.pi * travelled / _STRIDE)
    dark = (coat[0] * 0.8, coat[1] * 0.8, coat[2] * 0.8)
    limbs: list[Limb] = []
    for side in (-1, 1):
        step = side * swing
        knee = (0.5 * step + 0.05, 0.48, side * 0.09)
        foot = (step, 0.06, side * 0.09)
        limbs.append(([(0.0, 0.88, side * 0.09), knee, foot], 0.15, _TROUSERS))
        hand = (-0.8 * step, 0.86, side * 0.26)
        limbs.append(([(0.0, 1.38, side * 0.22), hand], 0.1, dark))
    limbs.append(([(0.0, 0.95, 0.0), (0.02, 1.34, 0.0)], 0.36, coat))
    return limbs, (0.04, 1.64, 0.0)


def _cyclist(travelled: float, speed: float, coat: Colour) -> tuple[list[Limb], Joint]:
    """Likewise, with the bicycle."""
    turn = 2 * math.pi * travelled / _GEAR
    saddle, bar, crank = (-0.18, 0.92, 0.0), (0.42, 1.0, 0.0), (0.0, 0.3, 0.0)
    limbs: list[Limb] = []
    for axle in (-0.54, 0.54):
        angles = np.linspace(0, 2 * math.pi, 17).tolist()
        rim = [
            (axle + _WHEEL * math.cos(angle), _WHEEL + _WHEEL * math.sin(angle), 0.0)
            for angle in angles
        ]
        limbs.append((rim, 0.05, _METAL))
    frame = [(-0.54, _WHEEL, 0.0), saddle, crank, bar, (0.54, _WHEEL, 0.0)]
    limbs.append((frame, 0.05, _METAL))
    for side in (-1, 1):
        pedal = (
            0.17 * side * math.cos(turn), 0.3 + 0.17 * side * math.sin(turn), side * 0.1
        )  # fmt: skip
        knee = (0.28 + 0.5 * pedal[0], 0.45 + 0.6 * pedal[1], side * 0.1)
        limbs.append(([saddle, knee, pedal], 0.14, _TROUSERS))
        limbs.append(([(0.22, 1.4, side * 0.18), (0.42, 1.02, side * 0.2)], 0.1, coat))
    limbs.append(([(-0.12, 1.0, 0.0), (0.2, 1.36, 0.0)], 0.32, coat))
    return limbs, (0.34, 1.62, 0.0)
