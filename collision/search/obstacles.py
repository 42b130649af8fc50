"""Which backbones of a space can be built from what is on this machine."""

from __future__ import annotations

from collections.abc import Iterator

from collision.errors import CollisionError
from collision.features.weights import nothing_downloaded
from collision.search.space import Choice, Point, Space


def backbone_choices(space: Space) -> tuple[Choice, ...]:
    """Give the choices of backbones; the default one, where the space has no such dimension."""
    found = [dimension.choices for dimension in space.cells if dimension.key == "backbone"]
    return found[0] if found else (Choice("the default", {}),)


def obstacles(space: Space) -> Iterator[tuple[Choice, str]]:
    """Build each backbone that can be chosen; give why it cannot be, or nothing.

    Weights that would be downloaded are an obstacle: nothing is downloaded here.
    """
    for choice in backbone_choices(space):
        try:
            with nothing_downloaded():
                Point({}, {}, choice.changes).part("backbone").build()
        except CollisionError as error:
            yield choice, str(error)
        else:
            yield choice, ""
