"""All that stands or moves is made of flat faces; a frame's are seen, lit and filled at once.

A record of ``FACE`` is one face, so that many are an array: F faces of 4 corners, the last one
repeated in a triangle. Local axes of a mesh: x to its right, y up, z ahead.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from collision.datasets.synthetic.paint.camera import NEAR, Camera
from collision.datasets.synthetic.paint.light import Atmosphere, add_glow

FACE = np.dtype(
    [
        ("corners", np.float64, (4, 3)),
        ("normal", np.float64, 3),  # outward; 0: seen from both sides
        ("colour", np.float64, 3),  # BGR
        ("lamp", np.bool_),  # shines by itself
        ("glow", np.float64, 3),  # colour of its halo
        ("reach", np.float64),  # radius of its halo, metres; 0: none
        ("disc", np.bool_),  # a circle through the corners, of which 0 and 2 are opposite
        ("smooth", np.bool_),  # with soft edges, which take twice as long: for what moves
        ("place", np.float64),  # z of what it belongs to: far ones are filled first
    ]
)
_SMALLEST = 1.5  # pixels: what is smaller both ways is left out
_FARTHEST = 64000  # sixteenths of a pixel: corners beyond are held there


def make(corners: ArrayLike, colour: ArrayLike, place: float, disc: bool = False) -> NDArray:
    """Build faces ``[F]`` of ``corners [F, 4, 3]`` and ``colour [3]`` or ``[F, 3]``."""
    corners = np.asarray(corners, np.float64)
    faces = np.zeros(len(corners), FACE)
    faces["corners"], faces["colour"], faces["place"], faces["disc"] = corners, colour, place, disc
    return faces


def upright(x: tuple[float, float], y: tuple[float, float], z: float) -> list[tuple]:
    """Corners of a rectangle that faces along the road."""
    return [(x[0], y[0], z), (x[1], y[0], z), (x[1], y[1], z), (x[0], y[1], z)]


def placed(mesh: NDArray, x: float, z: float, heading: float) -> NDArray:
    """Turn the faces of a mesh by ``heading`` and put its origin on the road at x, z."""
    sin, cos = math.sin(heading), math.cos(heading)
    turn = np.array([[cos, 0.0, -sin], [0.0, 1.0, 0.0], [sin, 0.0, cos]])
    faces = mesh.copy()
    faces["corners"] = mesh["corners"] @ turn + (x, 0.0, z)
    faces["normal"] = mesh["normal"] @ turn
    faces["place"] = z
    return faces


def joined(parts: list[NDArray]) -> NDArray:
    """Like ``np.concatenate``, which takes records apart and is slow."""
    faces = np.empty(sum(map(len, parts)), FACE)
    begin = 0
    for part in parts:
        faces[begin : begin + len(part)] = part
        begin += len(part)
    return faces


def fill(
    picture: NDArray[np.uint8], camera: Camera, atmosphere: Atmosphere, faces: NDArray
) -> None:
    """Fill the faces that can be seen, far ones first, each lamp with its halo."""
    corners = faces["corners"]
    right, up, ahead = camera.view(corners.transpose(1, 0, 2))  # each [4, F]
    columns, rows = camera.project(right, up, ahead)
    seen = _in_view(camera, faces, columns, rows, ahead)
    seen = seen[np.argsort(-faces["place"][seen], kind="stable")]
    faces, depth = faces[seen], (ahead[0, seen] + ahead[2, seen]) / 2
    side = (right[0, seen] + right[2, seen]) / 2
    colours = atmosphere.lit(faces["colour"], side, depth, faces["lamp"]).tolist()
    outlines = np.empty((len(seen), 4, 2), np.int32)  # sixteenths of a pixel
    outlines[..., 0] = np.clip(columns[:, seen] * 16, -_FARTHEST, _FARTHEST).T
    outlines[..., 1] = np.clip(rows[:, seen] * 16, -_FARTHEST, _FARTHEST).T
    edges = np.where(faces["smooth"], cv2.LINE_AA, cv2.LINE_8).tolist()
    discs, halos = faces["disc"].tolist(), faces["reach"].tolist()
    for number, outline in enumerate(outlines):
        colour, edge = colours[number], edges[number]
        if discs[number]:
            left, _, right, _ = outline.tolist()
            middle = ((left[0] + right[0]) // 2, (left[1] + right[1]) // 2)
            radius = max(int(math.dist(left, right) / 2), 12)
            cv2.circle(picture, middle, radius, colour, cv2.FILLED, edge, 4)
        else:
            cv2.fillConvexPoly(picture, outline, colour, edge, 4)
        if halos[number]:
            spot = ((outline[0] + outline[2]) / 32).tolist()
            distance = max(float(depth[number]), NEAR)
            light = atmosphere.halo(faces["glow"][number].tolist(), distance)
            add_glow(picture, spot, camera.focal * halos[number] / distance, light)


def _in_view(
    camera: Camera, faces: NDArray, columns: NDArray, rows: NDArray, ahead: NDArray
) -> NDArray[np.int64]:
    """Which faces look at the camera and lie within the picture; ``columns`` and others [4, F]."""
    left, right, top, bottom = columns.min(0), columns.max(0), rows.min(0), rows.max(0)
    x, y, z = (faces["normal"][:, axis] for axis in range(3))
    first = faces["corners"][:, 0]
    towards = x * (camera.x - first[:, 0]) + y * (camera.y - first[:, 1])
    towards += z * (camera.z - first[:, 2])
    shown = (towards >= 0) & (ahead.max(axis=0) > NEAR)
    shown &= (left < camera.width) & (right > 0)
    shown &= (top < camera.height) & (bottom > 0)
    shown &= (np.maximum(right - left, bottom - top) > _SMALLEST) | faces["lamp"]
    return np.flatnonzero(shown)
