"""What each point of a space makes of a training's options, without composing them each time.

Composing takes some tenths of a second. So it is done once for each choice of a part; a point is
put together from those, and is what ``python train.py`` makes of the same overrides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

from collision.checks import call_typed
from collision.config import Part, part_of, with_changes
from collision.errors import ConfigError
from collision.options import TrainOptions, as_config
from collision.search.space import GROUPS, Choice, Dimension, Point, Range, Space

# Gives a training's options from overrides, as the command line does.
Compose = Callable[[Sequence[str]], TrainOptions]
# What a search does itself, or what would be trained beside.
_LEFT_OUT = {
    **{"seeds": 1, "folds": None, "ensemble": False, "resume": None, "init_from": None},
    **{"evaluate_on": (), "logger": None, "parallel": None},
}


@dataclass(frozen=True)
class Recipe:
    """Options of all trainings of a search.

    Attributes:
        base: Before a point changes them.
        chosen: Parts by what chooses them: the changes of a choice, as ``overrides`` writes them.
    """

    base: TrainOptions
    chosen: Mapping[tuple[str, ...], Mapping[str, Part | None]]

    @classmethod
    def of(cls, space: Space, given: Sequence[str], compose: Compose) -> Self:
        """Compose the base, from the overrides ``given``, and every choice of a part once.

        ConfigError: One of them cannot be composed, or the base asks for what a search leaves out.
        """
        check_given(space, given)
        base = compose(given)
        check_base(base)
        chosen = {}
        for dimension in space.dimensions:
            for choice in _choices(dimension):
                own = _of_groups(choice.changes)
                if own:
                    beside = _context(space, dimension)
                    made = compose([*given, *_overrides(beside), *_overrides(own)])
                    names = [*own, *(["fusion"] if "backbone" in own else [])]
                    groups = {name.partition(".")[0] for name in names}
                    chosen[_key(own)] = {group: getattr(made, group) for group in groups}
        return cls(base, chosen)

    def options(self, point: Point, space: Space, seed: int) -> TrainOptions:
        """Give the options of a training; ConfigError: they do not go together."""
        parts: dict[str, Part | None] = {g: getattr(self.base, g) for g in GROUPS}
        rest: dict[str, Any] = dict(point.changes)
        for changes in self._in_turn(point, space):
            parts |= self.chosen[_key(changes)]
            rest = {name: value for name, value in rest.items() if name not in changes}
        for group, part in parts.items():
            own = {n: v for n, v in rest.items() if n.partition(".")[0] == group}
            if own and part is not None:
                below = {name.removeprefix(f"{group}."): value for name, value in own.items()}
                mapping = {"_target_": part.target, **part.options}
                parts[group] = part_of(group, mapping, part.name, below)
            rest = {name: value for name, value in rest.items() if name not in own}
        names = {**self.base.parts, **{g: p.name for g, p in parts.items() if p is not None}}
        kept = {"dataset": self.base.dataset, "parts": names, **parts}
        plain = {
            item.name: as_config(getattr(self.base, item.name))
            for item in fields(TrainOptions)
            if item.name not in kept
        }
        changed = with_changes(plain, {**rest, "seed": seed})
        options: TrainOptions = call_typed(TrainOptions, changed, kept, "")
        return options

    def _in_turn(self, point: Point, space: Space) -> Iterable[dict[str, Any]]:
        """Give the changes of parts that a point's choices make, one choice after the other."""
        for dimension in space.dimensions:
            name = point.values.get(dimension.key)
            if name is not None and isinstance(dimension, Dimension):
                own = _of_groups(dimension.named(name).changes)
                if own:
                    yield own


def check_given(space: Space, given: Iterable[str]) -> None:
    """Refuse overrides that each point of the space would replace without a word; ConfigError."""
    own = {name for dim in space.dimensions for choice in _choices(dim) for name in choice.changes}
    own |= {dimension.key for dimension in space.dimensions if isinstance(dimension, Range)}
    for one in given:
        name = one.partition("=")[0].lstrip("+~")
        if name in own:
            raise ConfigError(
                f"{one}: the space has {name} among its dimensions, so each trial sets its own. "
                "Leave it out, or give a space (a YAML file) in which it is none."
            )


def check_base(base: TrainOptions) -> None:
    """Refuse what a search does in its own way; ConfigError."""
    for name, value in _LEFT_OUT.items():
        if (given := getattr(base, name)) != value:
            shown = given.name if isinstance(given, Part) else given
            raise ConfigError(
                f"{name}={shown}: a trial of a search is one training with one seed. Leave it out, "
                "and give it to train.py for what the search found."
            )


def _choices(dimension: Dimension | Range) -> tuple[Choice, ...]:
    return dimension.choices if isinstance(dimension, Dimension) else ()


def _of_groups(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Give those that choose a part, with the options of it that the same choice sets."""
    groups = {name for name in changes if name in GROUPS}
    return {n: v for n, v in changes.items() if n.partition(".")[0] in groups}


def _context(space: Space, dimension: Dimension | Range) -> dict[str, Any]:
    """Give what the first cell sets in which a dimension counts."""
    changes: dict[str, Any] = {}
    for cell in space.cells:
        if wanted := dimension.when.get(cell.key):
            changes |= cell.named(wanted[0]).changes
    return changes


def _overrides(changes: Mapping[str, Any]) -> list[str]:
    return Point({}, {}, changes).overrides


def _key(changes: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(_overrides(changes))
