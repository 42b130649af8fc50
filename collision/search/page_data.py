"""All trials as the script of the page reads them: by column, each text and option once."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from collision.search.heat import choosable
from collision.search.outcomes import Outcome, score_of
from collision.search.pictures import place_of
from collision.search.space import Range, Space
from collision.search.trials import Trial


def page_data(space: Space, outcome: Outcome, start: str) -> dict[str, Any]:
    """Give it as JSON can hold it; ``start`` is what each trial's command begins with."""
    trials = outcome.trials
    tokens: dict[str, int] = {}
    commands = []
    for trial in trials:
        words = map(shlex.quote, (*trial.point.overrides, f"seed={trial.seed}"))
        commands.append([tokens.setdefault(word, len(tokens)) for word in words])
    hours = [_rounded(place_of(outcome, trial, "hours"), 5) for trial in trials]
    return {
        "columns": columns(space, trials),
        "start": start,
        "tokens": list(tokens),
        "commands": commands,
        "hours": hours,
        "owner": _coded(trial.owner for trial in trials),
        "parents": [list(trial.parents) for trial in trials],
        "retry_of": [trial.retry_of for trial in trials],
        "dimensions": [
            {"key": one.key, "choices": [choice.name for choice in one.choices]}
            for one in choosable(space)
        ],
    }


def columns(space: Space, trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """Give the columns of the table; those that no trial fills are left out."""

    def numbers(key: str, title: str, form: str, value: Callable[[Trial], Any]) -> dict[str, Any]:
        values = [_finite(value(trial)) for trial in trials]
        return {"key": key, "title": title, "kind": "number", "form": form, "values": values}

    def texts(key: str, title: str, value: Callable[[Trial], str]) -> dict[str, Any]:
        return {"key": key, "title": title, "kind": "text", **_coded(map(value, trials))}

    found = [
        numbers("number", "trial", "plain", lambda trial: trial.number),
        texts("state", "state", lambda trial: trial.state),
        texts("stage", "stage", lambda trial: trial.stage),
        numbers("map", "mAP", "score", score_of),
        numbers("seconds", "seconds", "seconds", lambda t: _rounded(t.seconds, 3)),
        numbers("parameters", "parameters", "count", lambda trial: trial.num_parameters),
        numbers("windows", "windows/s", "count", lambda t: _rounded(t.windows_per_second, 0)),
    ]
    for name in dict.fromkeys(name for trial in trials for name in trial.scores):
        found.append(numbers(f"score {name}", name, "score", partial(_further, name)))
    for one in space.dimensions:
        key, chosen = f"choice {one.key}", partial(_chosen, one.key)
        if isinstance(one, Range):
            found.append(numbers(key, one.key, "plain", chosen))
        else:
            found.append(texts(key, one.key, chosen))
    found += [
        numbers("seed", "seed", "plain", lambda trial: trial.seed),
        texts("proposer", "proposer", lambda trial: trial.proposer),
        texts("cause", "cause", lambda trial: trial.cause) | {"wide": True},
    ]
    return [one for one in found if any(v is not None for v in _held(one))]


def _held(column: Mapping[str, Any]) -> Sequence[Any]:
    return column["values"] if column["kind"] == "number" else column["names"]


def _further(name: str, trial: Trial) -> float | None:
    return trial.scores.get(name)


def _chosen(key: str, trial: Trial) -> str:
    return trial.point.values.get(key, "")


def _coded(texts: Iterable[str]) -> dict[str, Any]:
    """Each text once, and for each trial which it is; the empty text is none."""
    names: dict[str, int] = {}
    codes = [names.setdefault(text, len(names)) if text else None for text in texts]
    return {"names": list(names), "codes": codes}


def _finite(value: Any) -> float | int | None:
    if value is None or value == "":
        return None
    number = value if isinstance(value, int) else float(value)
    return number if math.isfinite(number) else None


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
