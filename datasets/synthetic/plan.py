"""Which scene shows what: splits, families and pairs of variants, in exactly the shares asked for.

Labels are balanced by construction: every scene gives one positive and one negative clip.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import cycle, product
from typing import TypedDict

import numpy as np

from collision.errors import ConfigError

POSITIVE = ("collision", "near_collision")
NEGATIVE = ("resolved", "harmless")


class PlanOptions(TypedDict):
    """What ``plan_scenes`` takes."""

    num_scenes: int
    splits: Mapping[str, float]
    families: Mapping[str, float]
    seed: int


@dataclass(frozen=True)
class Planned:
    """A scene before it is drawn: its number, split, family, and positive and negative variant."""

    number: int
    split: str
    family: str
    variants: tuple[str, str]


def plan_scenes(
    num_scenes: int, splits: Mapping[str, float], families: Mapping[str, float], seed: int
) -> list[Planned]:
    """Deal splits, families and variants to the scenes.

    Within a split the families get their shares, and within each of them the four pairs of a
    positive and a negative variant take turns.

    Args:
        num_scenes: Scenes; each gives a positive and a negative clip.
        splits: Split -> share of the scenes.
        families: Name of a file in ``families/`` -> share of the scenes.
        seed: Of all draws.

    Raises:
        ConfigError: Too few scenes for the splits, or shares that are none.
    """
    if seed < 0:
        raise ConfigError(f"dataset.seed={seed}: choose 0 or more.")
    for name, shares in (("splits", splits), ("families", families)):
        if not shares or min(shares.values()) < 0 or sum(shares.values()) <= 0:
            raise ConfigError(
                f"dataset.{name}={dict(shares)}: give shares of which one is above 0."
            )
    wanted = [split for split, share in splits.items() if share > 0]
    unknown = sorted(set(wanted) - {"train", "val", "test"})
    if unknown:
        raise ConfigError(f"dataset.splits: {unknown[0]!r} is not one of train, val, test.")
    if num_scenes < len(wanted):
        raise ConfigError(
            f"dataset.num_scenes={num_scenes}: the splits {', '.join(wanted)} need one each."
        )
    deck = []
    for split, count in _deal(num_scenes, splits, least=1).items():
        pairs = cycle(product(POSITIVE, NEGATIVE))
        for family, size in _deal(count, families, least=0).items():
            deck += [(split, family, next(pairs)) for _ in range(size)]
    order = np.random.default_rng(seed).permutation(len(deck))
    return [Planned(number, *deck[card]) for number, card in enumerate(order)]


def _deal(total: int, shares: Mapping[str, float], least: int) -> dict[str, int]:
    """Split ``total`` by shares, whole numbers, nobody with a share below ``least``."""
    shares = {name: share for name, share in shares.items() if share > 0}
    exact = {name: total * share / sum(shares.values()) for name, share in shares.items()}
    counts = {name: max(int(value), least) for name, value in exact.items()}
    while sum(counts.values()) < total:
        counts[max(exact, key=lambda name: exact[name] - counts[name])] += 1
    while sum(counts.values()) > total:
        counts[max(counts, key=lambda name: counts[name] - exact[name])] -= 1
    return counts
