"""How people on foot and on bicycles look: flat from the side, moved by the way they have gone.

Points are ``(ahead, up)`` of the person in metres.
"""

from __future__ import annotations

import math

from numpy.typing import NDArray

from collision.datasets.synthetic.paint.faces import joined, make
from collision.datasets.synthetic.traffic import Vehicle

_SKIN = (135.0, 165.0, 205.0)
_TROUSERS = (92.0, 66.0, 54.0)
_METAL = (40.0, 40.0, 44.0)
_SPOKES = (96.0, 96.0, 98.0)
_STRIDE = 1.5  # metres that two steps take
_GEAR = 5.0  # metres that one turn of the pedals takes
_LAMPS = (((0.6, 0.8), (150.0, 165.0, 170.0)), ((-0.6, 0.7), (15.0, 10.0, 160.0)))

Point = tuple[float, float]
Part = tuple[Point, Point, float, tuple[float, ...]]  # from, to, thickness in metres, colour


def person_at(person: Vehicle, time: float, lamps: bool) -> NDArray:
    """Give the faces of someone in their own axes at ``time``."""
    travelled, speed, _ = person.along.now(time)
    if person.shape.kind == "pedestrian":
        return _faces(_walker(travelled, speed, person.colour), [((0.04, 1.64), 0.13, _SKIN)])
    wheels = [
        ((axle, 0.34), radius, colour)
        for axle in (-0.54, 0.54)
        for radius, colour in ((0.36, _METAL), (0.3, _SPOKES))
    ]
    faces = _faces(_cyclist(travelled, person.colour), [*wheels, ((0.34, 1.62), 0.13, _SKIN)])
    if not lamps:
        return faces
    lights = _faces([((x, y), (x, y + 0.05), 0.05, glow) for (x, y), glow in _LAMPS], [])
    lights["glow"], lights["reach"], lights["lamp"] = [glow for _, glow in _LAMPS], 0.25, True
    return joined([faces, lights])


def _walker(travelled: float, speed: float, coat: tuple[int, int, int]) -> list[Part]:
    swing = 0.36 * min(speed, 1.0) * math.sin(2 * math.pi * travelled / _STRIDE)
    sleeve = (0.8 * coat[0], 0.8 * coat[1], 0.8 * coat[2])
    parts: list[Part] = []
    for step in (-swing, swing):
        parts.append(((0.0, 0.9), (step, 0.0), 0.15, _TROUSERS))
        parts.append(((0.0, 1.42), (-0.8 * step, 0.84), 0.1, sleeve))
    return [*parts, ((0.0, 0.8), (0.02, 1.48), 0.34, coat)]


def _cyclist(travelled: float, coat: tuple[int, int, int]) -> list[Part]:
    turn = 2 * math.pi * travelled / _GEAR
    parts: list[Part] = [((-0.5, 0.4), (0.42, 1.0), 0.08, _METAL)]
    for side in (-1, 1):
        pedal = (0.17 * side * math.cos(turn), 0.3 + 0.17 * side * math.sin(turn))
        knee = (0.28 + 0.5 * pedal[0], 0.45 + 0.6 * pedal[1])
        parts.append(((-0.18, 0.92), knee, 0.14, _TROUSERS))
        parts.append((knee, pedal, 0.14, _TROUSERS))
    arm = ((0.22, 1.4), (0.42, 1.02), 0.1, coat)
    return [*parts, arm, ((-0.15, 0.9), (0.22, 1.46), 0.32, coat)]


def _faces(parts: list[Part], discs: list[tuple[Point, float, tuple[float, ...]]]) -> NDArray:
    """Draw limbs as thick lines, then discs (middle, radius, colour)."""
    limbs = []
    for (x0, y0), (x1, y1), thickness, _ in parts:
        length = max(math.hypot(x1 - x0, y1 - y0), 1e-6)
        across = thickness / 2 / length
        dx, dy = (y1 - y0) * across, (x0 - x1) * across
        limbs.append(
            [(0.0, y0 - dy, x0 - dx), (0.0, y0 + dy, x0 + dx),
             (0.0, y1 + dy, x1 + dx), (0.0, y1 - dy, x1 - dx)]
        )  # fmt: skip
    lines = make(limbs, [colour for *_, colour in parts], 0.0)
    if not discs:
        return lines
    circles = [
        [(0.0, y, x - size), (0.0, y - size, x), (0.0, y, x + size), (0.0, y + size, x)]
        for (x, y), size, _ in discs
    ]
    return joined([lines, make(circles, [item[-1] for item in discs], 0.0, disc=True)])
