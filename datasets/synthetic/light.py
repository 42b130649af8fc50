"""What light and weather do to colours: daylight, own headlights, haze; and lamps that glow."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_DAYLIGHT = {"Normal": 1.0, "Twilight": 0.5, "Dark": 0.13}
_SKY = {  # at the horizon and at the top, BGR
    "Normal": ((232, 222, 208), (205, 150, 95)),
    "Twilight": ((120, 140, 190), (120, 75, 60)),
    "Dark": ((34, 28, 26), (18, 12, 10)),
}
_OVERCAST = {"Normal": (190, 188, 184), "Twilight": (112, 108, 108), "Dark": (32, 30, 30)}
_SIGHT = {"Clear": 420.0, "Rain": 130.0, "Fog": 60.0}  # metres after which 1/e is left

Colour = tuple[float, float, float]


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
    haze: Colour
    zenith: Colour
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
            haze=_exposed(low, exposure),
            zenith=_exposed(high, exposure),
            sight=_SIGHT[weather],
        )

    def clarity(self, distance: float) -> float:
        """How much of a colour is left at ``distance`` metres."""
        return math.exp(-max(distance, 0.0) / self.sight)

    def brightness(self, side: float, ahead: float) -> float:
        """Light on something ``side`` metres to the right and ``ahead`` metres in front."""
        if not self.headlights or ahead <= 0:
            return self.daylight
        spread = side / (0.3 * ahead + 1.2)
        beam = math.exp(-spread * spread - ahead / 32.0)
        return self.daylight + self.headlights * beam

    def lit(self, colour: Colour, side: float, ahead: float) -> Colour:
        """Colour of a surface as the camera sees it."""
        brightness, clarity = self.brightness(side, ahead), self.clarity(ahead)
        haze = 1.0 - clarity
        return (
            min(255.0, colour[0] * brightness) * clarity + self.haze[0] * haze,
            min(255.0, colour[1] * brightness) * clarity + self.haze[1] * haze,
            min(255.0, colour[2] * brightness) * clarity + self.haze[2] * haze,
        )

    def ground_maps(
        self, width: int, height: int, focal: float, camera_height: float
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Factor (of 128) and summand ``[H, W, 3]`` for the road; row 0 is the horizon."""
        rows = np.arange(height, dtype=np.float64)[:, None] + 0.7
        ahead = focal * camera_height / rows
        side = (np.arange(width)[None] - width / 2) * ahead / focal
        spread = side / (0.3 * ahead + 1.2)
        beam = self.headlights * np.exp(-(spread**2) - ahead / 32.0)
        clarity = np.exp(-ahead / self.sight)
        factor = np.clip((self.daylight + beam) * clarity * 128, 0, 255)
        haze = (1 - clarity)[..., None] * np.array(self.haze)
        return (
            np.repeat(factor[..., None], 3, axis=2).astype(np.uint8),
            np.ascontiguousarray(np.broadcast_to(haze, (height, width, 3))).astype(np.uint8),
        )


def _exposed(colour: Colour, exposure: float) -> Colour:
    return (
        min(255.0, colour[0] * exposure),
        min(255.0, colour[1] * exposure),
        min(255.0, colour[2] * exposure),
    )


class Glow:
    """Lamps, added to a picture as soft discs; the discs are kept for reuse."""

    def __init__(self) -> None:
        """Start without any disc."""
        self._discs: dict[tuple[int, Colour], NDArray[np.uint8]] = {}

    def add(
        self, picture: NDArray[np.uint8], x: float, y: float, radius: float, colour: Colour
    ) -> None:
        """Add a lamp's halo around a pixel position; ``radius`` in pixels."""
        size = int(min(max(round(radius), 1), 60))
        left, top = round(x) - size, round(y) - size
        height, width = picture.shape[:2]
        x0, y0 = max(left, 0), max(top, 0)
        x1, y1 = min(left + 2 * size + 1, width), min(top + 2 * size + 1, height)
        if x0 >= x1 or y0 >= y1:
            return
        disc = self._disc(size, colour)[y0 - top : y1 - top, x0 - left : x1 - left]
        area = picture[y0:y1, x0:x1]
        cv2.add(area, disc, dst=area)

    def _disc(self, size: int, colour: Colour) -> NDArray[np.uint8]:
        key = (size, colour)
        if key not in self._discs:
            steps = np.arange(-size, size + 1) / (size + 0.5)
            distance = np.sqrt(steps[:, None] ** 2 + steps[None] ** 2)
            strength = np.clip(1 - distance, 0, 1) ** 2
            self._discs[key] = (strength[..., None] * np.array(colour)).astype(np.uint8)
        return self._discs[key]
