"""What an agent is told of a search: from the study's trials, under the names of its mask.

It sees validation alone: scores of other sets, which trials may carry, are never read here.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from optuna import Study
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from collision.errors import ConfigError
from collision.search.masking import Mask, harmless
from collision.search.proposing import PROPOSER
from collision.search.space import Range, Space

_BEST, _RECENT, _CAUSES = 15, 15, 10
_STATES = {
    TrialState.COMPLETE: "done",
    TrialState.FAIL: "failed",
    TrialState.PRUNED: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}
_VOID = "void"  # the engine's, of a trial that is none
# Of the user attributes that the engine sets, those that an agent may know.
_FACTS = ("num_parameters", "windows_per_second", "seconds")


@dataclass(frozen=True)
class Seen:
    """A trial as agents know it.

    Attributes:
        values: By dimension, under the space's own names.
        experiment: Trials of one experiment differ in their seeds alone.
        scores: Of the objectives; the first is mAP on validation. None where it has not ended well.
    """

    number: int
    state: str
    values: Mapping[str, str | float]
    experiment: str
    scores: tuple[float, ...] | None = None
    cause: str = ""
    proposer: str = ""
    facts: Mapping[str, float] = field(default_factory=dict)

    @property
    def score(self) -> float:
        """The first objective; NaN where there is none."""
        return self.scores[0] if self.scores else math.nan


class History:
    """The trials of a study, of which those that have ended are read once."""

    def __init__(self, space: Space):
        self.space = space
        self._ended: dict[int, Seen | None] = {}

    def of(self, study: Study) -> list[Seen]:
        """List the trials whose points are known, in their order."""
        found = []
        for trial in study.get_trials(deepcopy=False):
            if trial.number not in self._ended:
                seen = _seen(trial, self.space)
                if trial.state.is_finished():
                    self._ended[trial.number] = seen
            else:
                seen = self._ended[trial.number]
            found += [seen] if seen else []
        return found


def _seen(trial: FrozenTrial, space: Space) -> Seen | None:
    attrs = trial.user_attrs
    if _VOID in attrs:
        return None
    try:
        point = space.named(trial.params)
    except ConfigError:  # just asked, or begun by a process that is gone: it has no point
        return None
    state = _STATES[trial.state]
    scores = tuple(trial.values) if state == "done" and trial.values else None
    if state == "done" and not all(map(math.isfinite, scores or (math.nan,))):
        state, scores = "failed", None
    facts = {name: attrs[name] for name in _FACTS if _is_number(attrs.get(name))}
    return Seen(
        trial.number,
        state,
        dict(trial.params),
        point.key,
        scores,
        str(attrs.get("cause") or ""),
        str(attrs.get(PROPOSER) or ""),
        facts,
    )


def told(
    mask: Mask, directions: Sequence[StudyDirection], trials: Sequence[Seen]
) -> dict[str, Any]:
    """Tell of the trials: counts, the leaderboard, choices, recent trials, failures."""
    higher = directions[0] == StudyDirection.MAXIMIZE
    names = ["score", *(f"objective {number}" for number in range(2, len(directions) + 1))]
    return {
        "objectives": {
            name: "higher is better" if way == StudyDirection.MAXIMIZE else "lower is better"
            for name, way in zip(names, directions, strict=True)
        },
        "trials": dict(Counter(trial.state for trial in trials)),
        "leaderboard": leaderboard(mask, trials, higher),
        "recent": [_brief(mask, trial) for trial in trials[-_RECENT:]],
        "failures": failures(mask, trials),
        "choices": _tallies(mask, trials, higher),
    }


def leaderboard(mask: Mask, trials: Iterable[Seen], higher: bool) -> list[dict[str, Any]]:
    """List the best experiments by their mean over seeds, with its spread."""
    experiments = defaultdict(list)
    for trial in trials:
        if trial.state == "done":
            experiments[trial.experiment].append(trial)
    sign = -1 if higher else 1
    ordered = sorted(
        experiments.values(), key=lambda own: sign * statistics.fmean(t.score for t in own)
    )
    return [
        {
            "point": shown(mask, own[0].values),
            "mean": _short(statistics.fmean(trial.score for trial in own)),
            "n": len(own),
            "sd": _short(statistics.stdev(t.score for t in own)) if len(own) > 1 else None,
            "trials": [trial.number for trial in own],
            **_medians(own),
        }
        for own in ordered[:_BEST]
    ]


def failures(mask: Mask, trials: Iterable[Seen]) -> list[dict[str, Any]]:
    """List causes of failures, the most frequent first, each with the last points that met it."""
    causes = defaultdict(list)
    for trial in trials:
        if trial.state == "failed":
            causes[_cause(trial)].append(trial)
    known = named_causes(mask, causes)
    ordered = sorted(causes, key=lambda cause: -len(causes[cause]))
    return [
        {
            "cause": known[cause],
            "count": len(causes[cause]),
            "trials": [trial.number for trial in causes[cause][-5:]],
            "points": [shown(mask, trial.values) for trial in causes[cause][-2:]],
        }
        for cause in ordered[:_CAUSES]
    ]


def causes_of(trials: Iterable[Seen]) -> list[str]:
    """List the causes of failures, as they may be told, in the order in which they were met."""
    return list(dict.fromkeys(_cause(trial) for trial in trials if trial.state == "failed"))


def named_causes(mask: Mask, causes: Iterable[str]) -> dict[str, str]:
    """Give each cause its name: a number where names are hidden, since its words name parts."""
    return {
        cause: f"cause {number}" if mask.everything else cause
        for number, cause in enumerate(causes, 1)
    }


def _cause(trial: Seen) -> str:
    return harmless(trial.cause) or "unknown"


def _tallies(mask: Mask, trials: Sequence[Seen], higher: bool) -> dict[str, Any]:
    """Count, for each choice, what it came to."""
    found: dict[str, Any] = {}
    best = max if higher else min
    for dimension in mask.space.dimensions:
        if isinstance(dimension, Range):
            continue
        own = found[mask.key(dimension.key)] = {}
        for choice in dimension.choices:
            here = [t for t in trials if t.values.get(dimension.key) == choice.name]
            scores = [trial.score for trial in here if trial.state == "done"]
            tally: dict[str, Any] = {"done": len(scores)}
            if scores:
                tally |= {"mean": _short(statistics.fmean(scores)), "best": _short(best(scores))}
            if failed := sum(trial.state == "failed" for trial in here):
                tally["failed"] = failed
            own[mask.choice(dimension.key, choice.name)] = {**tally, **_medians(here)}
    return found


def tpe_state(
    mask: Mask,
    directions: Sequence[StudyDirection],
    trials: Sequence[Seen],
    suggestion: Mapping[str, str | float],
) -> dict[str, Any]:
    """Tell which values TPE thinks good, and what it would try now.

    It calls the best tenth of the trials good, by the first objective (at most 25), and prefers
    values that are more frequent there than elsewhere.
    """
    done = [trial for trial in trials if trial.state == "done"]
    higher = directions[0] == StudyDirection.MAXIMIZE
    done.sort(key=lambda trial: -trial.score if higher else trial.score)
    count = min(math.ceil(0.1 * len(done)), 25)
    good, rest = done[:count], done[count:]
    state: dict[str, Any] = {"good_trials": len(good), "other_trials": len(rest)}
    if good:
        state["worst_good_score"] = _short(good[-1].score)
    values: dict[str, Any] = {}
    for dimension in mask.space.dimensions if good else ():
        inside, outside = (
            [trial.values[dimension.key] for trial in group if dimension.key in trial.values]
            for group in (good, rest)
        )
        if isinstance(dimension, Range):
            own: dict[str, Any] = {"good": _quartiles(inside), "others": _quartiles(outside)}
        else:
            own = {
                mask.choice(dimension.key, choice.name): {
                    "share_of_good": _share(inside, choice.name),
                    "share_of_others": _share(outside, choice.name),
                }
                for choice in dimension.choices
            }
        values[mask.key(dimension.key)] = own
    return {**state, "values": values, "next": shown(mask, suggestion)}


def outcome(trial: Seen, causes: Mapping[str, str]) -> dict[str, Any]:
    """Say what came of a trial; ``causes`` by ``named_causes``."""
    if trial.scores:
        return {"state": "done", "score": _short(trial.score)}
    if trial.state == "failed":
        return {"state": "failed", "cause": causes[_cause(trial)]}
    return {"state": trial.state}


def shown(mask: Mask, values: Mapping[str, str | float]) -> dict[str, Any]:
    """Give a point as an agent reads and writes it."""
    return {
        key: value if isinstance(value, str) else float(f"{value:.6g}")
        for key, value in mask.hide(values).items()
    }


def _brief(mask: Mask, trial: Seen) -> dict[str, Any]:
    about: dict[str, Any] = {"trial": trial.number, "state": trial.state}
    if trial.proposer:
        about["proposer"] = harmless(trial.proposer)
    if trial.scores:
        about["scores"] = [_short(score) for score in trial.scores]
    return {**about, "point": shown(mask, trial.values)}


def _medians(trials: Iterable[Seen]) -> dict[str, float]:
    found = defaultdict(list)
    for trial in trials:
        for name, value in trial.facts.items():
            found[name].append(value)
    return {name: _short(statistics.median(values)) for name, values in found.items()}


def _quartiles(values: Sequence[Any]) -> list[float]:
    """Give quarter, half, three quarters; of few values what there is."""
    numbers = sorted(map(float, values))
    if len(numbers) < 2:
        return [_short(number) for number in numbers]
    return [_short(cut) for cut in statistics.quantiles(numbers, n=4, method="inclusive")]


def _share(values: Sequence[Any], name: str) -> float:
    return round(sum(value == name for value in values) / max(1, len(values)), 3)


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
