"""Which trials no other beats in everything that is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from optuna.study import StudyDirection

from collision.search.reading import done
from collision.search.trials import Trial

MAP, PARAMETERS, RATE = "map", "parameters", "windows_per_second"
DIRECTIONS: Mapping[str, StudyDirection] = {
    MAP: StudyDirection.MAXIMIZE,
    PARAMETERS: StudyDirection.MINIMIZE,
    RATE: StudyDirection.MAXIMIZE,
}


@dataclass(frozen=True)
class Best:
    """A trial of the front with its values, by objective."""

    trial: Trial
    values: Mapping[str, float]


def value_of(trial: Trial, objective: str) -> float | None:
    """Give what a trial has of an objective; None: it is not known."""
    known = {MAP: trial.value, PARAMETERS: trial.num_parameters, RATE: trial.windows_per_second}
    value = known[objective]
    return None if value is None else float(value)


def front(trials: Sequence[Trial], objectives: Sequence[str]) -> list[Best]:
    """List the trials that no other equals or beats in all objectives, and beats in one.

    The best by the first objective comes first; of equal ones the earliest stands for all.
    """
    known = []
    for trial in done(trials):
        values = {name: value_of(trial, name) for name in objectives}
        if all(value is not None for value in values.values()):
            known.append(Best(trial, {n: v for n, v in values.items() if v is not None}))
    # Sorted by the first, a trial can only be beaten by those before it.
    known.sort(key=lambda one: [*_gains(one), -one.trial.number], reverse=True)
    found: list[Best] = []
    for one in known:
        if not any(_covers(other, one) for other in found):
            found.append(one)
    return found


def _gains(one: Best) -> list[float]:
    is_up = {name: DIRECTIONS[name] is StudyDirection.MAXIMIZE for name in one.values}
    return [value if is_up[name] else -value for name, value in one.values.items()]


def _covers(other: Best, one: Best) -> bool:
    pairs = zip(_gains(other), _gains(one), strict=True)
    return all(theirs >= own for theirs, own in pairs)
