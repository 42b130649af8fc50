"""The road surface: a top-down texture, warped into the picture with the camera's homography."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from collision.datasets.synthetic.paint.camera import NEAR, Camera
from collision.datasets.synthetic.paint.light import Atmosphere
from collision.datasets.synthetic.paint.palette import PALETTES, Tone
from collision.datasets.synthetic.setting import Domain
from collision.datasets.synthetic.traffic import STOP_LINE, Conflict

PERIOD = 24.0  # metres after which the road repeats; dashes of 4 m every 12 m fit
_HALF_WIDTH = 14.0  # metres of texture to each side
_NEAR_END, _FAR_END = 14.0, 220.0  # metres up to which the textures are used
_MARKS_END = 120.0  # likewise marks on the road
_FINE = (12.0, 12.0)  # pixels a metre across and along the road
_COARSE = (8.0, 2.0)  # where a row of the picture is half a metre deep or more
_EXPOSURE = 1 / 45  # seconds: streaks grow with speed
_EDGES = {"Urban": (-5.4, 5.9), "Highway": (-5.6, 5.6), "Rural": (-5.4, 1.95)}
_ROAD_PAINT = (205, 208, 210)

Area = tuple[float, float, float, float]  # x0, x1, z0, z1


class Ground:
    """The surface of one scene and how it is lit."""

    def __init__(
        self, scene: str, conflict: Conflict, domain: Domain, atmosphere: Atmosphere,
        rng: np.random.Generator,
    ):  # fmt: skip
        """Paint its textures; ``rng`` decides their grain, patches and cracks."""
        texture = _Texture(scene, domain, rng).paint()
        shrunk = (round(2 * _HALF_WIDTH * _COARSE[0]), round(PERIOD * _COARSE[1]))
        coarse = cv2.resize(texture, shrunk, interpolation=cv2.INTER_AREA)
        self._coarse = np.tile(coarse, (math.ceil(_FAR_END / PERIOD) + 1, 1, 1))
        self._fine = np.tile(texture, (2, 1, 1))
        self._streaked: dict[int, NDArray[np.uint8]] = {}
        self.asphalt = PALETTES[domain.palette].asphalt[scene]
        marks = _marks(conflict, self.asphalt)
        self._tones = [tone for _, tone in marks]
        self._marks = np.array(
            [[(x0, 0, z0), (x1, 0, z0), (x1, 0, z1), (x0, 0, z1)] for (x0, x1, z0, z1), _ in marks]
        )
        self._factor, self._haze = atmosphere.ground_maps(
            domain.width, domain.height, Camera.focal_length(domain), domain.camera_height
        )

    def paint(self, picture: NDArray[np.uint8], camera: Camera, speed: float) -> None:
        """Fill what lies below the horizon; ``speed`` (m/s) decides how much it streaks."""
        top = camera.first_road_row
        reach = camera.focal * camera.y / _NEAR_END
        middle = int(np.clip(round(camera.horizon + reach), top, camera.height))
        road_to_image = camera.ground_to_image(math.floor(camera.z / PERIOD) * PERIOD)
        _warp(picture[top:middle], top, road_to_image, self._coarse, _COARSE)
        _warp(picture[middle:], middle, road_to_image, self._streak(speed), _FINE)
        self._paint_marks(picture, camera)
        road, rows = picture[top:], camera.height - top
        cv2.multiply(road, self._factor[:rows], dst=road, scale=1 / 128)
        cv2.add(road, self._haze[:rows], dst=road)

    def _paint_marks(self, picture: NDArray[np.uint8], camera: Camera) -> None:
        """Fill the marks as far as they lie before the camera."""
        near, far = camera.z + NEAR, camera.z + _MARKS_END
        if not len(self._marks) or not near < self._marks[:, 2, 2].max() < far:
            return
        columns, rows = camera.project(*camera.view(self._marks))
        pixels = np.clip(np.stack([columns, rows], axis=-1) * 16, -64000, 64000).astype(np.int32)
        for corners, outline, colour in zip(self._marks, pixels, self._tones, strict=True):
            if corners[2, 2] > near:
                cv2.fillConvexPoly(picture, outline, colour, cv2.LINE_AA, 4)

    def _streak(self, speed: float) -> NDArray[np.uint8]:
        length = max(1, round(speed * _EXPOSURE * _FINE[1]))
        if length not in self._streaked:
            self._streaked[length] = cv2.blur(self._fine, (1, length))
        return self._streaked[length]


def _warp(
    area: NDArray[np.uint8], top: int, road_to_image: NDArray[np.float64],
    texture: NDArray[np.uint8], density: tuple[float, float],
) -> None:  # fmt: skip
    """Fill rows from ``top`` on; the nearest texel is enough and costs a quarter of a blend."""
    if not len(area):
        return
    to_road = np.array([[1 / density[0], 0, -_HALF_WIDTH], [0, 1 / density[1], 0], [0, 0, 1]])
    transform = road_to_image @ to_road
    transform[1] -= top * transform[2]
    cv2.warpPerspective(
        texture, transform, (area.shape[1], len(area)), dst=area,
        flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip


def _marks(conflict: Conflict, asphalt: Tone) -> list[tuple[Area, Tone]]:
    """What is painted over the texture: the crossing road and its lines, or a zebra crossing."""
    if conflict.walkway is not None:
        near, far = conflict.walkway - 1.5, conflict.walkway + 1.5
        return [((x, x + 0.5, near, far), _ROAD_PAINT) for x in np.arange(-5.0, 5.4, 1.0).tolist()]
    if conflict.junction is None:
        return []
    z = conflict.junction
    low, high = z - 3.8, z + 3.8
    lines = [
        (-60.0, -STOP_LINE, z - 0.07, z + 0.07),
        (STOP_LINE, 60.0, z - 0.07, z + 0.07),
        # Vehicles drive on the right: each arm has its line on the lane that leads in.
        (-STOP_LINE - 0.2, -STOP_LINE + 0.2, low + 0.3, z - 0.3),
        (STOP_LINE - 0.2, STOP_LINE + 0.2, z + 0.3, high - 0.3),
        (-1.7, 1.7, low - 1.4, low - 1.0),
    ]
    return [((-60.0, 60.0, low, high), asphalt), *((line, _ROAD_PAINT) for line in lines)]


class _Texture:
    """One period of a road from above, with its verges."""

    def __init__(self, scene: str, domain: Domain, rng: np.random.Generator):
        self._scene, self._rng = scene, rng
        self._palette, self._contrast = PALETTES[domain.palette], domain.texture_contrast
        self._rows = round(PERIOD * _FINE[1])
        self._picture = np.empty((self._rows, self._column(_HALF_WIDTH), 3), np.uint8)

    def paint(self) -> NDArray[np.uint8]:
        left, right = _EDGES[self._scene]
        self._picture[:] = self._palette.verge[self._scene]
        road = self._picture[:, self._column(left) : self._column(right)]
        road[:] = self._palette.asphalt[self._scene]
        for _ in range(int(self._rng.integers(1, 4))):  # repairs, something to flow past
            x, z = self._rng.uniform(left, right - 1), round(self._rng.uniform(0, self._rows - 80))
            columns = slice(
                self._column(x), self._column(min(x + self._rng.uniform(0.6, 3), right))
            )
            patch = self._picture[z : z + int(self._rng.integers(4, 80)), columns]
            patch[:] = (patch * self._rng.uniform(0.6, 1.15)).astype(np.uint8)
        self._draw_lines()
        grain = self._grain(12, 16.0) + self._grain(4, 10.0)  # coarse stains, fine grain
        return np.clip(self._picture + grain[..., None], 0, 255).astype(np.uint8)

    def _draw_lines(self) -> None:
        edge, dashed = self._palette.edge_line, 4.0
        if self._scene == "Highway":
            lines = [
                (x, 0.18, None if abs(x) > 5 else dashed, edge) for x in (-5.3, -1.75, 1.75, 5.3)
            ]
        else:
            centre = dashed if self._rng.random() < 0.6 else None
            lines = [
                (-1.75, 0.14, centre, self._palette.centre_line),
                (-5.1, 0.12, None, edge),
                (1.75, 0.12, dashed if self._scene == "Urban" else None, edge),
            ]
        for x, width, dash, paint in lines:
            columns = slice(self._column(x - width / 2), self._column(x + width / 2))
            for begin in np.arange(0, PERIOD, 12.0):
                end = begin + (dash or 12.0)
                self._picture[round(begin * _FINE[1]) : round(end * _FINE[1]), columns] = paint
        if self._scene == "Urban":  # kerbs
            for x in _EDGES["Urban"]:
                self._picture[:, self._column(x) : self._column(x + 0.2)] = (150, 152, 152)

    def _grain(self, cells: int, strength: float) -> NDArray[np.int16]:
        rows, columns = self._picture.shape[:2]
        noise = self._rng.uniform(-1, 1, (rows // cells, columns // cells)) * strength
        noise = cv2.resize(noise * self._contrast, (columns, rows), interpolation=cv2.INTER_LINEAR)
        return noise.astype(np.int16)

    def _column(self, x: float) -> int:
        return round((x + _HALF_WIDTH) * _FINE[0])
