"""The road surface: a top-down texture, warped into the picture with the camera's homography."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from collision.datasets.synthetic.paint.faces import NEAR, Camera, fixed_point, level
from collision.datasets.synthetic.paint.light import Atmosphere
from collision.datasets.synthetic.scene import Scene
from collision.datasets.synthetic.setting import PALETTES, Domain, Palette, Tone
from collision.datasets.synthetic.traffic import STOP_LINE, Conflict

PERIOD = 24.0  # metres after which the road repeats; dashes of 4 m every 12 m fit
_HALF_WIDTH = 14.0  # metres of texture to each side
_NEAR_END, _FAR_END = 14.0, 220.0  # metres up to which the textures are used
_MARKS_END = 120.0  # likewise marks on the road
_FINE = 12.0  # pixels a metre
_COARSE = 3.0  # where a row of the picture is half a metre deep or more
_EXPOSURE = 1 / 45  # seconds: streaks grow with speed
_EDGES = {"Urban": (-5.4, 5.9), "Highway": (-5.6, 5.6), "Rural": (-5.4, 1.95)}
_ROAD_PAINT = (205, 208, 210)
_KERB = (150, 152, 152)

Picture = NDArray[np.uint8]


class Ground:
    """The surface of one scene and how it is lit."""

    def __init__(
        self, scene: Scene, domain: Domain, atmosphere: Atmosphere, rng: np.random.Generator
    ):
        """Paint its textures; ``rng`` decides their grain and patches."""
        texture = _texture(scene.scene, domain, rng)
        shrunk = (round(2 * _HALF_WIDTH * _COARSE), round(PERIOD * _COARSE))
        coarse = cv2.resize(texture, shrunk, interpolation=cv2.INTER_AREA)
        self._coarse = np.tile(coarse, (math.ceil(_FAR_END / PERIOD) + 1, 1, 1))
        self._fine = np.tile(texture, (2, 1, 1))
        self._streaked: dict[int, Picture] = {}
        self.asphalt = PALETTES[domain.palette].asphalt[scene.scene]
        self._marks = _marks(scene.conflict, self.asphalt)
        self._factor, self._haze = atmosphere.ground_maps(domain)

    def paint(self, picture: Picture, camera: Camera, speed: float) -> None:
        """Fill what lies below the horizon; ``speed`` (m/s) decides how much it streaks."""
        top, height = camera.first_road_row, len(picture)
        reach = camera.domain.focal * camera.domain.camera_height / _NEAR_END
        middle = min(max(round(camera.horizon + reach), top), height)
        road_to_image = camera.ground_to_image(math.floor(camera.z / PERIOD) * PERIOD)
        _warp(picture[top:middle], top, road_to_image, self._coarse, _COARSE)
        _warp(picture[middle:], middle, road_to_image, self._streak(speed), _FINE)
        for corners, colour in self._marks:
            if camera.z + NEAR < corners[2, 2] < camera.z + _MARKS_END:
                outline = fixed_point(camera.project(camera.view(corners)))
                cv2.fillConvexPoly(picture, outline, colour, cv2.LINE_AA, 4)
        road = picture[top:]
        cv2.multiply(road, self._factor[: height - top], dst=road, scale=1 / 128)
        cv2.add(road, self._haze[: height - top], dst=road)

    def _streak(self, speed: float) -> Picture:
        length = max(1, round(speed * _EXPOSURE * _FINE))
        if length not in self._streaked:
            self._streaked[length] = cv2.blur(self._fine, (1, length))
        return self._streaked[length]


def _warp(
    area: Picture, top: int, road_to_image: NDArray[np.float64], texture: Picture, density: float
) -> None:
    """Fill the rows of a picture from ``top`` on."""
    if len(area):
        to_road = [[1 / density, 0, -_HALF_WIDTH], [0, 1 / density, 0], [0, 0, 1]]
        transform = road_to_image @ np.array(to_road)
        transform[1] -= top * transform[2]
        cv2.warpPerspective(
            texture, transform, (area.shape[1], len(area)), dst=area,
            flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip


def _marks(conflict: Conflict, asphalt: Tone) -> list[tuple[NDArray[np.float64], Tone]]:
    """What is painted over the texture: the crossing road and its lines, or a zebra crossing."""
    areas: list[tuple[tuple[float, float], tuple[float, float], Tone]] = []
    if conflict.walkway is not None:
        span = (conflict.walkway - 1.5, conflict.walkway + 1.5)
        areas = [((x, x + 0.5), span, _ROAD_PAINT) for x in np.arange(-5.0, 5.4, 1.0).tolist()]
    elif conflict.junction is not None:
        middle = conflict.junction
        areas = [
            ((-60.0, 60.0), (middle - 3.8, middle + 3.8), asphalt),
            ((-60.0, -STOP_LINE), (middle - 0.07, middle + 0.07), _ROAD_PAINT),
            ((STOP_LINE, 60.0), (middle - 0.07, middle + 0.07), _ROAD_PAINT),
            # Vehicles drive on the right: each arm has its line on the lane that leads in.
            ((-STOP_LINE - 0.2, -STOP_LINE + 0.2), (middle - 3.5, middle - 0.3), _ROAD_PAINT),
            ((STOP_LINE - 0.2, STOP_LINE + 0.2), (middle + 0.3, middle + 3.5), _ROAD_PAINT),
            ((-1.7, 1.7), (middle - 5.2, middle - 4.8), _ROAD_PAINT),
        ]
    return [(np.array(level(x, 0.0, z)), tone) for x, z, tone in areas]


def _texture(scene: str, domain: Domain, rng: np.random.Generator) -> Picture:
    """One period of a road from above, with its verges."""
    palette, (left, right) = PALETTES[domain.palette], _EDGES[scene]
    picture = np.empty((round(PERIOD * _FINE), round(2 * _HALF_WIDTH * _FINE), 3), np.float32)
    picture[:] = palette.verge[scene]
    middle = picture.shape[1] // 2

    def area(x0: float, x1: float, z0: float = 0.0, z1: float = PERIOD) -> NDArray[np.float32]:
        left, right, begin, end = (round(edge * _FINE) for edge in (x0, x1, z0, z1))
        return picture[begin:end, middle + left : middle + right]

    area(left, right)[:] = palette.asphalt[scene]
    for _ in range(int(rng.integers(1, 4))):  # repairs, something to flow past
        x, z = rng.uniform(left, right - 1), rng.uniform(0, PERIOD - 7)
        patch = area(x, min(x + rng.uniform(0.6, 3), right), z, z + rng.uniform(0.3, 7))
        patch *= rng.uniform(0.6, 1.15)
    for x, width, dashed, paint in _lines(scene, palette, rng):
        for begin in np.arange(0, PERIOD, 12.0):
            end = begin + (4 if dashed else 12)
            area(x - width / 2, x + width / 2, begin, end)[:] = paint
    if scene == "Urban":
        for x in (left, right):
            area(x, x + 0.2)[:] = _KERB
    rows, columns = picture.shape[:2]
    for cells, strength in ((12, 16.0), (4, 10.0)):  # coarse stains, fine grain
        grain = rng.uniform(-1, 1, (rows // cells, columns // cells)) * strength
        grain = cv2.resize(grain * domain.texture_contrast, (columns, rows))
        picture += grain[..., None].astype(np.float32)
    return np.clip(picture, 0, 255).astype(np.uint8)


def _lines(
    scene: str, palette: Palette, rng: np.random.Generator
) -> list[tuple[float, float, bool, Tone]]:
    """Middle and width (m) of the lines along the road, whether they are dashed, their colour."""
    edge = palette.edge_line
    if scene == "Highway":
        return [(x, 0.18, abs(x) < 5, edge) for x in (-5.3, -1.75, 1.75, 5.3)]
    return [
        (-1.75, 0.14, rng.random() < 0.6, palette.centre_line),
        (-5.1, 0.12, False, edge),
        (1.75, 0.12, scene == "Urban", edge),
    ]
