"""What light and weather do to colours: daylight, own headlights, haze; and lamps that glow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

_DAYLIGHT = {"Normal": 1.0, "Twilight": 0.5, "Dark": 0.13}
_SKY = {  # at the horizon and at the top, BGR
    "Normal": ((232, 222, 208), (205, 150, 95)),
    "Twilight": ((120, 140, 190), (120, 75, 60)),
    "Dark": ((34, 28, 26), (18, 12, 10)),
}
_OVERCAST = {"Normal": (190, 188, 184), "Twilight": (112, 108, 108), "Dark": (32, 30, 30)}
_SIGHT = {"Clear": 420.0, "Rain": 130.0, "Fog": 60.0}  # metres after which 1/e is left
_LARGEST_HALO = 60  # pixels

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Atmosphere:
    """How a scene is lit.

    Attributes:
        daylight: 1 in the day, near 0 at night.
        headlights: Strength of the ego's own.
        lamps: Whether vehicles have their lights on.
        haze: Colour into which things fade, BGR.
        zenith: Colour of the sky overhead, BGR.
        sight: Distance after which a share of 1/e is left of a colour, metres.
    """

    daylight: float
    headlights: float
    lamps: bool
    haze: Array
    zenith: Array
    sight: float

    @classmethod
    def of(cls, light: str, weather: str, rng: np.random.Generator) -> Atmosphere:
        """Build the atmosphere of a scene; ``rng`` varies its exposure a little."""
        exposure = float(rng.uniform(0.88, 1.1))
        low, high = (_OVERCAST[light],) * 2 if weather != "Clear" else _SKY[light]
        return cls(
            daylight=_DAYLIGHT[light] * exposure * (0.85 if weather != "Clear" else 1.0),
            headlights={"Normal": 0.0, "Twilight": 0.2, "Dark": 0.75}[light],
            lamps=light != "Normal" or weather != "Clear",
            haze=np.minimum(np.array(low) * exposure, 255.0),
            zenith=np.minimum(np.array(high) * exposure, 255.0),
            sight=_SIGHT[weather],
        )

    def lit(self, colour: Array, side: Array, ahead: Array, lamp: ArrayLike = False) -> Array:
        """Colours ``[F, 3]`` of surfaces ``[F]`` metres to the right and ahead, as they are seen.

        ``lamp [F]``: whether one shines by itself.
        """
        brightness = np.full(np.shape(ahead), self.daylight)
        if self.headlights:
            brightness += self.headlights * _beam(side, ahead)
        brightness = np.where(lamp, 1.0, brightness)
        clarity = np.exp(np.maximum(ahead, 0.0) / -self.sight)[:, None]
        return np.minimum(colour * brightness[:, None], 255.0) * clarity + self.haze * (1 - clarity)

    def halo(self, glow: list[float], ahead: float) -> tuple[float, ...]:
        """Colour of the halo of a lamp, in few levels: the discs are reused."""
        clarity = math.exp(ahead * 0.6 / -self.sight)  # lamps carry further than surfaces
        level = round(clarity * 8) / 8
        return (glow[0] * level, glow[1] * level, glow[2] * level)

    def ground_maps(
        self, width: int, height: int, focal: float, camera_height: float
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Factor (of 128) and summand ``[H, W, 3]`` for the road; row 0 is the horizon."""
        rows = np.arange(height, dtype=np.float64)[:, None] + 0.7
        ahead = focal * camera_height / rows
        side = (np.arange(width)[None] - width / 2) * ahead / focal
        clarity = np.exp(-ahead / self.sight)
        light = self.daylight + self.headlights * _beam(side, ahead)
        factor = np.clip(light * clarity * 128, 0, 255)
        haze = (1 - clarity)[..., None] * self.haze
        return (
            np.repeat(factor[..., None], 3, axis=2).astype(np.uint8),
            np.ascontiguousarray(np.broadcast_to(haze, (height, width, 3))).astype(np.uint8),
        )


def _beam(side: Array, ahead: Array) -> Array:
    """Strength of the ego's headlights: a cone that fades."""
    ahead = np.maximum(ahead, 0.0)
    spread = side / (0.3 * ahead + 1.2)
    return np.exp(-spread * spread - ahead / 32.0)


def add_glow(
    picture: NDArray[np.uint8], spot: Sequence[float], radius: float, colour: tuple[float, ...]
) -> None:
    """Add a lamp's halo, a soft disc, around a pixel position (x, y); ``radius`` in pixels."""
    size = min(max(round(radius), 2), _LARGEST_HALO)
    left, top = round(spot[0]) - size, round(spot[1]) - size
    height, width = picture.shape[:2]
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + 2 * size + 1, width), min(top + 2 * size + 1, height)
    if x0 < x1 and y0 < y1:
        area = picture[y0:y1, x0:x1]
        cv2.add(area, _disc(size, colour)[y0 - top : y1 - top, x0 - left : x1 - left], dst=area)


@lru_cache(1024)
def _disc(size: int, colour: tuple[float, ...]) -> NDArray[np.uint8]:
    steps = np.arange(-size, size + 1) / (size + 0.5)
    strength = np.clip(1 - np.hypot(steps[:, None], steps), 0, 1) ** 2
    return (strength[..., None] * colour).astype(np.uint8)
