"""How vehicles look: a body of flat faces with windows, wheels and lamps, and its shadow."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from collision.datasets.synthetic.paint.faces import make, upright
from collision.datasets.synthetic.traffic import Shape

Colour = tuple[float, float, float]
_BLACK: Colour = (0.0, 0.0, 0.0)
Corners = list[tuple[float, float, float]]


class _Material(NamedTuple):
    """Colour of a surface; ``reach`` and ``glow`` (metres, colour) of the halo of a lit lamp."""

    colour: Colour
    lit: bool = False
    reach: float = 0.0
    glow: Colour = _BLACK


_GLASS = _Material((78, 66, 56))
_BRAKE = _Material((70, 60, 255), True, 0.85, (45.0, 30.0, 250.0))


@cache
def dressed(shape: Shape, colour: Colour, asphalt: Colour, lamps: bool, braking: bool) -> NDArray:
    """Give the faces of a vehicle in its own axes; ``lamps``: whether it has its lights on."""
    tail = _Material((50, 40, 235), True, 0.28, (18.0, 10.0, 120.0))
    headlamp = _Material((245, 250, 255), True, 0.75, (190.0, 205.0, 215.0))
    materials = {
        "shadow": _Material((0.42 * asphalt[0], 0.42 * asphalt[1], 0.42 * asphalt[2])),
        "body": _Material(colour),
        "glass": _GLASS,
        "tyre": _Material((22, 22, 22)),
        "tail": _BRAKE if braking else tail if lamps else _Material((40, 34, 140)),
        "brake": _BRAKE if braking else _GLASS,
        "headlamp": headlamp if lamps else _Material((200, 200, 195)),
    }
    corners, normals, names = _mesh(shape)
    worn = [materials[name] for name in names]
    faces = make(corners, [material.colour for material in worn], 0.0)
    faces["normal"] = normals
    faces["lamp"] = [material.lit for material in worn]
    faces["reach"] = [material.reach for material in worn]
    faces["glow"] = [material.glow for material in worn]
    shade = 0.72 + 0.28 * np.abs(normals[:, 1]) + 0.14 * np.abs(normals[:, 2])
    faces["colour"] *= np.where(faces["lamp"], 1.0, shade)[:, None]
    return faces


@cache
def _mesh(shape: Shape) -> tuple[NDArray[np.float64], NDArray[np.float64], list[str]]:
    """Corners ``[F, 4, 3]``, outward normals ``[F, 3]`` and materials, hidden ones first."""
    wide, long, top = shape.width / 2, shape.length / 2, shape.height
    boxy = shape.kind in ("van", "truck")
    belt = top - 0.08 if boxy else 0.62 * top
    floor = (wide + 0.12, long + 0.15)
    parts: list[tuple[str, Corners]] = [("shadow", _level(floor, 0.0))]
    parts += [("body", _flank(side * wide, (-long, long), (0.25, belt))) for side in (-1, 1)]
    parts += [("body", upright((-wide, wide), (0.25, belt), end)) for end in (-long, long)]
    parts.append(("body", _level((wide, long), belt)))
    if boxy:
        parts.append(("glass", upright((-0.85 * wide, 0.85 * wide), (0.5 * top, 0.82 * top), long)))
        begin = 0.72 if shape.kind == "truck" else 0.45
        for side in (-wide, wide):
            pane = (begin * long, 0.95 * long)
            parts.append(("glass", _flank(side, pane, (0.5 * top, 0.82 * top))))
        if shape.kind == "van":
            pane = (-0.8 * wide, 0.8 * wide)
            parts.append(("glass", upright(pane, (0.58 * top, 0.88 * top), -long)))
    else:
        parts += _cabin(shape, belt)
    radius = 0.5 if shape.kind == "truck" else 0.33
    for side in (-wide, wide):
        for axle in (-0.6 * long, 0.6 * long):
            wheel = _flank(side, (axle - radius, axle + radius), (1.4 * radius, 0.0))
            wheel[2:] = [(side, 0.0, axle + radius / 2), (side, 0.0, axle - radius / 2)]
            parts.append(("tyre", wheel))
    low = 0.55 if shape.kind == "truck" else 0.62
    for side in (-1, 1):
        across = (side * (wide - 0.5), side * wide)
        parts.append(("tail", upright(across, (low, low + 0.24), -long)))
        parts.append(("headlamp", upright(across, (0.58, 0.74), long)))
    if shape.kind != "truck":
        parts.append(("brake", upright((-0.3, 0.3), (top - 0.14, top - 0.06), -0.995 * long)))
    corners = np.array([points for _, points in parts])
    return corners, _outward(corners, belt / 2), [name for name, _ in parts]


def _cabin(shape: Shape, belt: float) -> list[tuple[str, Corners]]:
    """Windows and roof above the belt line of a car; its sides lean inwards."""
    wide, long, top = shape.width / 2, shape.length / 2, shape.height
    sedan = shape.kind == "sedan"
    rear, front = (-0.68 if sedan else -1.0) * long, 0.42 * long
    ridge = (rear + (0.7 if sedan else 0.35), 0.08 * long)
    foot, head = 0.97 * wide, 0.8 * wide
    parts: list[tuple[str, Corners]] = [
        ("glass", [(-foot, belt, z), (foot, belt, z), (head, top, end), (-head, top, end)])
        for z, end in ((rear, ridge[0]), (front, ridge[1]))
    ]
    for side in (-1, 1):
        below = [(side * foot, belt, rear), (side * foot, belt, front)]
        above = [(side * head, top, ridge[1]), (side * head, top, ridge[0])]
        parts.append(("glass", below + above))
    z0, z1 = ridge
    parts.append(("body", [(-head, top, z0), (head, top, z0), (head, top, z1), (-head, top, z1)]))
    return parts


def _flank(x: float, z: tuple[float, float], y: tuple[float, float]) -> Corners:
    return [(x, y[0], z[0]), (x, y[0], z[1]), (x, y[1], z[1]), (x, y[1], z[0])]


def _level(half: tuple[float, float], y: float) -> Corners:
    x, z = half
    return [(-x, y, -z), (x, y, -z), (x, y, z), (-x, y, z)]


def _outward(corners: NDArray[np.float64], height: float) -> NDArray[np.float64]:
    """Unit normals that point away from a spot at ``height`` in the middle."""
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 3] - corners[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    inward = (normals * (corners.mean(axis=1) - (0.0, height, 0.0))).sum(axis=1) < 0
    normals[inward] *= -1
    normals[0] = (0.0, 1.0, 0.0)  # the shadow, seen from above
    return normals
