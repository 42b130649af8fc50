"""What light and weather do to colours: daylight, own headlights, haze; and lamps that glow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from collision.datasets.synthetic.setting import Domain

_DAYLIGHT = {"Normal": 1.0, "Twilight": 0.5, "Dark": 0.13}
_HEADLIGHTS = {"Normal": 0.0, "Twilight": 0.2, "Dark": 0.75}
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
    """How a scene is lit; colours are BGR."""

    daylight: float  # 1 in the day, near 0 at night
    headlights: float  # strength of the ego's own
    lamps: bool  # whether vehicles have their lights on
    haze: Array  # colour into which things fade
    zenith: Array  # colour of the sky overhead
    sight: float  # metres after which a share of 1/e is left of a colour

    @classmethod
    def of(cls, light: str, weather: str, rng: np.random.Generator) -> Atmosphere:
        """Build the atmosphere of a scene; ``rng`` varies its exposure a little."""
        exposure, clear = float(rng.uniform(0.88, 1.1)), weather == "Clear"
        low, high = _SKY[light] if clear else (_OVERCAST[light],) * 2
        return cls(
            daylight=_DAYLIGHT[light] * exposure * (1.0 if clear else 0.85),
            headlights=_HEADLIGHTS[light],
            lamps=light != "Normal" or not clear,
            haze=np.minimum(np.array(low) * exposure, 255.0),
            zenith=np.minimum(np.array(high) * exposure, 255.0),
            sight=_SIGHT[weather],
        )

    def light_at(self, side: Array, ahead: Array) -> tuple[Array, Array]:
        """Brightness and clarity of surfaces so many metres to the right and ahead."""
        ahead = np.maximum(ahead, 0.0)
        spread = side / (0.3 * ahead + 1.2)  # of the headlights, a cone that fades
        beam = np.exp(-spread * spread - ahead / 32.0)
        return self.daylight + self.headlights * beam, np.exp(-ahead / self.sight)

    def lit(self, colour: Array, side: Array, ahead: Array, lamp: ArrayLike = False) -> Array:
        """Colours ``[F, 3]`` of surfaces ``[F]`` metres to the right and ahead, as they are seen.

        ``lamp [F]``: whether one shines by itself.
        """
        brightness, clarity = self.light_at(side, ahead)
        bright = np.minimum(colour * np.where(lamp, 1.0, brightness)[:, None], 255.0)
        return self.haze + clarity[:, None] * (bright - self.haze)

    def halo(self, glow: list[float], ahead: float) -> tuple[float, ...]:
        """Colour of the halo of a lamp, in few levels: the discs are reused."""
        clarity = math.exp(ahead * 0.6 / -self.sight)  # lamps carry further than surfaces
        level = round(clarity * 8) / 8
        return (glow[0] * level, glow[1] * level, glow[2] * level)

    def ground_maps(self, domain: Domain) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Factor (of 128) and summand ``[H, W, 3]`` for the road; row 0 is the horizon."""
        rows = np.arange(domain.height, dtype=np.float64) + 0.7
        ahead = domain.focal * domain.camera_height / rows
        side = (np.arange(domain.width) - domain.width / 2) * ahead[:, None] / domain.focal
        brightness, clarity = self.light_at(side, ahead[:, None])
        factor = np.clip(brightness * clarity * 128, 0, 255)[..., None]
        haze = (1 - clarity)[..., None] * self.haze
        shape = (domain.height, domain.width, 3)
        maps = (np.broadcast_to(part, shape).astype(np.uint8, order="C") for part in (factor, haze))
        return next(maps), next(maps)


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
