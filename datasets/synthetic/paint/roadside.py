"""What stands beside the road (buildings, trees, lamps) and the sky behind it."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from collision.datasets.synthetic.paint.faces import Camera, beside, joined, make, upright
from collision.datasets.synthetic.paint.light import Atmosphere
from collision.datasets.synthetic.scene import Scene
from collision.datasets.synthetic.setting import Domain, Palette

_SKY_MARGIN = 64  # pixels that the sky may shift to each side
_GREY, _TRUNK, _PANE = (95.0, 95.0, 95.0), (55.0, 62.0, 70.0), (70.0, 62.0, 55.0)
_LIT_PANE = (70.0, 130.0, 165.0)
_ROWS = {  # by scene: kind, nearest and farthest foot from the middle, least and most gap (m)
    "Urban": (
        ("building", (9.5, 13.0), (1.0, 14.0)),
        ("tree", (7.0, 8.5), (12.0, 35.0)),
        ("lamp", (6.5, 6.8), (28.0, 32.0)),
    ),
    "Rural": (("tree", (7.5, 22.0), (8.0, 30.0)), ("lamp", (6.5, 6.8), (38.0, 42.0))),
    "Highway": (("tree", (11.0, 26.0), (10.0, 36.0)), ("lamp", (7.6, 8.0), (38.0, 42.0))),
}


class Roadside:
    """Draws what lines the road, as faces in world axes; ``rng`` decides all that is left open."""

    def __init__(self, atmosphere: Atmosphere, palette: Palette, rng: np.random.Generator):
        self._palette = palette
        self._lamps = atmosphere.lamps and atmosphere.daylight < 0.7
        self._night = atmosphere.daylight < 0.3
        self._rng = rng

    def draw(self, scene: str, junction: float | None, end: float) -> NDArray:
        """Give the faces ``[F]`` from behind the ego to ``end`` metres, ``junction`` left free."""
        faces: list[NDArray] = []
        for side in (-1, 1):
            for kind, offset, gap in _ROWS[scene]:
                z = self._rng.uniform(-10, 10)
                while z < end:
                    x = side * self._rng.uniform(*offset)
                    depth = self._rng.uniform(8, 22) if kind == "building" else 0.0
                    free = 9.0 if kind == "building" else 6.0
                    if junction is None or not z - free < junction < z + depth + free:
                        faces.append(getattr(self, f"_{kind}")(x, z, depth))
                    z += depth + self._rng.uniform(*gap)
        return joined(faces)

    def _shade(self, colour: tuple[float, ...]) -> NDArray[np.float64]:
        return np.array(colour) * self._rng.uniform(0.75, 1.15)

    def _building(self, x: float, z: float, depth: float) -> NDArray:
        """A gable towards the ego, a wall along the road, and a band of windows on each floor."""
        height = float(self._rng.uniform(5, 16))
        wall = self._shade(self._palette.walls[int(self._rng.integers(len(self._palette.walls)))])
        corners = [upright((x, x + math.copysign(10.0, x)), (0.0, height), z)]
        corners.append(beside(x, (0.0, height), (z, z + depth)))
        colours, lit = [0.8 * wall, wall], [False, False]
        for low in np.arange(1.1, height - 1.9, 3.0).tolist():
            half = self._rng.uniform(0.3, 0.7) * depth
            for begin, stop in ((0.06 * depth, half), (half + 0.8, 0.94 * depth)):
                lit.append(self._night and self._rng.random() < 0.35)
                corners.append(beside(x, (low, low + 1.3), (z + begin, z + stop)))
                colours.append(np.array(_LIT_PANE if lit[-1] else _PANE))
        faces = make(corners, colours, z)
        faces["lamp"] = lit
        return faces

    def _tree(self, x: float, z: float, _: float) -> NDArray:
        height, radius = self._rng.uniform(4, 9), self._rng.uniform(1.25, 2.5)
        trunk = upright((x - 0.17, x + 0.17), (0.0, height), z)
        crown = upright((x - radius, x + radius), (height, height), z)
        colours = [np.array(_TRUNK), self._shade(self._palette.leaves)]
        return make([trunk, crown], colours, z, [False, True])

    def _lamp(self, x: float, z: float, _: float) -> NDArray:
        head = x - math.copysign(1.6, x)
        pole, arm = upright((x - 0.08, x + 0.08), (0.0, 7.5), z), upright((x, head), (7.4, 7.5), z)
        bulb = upright((head - 0.2, head + 0.2), (7.35, 7.5), z)
        faces = make([pole, arm, bulb], self._shade(_GREY), z)
        if self._lamps:
            faces["reach"][2], faces["glow"][2] = 0.9, self._palette.street_lamp
        return faces


class Sky:
    """Sky, clouds and skyline of one scene, far enough away to move with the horizon alone."""

    def __init__(
        self, scene: Scene, domain: Domain, atmosphere: Atmosphere, rng: np.random.Generator
    ):
        """Paint it once; its last row lies on the horizon."""
        rows, columns = domain.height, domain.width + 2 * _SKY_MARGIN
        blend = np.linspace(1, 0, rows)[:, None, None] ** 1.5
        sky = atmosphere.haze + blend * (atmosphere.zenith - atmosphere.haze)
        clouds = cv2.resize(rng.random((5, 7), np.float32), (columns, rows))
        clouds += 0.5 * cv2.resize(rng.random((14, 20), np.float32), (columns, rows))
        veil = np.clip(clouds - 0.75, 0, 0.5)[..., None] * 0.9
        sky = sky + veil * (np.minimum(atmosphere.haze * 1.1, 250) - sky)
        self._picture = sky.astype(np.uint8)
        if scene.scene == "Urban":
            colour, tallest, step, method = (105.0, 104.0, 104.0), 16, 14, cv2.INTER_NEAREST
        else:
            colour, tallest, step, method = (62.0, 72.0, 66.0), 9, 30, cv2.INTER_CUBIC
        tone = atmosphere.lit(np.array([colour]), np.array([1e6]), np.array([260.0]))[0].tolist()
        heights = rng.uniform(2, tallest, (1, columns // step)).astype(np.float32)
        line = rows - 1 - np.rint(cv2.resize(heights, (columns, 1), interpolation=method)[0])
        outline = [*enumerate(line.tolist()), (columns - 1, rows), (0, rows)]
        cv2.fillPoly(self._picture, [np.array(outline, np.int32)], tone)

    def paint(self, picture: NDArray[np.uint8], camera: Camera) -> None:
        """Fill what lies above the road."""
        bottom, width = camera.first_road_row, picture.shape[1]
        left = _SKY_MARGIN + round(camera.domain.focal * math.tan(camera.yaw))
        left = min(max(left, 0), 2 * _SKY_MARGIN)
        rows = len(self._picture)
        picture[:bottom] = self._picture[rows - bottom :, left : left + width]
