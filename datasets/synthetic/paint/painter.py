"""Paints the frames of a scene: a pure function of the scene, a play and a time."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from collision.datasets.synthetic.paint.bodies import dressed, person_at
from collision.datasets.synthetic.paint.faces import Camera, fill, joined, placed
from collision.datasets.synthetic.paint.ground import Ground
from collision.datasets.synthetic.paint.light import Atmosphere
from collision.datasets.synthetic.paint.roadside import Roadside, Sky
from collision.datasets.synthetic.scene import Scene
from collision.datasets.synthetic.setting import PALETTES, Domain
from collision.datasets.synthetic.traffic import CAMERA_AHEAD, PEOPLE, Play, Vehicle

_VIEW = 130.0  # metres: what stands or drives further away is not painted
_DEEPEST = 25.0  # metres: a building reaches so far ahead of its place
_SPRINGS = 0.18  # seconds in which the body settles into its nose dive
_DEEPEST_DIVE = 5.0  # degrees
_SHIFTS = 64  # pixels by which noise and rain are shifted from frame to frame, at most


class Painter:
    """Paints one scene.

    What is the same in all frames is painted when it is made, from draws of the scene's own seed.
    """

    def __init__(self, scene: Scene, domain: Domain):
        """Draw and paint the surroundings of ``scene`` as the camera of ``domain`` sees them."""
        rng = np.random.default_rng(scene.paint_seed)
        self._domain, self._scene = domain, scene
        self._atmosphere = Atmosphere.of(scene.light, scene.weather, rng)
        self._ground = Ground(scene, domain, self._atmosphere, rng)
        self._sky = Sky(scene, domain, self._atmosphere, rng)
        self._times = np.arange(max(clip.num_frames for clip in scene.clips)) / scene.fps
        # What is known of all frames at once is worked out once.
        self._cameras = cache(self._cameras_of)
        self._places = cache(lambda vehicle: vehicle.place(self._times).tolist())
        self._brakes = cache(lambda vehicle: vehicle.brakes(self._times).tolist())
        self._moving = [vehicle for vehicle in scene.bystanders if vehicle.along.speed]
        self._still = self._draw_still(rng)
        self._mount_pitch = rng.uniform(-0.8, 0.8)  # degrees
        self._shake = rng.uniform((0.01, 0.5, 0.0), (0.05, 1.5, 6.28), (3, 3)).tolist()
        self._raised, self._lowered = self._draw_lens(rng)
        self._offsets = rng.integers(0, _SHIFTS, (4096, 2))

    def paint(self, play: Play, number: int) -> NDArray[np.uint8]:
        """Paint frame ``number`` as ``uint8 [H, W, 3]``, BGR."""
        camera = self._cameras(play.ego)[number]
        picture = np.empty((self._domain.height, self._domain.width, 3), np.uint8)
        self._sky.paint(picture, camera)
        self._ground.paint(picture, camera, float(play.ego.along.at(self._times[number])[1]))
        span = (camera.z - _DEEPEST, camera.z + _VIEW)
        faces = [self._still[slice(*np.searchsorted(self._still["place"], span))]]
        for vehicle in (play.agent, *self._moving):
            x, z, heading = self._places(vehicle)[number]
            if -10 < z - camera.z < _VIEW:
                faces.append(placed(self._mesh(vehicle, number), x, z, heading))
                faces[-1]["smooth"] = True
        fill(picture, camera, self._atmosphere, joined(faces))
        self._paint_lens(picture, number)
        return picture

    def _cameras_of(self, ego: Vehicle) -> list[Camera]:
        """One for each frame: the springs of the ego dip it, and bumps of the road shake it."""
        felt = ego.along.felt_acceleration(self._times, _SPRINGS)
        pitch = self._mount_pitch + np.minimum(-felt * self._domain.nose_dive, _DEEPEST_DIVE)
        x, z, heading = ego.place(self._times).T
        for size, rate, phase in self._shake:  # by place: a standing ego does not shake
            pitch += size * np.sin(rate * z / 6.0 + phase)
        columns = (x, z + CAMERA_AHEAD, heading, np.radians(pitch))
        return [Camera(self._domain, *row) for row in np.stack(columns, axis=1).tolist()]

    def _draw_still(self, rng: np.random.Generator) -> NDArray:
        """Faces of what stands beside the road and of who is parked there, near ones first."""
        scene, conflict = self._scene, self._scene.conflict
        end = conflict.cruising_speed * (scene.event_time + self._domain.tail[1]) + _VIEW
        roadside = Roadside(self._atmosphere, PALETTES[self._domain.palette], rng)
        parked = [vehicle for vehicle in scene.bystanders if not vehicle.along.speed]
        still = joined(
            [roadside.draw(scene.scene, conflict.junction, end)]
            + [placed(self._mesh(vehicle, 0), *vehicle.place(0.0)) for vehicle in parked]
        )
        return still[np.argsort(still["place"], kind="stable")]

    def _mesh(self, vehicle: Vehicle, number: int) -> NDArray:
        lamps = self._atmosphere.lamps
        if vehicle.shape.kind in PEOPLE:
            return person_at(vehicle, self._times[number], lamps)
        lamps = lamps and vehicle.along.speed > 0  # who is parked has them off
        braking = self._brakes(vehicle)[number]
        return dressed(vehicle.shape, vehicle.colour, self._ground.asphalt, lamps, braking)

    def _paint_lens(self, picture: NDArray[np.uint8], number: int) -> None:
        """What is in front of the road: rain, and noise of the sensor."""
        row, column = self._offsets[number % len(self._offsets)].tolist()
        height, width = picture.shape[:2]
        window = np.s_[row : row + height, column : column + width]
        cv2.add(picture, self._raised[window], dst=picture)
        cv2.subtract(picture, self._lowered[window], dst=picture)

    def _draw_lens(self, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """What is added and what is taken away, of a picture that is larger by the shifts."""
        day = self._scene.light == "Normal"
        rows, columns = self._domain.height + _SHIFTS, self._domain.width + _SHIFTS
        noise = rng.standard_normal((rows, columns, 1), dtype=np.float32) * (2.0 if day else 3.5)
        noise = np.repeat(noise, 3, axis=2)
        raised, lowered = (np.clip(part, 0, 40).astype(np.uint8) for part in (noise, -noise))
        if self._scene.weather == "Rain":
            for _ in range(int(rng.integers(90, 220))):
                x, y = int(rng.integers(columns)), int(rng.integers(rows))
                length = int(rng.integers(5, 14))
                end = (x + length // 5, y + length)
                cv2.line(raised, (x, y), end, (60, 60, 60) if day else (34, 34, 34), 1)
        return raised, lowered
