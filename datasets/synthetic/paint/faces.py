"""A pinhole camera, and the flat faces that all is made of that stands or moves.

World axes as in traffic.py, y up from the road. A frame's faces are seen, lit and filled at once. A
record of ``FACE`` is one face, so that many are an array: F faces of 4 corners. Local axes of a
mesh: x to its right, y up, z ahead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from collision.datasets.synthetic.paint.light import Atmosphere, add_glow
from collision.datasets.synthetic.setting import Domain

NEAR = 0.6  # metres: nothing is drawn closer to the lens

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Camera:
    """Where the camera is and looks at one moment; angles in radians, pitch positive downwards."""

    domain: Domain
    x: float
    z: float
    yaw: float
    pitch: float

    @cached_property
    def position(self) -> Array:
        """In world axes ``[3]``."""
        return np.array([self.x, self.domain.camera_height, self.z])

    @cached_property
    def axes(self) -> Array:
        """Unit vectors ``[3, 3]`` to the right, up and ahead."""
        sin, cos = math.sin(self.yaw), math.cos(self.yaw)
        down, level = math.sin(self.pitch), math.cos(self.pitch)
        return np.array(
            [[cos, 0, -sin], [sin * down, level, cos * down], [sin * level, -down, cos * level]]
        )

    @property
    def _middle(self) -> tuple[float, float]:
        return self.domain.width / 2, self.domain.height / 2

    @property
    def horizon(self) -> float:
        """Row at which the road ends."""
        return self.domain.height / 2 - self.domain.focal * math.tan(self.pitch)

    @property
    def first_road_row(self) -> int:
        """The row of the horizon itself has no finite distance: this is the next."""
        return int(min(max(math.floor(self.horizon) + 1, 0), self.domain.height - 1))

    def view(self, points: Array) -> Array:
        """World ``[..., 3]`` to metres to the right, up and ahead."""
        return (points - self.position) @ self.axes.T

    def project(self, seen: Array) -> Array:
        """Columns and rows ``[..., 2]`` of what ``view`` gave; what is nearer is held at NEAR."""
        scale = self.domain.focal / np.maximum(seen[..., 2:], NEAR)
        return seen[..., :2] * scale * (1, -1) + self._middle

    def ground_to_image(self, start: float) -> Array:
        """Homography ``[3, 3]`` from road coordinates (x, z - start, 1) to pixels."""
        x, y, z = self.position
        road_to_world = np.array([[1, 0, -x], [0, 0, -y], [0, 1, start - z]])
        lens = np.diag([self.domain.focal, -self.domain.focal, 1.0])
        lens[:2, 2] = self._middle
        return lens @ self.axes @ road_to_world


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
_FARTHEST = 4000  # pixels: corners beyond are held there


def make(corners: ArrayLike, colour: ArrayLike, place: float, disc: ArrayLike = False) -> NDArray:
    """Build faces ``[F]`` of ``corners [F, 4, 3]`` and ``colour [3]`` or ``[F, 3]``."""
    corners = np.asarray(corners, np.float64)
    faces = np.zeros(len(corners), FACE)
    faces["corners"], faces["colour"], faces["place"], faces["disc"] = corners, colour, place, disc
    return faces


def upright(x: tuple[float, float], y: tuple[float, float], z: float) -> list[tuple]:
    """Corners of a rectangle that faces along the road."""
    return [(x[0], y[0], z), (x[1], y[0], z), (x[1], y[1], z), (x[0], y[1], z)]


def beside(x: float, y: tuple[float, float], z: tuple[float, float]) -> list[tuple]:
    """Corners of a rectangle that faces across the road."""
    return [(x, y[0], z[0]), (x, y[0], z[1]), (x, y[1], z[1]), (x, y[1], z[0])]


def level(x: tuple[float, float], y: float, z: tuple[float, float]) -> list[tuple]:
    """Corners of a rectangle that lies."""
    return [(x[0], y, z[0]), (x[1], y, z[0]), (x[1], y, z[1]), (x[0], y, z[1])]


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


def fixed_point(pixels: NDArray[np.float64]) -> NDArray[np.int32]:
    """Pixels in sixteenths, as OpenCV's ``shift=4`` wants them."""
    return (np.clip(pixels, -_FARTHEST, _FARTHEST) * 16).astype(np.int32)


def fill(
    picture: NDArray[np.uint8], camera: Camera, atmosphere: Atmosphere, faces: NDArray
) -> None:
    """Fill the faces that can be seen, far ones first, each lamp with its halo."""
    seen = camera.view(faces["corners"])
    pixels = camera.project(seen)
    shown = _in_view(camera, faces, seen, pixels)
    shown = shown[np.argsort(-faces["place"][shown], kind="stable")]
    faces, middles = faces[shown], (seen[shown, 0] + seen[shown, 2]) / 2
    colours = atmosphere.lit(faces["colour"], middles[:, 0], middles[:, 2], faces["lamp"]).tolist()
    edges = np.where(faces["smooth"], cv2.LINE_AA, cv2.LINE_8).tolist()
    discs, halos = faces["disc"].tolist(), faces["reach"].tolist()
    for number, outline in enumerate(fixed_point(pixels[shown])):
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
            distance = max(float(middles[number, 2]), NEAR)
            light = atmosphere.halo(faces["glow"][number].tolist(), distance)
            add_glow(picture, spot, camera.domain.focal * halos[number] / distance, light)


def _in_view(camera: Camera, faces: NDArray, seen: NDArray, pixels: NDArray) -> NDArray[np.int64]:
    """Which faces look at the camera and lie within the picture."""
    low, high = (
        np.minimum.reduce([*pixels.swapaxes(0, 1)]),
        np.maximum.reduce([*pixels.swapaxes(0, 1)]),
    )
    towards = (faces["normal"] * (camera.position - faces["corners"][:, 0])).sum(axis=1)
    shown = (towards >= 0) & (seen[..., 2].max(axis=1) > NEAR)
    shown &= (high > 0).all(axis=1)
    shown &= (low[:, 0] < camera.domain.width) & (low[:, 1] < camera.domain.height)
    shown &= ((high - low).max(axis=1) > _SMALLEST) | faces["lamp"]
    return np.flatnonzero(shown)
