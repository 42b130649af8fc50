"""What roads and roadsides are coloured like; a domain names one. Colours are BGR."""

from __future__ import annotations

from dataclasses import dataclass

Tone = tuple[int, int, int]


@dataclass(frozen=True)
class Palette:
    """Colours of a region.

    Attributes:
        asphalt: By scene.
        verge: What lies beside the road, by scene.
        edge_line: Paint of lanes and edges.
        centre_line: Paint between the two directions.
        walls: Of buildings; each draws one.
        leaves: Of trees.
        street_lamp: Its light.
    """

    asphalt: dict[str, Tone]
    verge: dict[str, Tone]
    edge_line: Tone
    centre_line: Tone
    walls: tuple[Tone, ...]
    leaves: Tone
    street_lamp: tuple[float, float, float]


PALETTES = {
    "temperate": Palette(
        asphalt={"Urban": (88, 86, 84), "Highway": (104, 103, 101), "Rural": (92, 92, 94)},
        verge={"Urban": (118, 122, 126), "Highway": (72, 108, 92), "Rural": (52, 104, 78)},
        edge_line=(215, 218, 220),
        centre_line=(215, 218, 220),
        walls=((120, 135, 160), (150, 160, 165), (105, 110, 120), (95, 115, 150)),
        leaves=(45, 95, 62),
        street_lamp=(120.0, 190.0, 235.0),
    ),
    "arid": Palette(
        asphalt={"Urban": (112, 116, 122), "Highway": (134, 138, 142), "Rural": (96, 104, 116)},
        verge={"Urban": (140, 158, 176), "Highway": (98, 138, 172), "Rural": (86, 130, 170)},
        edge_line=(200, 206, 212),
        centre_line=(58, 168, 222),
        walls=((150, 185, 215), (190, 205, 215), (120, 155, 205), (165, 165, 170)),
        leaves=(62, 112, 104),
        street_lamp=(215.0, 220.0, 225.0),
    ),
}
