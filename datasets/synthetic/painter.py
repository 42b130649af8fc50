"""Paints the frames of a scene: a pure function of the scene, a play and a time."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from collision.datasets.synthetic.bodies import paint_shadow, paint_vehicle
from collision.datasets.synthetic.camera import NEAR, Camera
from collision.datasets.synthetic.ground import Ground
from collision.datasets.synthetic.light import Atmosphere, Glow
from collision.datasets.synthetic.palette import PALETTES
from collision.datasets.synthetic.people import paint_person
from collision.datasets.synthetic.scene import Scene
from collision.datasets.synthetic.setting import Domain
from collision.datasets.synthetic.surroundings import Sky, draw_things, paint_thing
from collision.datasets.synthetic.traffic import (
    CAMERA_AHEAD,
    PEOPLE,
    STOP_LINE,
    Play,
    Vehicle,
)

_SPRINGS = 0.18  # seconds in which the body settles into its nose dive
_DEEPEST_DIVE = math.radians(5.0)
_NOISE_TILES = 64
_ROAD_PAINT = (205, 208, 210)


class Painter:
    """Paints one scene.

    What is the same in all frames is painted when it is made, from draws of the scene's own seed.
    """

    def __init__(self, scene: Scene, domain: Domain):
        """Draw and paint the surroundings of ``scene`` as the camera of ``domain`` sees them."""
        rng = np.random.default_rng(scene.paint_seed)
        self._domain = domain
        self._palette = PALETTES[domain.palette]
        self._focal = Camera.focal_length(domain)
        self._scene = scene
        self._atmosphere = Atmosphere.of(scene.light, scene.weather, rng)
        self._glow = Glow()
        self._ground = Ground(scene.scene, domain, rng)
        self._sky = Sky(domain.width, domain.height, scene.scene, self._atmosphere, rng)
        speed = scene.conflict.plays["harmless"].ego.along.speed
        end = speed * (scene.event_time + domain.tail[1]) + 180.0
        self._things = draw_things(rng, scene.scene, scene.conflict.junction, end, self._palette)
        self._factor, self._haze = self._atmosphere.ground_maps(
            domain.width, 2 * domain.height, self._focal, domain.camera_height
        )
        self._mount_pitch = math.radians(rng.uniform(-0.8, 0.8))
        self._shake = rng.uniform((0.01, 0.5, 0.0), (0.05, 1.5, 6.28), (3, 3))
        self._hood = self._draw_hood(rng)
        self._noise = self._draw_noise(rng)
        self._offsets = rng.integers(0, _NOISE_TILES, (4096, 2))
        self._rain = self._draw_rain(rng) if scene.weather == "Rain" else None

    def paint(self, play: Play, number: int) -> NDArray[np.uint8]:
        """Paint frame ``number`` as ``uint8 [H, W, 3]``, BGR."""
        time = number / self._scene.fps
        camera = self._camera(play, time)
        picture = np.empty((camera.height, camera.width, 3), np.uint8)
        self._sky.paint(picture, camera)
        self._ground.paint(picture, camera, play.ego.along.now(time)[1])
        if self._scene.conflict.junction is not None:
            self._paint_junction(picture, camera, self._scene.conflict.junction)
        if self._scene.conflict.walkway is not None:
            self._paint_walkway(picture, camera, self._scene.conflict.walkway)
        self._light_ground(picture, camera)
        self._paint_objects(picture, camera, play, time)
        self._paint_lens(picture, number)
        return picture

    def _camera(self, play: Play, time: float) -> Camera:
        x, z, heading = play.ego.place(time)
        felt = play.ego.along.felt_acceleration(time, _SPRINGS)
        dive = math.radians(-felt * self._domain.nose_dive)
        travelled = z / 6.0  # bumps belong to places: a standing ego does not shake
        shake = sum(
            math.radians(size) * math.sin(rate * travelled + phase)
            for size, rate, phase in self._shake.tolist()
        )
        return Camera(
            width=self._domain.width,
            height=self._domain.height,
            focal=self._focal,
            x=x,
            y=self._domain.camera_height,
            z=z + CAMERA_AHEAD,
            yaw=heading,
            pitch=self._mount_pitch + min(dive, _DEEPEST_DIVE) + shake,
        )

    def _paint_junction(self, picture: NDArray[np.uint8], camera: Camera, junction: float) -> None:
        low, high = junction - 3.8, junction + 3.8
        if high <= camera.z + NEAR:
            return

        def area(x0: float, x1: float, z0: float, z1: float, colour: tuple) -> None:
            _paint_area(picture, camera, (x0, x1, z0, z1), colour)

        paint = _ROAD_PAINT
        area(-60, 60, low, high, self._ground.asphalt)
        for side, begin, end in ((-1, -60.0, -STOP_LINE), (1, STOP_LINE, 60.0)):
            area(begin, end, junction - 0.07, junction + 0.07, paint)
            # Vehicles drive on the right: each arm has its line on the lane that leads in.
            z0, z1 = (low, junction) if side < 0 else (junction, high)
            area(side * STOP_LINE - 0.2, side * STOP_LINE + 0.2, z0 + 0.3, z1 - 0.3, paint)
        area(-1.7, 1.7, low - 1.4, low - 1.0, paint)

    def _paint_walkway(self, picture: NDArray[np.uint8], camera: Camera, walkway: float) -> None:
        for left in np.arange(-5.0, 5.4, 1.0).tolist():  # zebra stripes from kerb to kerb
            _paint_area(
                picture, camera, (left, left + 0.5, walkway - 1.5, walkway + 1.5), _ROAD_PAINT
            )

    def _light_ground(self, picture: NDArray[np.uint8], camera: Camera) -> None:
        top = int(np.clip(math.floor(camera.horizon) + 1, 0, camera.height - 1))
        rows = camera.height - top
        road = picture[top:]
        cv2.multiply(road, self._factor[:rows], dst=road, scale=1 / 128)
        cv2.add(road, self._haze[:rows], dst=road)

    def _paint_objects(
        self, picture: NDArray[np.uint8], camera: Camera, play: Play, time: float
    ) -> None:
        vehicles = [play.agent, *self._scene.bystanders]
        placed = sorted(((v.place(time)[1] - camera.z, i) for i, v in enumerate(vehicles)))
        visible = [(z, i) for z, i in placed if -10 < z < 150]
        for _, index in visible:
            paint_shadow(
                picture, camera, self._atmosphere, vehicles[index], time, self._ground.asphalt
            )
        waiting = list(visible)
        for thing in self._things:  # far ones first, vehicles in between
            if thing.z < camera.z - thing.depth:
                break
            while waiting and waiting[-1][0] > thing.z - camera.z:
                self._paint_vehicle(picture, camera, vehicles[waiting.pop()[1]], time)
            paint_thing(
                picture, camera, self._atmosphere, self._glow, thing, self._palette.street_lamp
            )
        while waiting:
            self._paint_vehicle(picture, camera, vehicles[waiting.pop()[1]], time)

    def _paint_vehicle(
        self, picture: NDArray[np.uint8], camera: Camera, vehicle: Vehicle, time: float
    ) -> None:
        paint = paint_person if vehicle.shape.kind in PEOPLE else paint_vehicle
        paint(picture, camera, self._atmosphere, self._glow, vehicle, time)

    def _paint_lens(self, picture: NDArray[np.uint8], number: int) -> None:
        """What is in front of the road: rain, the ego's bonnet, noise of the sensor."""
        row, column = self._offsets[number % len(self._offsets)].tolist()
        height, width = picture.shape[:2]
        if self._rain is not None:
            cv2.add(picture, self._rain[row : row + height, column : column + width], dst=picture)
        outline, colour = self._hood
        if len(outline):
            cv2.fillConvexPoly(picture, outline, colour, cv2.LINE_AA)
        raised, lowered = self._noise
        cv2.add(picture, raised[row : row + height, column : column + width], dst=picture)
        cv2.subtract(picture, lowered[row : row + height, column : column + width], dst=picture)

    def _draw_hood(
        self, rng: np.random.Generator
    ) -> tuple[NDArray[np.int32], tuple[float, float, float]]:
        shown = rng.uniform(-0.06, 0.11) * self._domain.height
        shade = float(rng.uniform(20, 110)) * (self._atmosphere.daylight + 0.05)
        if shown < 2:
            return np.empty((0, 2), np.int32), (0.0, 0.0, 0.0)
        x = np.linspace(-0.05, 1.05, 15)
        y = self._domain.height - shown * (1 - (2 * x - 1) ** 2 * 0.8)
        points = np.stack([x * self._domain.width, y], axis=1)
        corners = [[1.1 * self._domain.width, 400], [-0.1 * self._domain.width, 400]]
        outline = np.concatenate([points, corners]).astype(np.int32)
        return outline, (shade * 1.05, shade, shade)

    def _draw_noise(self, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        strength = 2.0 if self._scene.light == "Normal" else 3.5
        shape = (self._domain.height + _NOISE_TILES, self._domain.width + _NOISE_TILES, 1)
        noise = np.repeat(rng.standard_normal(shape, dtype=np.float32) * strength, 3, axis=2)
        return np.clip(noise, 0, 40).astype(np.uint8), np.clip(-noise, 0, 40).astype(np.uint8)

    def _draw_rain(self, rng: np.random.Generator) -> NDArray[np.uint8]:
        shape = (self._domain.height + _NOISE_TILES, self._domain.width + _NOISE_TILES, 3)
        streaks = np.zeros(shape, np.uint8)
        brightness = 60 if self._scene.light == "Normal" else 34
        for _ in range(int(rng.integers(90, 220))):
            x, y = int(rng.integers(shape[1])), int(rng.integers(shape[0]))
            length = int(rng.integers(5, 14))
            cv2.line(streaks, (x, y), (x + length // 5, y + length), (brightness,) * 3, 1)
        return streaks


def _paint_area(
    picture: NDArray[np.uint8], camera: Camera, area: tuple[float, float, float, float],
    colour: tuple[int, int, int],
) -> None:  # fmt: skip
    """Fill a rectangle of the road, ``(x0, x1, z0, z1)``, as far as it lies before the camera."""
    x0, x1, z0, z1 = area
    z0 = max(z0, camera.z + NEAR)
    if z1 <= z0:
        return
    corners = np.array([(x0, 0, z0), (x1, 0, z0), (x1, 0, z1), (x0, 0, z1)], float)
    pixels = np.clip(camera.project(camera.view(corners)), -3000, 3000)
    cv2.fillConvexPoly(picture, (pixels * 16).astype(np.int32), colour, cv2.LINE_AA, 4)
