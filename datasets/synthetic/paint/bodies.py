"""How vehicles and people look: meshes of flat faces in their own axes.

People are flat from the side, made of limbs with points ``(ahead, up)`` in metres, and moved by the
way they have gone.
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from collision.datasets.synthetic.paint.faces import beside, level, make, upright
from collision.datasets.synthetic.traffic import Shape, Vehicle

Tone = tuple[float, float, float]
Corners = list[tuple[float, float, float]]
Point = tuple[float, float]
Limb = tuple[Point, Point, float, Tone]  # from, to, thickness in metres, colour


class _Material(NamedTuple):
    """Colour of a surface; ``reach`` and ``glow`` (metres, colour) of the halo of a lit lamp."""

    colour: Tone
    reach: float = 0.0
    glow: Tone = (0.0, 0.0, 0.0)


_GLASS = _Material((78, 66, 56))
_BRAKE = _Material((70, 60, 255), 0.85, (45.0, 30.0, 250.0))
_TAIL = _Material((50, 40, 235), 0.28, (18.0, 10.0, 120.0))
_HEADLAMP = _Material((245, 250, 255), 0.75, (190.0, 205.0, 215.0))
_SKIN, _TROUSERS, _METAL = (135.0, 165.0, 205.0), (92.0, 66.0, 54.0), (40.0, 40.0, 44.0)
_STRIDE, _GEAR = 1.5, 5.0  # metres that two steps, and a turn of the pedals, take
_LAMPS: list[Limb] = [
    ((0.6, 0.8), (0.6, 0.85), 0.05, (150.0, 165.0, 170.0)),
    ((-0.6, 0.7), (-0.6, 0.75), 0.05, (15.0, 10.0, 160.0)),
]


@cache
def dressed(shape: Shape, colour: Tone, asphalt: Tone, lamps: bool, braking: bool) -> NDArray:
    """Give the faces of a vehicle; ``lamps``: whether it has its lights on."""
    corners, normals, names = _mesh(shape)
    materials = {
        "shadow": _Material((0.42 * asphalt[0], 0.42 * asphalt[1], 0.42 * asphalt[2])),
        "body": _Material(colour),
        "glass": _GLASS,
        "tyre": _Material((22, 22, 22)),
        "trim": _Material((38, 38, 38)),
        "plate": _Material((215, 215, 215)),
        "tail": _BRAKE if braking else _TAIL if lamps else _Material((40, 34, 140)),
        "brake": _BRAKE if braking else _GLASS,
        "headlamp": _HEADLAMP if lamps else _Material((200, 200, 195)),
    }
    worn = [materials[name] for name in names]
    faces = make(corners, [material.colour for material in worn], 0.0)
    faces["normal"] = normals
    faces["reach"] = [material.reach for material in worn]
    faces["glow"] = [material.glow for material in worn]
    faces["lamp"] = faces["reach"] > 0
    shade = 0.72 + 0.28 * np.abs(normals[:, 1]) + 0.14 * np.abs(normals[:, 2])
    faces["colour"] *= np.where(faces["lamp"], 1.0, shade)[:, None]
    return faces


@cache
def _mesh(shape: Shape) -> tuple[NDArray[np.float64], NDArray[np.float64], list[str]]:
    """Corners ``[F, 4, 3]``, outward normals ``[F, 3]`` and materials, hidden ones first."""
    wide, long, top = shape.width / 2, shape.length / 2, shape.height
    truck, boxy = shape.kind == "truck", shape.kind in ("van", "truck")
    belt = top - 0.08 if boxy else 0.62 * top
    parts: list[tuple[str, Corners]] = [
        ("shadow", level((-wide - 0.12, wide + 0.12), 0.0, (-long - 0.15, long + 0.15))),
        *(("body", beside(x, (0.25, belt), (-long, long))) for x in (-wide, wide)),
        *(("body", upright((-wide, wide), (0.25, belt), z)) for z in (-long, long)),
        ("body", level((-wide, wide), belt, (-long, long))),
        ("trim", upright((-wide, wide), (0.28, 0.45), -long)),
        ("trim", upright((-0.6 * wide, 0.6 * wide), (0.3, 0.55), long)),
        ("plate", upright((-0.26, 0.26), (0.5, 0.62), -long)),
    ]
    if boxy:
        pane, begin = (0.5 * top, 0.82 * top), (0.72 if truck else 0.45) * long
        ends = (long,) if truck else (-long, long)
        parts += [("glass", upright((-0.85 * wide, 0.85 * wide), pane, z)) for z in ends]
        parts += [("glass", beside(x, pane, (begin, 0.95 * long))) for x in (-wide, wide)]
    else:
        parts += _cabin(shape, belt)
    radius, low = (0.5, 0.55) if truck else (0.33, 0.62)
    for side in (-1, 1):
        for axle in (-0.6 * long, 0.6 * long):
            for height in (0.0, 2 * radius):  # two halves of a hexagon
                half = beside(side * wide, (height, radius), (axle - radius, axle + radius))
                half[:2] = beside(side * wide, (height, 0), (axle - radius / 2, axle + radius / 2))[
                    :2
                ]
                parts.append(("tyre", half))
        across = (side * (wide - 0.5), side * wide)
        parts.append(("tail", upright(across, (low, low + 0.24), -long)))
        parts.append(("headlamp", upright(across, (0.58, 0.74), long)))
    if not truck:
        parts.append(("brake", upright((-0.3, 0.3), (top - 0.14, top - 0.06), -0.995 * long)))
    corners = np.array([points for _, points in parts])
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 3] - corners[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    outward = corners.mean(axis=1) - (0.0, belt / 2, 0.0)
    normals *= np.sign((normals * outward).sum(axis=1, keepdims=True))
    normals[0] = (0.0, 1.0, 0.0)  # the shadow, seen from above
    return corners, normals, [name for name, _ in parts]


def _cabin(shape: Shape, belt: float) -> list[tuple[str, Corners]]:
    """Windows and roof above the belt line of a car; its sides lean inwards."""
    long, top, sedan = shape.length / 2, shape.height, shape.kind == "sedan"
    rear, front = (-0.68 if sedan else -1.0) * long, 0.42 * long
    ridge = (rear + (0.7 if sedan else 0.35), 0.08 * long)
    foot, head = 0.97 * shape.width / 2, 0.8 * shape.width / 2
    low, high = level((-foot, foot), belt, (rear, front)), level((-head, head), top, ridge)
    sides = [(corner, (corner + 1) % 4) for corner in range(4)]
    return [("glass", [low[i], low[j], high[j], high[i]]) for i, j in sides] + [("body", high)]


def person_at(person: Vehicle, time: float, lamps: bool) -> NDArray:
    """Give the faces of someone at ``time``, on foot or on a bicycle, which may have lamps."""
    travelled, speed, _ = person.along.at(time).tolist()
    if person.shape.kind == "pedestrian":
        swing = 0.36 * min(speed, 1.0) * math.sin(2 * math.pi * travelled / _STRIDE)
        hip, shoulder, head = (0.0, 0.9), (0.0, 1.42), (0.04, 1.64)
        feet = [(-swing, 0.0), (swing, 0.0)]
        hands = [(0.8 * swing, 0.84), (-0.8 * swing, 0.84)]
        limbs: list[Limb] = []
    else:
        turn = 2 * math.pi * travelled / _GEAR
        hip, shoulder, head = (-0.18, 0.92), (0.22, 1.4), (0.34, 1.62)
        feet = [(r * math.cos(turn), 0.3 + r * math.sin(turn)) for r in (-0.17, 0.17)]
        hands = [(0.42, 1.02)]
        limbs = [((axle, 0.34), (axle, 0.34), 0.7, _METAL) for axle in (-0.54, 0.54)]
        limbs.append(((-0.5, 0.4), (0.42, 1.0), 0.08, _METAL))
        limbs += _LAMPS if lamps else []
    limbs += [(hip, foot, 0.15, _TROUSERS) for foot in feet]
    limbs += [(shoulder, hand, 0.1, person.colour) for hand in hands]
    limbs += [(hip, shoulder, 0.33, person.colour), (head, head, 0.26, _SKIN)]
    faces = _limbs(limbs)
    lit = [limb in _LAMPS for limb in limbs]
    faces["glow"][lit], faces["reach"][lit], faces["lamp"] = faces["colour"][lit], 0.25, lit
    return faces


def _limbs(limbs: list[Limb]) -> NDArray:
    """Draw limbs as thick lines; one that ends where it starts is a disc."""
    corners = []
    for (z0, y0), (z1, y1), thickness, _ in limbs:
        length, half = math.hypot(z1 - z0, y1 - y0), thickness / 2
        z, y = ((y0 - y1) / length * half, (z1 - z0) / length * half) if length else (half, 0.0)
        corners.append(
            [(0.0, y0 - y, z0 - z), (0.0, y0 + y, z0 + z),
             (0.0, y1 + y, z1 + z), (0.0, y1 - y, z1 - z)]
        )  # fmt: skip
    discs = [begin == end for begin, end, *_ in limbs]
    return make(corners, [tone for *_, tone in limbs], 0.0, discs)
