"""The road surface: a top-down texture, warped into the picture with the camera's homography."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from collision.datasets.synthetic.camera import Camera
from collision.datasets.synthetic.palette import PALETTES, Tone
from collision.datasets.synthetic.setting import Domain

PERIOD = 48.0  # metres after which the road repeats; dashes of 4 m every 12 m fit
_HALF_WIDTH = 14.0  # metres of texture to each side
_NEAR_END = 22.0  # metres up to which the fine texture is used
_FAR_END = 220.0
_FINE, _COARSE = 14.0, 3.0  # pixels a metre
_EXPOSURE = 1 / 45  # seconds: streaks grow with speed
_STREAK_STEP = 0.09  # metres between two prepared lengths of streaks

_EDGES = {"Urban": (-5.4, 5.9), "Highway": (-5.6, 5.6), "Rural": (-5.4, 1.95)}


class Ground:
    """The surface of one scene."""

    def __init__(self, scene: str, domain: Domain, rng: np.random.Generator):
        """Paint its textures; ``rng`` decides their grain, patches and cracks."""
        self._fine = _paint_texture(scene, domain, rng)
        shrunk = (round(2 * _HALF_WIDTH * _COARSE), round(PERIOD * _COARSE))
        coarse = cv2.resize(self._fine, shrunk, interpolation=cv2.INTER_AREA)
        repeats = int(np.ceil(_FAR_END / PERIOD)) + 1
        self._coarse = np.ascontiguousarray(np.tile(coarse, (repeats, 1, 1)))
        self._streaked: dict[int, NDArray[np.uint8]] = {}
        self.asphalt = PALETTES[domain.palette].asphalt[scene]

    def paint(self, picture: NDArray[np.uint8], camera: Camera, speed: float) -> None:
        """Fill what lies below the horizon; ``speed`` (m/s) decides how much it streaks."""
        # +1: the row of the horizon itself has no finite distance.
        top = int(np.clip(np.floor(camera.horizon) + 1, 0, camera.height - 1))
        reach = camera.focal * camera.y / _NEAR_END
        middle = int(np.clip(round(camera.horizon + reach), top, camera.height))
        start = np.floor(camera.z / PERIOD) * PERIOD
        self._warp(picture, camera, self._coarse, _COARSE, start, top, middle)
        streak = round(speed * _EXPOSURE / _STREAK_STEP)
        self._warp(picture, camera, self._streak(streak), _FINE, start, middle, camera.height)

    def _warp(
        self,
        picture: NDArray[np.uint8],
        camera: Camera,
        texture: NDArray[np.uint8],
        density: float,
        start: float,
        top: int,
        bottom: int,
    ) -> None:
        if bottom <= top:
            return
        texture_to_road = np.array(
            [[1 / density, 0, -_HALF_WIDTH], [0, 1 / density, start], [0, 0, 1]]
        )
        to_rows = np.array([[1, 0, 0], [0, 1, -top], [0, 0, 1.0]])
        cv2.warpPerspective(
            texture,
            to_rows @ camera.ground_to_image() @ texture_to_road,
            (camera.width, bottom - top),
            dst=picture[top:bottom],
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )

    def _streak(self, level: int) -> NDArray[np.uint8]:
        if level not in self._streaked:
            repeats = 1 + int(np.ceil((_NEAR_END + 2) / PERIOD))
            length = max(1, round(level * _STREAK_STEP * _FINE))
            tiled = np.tile(self._fine, (repeats, 1, 1))
            self._streaked[level] = cv2.blur(tiled, (1, length))
        return self._streaked[level]


def _paint_texture(scene: str, domain: Domain, rng: np.random.Generator) -> NDArray[np.uint8]:
    rows, columns = round(PERIOD * _FINE), round(2 * _HALF_WIDTH * _FINE)
    left, right = _EDGES[scene]
    palette = PALETTES[domain.palette]

    def column(x: float) -> int:
        return round((x + _HALF_WIDTH) * _FINE)

    texture = np.empty((rows, columns, 3), np.uint8)
    texture[:] = palette.verge[scene]
    texture[:, column(left) : column(right)] = palette.asphalt[scene]
    for _ in range(int(rng.integers(2, 7))):  # repairs and joints, something to flow past
        x, z = rng.uniform(left, right - 1), rng.uniform(0, PERIOD - 6)
        darker = np.array(palette.asphalt[scene]) * rng.uniform(0.6, 1.15)
        corner = (column(min(x + rng.uniform(0.6, 3), right)), round((z + rng.uniform(1, 6)) * 14))
        cv2.rectangle(texture, (column(x), round(z * _FINE)), corner, darker.tolist(), cv2.FILLED)
    for _ in range(int(rng.integers(3, 9))):
        z = round(rng.uniform(0, PERIOD) * _FINE)
        ends = (column(left), z), (column(right), z + int(rng.integers(-8, 8)))
        cv2.line(texture, *ends, (58, 57, 56), 1)

    def stripe(x: float, width: float, dash: float | None, paint: Tone) -> None:
        lengths = (
            [(0.0, PERIOD)] if dash is None else [(z, z + dash) for z in np.arange(0, PERIOD, 12.0)]
        )
        for begin, end in lengths:
            area = slice(round(begin * _FINE), round(end * _FINE))
            texture[area, column(x - width / 2) : column(x + width / 2)] = paint

    if scene == "Highway":
        for x, dash in ((-5.3, None), (-1.75, 4.0), (1.75, 4.0), (5.3, None)):
            stripe(x, 0.18, dash, palette.edge_line)
    else:
        stripe(-1.75, 0.14, 4.0 if rng.random() < 0.6 else None, palette.centre_line)
        stripe(-5.1, 0.12, None, palette.edge_line)
        stripe(1.75, 0.12, 4.0 if scene == "Urban" else None, palette.edge_line)
    if scene == "Urban":  # kerbs
        for edge in (left, right):
            texture[:, column(edge) : column(edge + 0.2)] = (150, 152, 152)
    for cells, strength in ((3, 16.0), (1, 10.0)):  # coarse stains, fine grain
        size = (max(rows // cells // 4, 4), max(columns // cells // 4, 4))
        grain = rng.integers(-128, 128, size, dtype=np.int8).astype(np.float32)
        grain = cv2.resize(grain, (columns, rows), interpolation=cv2.INTER_LINEAR)
        shade = (grain * (strength * domain.texture_contrast / 128)).astype(np.int16)
        texture = np.clip(texture.astype(np.int16) + shade[..., None], 0, 255).astype(np.uint8)
    return texture
