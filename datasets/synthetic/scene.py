"""Scenes: which shows what, and everything that is drawn for one, from (seed, scene number).

Splits, families and pairs of variants come in exactly the shares asked for, and labels are balanced
by construction: every scene gives one positive and one negative clip.
"""

from __future__ import annotations

import importlib
import math
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, cycle, product
from types import ModuleType
from typing import Annotated, Any, TypedDict

import numpy as np
from pydantic import Field

from collision.datasets.synthetic.motion import Motion
from collision.datasets.synthetic.setting import SPEEDS, Domain, Setting, Shares
from collision.datasets.synthetic.traffic import LANE, STOP_LINE, Conflict, Play, Vehicle
from collision.errors import ConfigError
from collision.types import Split

_Spot = tuple[float, float, float, Motion]  # x, z, heading and movement of a bystander
_FAMILIES = "collision.datasets.synthetic.families"
POSITIVE = ("collision", "near_collision")
NEGATIVE = ("resolved", "harmless")


class PlanOptions(TypedDict):
    """What ``plan_scenes`` takes; configs/dataset/synthetic.yaml explains it."""

    num_scenes: int
    splits: Shares[Split]
    families: Shares[str]
    seed: Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class Planned:
    """A scene before it is drawn; ``variants`` are its positive and its negative one."""

    number: int
    split: Split
    family: str
    variants: tuple[str, str]


def plan_scenes(
    num_scenes: int, splits: Mapping[Split, float], families: Mapping[str, float], seed: int
) -> list[Planned]:
    """Deal splits, families and variants to the scenes; arguments as in ``PlanOptions``.

    Within a split the families get their shares, and within each of them the four pairs of a
    positive and a negative variant take turns.

    Raises:
        ConfigError: Too few scenes for the splits.
    """
    wanted = {split: share for split, share in splits.items() if share > 0}
    if num_scenes < len(wanted):
        raise ConfigError(
            f"dataset.num_scenes={num_scenes}: the splits {', '.join(wanted)} need one each."
        )
    deck = []
    for split, count in _deal(num_scenes, wanted, least=1).items():
        pairs = cycle(product(POSITIVE, NEGATIVE))
        for family, size in _deal(count, families, least=0).items():
            deck += [(split, family, next(pairs)) for _ in range(size)]
    order = np.random.default_rng(seed).permutation(len(deck))
    return [Planned(number, *deck[card]) for number, card in enumerate(order)]


def _deal(total: int, shares: Mapping[Any, float], least: int) -> dict[Any, int]:
    """Split ``total`` by shares, whole numbers, nobody with a share below ``least``."""
    scale = total / sum(shares.values())
    exact = {name: share * scale for name, share in shares.items() if share > 0}
    counts = {name: max(int(value), least) for name, value in exact.items()}
    while difference := total - sum(counts.values()):
        short = {name: exact[name] - counts[name] for name in counts}
        if difference > 0:
            counts[max(short, key=short.__getitem__)] += 1
        else:
            counts[min(short, key=short.__getitem__)] -= 1
    return counts


@dataclass(frozen=True)
class Clip:
    """One file of a scene: the play of one variant."""

    stem: str  # tells the scene, not the label
    variant: str
    play: Play
    label: int
    crf: int
    num_frames: int


@dataclass(frozen=True)
class Scene(Planned):
    """All draws of a scene. ``paint_seed`` starts the draws of the painter, which come later."""

    scene: str
    light: str
    weather: str
    fps: float
    event_time: float
    conflict: Conflict
    bystanders: tuple[Vehicle, ...]
    clips: tuple[Clip, ...]
    paint_seed: int

    @property
    def divergence(self) -> float:
        """Until this time both clips of the scene show the same (s)."""
        first, second = self.clips
        return first.play.parts_from(second.play)


def load_family(name: str) -> ModuleType:
    """Import a file of ``families/`` by its name; ConfigError: there is no such file."""
    package = importlib.import_module(_FAMILIES)
    known = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    if name not in known:
        raise ConfigError(
            f"dataset.families: no family {name!r}. There are: {', '.join(known)}. "
            "A new one is a file in datasets/synthetic/families/."
        )
    return importlib.import_module(f"{_FAMILIES}.{name}")


def draw_scene(planned: Planned, seed: int, domain: Domain, traffic: bool = True) -> Scene:
    """Draw a scene; the same arguments give the same scene.

    Without ``traffic`` it has no bystanders: only the painter needs them.

    Raises:
        ConfigError: The family finds no plausible conflict in this domain.
    """
    rng = np.random.default_rng([seed, planned.number])
    family = load_family(planned.family)
    scene = _draw_share(rng, {kind: domain.scene.get(kind, 0.0) for kind in family.SCENES})
    light, weather = _draw_share(rng, domain.light), _draw_share(rng, domain.weather)
    fps = _draw_share(rng, domain.fps)
    event_time = round(float(rng.uniform(*domain.event_time)), 3)
    for _ in range(1000):
        speed = float(rng.uniform(*SPEEDS[scene]))
        leads = domain.resolve_lead, domain.evade_lead
        conflict = family.draw(rng, Setting(event_time, speed, scene, *leads))
        if conflict is not None and _goes_as_told(conflict, event_time):
            break
    else:
        raise ConfigError(
            f"dataset.families: {planned.family!r} finds no conflict in scene "
            f"{planned.number} within 1000 draws. Widen dataset.domain.resolve_lead or evade_lead."
        )
    return Scene(
        **vars(planned),
        scene=scene,
        light=light,
        weather=weather,
        fps=fps,
        event_time=event_time,
        conflict=conflict,
        bystanders=_draw_bystanders(rng, scene, conflict, event_time) if traffic else (),
        clips=_draw_clips(rng, planned, conflict, domain, event_time, fps),
        paint_seed=int(rng.integers(2**31)),
    )


