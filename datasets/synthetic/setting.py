"""The parameters of a domain, and what a family is told about the scene that it is to fill."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from collision.datasets.synthetic.paint.palette import PALETTES
from collision.errors import ConfigError

LIGHTS = ("Normal", "Twilight", "Dark")
WEATHERS = ("Clear", "Rain", "Fog")
SCENES = ("Urban", "Highway", "Rural")

# m/s
SPEEDS = {"Urban": (9.0, 14.0), "Highway": (17.0, 26.0), "Rural": (11.0, 18.0)}

# Body colours, BGR: mostly greys, as on the road.
_COLOURS = (
    (225, 225, 225), (190, 190, 190), (140, 140, 142), (90, 90, 92), (50, 50, 52), (35, 33, 33),
    (150, 70, 35), (95, 45, 25), (40, 35, 150), (30, 25, 95), (60, 90, 60), (120, 160, 190),
)  # fmt: skip


@dataclass(frozen=True)
class Domain:
    """What a camera, its recorder and its roads are like; a second domain has other values.

    Attributes:
        width: Of the picture, pixels; even.
        height: Likewise.
        field_of_view: Horizontal, degrees.
        camera_height: Metres above the road.
        nose_dive: Degrees that the camera dips per m/s² of braking.
        fps: Frame rate -> its share of the scenes.
        crf: Lowest and highest quality factor of the H.264 encoder.
        event_time: Earliest and latest event, seconds.
        tail: Least and most seconds that a clip goes on after its event.
        resolve_lead: Seconds before the would-be impact in which ordinary braking begins.
        evade_lead: Seconds before the would-be impact in which an evasion begins.
        light: Light -> share.
        weather: Weather -> share.
        scene: Scene -> share; a family draws among those that it can happen in.
        texture_contrast: 0 (even surfaces) to 2 (rough ones).
        palette: Colours of road and roadside: a name in palette.py.
    """

    width: int
    height: int
    field_of_view: float
    camera_height: float
    nose_dive: float
    fps: dict[float, float]
    crf: tuple[int, int]
    event_time: tuple[float, float]
    tail: tuple[float, float]
    resolve_lead: tuple[float, float]
    evade_lead: tuple[float, float]
    light: dict[str, float]
    weather: dict[str, float]
    scene: dict[str, float]
    texture_contrast: float
    palette: str

    @classmethod
    def parse(cls, values: dict[str, Any]) -> Domain:
        """Check the values of a YAML file.

        Raises:
            ConfigError: One is missing, unknown or out of range.
        """
        names = [item.name for item in fields(cls)]
        for name in sorted(set(names) ^ set(values)):
            problem = "is missing" if name in names else "does not exist"
            raise ConfigError(
                f"dataset.domain.{name} {problem}. A domain has: {', '.join(names)}. "
                "See configs/dataset/synthetic.yaml."
            )
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
        domain = cls(**given)
        domain._check()
        return domain

    def _check(self) -> None:
        for name, holds, reason in (*self._rules(), *self._share_rules()):
            if not holds:
                raise ConfigError(f"dataset.domain.{name}={getattr(self, name)!r}: {reason}.")

    def _rules(self) -> Iterator[tuple[str, bool, str]]:
        for name in ("width", "height"):
            size = getattr(self, name)
            yield name, size >= 64 and size % 4 == 0, "choose a multiple of 4 that is at least 64"
        yield "field_of_view", 20 <= self.field_of_view <= 130, "choose 20 to 130 degrees"
        yield "camera_height", 0.5 <= self.camera_height <= 4, "choose 0.5 to 4 metres"
        for name in ("crf", "event_time", "tail", "resolve_lead", "evade_lead"):
            value = getattr(self, name)
            ordered = isinstance(value, tuple) and len(value) == 2 and 0 <= value[0] <= value[1]
            yield name, ordered, "choose [lowest, highest], both at least 0"
        yield "crf", self.crf[1] <= 51, "H.264 knows 0 to 51"
        ordinary = self.resolve_lead[0] >= 1.5 and self.resolve_lead[1] <= 3
        yield "resolve_lead", ordinary, "ordinary braking begins 1.5 to 3 s before the impact"
        hurried = self.evade_lead[1] < 1
        yield "evade_lead", hurried, "an evasion begins less than 1 s before the impact"
        late = self.event_time[0] >= self.resolve_lead[1] + 1
        yield "event_time", late, "the event must come at least 1 s after the first braking"
        yield "palette", self.palette in PALETTES, f"there are {', '.join(PALETTES)}"

    def _share_rules(self) -> Iterator[tuple[str, bool, str]]:
        known = {"light": LIGHTS, "weather": WEATHERS, "scene": SCENES}
        for name in ("fps", *known):
            shares = getattr(self, name)
            some = bool(shares) and min(shares.values()) >= 0 and sum(shares.values()) > 0
            yield name, some, "give shares of which one is above 0"
            for key in shares:
                if name == "fps":
                    rate = 1 <= float(key) <= 120
                    yield name, rate, f"{key!r} is no frame rate between 1 and 120"
                else:
                    one = key in known[name]
                    yield name, one, f"{key!r} is not one of {', '.join(known[name])}"


@dataclass(frozen=True)
class Setting:
    """What a family needs to know to draw its conflict; times in seconds, speeds in m/s."""

    event_time: float
    ego_speed: float
    scene: str
    resolve_lead: tuple[float, float]
    evade_lead: tuple[float, float]

    @staticmethod
    def draw_colour(rng: np.random.Generator) -> tuple[int, int, int]:
        """Draw the colour of a vehicle, BGR."""
        return _COLOURS[int(rng.integers(len(_COLOURS)))]
