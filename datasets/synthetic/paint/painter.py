"""Paints the frames of a scene: a pure function of the scene, a play and a time."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from collision.datasets.synthetic.paint.camera import Camera
from collision.datasets.synthetic.paint.faces import fill, joined, placed
from collision.datasets.synthetic.paint.ground import Ground
from collision.datasets.synthetic.paint.light import Atmosphere
from collision.datasets.synthetic.paint.palette import PALETTES
from collision.datasets.synthetic.paint.people import person_at
from collision.datasets.synthetic.paint.roadside import Roadside, Sky
from collision.datasets.synthetic.paint.vehicles import dressed
from collision.datasets.synthetic.scene import Scene
from collision.datasets.synthetic.setting import Domain
from collision.datasets.synthetic.traffic import CAMERA_AHEAD, PEOPLE, Play, Vehicle

_VIEW = 130.0  # metres: what stands or drives further away is not painted
_DEEPEST = 25.0  # metres: a building reaches so far ahead of its place
_SPRINGS = 0.18  # seconds in which the body settles into its nose dive
_DEEPEST_DIVE = math.radians(5.0)
_NOISE_TILES = 64


class Painter:
    """Paints one scene.

    What is the same in all frames is painted when it is made, from draws of the scene's own seed.
    """

    def __init__(self, scene: Scene, domain: Domain):
        """Draw and paint the surroundings of ``scene`` as the camera of ``domain`` sees them."""
        rng = np.random.default_rng(scene.paint_seed)
        self._domain = domain
        self._scene = scene
        self._focal = Camera.focal_length(domain)
        self._atmosphere = Atmosphere.of(scene.light, scene.weather, rng)
        self._ground = Ground(scene.scene, scene.conflict, domain, self._atmosphere, rng)
        self._sky = Sky(domain.width, domain.height, scene.scene, self._atmosphere, rng)
        self._moving = [vehicle for vehicle in scene.bystanders if vehicle.along.speed]
        self._still = self._draw_still(rng)
        self._mount_pitch = math.radians(rng.uniform(-0.8, 0.8))
        self._shake = rng.uniform((0.01, 0.5, 0.0), (0.05, 1.5, 6.28), (3, 3)).tolist()
        self._raised, self._lowered = self._draw_noise(rng)
        self._offsets = rng.integers(0, _NOISE_TILES, (4096, 2))
        self._rain = self._draw_rain(rng) if scene.weather == "Rain" else None

    def paint(self, play: Play, number: int) -> NDArray[np.uint8]:
        """Paint frame ``number`` as ``uint8 [H, W, 3]``, BGR."""
        time = number / self._scene.fps
        camera = self._camera(play, time)
        picture = np.empty((camera.height, camera.width, 3), np.uint8)
        self._sky.paint(picture, camera)
        self._ground.paint(picture, camera, play.ego.along.now(time)[1])
        begin, end = np.searchsorted(
            self._still["place"], (camera.z - _DEEPEST, camera.z + _VIEW)
        ).tolist()
        faces = [self._still[begin:end]]
        for vehicle in (play.agent, *self._moving):
            x, z, heading = vehicle.place(time)
            if -10 < z - camera.z < _VIEW:
                faces.append(placed(self._mesh(vehicle, time), x, z, heading))
                faces[-1]["smooth"] = True
        fill(picture, camera, self._atmosphere, joined(faces))
        self._paint_lens(picture, number)
        return picture

    def _camera(self, play: Play, time: float) -> Camera:
        x, z, heading = play.ego.place(time)
        felt = play.ego.along.felt_acceleration(time, _SPRINGS)
        dive = math.radians(-felt * self._domain.nose_dive)
        travelled = z / 6.0  # bumps belong to places: a standing ego does not shake
        shake = sum(
            math.radians(size) * math.sin(rate * travelled + phase)
            for size, rate, phase in self._shake
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

    def _draw_still(self, rng: np.random.Generator) -> NDArray:
        """Faces of what stands beside the road and of who is parked there, near ones first."""
        conflict = self._scene.conflict
        end = conflict.cruising_speed * (self._scene.event_time + self._domain.tail[1]) + _VIEW
        roadside = Roadside(self._atmosphere, PALETTES[self._domain.palette], rng)
        faces = [roadside.draw(self._scene.scene, conflict.junction, end)]
        for vehicle in self._scene.bystanders:
            if not vehicle.along.speed:
                faces.append(placed(self._mesh(vehicle, 0.0), *vehicle.place(0.0)))
        still = joined(faces)
        return still[np.argsort(still["place"], kind="stable")]

    def _mesh(self, vehicle: Vehicle, time: float) -> NDArray:
        lamps = self._atmosphere.lamps
        if vehicle.shape.kind in PEOPLE:
            return person_at(vehicle, time, lamps)
        lamps = lamps and vehicle.along.speed > 0  # who is parked has them off
        asphalt, braking = self._ground.asphalt, vehicle.brakes(time)
        return dressed(vehicle.shape, vehicle.colour, asphalt, lamps, braking)

    def _paint_lens(self, picture: NDArray[np.uint8], number: int) -> None:
        """What is in front of the road: rain, and noise of the sensor."""
        row, column = self._offsets[number % len(self._offsets)].tolist()
        height, width = picture.shape[:2]
        window = np.s_[row : row + height, column : column + width]
        if self._rain is not None:
            cv2.add(picture, self._rain[window], dst=picture)
        cv2.add(picture, self._raised[window], dst=picture)
        cv2.subtract(picture, self._lowered[window], dst=picture)

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