def _draw_share(rng: np.random.Generator, shares: Mapping[Any, float]) -> Any:
    names, weights = list(shares), np.array(list(shares.values()))
    if weights.sum() <= 0:
        raise ConfigError(f"dataset.domain.scene: one of {', '.join(names)} needs a share above 0.")
    return names[int(rng.choice(len(names), p=weights / weights.sum()))]


def _goes_as_told(conflict: Conflict, event_time: float) -> bool:
    """Whether the collision alone has contact, from the event on, and begins in view."""
    times = np.arange(0.0, event_time + 2.0, 0.02)
    for variant, play in conflict.plays.items():
        clearance = play.clearance(times)
        if variant == "collision":
            if (clearance[times < event_time] <= 0).any():
                return False
        elif clearance.min() < 0.1:
            return False
    return conflict.alert_time > 0.1


def _draw_clips(
    rng: np.random.Generator, planned: Planned, conflict: Conflict, domain: Domain,
    event_time: float, fps: float,
) -> tuple[Clip, ...]:  # fmt: skip
    clips = []
    letters = rng.permutation(["a", "b"])
    for letter, variant, label in zip(letters, planned.variants, (1, 0), strict=True):
        num_frames = math.floor((event_time + rng.uniform(*domain.tail)) * fps) + 1
        crf = int(rng.integers(domain.crf[0], domain.crf[1] + 1))
        stem = f"{planned.number:04d}_{letter}"
        clips.append(Clip(stem, variant, conflict.plays[variant], label, crf, num_frames))
    return tuple(sorted(clips, key=lambda clip: clip.stem))


def _draw_bystanders(
    rng: np.random.Generator, scene: str, conflict: Conflict, event_time: float
) -> tuple[Vehicle, ...]:
    """Traffic that is in nobody's way: it shares the road but not the conflict."""
    flow = _same_way if scene == "Highway" else _oncoming
    spots = [flow(rng, conflict, event_time)]
    if scene == "Urban":
        spots.append(_parked(rng, conflict))
    if conflict.junction is not None:
        spots.append(_waiting(rng, conflict, conflict.junction))
    vehicles = [
        Vehicle(*spot, shape=Setting.draw_shape(rng), colour=Setting.draw_colour(rng))
        for spot in chain(*spots)
    ]
    times = np.arange(0.0, event_time + 2.0, 0.05)
    agents = [play.agent for play in conflict.plays.values()]
    return tuple(
        vehicle
        for vehicle in vehicles
        if vehicle.along.speed == 0
        or all((Play(vehicle, agent).clearance(times) >= 0).all() for agent in agents)
    )


def _same_way(rng: np.random.Generator, conflict: Conflict, event_time: float) -> Iterator[_Spot]:
    """Who drives in the lane that an evading ego does not need; some brake for a while."""
    z = rng.uniform(-5, 25)
    for _ in range(int(rng.integers(1, 4))):
        along = Motion(0.0, conflict.cruising_speed * rng.uniform(0.92, 1.1))
        if rng.random() < 0.5:
            start = rng.uniform(0.5, event_time)
            along = along.then((start, -rng.uniform(1, 3)), (start + rng.uniform(0.5, 1.5), 0))
        yield -conflict.swerve_side * LANE, z, 0.0, along
        z += rng.uniform(25, 50)


def _oncoming(rng: np.random.Generator, conflict: Conflict, event_time: float) -> Iterator[_Spot]:
    """Who comes the other way, and is not at the junction while others are."""
    for _ in range(int(rng.integers(0, 5))):
        speed = conflict.cruising_speed * rng.uniform(0.7, 1.2)
        z = rng.uniform(30, 30 + 2 * conflict.cruising_speed * event_time)
        passing = (z - (conflict.junction or math.inf)) / speed
        if not conflict.alert_time - 1.0 < passing < event_time + 4.0:
            yield -LANE, z, math.pi, Motion(0.0, speed)


def _parked(rng: np.random.Generator, conflict: Conflict) -> Iterator[_Spot]:
    kept_free = [place for place in (conflict.junction, conflict.walkway) if place is not None]
    for z in np.arange(rng.uniform(5, 15), 260, 9.0).tolist():
        if rng.random() < 0.45 and all(abs(z - place) > 16 for place in kept_free):
            yield 4.75, z, 0.0, Motion(0.0, 0.0)


def _waiting(rng: np.random.Generator, conflict: Conflict, junction: float) -> Iterator[_Spot]:
    """Who stands at the line from which nobody comes."""
    side = 1 if math.sin(conflict.plays["harmless"].agent.heading) > 0 else -1
    if rng.random() < 0.35:
        place = junction + side * LANE / 2
        yield side * (STOP_LINE + 3.0), place, -side * math.pi / 2, Motion(0.0, 0.0)
