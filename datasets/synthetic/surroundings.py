"""What stands beside the road (buildings, trees, poles, barriers) and the sky behind it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from collision.datasets.synthetic.camera import Camera
from collision.datasets.synthetic.light import Atmosphere, Colour, Glow
from collision.datasets.synthetic.palette import Palette

_VIEW = 160.0  # metres: things further away are part of the skyline
_SKY_MARGIN = 64  # pixels that the sky may shift to each side


@dataclass(frozen=True)
class Thing:
    """Something that stands still: ``kind``, its near corner or foot, size, colour (BGR)."""

    kind: str
    x: float
    z: float
    width: float
    depth: float
    height: float
    colour: Colour


def draw_things(
    rng: np.random.Generator, scene: str, junction: float | None, end: float, palette: Palette
) -> list[Thing]:
    """Draw what lines the road from behind the ego to ``end`` metres; far ones first."""
    things: list[Thing] = []

    def scatter(kind: str, side: int, near: float, far: float, gap: tuple[float, float]) -> None:
        z = rng.uniform(-10, 10)
        while z < end:
            thing = _draw_thing(rng, kind, side, rng.uniform(near, far), float(z), palette)
            inside = junction is not None and (
                z - 9 < junction < z + thing.depth + 9
                if abs(thing.x) > 6.5 and kind == "building"
                else abs(z - junction) < 6
            )
            if not inside:
                things.append(thing)
            z += thing.depth + rng.uniform(*gap)

    for side in (-1, 1):
        if scene == "Urban":
            scatter("building", side, 9.5, 13.0, (1.0, 14.0))
            scatter("tree", side, 7.0, 8.5, (12.0, 35.0))
            scatter("lamp", side, 6.5, 6.8, (28.0, 32.0))
        elif scene == "Rural":
            scatter("tree", side, 7.5, 22.0, (5.0, 24.0))
            scatter("pole", side, 6.3, 6.6, (24.0, 26.0))
        else:
            scatter("post", side, 6.6, 6.7, (9.0, 9.0))
            scatter("tree", side, 11.0, 26.0, (8.0, 30.0))
            scatter("lamp", side, 7.6, 8.0, (38.0, 42.0))
    return sorted(things, key=lambda thing: -thing.z)


def _draw_thing(
    rng: np.random.Generator, kind: str, side: int, x: float, z: float, palette: Palette
) -> Thing:
    shade = rng.uniform(0.75, 1.15)
    if kind == "building":
        colour = palette.walls[int(rng.integers(len(palette.walls)))]
        size = (10.0, rng.uniform(8, 22))
        height = rng.uniform(5, 16)
    elif kind == "tree":
        colour, size, height = palette.leaves, (rng.uniform(2.5, 5.0), 0.0), rng.uniform(4, 9)
    else:
        colour, size = (95, 95, 95), (0.16, 0.0)
        height = {"lamp": 7.5, "pole": 6.5, "post": 0.8}[kind]
    blue, green, red = (float(value * shade) for value in colour)
    return Thing(kind, side * x, z, size[0], size[1], float(height), (blue, green, red))


def paint_thing(
    picture: NDArray[np.uint8], camera: Camera, atmosphere: Atmosphere, glow: Glow, thing: Thing,
    lamp: Colour,
) -> None:  # fmt: skip
    """Draw a thing, unless it is out of view; ``lamp`` is the light of street lamps."""
    ahead = thing.z - camera.z
    if not -thing.depth < ahead < _VIEW:
        return
    if thing.kind == "building":
        _paint_building(picture, camera, atmosphere, thing)
        return
    if ahead < 1.5:
        return
    column, foot, side, distance = camera.spot(thing.x, 0.0, thing.z)
    scale = camera.focal / distance
    if not -80 - thing.width * scale < column < camera.width + 80 + thing.width * scale:
        return
    top = camera.spot(thing.x, thing.height, thing.z)[:2]
    thickness = max(1, round(scale * (0.35 if thing.kind == "tree" else thing.width)))
    trunk = (55.0, 62.0, 70.0) if thing.kind == "tree" else thing.colour
    ends = [(round(column), round(foot)), (round(top[0]), round(top[1]))]
    cv2.line(picture, ends[0], ends[1], atmosphere.lit(trunk, side, distance), thickness)
    if thing.kind == "tree":
        radius = thing.width / 2 * scale
        leaf = thing.colour
        # Three lobes, the upper ones lighter: a crown that is not a disc.
        for dx, dy, size, shade in ((-0.5, 0.5, 0.75, 0.8), (0.5, 0.4, 0.8, 0.9), (0, 0, 1, 1.1)):
            colour = atmosphere.lit(
                (leaf[0] * shade, leaf[1] * shade, leaf[2] * shade), side, distance
            )
            centre = (round(top[0] + dx * radius), round(top[1] + dy * radius))
            cv2.circle(picture, centre, max(1, round(radius * size)), colour, cv2.FILLED)
    elif thing.kind == "lamp":
        head = (round(top[0] - math.copysign(1.6 * scale, thing.x)), ends[1][1])
        cv2.line(
            picture, ends[1], head, atmosphere.lit(trunk, side, distance), max(1, thickness - 1)
        )
        if atmosphere.lamps and atmosphere.daylight < 0.7:
            level = round(atmosphere.clarity(distance * 0.6) * 8) / 8
            glow.add(
                picture, head[0], head[1], min(0.9 * scale, 24),
                (lamp[0] * level, lamp[1] * level, lamp[2] * level),
            )  # fmt: skip


def _paint_building(
    picture: NDArray[np.uint8], camera: Camera, atmosphere: Atmosphere, thing: Thing
) -> None:
    side = math.copysign(1.0, thing.x)
    begin, end = max(thing.z, camera.z + 1.0), thing.z + thing.depth
    if end <= begin:
        return
    floors = max(1, int(thing.height / 3))
    bays = max(2, int(thing.depth / 3))
    quads = [  # the wall towards the ego first, then the one along the road
        [(thing.x, 0, begin), (thing.x + side * thing.width, 0, begin),
         (thing.x + side * thing.width, thing.height, begin), (thing.x, thing.height, begin)],
        [(thing.x, 0, begin), (thing.x, 0, end),
         (thing.x, thing.height, end), (thing.x, thing.height, begin)],
    ]  # fmt: skip
    step = thing.depth / bays
    for floor in range(floors):
        low = floor * 3 + 1.1
        for bay in range(bays):
            z = thing.z + (bay + 0.25) * step
            if z < begin:
                continue
            z_end, top = z + 0.5 * step, low + 1.3
            quads.append(
                [(thing.x, low, z), (thing.x, low, z_end), (thing.x, top, z_end), (thing.x, top, z)]
            )
    seen = camera.view(np.array(quads, dtype=np.float64))
    pixels = np.clip(camera.project(seen), -3000, 3000).astype(np.int32)
    distance, sideways = float(seen[1, :, 2].mean()), float(thing.x)
    wall = atmosphere.lit(thing.colour, sideways, distance)
    blue, green, red = thing.colour
    gable = atmosphere.lit((blue * 0.8, green * 0.8, red * 0.8), sideways, distance)
    if begin == thing.z:
        cv2.fillConvexPoly(picture, pixels[0], gable)
    cv2.fillConvexPoly(picture, pixels[1], wall)
    if distance < 110:
        dark = atmosphere.lit((70, 62, 55), sideways, distance)
        if atmosphere.daylight < 0.3:
            lit = len(quads) // 3  # some windows are lit at night
            cv2.fillPoly(picture, list(pixels[2 : 2 + lit]), (70, 130, 165))
            cv2.fillPoly(picture, list(pixels[2 + lit :]), dark)
        else:
            cv2.fillPoly(picture, list(pixels[2:]), dark)


class Sky:
    """Sky, clouds and skyline of one scene, far enough away to move with the horizon alone."""

    def __init__(
        self, width: int, height: int, scene: str, atmosphere: Atmosphere, rng: np.random.Generator
    ):
        """Paint it once; its last row lies on the horizon."""
        rows, columns = height + _SKY_MARGIN, width + 2 * _SKY_MARGIN
        blend = np.linspace(1, 0, rows)[:, None, None] ** 1.5
        sky = blend * np.array(atmosphere.zenith) + (1 - blend) * np.array(atmosphere.haze)
        clouds = cv2.resize(rng.random((5, 7)).astype(np.float32), (columns, rows))
        clouds += 0.5 * cv2.resize(rng.random((14, 20)).astype(np.float32), (columns, rows))
        veil = np.clip(clouds - 0.75, 0, 0.5)[..., None] * 0.9
        pale = np.minimum(np.array(atmosphere.haze) * 1.1, 250)
        sky = sky * (1 - veil) + veil * pale
        self._picture = np.ascontiguousarray(sky.astype(np.uint8))
        tallest = {"Urban": 16, "Highway": 10, "Rural": 9}[scene]
        colour = (62.0, 72.0, 66.0) if scene != "Urban" else (105.0, 104.0, 104.0)
        for layer, distance in ((1.0, 320.0), (0.55, 200.0)):
            heights = rng.uniform(0.25, 1.0, columns // (14 if scene == "Urban" else 30) + 2)
            method = cv2.INTER_NEAREST if scene == "Urban" else cv2.INTER_CUBIC
            line = cv2.resize(
                (heights * tallest * layer).astype(np.float32)[None],
                (columns, 1),
                None,
                0,
                0,
                method,
            )[0]
            outline = [(x, rows - 1 - round(float(value))) for x, value in enumerate(line)]
            outline += [(columns - 1, rows), (0, rows)]
            shaded = atmosphere.lit(colour, 1e6, distance)
            cv2.fillPoly(self._picture, [np.array(outline)], shaded)

    def paint(self, picture: NDArray[np.uint8], camera: Camera) -> None:
        """Fill what lies above the horizon."""
        bottom = int(np.clip(math.floor(camera.horizon) + 1, 1, camera.height))
        left = _SKY_MARGIN + round(camera.focal * math.tan(camera.yaw))
        left = int(np.clip(left, 0, 2 * _SKY_MARGIN))
        rows = self._picture.shape[0]
        picture[:bottom] = self._picture[rows - bottom :, left : left + camera.width]
