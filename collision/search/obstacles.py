"""Which backbones of a space can be built from what is on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from collision.errors import CollisionError, ConfigError
from collision.features.fusion import backbones_of
from collision.features.weights import nothing_downloaded
from collision.search.space import Choice, Point, Space


def backbone_choices(space: Space) -> tuple[Choice, ...]:
    """Give the choices of backbones; the default one, where the space has no such dimension."""
    found = [dimension.choices for dimension in space.cells if dimension.key == "backbone"]
    return found[0] if found else (Choice("the default", {}),)


def without(space: Space, unbuildable: Mapping[str, str], *, skip: bool) -> Space:
    """Leave out backbones that cannot be had here, by name with the reason.

    ConfigError: That is not wanted (``skip``), or none is left.
    """
    if not unbuildable:
        return space
    listing = "\n".join(f"  {name}: {why}" for name, why in unbuildable.items())
    rest = [one for one in backbone_choices(space) if one.name not in unbuildable]
    if not skip or not rest:
        instead = "Search without them: skip_unbuildable=true. Or" if rest else "None is left:"
        raise ConfigError(
            f"{len(unbuildable)} of {len(backbone_choices(space))} backbones of {space.name} can "
            f"be neither read from the cache nor built here:\n{listing}\n{instead} write a space "
            "of your own (docs/spaces.md), or install what is missing."
        )
    cells = tuple(
        replace(dimension, choices=tuple(rest)) if dimension.key == "backbone" else dimension
        for dimension in space.cells
    )
    return replace(space, cells=cells)


def obstacles(space: Space) -> Iterator[tuple[Choice, str]]:
    """Build each backbone that can be chosen; give why it cannot be, or nothing.

    Weights that would be downloaded are an obstacle: nothing is downloaded here.
    """
    for choice in backbone_choices(space):
        try:
            with nothing_downloaded():
                for backbone in backbones_of(Point({}, {}, choice.changes).part("backbone")):
                    backbone.build()
        except CollisionError as error:
            yield choice, str(error)
        else:
            yield choice, ""
