"""The parameters of a domain, and what a family is told about the scene that it is to fill."""

from __future__ import annotations

from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any

import numpy as np

from collision.datasets.synthetic.palette import PALETTES
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
    palette: str = "temperate"

    @classmethod
    def parse(cls, values: dict[str, Any]) -> Domain:
        """Check the values of a YAML file.

        Raises:
            ConfigError: One is missing, unknown or out of range.
        """
        names = [item.name for item in fields(cls)]
        required = {item.name for item in fields(cls) if item.default is MISSING}
        for name in sorted((required - set(values)) | (set(values) - set(names))):
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

    def parameters(self) -> dict[str, Any]:
        """Give the values that decide what is drawn, for a set's name.

        What may be left out is left out at its default: a parameter added later must not rename
        the sets that were drawn before it.
        """
        defaults = {item.name: item.default for item in fields(self)}
        return {name: value for name, value in asdict(self).items() if value != defaults[name]}

    def _check(self) -> None:
        def refuse(name: str, reason: str) -> None:
            raise ConfigError(f"dataset.domain.{name}={getattr(self, name)!r}: {reason}.")

        for name in ("width", "height"):
            if getattr(self, name) < 64 or getattr(self, name) % 4:
                refuse(name, "choose a multiple of 4 that is at least 64")
        if not 20 <= self.field_of_view <= 130:
            refuse("field_of_view", "choose 20 to 130 degrees")
        if not 0.5 <= self.camera_height <= 4:
            refuse("camera_height", "choose 0.5 to 4 metres")
        for name in ("crf", "event_time", "tail", "resolve_lead", "evade_lead"):
            value = getattr(self, name)
            if not (isinstance(value, tuple) and len(value) == 2 and 0 <= value[0] <= value[1]):
                refuse(name, "choose [lowest, highest], both at least 0")
        if self.crf[1] > 51:
            refuse("crf", "H.264 knows 0 to 51")
        if not (self.resolve_lead[0] >= 1.5 and self.resolve_lead[1] <= 3):
            refuse("resolve_lead", "ordinary braking begins 1.5 to 3 s before the impact")
        if self.evade_lead[1] >= 1:
            refuse("evade_lead", "an evasion begins less than 1 s before the impact")
        if self.event_time[0] < self.resolve_lead[1] + 1:
            refuse("event_time", "the event must come at least 1 s after the first braking")
        if self.palette not in PALETTES:
            refuse("palette", f"there are {', '.join(PALETTES)}")
        known = {"light": LIGHTS, "weather": WEATHERS, "scene": SCENES, "fps": None}
        for name, allowed in known.items():
            shares = getattr(self, name)
            if not shares or min(shares.values()) < 0 or sum(shares.values()) <= 0:
                refuse(name, "give shares of which one is above 0")
            for key in shares:
                if allowed is not None and key not in allowed:
                    refuse(name, f"{key!r} is not one of {', '.join(allowed)}")
                if allowed is None and not 1 <= float(key) <= 120:
                    refuse(name, f"{key!r} is no frame rate between 1 and 120")


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
