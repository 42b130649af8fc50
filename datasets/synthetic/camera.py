"""A pinhole camera behind the ego's windscreen.

Shapes: N points, P polygons, K corners. World axes as in traffic.py, y up from the road.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from collision.datasets.synthetic.setting import Domain

NEAR = 0.6  # metres: nothing is drawn closer to the lens


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

    def view(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """World ``[..., 3]`` (x, y, z) to camera axes (right, up, ahead), unpitched."""
        sin, cos = math.sin(self.yaw), math.cos(self.yaw)
        x, z = points[..., 0] - self.x, points[..., 2] - self.z
        seen = np.empty(points.shape)
        seen[..., 0] = x * cos - z * sin
        seen[..., 1] = points[..., 1] - self.y
        seen[..., 2] = x * sin + z * cos
        return seen

    def project(self, seen: NDArray[np.float64]) -> NDArray[np.float64]:
        """Camera axes ``[..., 3]`` to pixels ``[..., 2]``; what is nearer is held at NEAR."""
        sin, cos = math.sin(self.pitch), math.cos(self.pitch)
        ahead = np.maximum(seen[..., 2], NEAR)
        depth = np.maximum(ahead * cos - seen[..., 1] * sin, NEAR / 2)
        pixels = np.empty((*seen.shape[:-1], 2))
        pixels[..., 0] = self.width / 2 + self.focal * seen[..., 0] / depth
        pixels[..., 1] = self.height / 2 - self.focal * (seen[..., 1] * cos + ahead * sin) / depth
        return pixels

    def spot(self, x: float, y: float, z: float) -> tuple[float, float, float, float]:
        """One world point: its pixel (column, row), then metres to the right and ahead."""
        sin, cos = math.sin(self.yaw), math.cos(self.yaw)
        side = (x - self.x) * cos - (z - self.z) * sin
        ahead = max((x - self.x) * sin + (z - self.z) * cos, NEAR)
        up = y - self.y
        sin, cos = math.sin(self.pitch), math.cos(self.pitch)
        scale = self.focal / max(ahead * cos - up * sin, NEAR / 2)
        row = self.height / 2 - scale * (up * cos + ahead * sin)
        return self.width / 2 + scale * side, row, side, ahead

    def ground_to_image(self) -> NDArray[np.float64]:
        """Homography ``[3, 3]`` from road coordinates (x, z, 1) to pixels."""
        sin_yaw, cos_yaw = math.sin(self.yaw), math.cos(self.yaw)
        sin, cos = math.sin(self.pitch), math.cos(self.pitch)
        right = np.array([cos_yaw, -sin_yaw, 0.0])
        ahead = np.array([sin_yaw, cos_yaw, 0.0])
        right[2] = -(right[0] * self.x + right[1] * self.z)
        ahead[2] = -(ahead[0] * self.x + ahead[1] * self.z)
        up = np.array([0.0, 0.0, -self.y])
        depth = ahead * cos - up * sin
        raised = up * cos + ahead * sin
        return np.stack(
            [
                self.focal * right + self.width / 2 * depth,
                -self.focal * raised + self.height / 2 * depth,
                depth,
            ]
        )
