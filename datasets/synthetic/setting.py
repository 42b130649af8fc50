"""The parameters of a domain, and what a family is told about the scene that it is to fill."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias, TypeVar

import numpy as np
from pydantic import AfterValidator, Field

from collision.checks import STRICT
from collision.datasets.synthetic.motion import Motion
from collision.datasets.synthetic.traffic import EGO_SHAPE, SHAPES, Shape, Vehicle
from collision.errors import ConfigError

Light: TypeAlias = Literal["Normal", "Twilight", "Dark"]
Weather: TypeAlias = Literal["Clear", "Rain", "Fog"]
SceneKind: TypeAlias = Literal["Urban", "Highway", "Rural"]

Tone: TypeAlias = tuple[int, int, int]  # BGR


class Palette(NamedTuple):
    """Colours of a region; those of asphalt and verge (what lies beside the road) by scene."""

    asphalt: dict[str, Tone]
    verge: dict[str, Tone]
    edge_line: Tone
    centre_line: Tone
    walls: tuple[Tone, ...]
    leaves: Tone
    street_lamp: Tone


PALETTES = {
    "temperate": Palette(
        asphalt={"Urban": (88, 86, 84), "Highway": (104, 103, 101), "Rural": (92, 92, 94)},
        verge={"Urban": (118, 122, 126), "Highway": (72, 108, 92), "Rural": (52, 104, 78)},
        edge_line=(215, 218, 220),
        centre_line=(215, 218, 220),
        walls=((120, 135, 160), (150, 160, 165), (105, 110, 120), (95, 115, 150)),
        leaves=(45, 95, 62),
        street_lamp=(120, 190, 235),
    ),
    "arid": Palette(
        asphalt={"Urban": (112, 116, 122), "Highway": (134, 138, 142), "Rural": (96, 104, 116)},
        verge={"Urban": (140, 158, 176), "Highway": (98, 138, 172), "Rural": (86, 130, 170)},
        edge_line=(200, 206, 212),
        centre_line=(58, 168, 222),
        walls=((150, 185, 215), (190, 205, 215), (120, 155, 205), (165, 165, 170)),
        leaves=(62, 112, 104),
        street_lamp=(215, 220, 225),
    ),
}

# m/s
SPEEDS = {"Urban": (9.0, 14.0), "Highway": (17.0, 26.0), "Rural": (11.0, 18.0)}

# Body colours, BGR: mostly greys, as on the road.
_COLOURS = (
    (225, 225, 225), (190, 190, 190), (140, 140, 142), (90, 90, 92), (50, 50, 52), (35, 33, 33),
    (150, 70, 35), (95, 45, 25), (40, 35, 150), (30, 25, 95), (60, 90, 60), (120, 160, 190),
)  # fmt: skip

_Key = TypeVar("_Key")
_Number = TypeVar("_Number", int, float)


def _checked(holds: Callable[[Any], bool], wanted: str) -> AfterValidator:
    def check(value: Any) -> Any:
        if not holds(value):
            raise ValueError(wanted)
        return value

    return AfterValidator(check)


Pixels: TypeAlias = Annotated[
    int, _checked(lambda size: size >= 64 and size % 4 == 0, "a multiple of 4 that is at least 64")
]
Shares: TypeAlias = Annotated[
    Mapping[_Key, Annotated[float, Field(ge=0)]],
    _checked(lambda shares: sum(shares.values()) > 0, "shares of which one is above 0"),
]
Range: TypeAlias = Annotated[
    tuple[_Number, _Number],
    _checked(lambda ends: 0 <= ends[0] <= ends[1], "[lowest, highest], both at least 0"),
]


@dataclass(frozen=True)
class Domain:
    """What a camera, its recorder and its roads are like; a second domain has other values.

    configs/dataset/synthetic.yaml explains each, in seconds, metres, degrees and shares of scenes.
    """

    __pydantic_config__ = STRICT

    width: Pixels
    height: Pixels
    field_of_view: Annotated[float, Field(ge=20, le=130)]
    camera_height: Annotated[float, Field(ge=0.5, le=4)]
    nose_dive: float
    fps: Shares[Annotated[float, Field(ge=1, le=120)]]
    crf: Range[Annotated[int, Field(le=51)]]
    event_time: Range[float]
    tail: Range[float]
    resolve_lead: Range[Annotated[float, Field(ge=1.5, le=3)]]
    evade_lead: Range[Annotated[float, Field(lt=1)]]
    light: Shares[Light]
    weather: Shares[Weather]
    scene: Shares[SceneKind]
    texture_contrast: float
    palette: Annotated[str, _checked(PALETTES.__contains__, " or ".join(PALETTES))]

    @property
    def focal(self) -> float:
        """Focal length of the camera in pixels."""
        return self.width / 2 / math.tan(math.radians(self.field_of_view) / 2)

    def __post_init__(self) -> None:
        if self.event_time[0] < self.resolve_lead[1] + 1:
            raise ConfigError(
                f"dataset.domain.event_time={list(self.event_time)}: the event must come at least "
                f"1 s after the first braking, {self.resolve_lead[1]:g} s before the impact."
            )


@dataclass(frozen=True)
class Setting:
    """What a family needs to know to draw its conflict; times in seconds, speeds in m/s."""

    event_time: float
    ego_speed: float
    scene: str
    resolve_lead: tuple[float, float]
    evade_lead: tuple[float, float]

    @cached_property
    def ego(self) -> Vehicle:
        """The ego as it drives if nothing happens."""
        return Vehicle(0.0, 0.0, 0.0, Motion(0.0, self.ego_speed))

    @property
    def contact(self) -> float:
        """Where the bumper of an undisturbed ego is at the impact (m)."""
        return self.ego_speed * self.event_time + EGO_SHAPE.length / 2

    @staticmethod
    def draw_shape(rng: np.random.Generator, *kinds: str) -> Shape:
        """Draw a shape: any, or one of ``kinds``."""
        return SHAPES[str(rng.choice(list(kinds or SHAPES)))]

    @staticmethod
    def draw_colour(rng: np.random.Generator) -> Tone:
        """Draw the colour of a vehicle."""
        return _COLOURS[int(rng.integers(len(_COLOURS)))]

    def draw_agent(
        self, rng: np.random.Generator, shape: Shape, place: tuple[float, float], heading: float,
        speed: float,
    ) -> Vehicle:  # fmt: skip
        """Give the other vehicle at ``place`` (x, z) at time 0, in a drawn colour."""
        along, colour = Motion(0.0, speed), self.draw_colour(rng)
        return Vehicle(*place, heading, along, shape=shape, colour=colour)
