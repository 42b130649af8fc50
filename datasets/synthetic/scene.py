"""A scene: everything about a pair of clips that is drawn, once, from (seed, scene number)."""

from __future__ import annotations

import importlib
import math
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from collision.datasets.synthetic.motion import Motion
from collision.datasets.synthetic.plan import Planned
from collision.datasets.synthetic.setting import SPEEDS, Domain, Setting
from collision.datasets.synthetic.traffic import (
    LANE,
    SHAPES,
    STOP_LINE,
    Conflict,
    Play,
    Vehicle,
)
from collision.errors import ConfigError

_Spot = tuple[float, float, float, Motion]  # x, z, heading and movement of a bystander
_FAMILIES = "collision.datasets.synthetic.families"


@dataclass(frozen=True)
class Clip:
    """One file of a scene.

    Attributes:
        stem: File name without suffix; tells the scene, not the label.
        variant: Which play it shows.
        label: 1 for a collision or near collision.
        crf: Quality factor of its encoding.
        num_frames: How many frames it has.
    """

    stem: str
    variant: str
    label: int
    crf: int
    num_frames: int


@dataclass(frozen=True)
class Scene:
    """All draws of a scene. ``paint_seed`` starts the draws of the painter, which come later."""

    number: int
    family: str
    split: str
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
        first, second = (self.conflict.plays[clip.variant] for clip in self.clips)
        return first.parts_from(second)


def load_family(name: str) -> ModuleType:
    """Import a file of ``families/`` by its name.

    Raises:
        ConfigError: There is no such file.
    """
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

    Args:
        planned: Its place in the set.
        seed: Of the set.
        domain: What it may be like.
        traffic: Whether bystanders are drawn, too: only the painter needs them.

    Raises:
        ConfigError: The family finds no plausible conflict in this domain.
    """
    rng = np.random.default_rng([seed, planned.number])
    family = load_family(planned.family)
    scene = _draw_share(rng, {key: domain.scene.get(key, 0.0) for key in family.SCENES})
    light = _draw_share(rng, domain.light)
    weather = _draw_share(rng, domain.weather)
    fps = float(_draw_share(rng, domain.fps))
    event_time = round(float(rng.uniform(*domain.event_time)), 3)
    for _ in range(1000):
        setting = Setting(
            event_time=event_time,
            ego_speed=float(rng.uniform(*SPEEDS[scene])),
            scene=scene,
            resolve_lead=domain.resolve_lead,
            evade_lead=domain.evade_lead,
        )
        conflict = family.draw(rng, setting)
        if conflict is not None and _goes_as_told(conflict, event_time):
            break
    else:
        raise ConfigError(
            f"dataset.families: {planned.family!r} finds no conflict in scene "
            f"{planned.number} within 1000 draws. Widen dataset.domain.resolve_lead or evade_lead."
        )
    return Scene(
        number=planned.number,
        family=planned.family,
        split=planned.split,
        scene=scene,
        light=light,
        weather=weather,
        fps=fps,
        event_time=event_time,
        conflict=conflict,
        bystanders=tuple(_draw_bystanders(rng, scene, conflict, event_time)) if traffic else (),
        clips=_draw_clips(rng, planned, domain, fps, event_time),
        paint_seed=int(rng.integers(2**31)),
    )


def _draw_share(rng: np.random.Generator, shares: dict) -> str:
    names = [str(name) for name in shares]
    weights = np.array([float(share) for share in shares.values()])
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
    rng: np.random.Generator, planned: Planned, domain: Domain, fps: float, event_time: float
) -> tuple[Clip, ...]:
    letters = rng.permutation(["a", "b"])
    clips = []
    for letter, variant, label in zip(letters, planned.variants, (1, 0), strict=True):
        duration = event_time + rng.uniform(*domain.tail)
        clips.append(
            Clip(
                stem=f"{planned.number:04d}_{letter}",
                variant=variant,
                label=label,
                crf=int(rng.integers(domain.crf[0], domain.crf[1] + 1)),
                num_frames=math.floor(duration * fps) + 1,
            )
        )
    return tuple(sorted(clips, key=lambda clip: clip.stem))


def _draw_bystanders(
    rng: np.random.Generator, scene: str, conflict: Conflict, event_time: float
) -> list[Vehicle]:
    """Traffic that is in nobody's way: it shares the road but not the conflict."""
    flow = _same_way if scene == "Highway" else _oncoming
    spots = [flow(rng, conflict, event_time)]
    if scene == "Urban":
        spots.append(_parked(rng, conflict))
    if conflict.junction is not None:
        spots.append(_waiting(rng, conflict, conflict.junction))
    vehicles = [
        Vehicle(
            x, z, heading, along,
            shape=SHAPES[str(rng.choice(list(SHAPES)))], colour=Setting.draw_colour(rng),
        )
        for x, z, heading, along in chain(*spots)
    ]  # fmt: skip
    times = np.arange(0.0, event_time + 2.0, 0.05)
    return [vehicle for vehicle in vehicles if not _in_the_way(vehicle, conflict, times)]


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
        if conflict.junction is not None:
            passing = (z - conflict.junction) / speed
            if conflict.alert_time - 1.0 < passing < event_time + 4.0:
                continue
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


def _in_the_way(vehicle: Vehicle, conflict: Conflict, times: NDArray[np.float64]) -> bool:
    """Whether a moving vehicle and the agent would, in any of the plays, drive through another."""
    return vehicle.along.speed > 0 and any(
        (Play(vehicle, play.agent).clearance(times) < 0).any() for play in conflict.plays.values()
    )


def play_of(scene: Scene, clip: Clip) -> Play:
    """The play that a clip shows."""
    return scene.conflict.plays[clip.variant]
