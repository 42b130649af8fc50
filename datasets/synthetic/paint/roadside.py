"""What stands beside the road (buildings, trees, poles, lamps) and the sky behind it."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from collision.datasets.synthetic.paint.camera import Camera
from collision.datasets.synthetic.paint.faces import joined, make, upright
from collision.datasets.synthetic.paint.light import Atmosphere
from collision.datasets.synthetic.paint.palette import Palette

_SKY_MARGIN = 64  # pixels that the sky may shift to each side
_GREY, _TRUNK, _PANE = (95.0, 95.0, 95.0), (55.0, 62.0, 70.0), (70.0, 62.0, 55.0)
_LIT_PANE = (70.0, 130.0, 165.0)
_ROWS = {  # by scene: kind, nearest and farthest foot from the middle, least and most gap (m)
    "Urban": (
        ("building", (9.5, 13.0), (1.0, 14.0)),
        ("tree", (7.0, 8.5), (12.0, 35.0)),
        ("lamp", (6.5, 6.8), (28.0, 32.0)),
    ),
    "Rural": (("tree", (7.5, 22.0), (8.0, 30.0)), ("pole", (6.3, 6.6), (24.0, 26.0))),
    "Highway": (
        ("post", (6.6, 6.7), (18.0, 18.0)),
        ("tree", (11.0, 26.0), (10.0, 36.0)),
        ("lamp", (7.6, 8.0), (38.0, 42.0)),
    ),
}


class Roadside:
    """Draws what lines the road, as faces in world axes."""

    def __init__(self, atmosphere: Atmosphere, palette: Palette, rng: np.random.Generator):
        """Take what decides the looks; ``rng`` decides all else."""
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
        colours = [0.8 * wall, wall]
        bands = [(z, z + depth, 0.0, height)]
        lit = [False, False]
        for floor in range(max(1, int(height / 3))):
            low = 3 * floor + 1.1
            half = self._rng.uniform(0.3, 0.7) * depth
            for begin, stop in ((0.06 * depth, half), (half + 0.8, 0.94 * depth)):
                lit.append(self._night and self._rng.random() < 0.35)
                bands.append((z + begin, z + stop, low, low + 1.3))
                colours.append(np.array(_LIT_PANE if lit[-1] else _PANE))
        corners += [
            [(x, y0, z0), (x, y0, z1), (x, y1, z1), (x, y1, z0)] for z0, z1, y0, y1 in bands
        ]
        faces = make(corners, colours, z)
        faces["lamp"] = lit
        return faces

    def _tree(self, x: float, z: float, _: float) -> NDArray:
        height, radius = self._rng.uniform(4, 9), self._rng.uniform(1.25, 2.5)
        leaves = self._shade(self._palette.leaves)
        trunk = make([upright((x - 0.17, x + 0.17), (0.0, height), z)], _TRUNK, z)
        left, right = (x - radius, height, z), (x + radius, height, z)
        crown = [left, (x, height - radius, z), right, (x, height + radius, z)]
        return joined([trunk, make([crown], leaves, z, disc=True)])

    def _pole(self, x: float, z: float, _: float, height: float = 6.5) -> NDArray:
        return make([upright((x - 0.08, x + 0.08), (0.0, height), z)], self._shade(_GREY), z)

    def _post(self, x: float, z: float, _: float) -> NDArray:
        return self._pole(x, z, 0.0, 0.8)

    def _lamp(self, x: float, z: float, _: float) -> NDArray:
        pole, head = self._pole(x, z, 0.0, 7.5), x - math.copysign(1.6, x)
        parts = [
            upright((x, head), (7.4, 7.5), z),
            upright((head - 0.2, head + 0.2), (7.35, 7.5), z),
        ]
        arm = make(parts, pole["colour"][0], z)
        if self._lamps:
            arm["reach"][1], arm["glow"][1] = 0.9, self._palette.street_lamp
        return joined([pole, arm])


class Sky:
    """Sky, clouds and skyline of one scene, far enough away to move with the horizon alone."""

    def __init__(
        self, width: int, height: int, scene: str, atmosphere: Atmosphere, rng: np.random.Generator
    ):
        """Paint it once; its last row lies on the horizon."""
        rows, columns = height, width + 2 * _SKY_MARGIN
        blend = np.linspace(1, 0, rows)[:, None, None] ** 1.5
        sky = blend * atmosphere.zenith + (1 - blend) * atmosphere.haze
        clouds = cv2.resize(rng.random((5, 7), np.float32), (columns, rows))
        clouds += 0.5 * cv2.resize(rng.random((14, 20), np.float32), (columns, rows))
        veil = np.clip(clouds - 0.75, 0, 0.5)[..., None] * 0.9
        sky = sky * (1 - veil) + veil * np.minimum(atmosphere.haze * 1.1, 250)
        self._picture = np.ascontiguousarray(sky.astype(np.uint8))
        town = scene == "Urban"
        colour = np.array([(105.0, 104.0, 104.0) if town else (62.0, 72.0, 66.0)])
        shaded = atmosphere.lit(colour, np.array([1e6]), np.array([260.0]))[0]
        heights = rng.uniform(2, 16 if town else 9, columns // (14 if town else 30)).astype(
            np.float32
        )
        method = cv2.INTER_NEAREST if town else cv2.INTER_CUBIC
        line = cv2.resize(heights[None], (columns, 1), None, 0, 0, method)[0]
        outline = [(x, rows - 1 - round(float(value))) for x, value in enumerate(line)]
        outline += [(columns - 1, rows), (0, rows)]
        cv2.fillPoly(self._picture, [np.array(outline)], shaded.tolist())

    def paint(self, picture: NDArray[np.uint8], camera: Camera) -> None:
        """Fill what lies above the road."""
        bottom = camera.first_road_row
        left = _SKY_MARGIN + round(camera.focal * math.tan(camera.yaw))
        left = min(max(left, 0), 2 * _SKY_MARGIN)
        rows = self._picture.shape[0]
        picture[:bottom] = self._picture[rows - bottom :, left : left + camera.width]
