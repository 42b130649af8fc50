"""How a search stands, as tables and sentences for the terminal."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from collision.report.tables import ABSENT, Grid, as_rich, number, signed
from collision.search.pareto import MAP, front, value_of
from collision.search.reading import command_of, done, failures
from collision.search.space import Space
from collision.search.trials import (
    CONFIRM,
    DESIGN,
    FAILED,
    RUNNING,
    SEARCH,
    WAITING,
    Trial,
    lost_ones,
)
from collision.search.winner import Confirmed, Luck, best_cells, confirmed, luck_of
from collision.types import Seconds

_SHOWN = 5  # of the best, and of causes of failures
_MOST_OF_FRONT = 12
_RECENT = 50  # trials whose rate counts: the first ones of a search are slow
_LONG_AGO: Seconds = 600.0  # a search in which nothing ended since stands still


@dataclass(frozen=True)
class About:
    """What is known of a search beside its trials.

    Attributes:
        base: Overrides that all trainings share.
        budget: Trials, as far as one is known.
    """

    name: str
    space: Space
    objectives: Sequence[str] = (MAP,)
    base: Sequence[str] = ()
    budget: int | None = None
    confirm: int = 0


def overview(trials: Sequence[Trial], about: About, now: float | None = None) -> RenderableType:
    """Give all of it: how far it is, the best, failures, and the front of several objectives."""
    now = time.time() if now is None else now
    parts: list[RenderableType] = [Text(line) for line in progress(trials, about, now)]
    grids = [best_grid(trials, about), confirmed_grid(trials, about)]
    if len(about.objectives) > 1:
        grids.append(front_grid(trials, about))
    grids.append(failures_grid(trials))
    parts += [as_rich(grid) for grid in grids if grid is not None]
    return Group(*parts)


def progress(trials: Sequence[Trial], about: About, now: float) -> list[str]:
    """Say how many trials are in which state, how fast it goes, and how long it will take."""
    states = Counter(str(trial.state) for trial in trials)
    asked = [trial for trial in trials if trial.stage != CONFIRM and trial.retry_of is None]
    ended = sum(trial.state not in (WAITING, RUNNING) for trial in asked)
    of_budget = f"{ended:,} of {about.budget:,}" if about.budget else f"{ended:,}"
    lost = {trial.number for trial in lost_ones(trials)}
    again = sum(trial.retry_of not in (None, *lost) for trial in trials)
    more = sum(trial.stage == CONFIRM for trial in trials)
    beside = [
        f"{states[RUNNING]} running",
        *([f"{states[WAITING]} waiting"] if states[WAITING] else []),
        f"{states[FAILED] - len(lost)} failed",
        *([f"{again} of them asked again"] if again else []),
        *([f"{len(lost)} lost with their worker, asked again"] if lost else []),
        *([f"{more} to confirm the best"] if more else []),
    ]
    ended_well = done(trials)
    experiments = len({trial.experiment for trial in ended_well})
    cells = len({tuple(trial.point.cell.values()) for trial in ended_well})
    lines = [f"{about.name}: {of_budget} trials of the search ended; {', '.join(beside)}"]
    rate = per_hour(trials, now)
    said = f"{_some(experiments, 'experiment')} in {_some(cells, 'cell')} of {about.space.name}"
    if rate is None:
        is_idle = any(trial.ended for trial in trials) or not (states[RUNNING] or states[WAITING])
        idle = "nothing is running" if trials else "nothing has begun yet"
        lines.append(f"{said}; {idle if is_idle else 'nothing has ended yet'}")
    else:
        left = ""
        if about.budget and rate and ended < about.budget:
            seconds = (about.budget - ended) / rate * 3600
            left = f", {timedelta(seconds=round(seconds))} left"
        lines.append(f"{said}; {rate:,.0f} trials an hour{left}")
    return lines


def _some(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def per_hour(trials: Sequence[Trial], now: float) -> float | None:
    """Give how many trials end an hour, of late; None where nothing ended for a while."""
    ends = sorted(trial.ended for trial in trials if trial.ended is not None)[-_RECENT:]
    is_alive = any(trial.state in (WAITING, RUNNING) for trial in trials)
    if not ends or (not is_alive and now - ends[-1] > _LONG_AGO):
        return None
    starts = [t.started for t in trials if t.ended in ends[:1] and t.started is not None]
    begun = min(starts, default=ends[0]) if len(ends) < _RECENT else ends[0]
    count = len(ends) if len(ends) < _RECENT else len(ends) - 1
    passed = max(now if is_alive else ends[-1], ends[-1]) - begun
    return count / passed * 3600 if passed > 0 else None


def best_grid(trials: Sequence[Trial], about: About) -> Grid | None:
    """The best cells, each by its best experiment, by scores which flatter the first."""
    best = best_cells(trials, _SHOWN)
    if not best:
        return None
    scores: dict[str, list[float]] = defaultdict(list)
    for trial in done(trials):
        if trial.stage == SEARCH and trial.value is not None:
            scores[trial.experiment].append(trial.value)
    rows = []
    for trial in best:
        own = scores[trial.experiment]
        mean = f"{number(float(np.mean(own)))} ({len(own)})" if len(own) > 1 else number(own[0])
        rows.append([chosen(trial), str(trial.number), mean, *_sizes(trial), trial.proposer])
    header = ["experiment", "trial", "val mAP", "parameters", "windows/s", "by"]
    return Grid("Best so far by cell, not confirmed", header, rows)


def confirmed_grid(trials: Sequence[Trial], about: About) -> Grid | None:
    """The experiments that were trained again, by fresh seeds."""
    rows = []
    for one in confirmed(trials):
        sd = number(float(np.std(one.values, ddof=1))) if len(one.values) > 1 else ABSENT
        own = [number(one.mean), sd, str(len(one.values)), number(one.searched)]
        rows.append([chosen(one.trial), str(one.trial.number), *own])
    header = ["experiment", "trial", "fresh mAP", "sd", "seeds", "in the search"]
    return Grid("Confirmed by fresh seeds", header, rows) if rows else None


def front_grid(trials: Sequence[Trial], about: About) -> Grid | None:
    """The trials that no other beats in everything that is asked for."""
    best = front(trials, about.objectives)
    rows = []
    for one in best[:_MOST_OF_FRONT]:
        values = [_shown(name, one.values[name]) for name in about.objectives]
        rows.append([chosen(one.trial), str(one.trial.number), *values])
    more = f" (the best {_MOST_OF_FRONT} of {len(best)})" if len(best) > _MOST_OF_FRONT else ""
    header = ["experiment", "trial", *(_TITLES[name] for name in about.objectives)]
    return Grid(f"Pareto front{more}", header, rows) if rows else None


def failures_grid(trials: Sequence[Trial]) -> Grid | None:
    """How many trials failed, by cause."""
    counts = list(failures(trials).items())
    rows = [[cause, str(count)] for cause, count in counts[:_SHOWN]]
    if rest := sum(count for _, count in counts[_SHOWN:]):
        rows.append([f"{len(counts) - _SHOWN} other causes", str(rest)])
    return Grid("Failures by cause", ["cause", "trials"], rows) if rows else None


def verdict(trials: Sequence[Trial], about: About) -> list[str]:
    """Say what may be called best, how much of its score was luck, and how to train it."""
    found, luck = confirmed(trials), luck_of(trials)
    if not done(trials):
        return ["No trial has a score: there is no best one."]
    if any(trial.stage == DESIGN for trial in trials):
        factors = ",".join(d.key for d in about.space.cells if len(d.choices) > 1)
        return [
            "A design calls nothing best. What mattered, and how sure that is: collision study "
            f"analyse {about.name} 'factors=[{factors}]' score=map seed=seed"
        ]
    if not found:
        (best,) = best_cells(trials, 1)
        return [
            f"Nothing is confirmed. Trial {best.number} had the highest mAP on validation in the "
            f"search, {number(best.value or 0.0)}; {_of_luck(luck)}",
            f"Train it with fresh seeds before it is called best: {command_of(best, about.base)}",
        ]
    first = found[0]
    seeds = f"{len(first.values)} fresh seeds" if len(first.values) > 1 else "one fresh seed"
    fell = first.mean - first.searched
    lines = [
        f"Best by fresh seeds: trial {first.trial.number}, mAP {number(first.mean)} on validation "
        f"over {seeds}; {number(first.searched)} in the search, {signed(fell)} now.",
        _of_luck(luck).capitalize(),
        _beside(found, luck),
        f"Train it, and score it on the test split: {command_of(first.trial, about.base)}",
    ]
    return [line for line in lines if line]


def _of_luck(luck: Luck) -> str:
    if luck.expected is None:
        return (
            "how much of that is luck is not known: no experiment was trained with two seeds "
            "(confirm=3 does that)."
        )
    return (
        f"were all {luck.count} trials equal, the best would lie about {number(luck.expected)} "
        f"above their mean by luck alone (seeds differ by an sd of {number(luck.sd or 0.0)}, "
        f"{luck.df} degrees of freedom)."
    )


def _beside(found: Sequence[Confirmed], luck: Luck) -> str:
    """Say whether the second is told apart from the first."""
    if len(found) < 2 or luck.sd is None:
        return ""
    first, second = found[:2]
    gap = first.mean - second.mean
    error = luck.sd * float(np.sqrt(1 / len(first.values) + 1 / len(second.values)))
    tells = "more" if gap > 2 * error else "no more"
    return (
        f"The next, trial {second.trial.number}, has {number(second.mean)}: {signed(-gap)}, "
        f"{tells} than twice the standard error of that difference ({number(error)})."
    )


def chosen(trial: Trial) -> str:
    """Name what a trial chose, in one line."""
    values = trial.point.values
    return ", ".join(
        name if key in trial.point.cell and not _is_number(name) else f"{_last(key)} {name}"
        for key, name in values.items()
    )


def _last(key: str) -> str:
    return key.rpartition(".")[2]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


_TITLES = {MAP: "val mAP", "parameters": "parameters", "windows_per_second": "windows/s"}


def _shown(objective: str, value: float) -> str:
    return number(value) if objective == MAP else f"{value:,.0f}"


def _sizes(trial: Trial) -> list[str]:
    values = [value_of(trial, name) for name in ("parameters", "windows_per_second")]
    return [ABSENT if value is None else f"{value:,.0f}" for value in values]
