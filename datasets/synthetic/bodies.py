"""How vehicles look: a body of flat faces with windows, wheels, plate and lamps.

Local axes of a vehicle: x to its right, y up, z ahead; the origin lies on the road below its
centre. P faces, K corners.
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from collision.datasets.synthetic.camera import NEAR, Camera
from collision.datasets.synthetic.light import Atmosphere, Colour, Glow
from collision.datasets.synthetic.traffic import Shape, Vehicle

_CORNERS = 8
_GLASS: Colour = (78, 66, 56)
_TYRE: Colour = (22, 22, 22)
_TRIM: Colour = (38, 38, 38)
_PLATE: Colour = (215, 215, 215)
_TAIL_OFF: Colour = (40, 34, 140)
_TAIL_ON: Colour = (50, 40, 235)
_HEADLAMP_OFF: Colour = (200, 200, 195)
_HEADLAMP_ON: Colour = (245, 250, 255)
_BRAKE: Colour = (70, 60, 255)


class Mesh(NamedTuple):
    """Faces of a shape: corners ``[P, K, 3]``, outward normals ``[P, 3]``, what each is made of."""

    corners: NDArray[np.float64]
    normals: NDArray[np.float64]
    materials: tuple[str, ...]


def paint_vehicle(
    picture: NDArray[np.uint8],
    camera: Camera,
    atmosphere: Atmosphere,
    glow: Glow,
    vehicle: Vehicle,
    time: float,
) -> None:
    """Draw a vehicle at ``time``, unless it is behind the camera."""
    x, z, heading = vehicle.place(time)
    sin, cos = math.sin(heading), math.cos(heading)
    mesh = _mesh(vehicle.shape)
    turn = np.array([[cos, 0.0, -sin], [0.0, 1.0, 0.0], [sin, 0.0, cos]])
    middle = camera.view(np.array([x, 0.0, z]))
    if middle[2] < -vehicle.shape.length:
        return
    seen = camera.view(mesh.corners @ turn + (x, 0.0, z))
    visible = seen[:, :, 2].max(axis=1) > NEAR
    normals = mesh.normals @ turn
    viewpoint = np.array([camera.x, camera.y, camera.z]) - (x, 0.0, z)
    towards = viewpoint - mesh.corners.mean(axis=1) @ turn
    visible &= (normals * towards).sum(axis=1) > 0
    pixels = camera.project(seen)
    colours = _colours(vehicle, time, atmosphere)
    sixteenths = (np.clip(pixels, -2000, 2000) * 16).astype(np.int32)
    for face in np.flatnonzero(visible).tolist():
        material = mesh.materials[face]
        shade = 0.72 + 0.28 * abs(normals[face, 1]) + 0.14 * abs(normals[face, 2])
        colour = colours[material]
        if material in ("tail", "headlamp", "brake") and colour[2] > 200:
            clarity = atmosphere.clarity(middle[2])
            final = tuple(
                value * clarity + haze * (1 - clarity)
                for value, haze in zip(colour, atmosphere.haze, strict=True)
            )
        else:
            shaded = (colour[0] * shade, colour[1] * shade, colour[2] * shade)
            final = atmosphere.lit(shaded, middle[0], middle[2])
        cv2.fillConvexPoly(picture, sixteenths[face], final, cv2.LINE_AA, 4)
    _paint_glow(picture, camera, atmosphere, glow, vehicle, time, mesh, pixels, seen, visible)


def paint_shadow(
    picture: NDArray[np.uint8], camera: Camera, atmosphere: Atmosphere, vehicle: Vehicle,
    time: float, asphalt: Colour,
) -> None:  # fmt: skip
    """Darken the road below a vehicle."""
    x, z, heading = vehicle.place(time)
    sin, cos = math.sin(heading), math.cos(heading)
    half_width, half_length = vehicle.shape.width / 2 + 0.12, vehicle.shape.length / 2 + 0.15
    corners = np.array(
        [
            (x + a * half_width * cos + b * half_length * sin, 0.0,
             z - a * half_width * sin + b * half_length * cos)
            for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))
        ]
    )  # fmt: skip
    seen = camera.view(corners)
    if seen[:, 2].max() <= NEAR:
        return
    dark = (0.42 * asphalt[0], 0.42 * asphalt[1], 0.42 * asphalt[2])
    colour = atmosphere.lit(dark, float(seen[:, 0].mean()), float(seen[:, 2].mean()))
    pixels = (np.clip(camera.project(seen), -2000, 2000) * 16).astype(np.int32)
    cv2.fillConvexPoly(picture, pixels, colour, cv2.LINE_AA, 4)


def _colours(vehicle: Vehicle, time: float, atmosphere: Atmosphere) -> dict[str, Colour]:
    braking = vehicle.brakes(time)
    return {
        "body": vehicle.colour,
        "roof": vehicle.colour,
        "glass": _GLASS,
        "tyre": _TYRE,
        "trim": _TRIM,
        "plate": _PLATE,
        "tail": _BRAKE if braking else (_TAIL_ON if atmosphere.lamps else _TAIL_OFF),
        "brake": _BRAKE if braking else _GLASS,
        "headlamp": _HEADLAMP_ON if atmosphere.lamps else _HEADLAMP_OFF,
    }


def _paint_glow(
    picture: NDArray[np.uint8], camera: Camera, atmosphere: Atmosphere, glow: Glow,
    vehicle: Vehicle, time: float, mesh: Mesh, pixels: NDArray[np.float64],
    seen: NDArray[np.float64], visible: NDArray[np.bool_],
) -> None:  # fmt: skip
    braking = vehicle.brakes(time)
    parked = not vehicle.along.speed
    for face, material in enumerate(mesh.materials):
        if material not in ("tail", "headlamp", "brake") or not visible[face]:
            continue
        if material == "headlamp":
            if not atmosphere.lamps or parked:
                continue
            reach, colour = 0.75, (190.0, 205.0, 215.0)
        elif braking:
            reach, colour = 0.85, (45.0, 30.0, 250.0)
        elif material == "tail" and atmosphere.lamps and not parked:
            reach, colour = 0.28, (18.0, 10.0, 120.0)
        else:
            continue
        depth = float(seen[face, :, 2].mean())
        if depth < NEAR:
            continue
        clarity = atmosphere.clarity(depth * 0.6)  # lamps carry further than surfaces
        spread = camera.focal * reach / depth
        spot = pixels[face].mean(axis=0)
        level = round(clarity * 8) / 8  # few levels: the discs are reused
        glow.add(
            picture, spot[0], spot[1], max(spread, 1.6),
            (colour[0] * level, colour[1] * level, colour[2] * level),
        )  # fmt: skip


@cache
def _mesh(shape: Shape) -> Mesh:
    half_width, half_length, top = shape.width / 2, shape.length / 2, shape.height
    boxy = shape.kind in ("van", "truck")
    belt = top - 0.08 if boxy else 0.62 * top
    faces: list[tuple[list[tuple[float, float, float]], tuple[float, float, float], str]] = []

    def face(corners: list, normal: tuple[float, float, float], material: str) -> None:
        faces.append((corners, normal, material))

    def across(z: float, x0: float, x1: float, y0: float, y1: float, material: str) -> None:
        normal = (0.0, 0.0, 1.0 if z > 0 else -1.0)
        face([(x0, y0, z), (x1, y0, z), (x1, y1, z), (x0, y1, z)], normal, material)

    def beside(x: float, z0: float, z1: float, y0: float, y1: float, material: str) -> None:
        normal = (1.0 if x > 0 else -1.0, 0.0, 0.0)
        face([(x, y0, z0), (x, y0, z1), (x, y1, z1), (x, y1, z0)], normal, material)

    for side in (-half_width, half_width):
        beside(side, -half_length, half_length, 0.22, belt, "body")
    across(-half_length, -half_width, half_width, 0.28, belt, "body")
    across(half_length, -half_width, half_width, 0.25, belt, "body")
    lid = [(-half_width, belt, -half_length), (half_width, belt, -half_length)]
    lid += [(half_width, belt, half_length), (-half_width, belt, half_length)]
    face(lid, (0.0, 1.0, 0.0), "roof")
    if not boxy:
        _add_cabin(faces, shape, half_width, half_length, belt, top)
    else:
        across(half_length, -0.85 * half_width, 0.85 * half_width, 0.5 * top, 0.82 * top, "glass")
        if shape.kind == "van":
            pane = (-0.8 * half_width, 0.8 * half_width, 0.58 * top, 0.88 * top)
            across(-half_length, *pane, "glass")
        for side in (-half_width, half_width):
            begin = 0.72 * half_length if shape.kind == "truck" else 0.45 * half_length
            beside(side, begin, 0.95 * half_length, 0.5 * top, 0.82 * top, "glass")
    radius = 0.33 if shape.kind != "truck" else 0.5
    for side in (-half_width, half_width):
        for axle in (-0.6 * half_length, 0.6 * half_length):
            angles = np.arange(_CORNERS) * 2 * math.pi / _CORNERS
            ring = [
                (side, radius * (1 + math.sin(angle)), axle + radius * math.cos(angle))
                for angle in angles
            ]
            face(ring, (1.0 if side > 0 else -1.0, 0.0, 0.0), "tyre")
    across(-half_length, -half_width, half_width, 0.28, 0.45, "trim")
    across(-half_length, -0.26, 0.26, 0.5, 0.62, "plate")
    across(half_length, -0.6 * half_width, 0.6 * half_width, 0.3, 0.55, "trim")
    lamp_low, lamp_high = (0.62, 0.86) if shape.kind != "truck" else (0.55, 0.8)
    for side in (-1, 1):
        inner, outer = side * (half_width - 0.5), side * half_width
        across(-half_length, min(inner, outer), max(inner, outer), lamp_low, lamp_high, "tail")
        across(half_length, min(inner, outer), max(inner, outer), 0.58, 0.74, "headlamp")
    if shape.kind != "truck":
        across(-half_length * 0.995, -0.3, 0.3, top - 0.14, top - 0.06, "brake")

    corners = np.array([points + [points[-1]] * (_CORNERS - len(points)) for points, _, _ in faces])
    return Mesh(
        corners, np.array([normal for _, normal, _ in faces]), tuple(name for _, _, name in faces)
    )


def _add_cabin(
    faces: list, shape: Shape, half_width: float, half_length: float, belt: float, top: float
) -> None:
    """Windows and roof above the belt line of a car; its sides lean inwards."""
    rear = -half_length if shape.kind != "sedan" else -0.68 * half_length
    bottom = (rear, 0.42 * half_length)
    roof = (rear + (0.35 if shape.kind != "sedan" else 0.7), 0.08 * half_length)
    wide, narrow = half_width * 0.97, half_width * 0.8

    def corner(x: float, y: float, z: float) -> tuple[float, float, float]:
        return (x, y, z)

    faces.append(
        (
            [corner(-wide, belt, bottom[0]), corner(wide, belt, bottom[0]),
             corner(narrow, top, roof[0]), corner(-narrow, top, roof[0])],
            (0.0, 0.4, -0.9),
            "glass",
        )
    )  # fmt: skip
    faces.append(
        (
            [corner(-wide, belt, bottom[1]), corner(wide, belt, bottom[1]),
             corner(narrow, top, roof[1]), corner(-narrow, top, roof[1])],
            (0.0, 0.6, 0.8),
            "glass",
        )
    )  # fmt: skip
    for side in (-1, 1):
        faces.append(
            (
                [corner(side * wide, belt, bottom[0]), corner(side * wide, belt, bottom[1]),
                 corner(side * narrow, top, roof[1]), corner(side * narrow, top, roof[0])],
                (side * 0.95, 0.25, 0.0),
                "glass",
            )
        )  # fmt: skip
    faces.append(
        (
            [corner(-narrow, top, roof[0]), corner(narrow, top, roof[0]),
             corner(narrow, top, roof[1]), corner(-narrow, top, roof[1])],
            (0.0, 1.0, 0.0),
            "roof",
        )
    )  # fmt: skip
