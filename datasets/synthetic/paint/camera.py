"""A pinhole camera behind the ego's windscreen. World axes as in traffic.py, y up from the road."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from collision.datasets.synthetic.setting import Domain

NEAR = 0.6  # metres: nothing is drawn closer to the lens

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Camera:
    """Where the camera is and looks at one moment; angles in radians, pitch positive downwards."""

    width: int
    height: int
    focal: float
    x: float
    y: float
    z: float
    yaw: float
    pitch: float

    @staticmethod
    def focal_length(domain: Domain) -> float:
        """Focal length in pixels."""
        return domain.width / 2 / math.tan(math.radians(domain.field_of_view) / 2)

    @property
    def horizon(self) -> float:
        """Row at which the road ends."""
        return self.height / 2 - self.focal * math.tan(self.pitch)

    @property
    def first_road_row(self) -> int:
        """The row of the horizon itself has no finite distance: this is the next."""
        return int(min(max(math.floor(self.horizon) + 1, 0), self.height - 1))

    def view(self, points: Array) -> tuple[Array, Array, Array]:
        """World ``[..., 3]`` (x, y, z) to metres to the right, up and ahead, unpitched."""
        sin, cos = math.sin(self.yaw), math.cos(self.yaw)
        x, z = points[..., 0] - self.x, points[..., 2] - self.z
        return x * cos - z * sin, points[..., 1] - self.y, x * sin + z * cos

    def project(self, right: Array, up: Array, ahead: Array) -> tuple[Array, Array]:
        """Give the columns and rows of what ``view`` gave; what is nearer is held at NEAR."""
        sin, cos = math.sin(self.pitch), math.cos(self.pitch)
        ahead = np.maximum(ahead, NEAR)
        scale = self.focal / np.maximum(ahead * cos - up * sin, NEAR / 2)
        return self.width / 2 + right * scale, self.height / 2 - (up * cos + ahead * sin) * scale

    def ground_to_image(self, start: float) -> Array:
        """Homography ``[3, 3]`` from road coordinates (x, z - start, 1) to pixels."""
        sin_yaw, cos_yaw = math.sin(self.yaw), math.cos(self.yaw)
        sin, cos = math.sin(self.pitch), math.cos(self.pitch)
        right = np.array([cos_yaw, -sin_yaw, 0.0])
        ahead = np.array([sin_yaw, cos_yaw, 0.0])
        right[2] = -(right[0] * self.x + right[1] * (self.z - start))
        ahead[2] = -(ahead[0] * self.x + ahead[1] * (self.z - start))
        up = np.array([0.0, 0.0, -self.y])
        depth = ahead * cos - up * sin
        raised = up * cos + ahead * sin
        columns = self.focal * right + self.width / 2 * depth
        rows = -self.focal * raised + self.height / 2 * depth
        return np.array([columns, rows, depth])
