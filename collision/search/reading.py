"""An Optuna study read as trials: for policies, status, page and analysis."""

from __future__ import annotations

import csv
import io
import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from collision.search.proposing import PARENTS, PROPOSER
from collision.search.space import Space
from collision.search.trials import DONE, FAILED, SEARCH, Trial, lost_ones

# User attributes of a trial that the engine sets.
# The experiment's name is kept as "cell", as it was called once: older studies are read, too.
EXPERIMENT, SEED, STAGE, CHANGES = "cell", "seed", "stage", "changes"
OWNER, SEEN, CAUSE, RETRY_OF = "owner", "seen", "cause", "retry_of"
PARAMETERS, RATE, SCORES = "num_parameters", "windows_per_second", "scores"
SECONDS, OVERHEAD = "seconds", "overhead"
# Of a failure: "refused" would fail again; "error" may not; of "gone" nobody knows whether the
# trial was to blame; of "stopped" it is known that it was not.
KIND = "kind"
REFUSED, ERROR, GONE, STOPPED = "refused", "error", "gone", "stopped"
# A trial that is none: asked beyond the budget, or a second one of what is wanted once.
VOID = "void"

State = Literal["waiting", "running", "done", "failed"]
_STATES: dict[TrialState, State] = {
    TrialState.WAITING: "waiting",
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "done",
    TrialState.PRUNED: "failed",
    TrialState.FAIL: "failed",
}


class Reading:
    """Reads a study again and again; what is finished is read once."""

    def __init__(self, study: Study, space: Space):
        self.study, self.space = study, space
        self._known: dict[int, Trial | None] = {}

    def frozen(self) -> list[FrozenTrial]:
        """Give all trials as Optuna has them, by number; not to be changed."""
        return self.study.get_trials(deepcopy=False)

    def trials(self, frozen: Sequence[FrozenTrial] | None = None) -> list[Trial]:
        """Give the trials whose point is known, by number."""
        found = []
        for one in self.frozen() if frozen is None else frozen:
            if one.number not in self._known:
                trial = trial_of(self.space, one)
                if one.state.is_finished():
                    self._known[one.number] = trial
            else:
                trial = self._known[one.number]
            found += [] if trial is None else [trial]
        return found


def trials_of(study: Study, space: Space) -> list[Trial]:
    """Read the trials of a study whose point is known, by number."""
    return Reading(study, space).trials()


def trial_of(space: Space, frozen: FrozenTrial) -> Trial | None:
    """Read a trial; None where its point was never settled, or it does not count.

    ConfigError: Its point is none of the space.
    """
    noted = frozen.user_attrs
    if VOID in noted or EXPERIMENT not in noted:
        return None
    values = frozen.values or [None]
    return Trial(
        number=frozen.number,
        state=_STATES[frozen.state],
        stage=noted.get(STAGE, SEARCH),
        point=space.named(frozen.params),
        seed=int(noted[SEED]),
        value=values[0] if frozen.state is TrialState.COMPLETE else None,
        scores=dict(noted.get(SCORES, {})),
        num_parameters=noted.get(PARAMETERS),
        windows_per_second=noted.get(RATE),
        seconds=noted.get(SECONDS),
        overhead=noted.get(OVERHEAD),
        started=_unix(frozen.datetime_start),
        ended=_unix(frozen.datetime_complete),
        owner=noted.get(OWNER, ""),
        cause=noted.get(CAUSE, "") if frozen.state is TrialState.FAIL else "",
        lost=frozen.state is TrialState.FAIL and noted.get(KIND, GONE) in (GONE, STOPPED),
        proposer=noted.get(PROPOSER, ""),
        parents=tuple(noted.get(PARENTS, ())),
        retry_of=noted.get(RETRY_OF),
    )


def _unix(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def command_of(trial: Trial, base: Sequence[str]) -> str:
    """Give the command that trains it, after the overrides that all trials share."""
    given = [*base, *trial.point.overrides, f"seed={trial.seed}"]
    return f"python train.py {shlex.join(given)}"


def as_csv(trials: Sequence[Trial], space: Space, base: Sequence[str]) -> str:
    """Write a line of names and a line a trial; what is not known is empty.

    Dimensions stand under their own names; a name of ours that one of them has gets a ``_`` before.
    """
    keys = [dimension.key for dimension in space.dimensions]
    scores = sorted({name for trial in trials for name in trial.scores})
    rows = [_row(trial, base, scores) for trial in trials]
    names = list(rows[0]) if rows else list(_row(None, base, scores))
    of_ours = {name: f"_{name}" if name in keys else name for name in names}
    text = io.StringIO(newline="")
    writer = csv.DictWriter(
        text, [of_ours[n] for n in names[:5]] + keys + [of_ours[n] for n in names[5:]]
    )
    writer.writeheader()
    for trial, row in zip(trials, rows, strict=True):
        own = {of_ours[name]: value for name, value in row.items()}
        writer.writerow({**own, **{key: trial.point.values.get(key, "") for key in keys}})
    return text.getvalue()


def _row(trial: Trial | None, base: Sequence[str], scores: Sequence[str]) -> Mapping[str, Any]:
    names = ("number", "state", "stage", "experiment", "seed")
    further = ("seconds", "overhead", "proposer", "parents", "cause", "retry_of")
    row: dict[str, Any] = {name: getattr(trial, name, "") for name in names}
    row["map"] = "" if trial is None or trial.value is None else trial.value
    row |= {name: _known(trial, name) for name in (PARAMETERS, RATE)}
    row |= {name: trial.scores.get(name, "") if trial else "" for name in scores}
    row |= {name: _known(trial, name) for name in further}
    row["parents"] = " ".join(map(str, trial.parents)) if trial else ""
    row["command"] = command_of(trial, base) if trial else ""
    return row


def _known(trial: Trial | None, name: str) -> Any:
    value = getattr(trial, name, None)
    return "" if value is None else value


def done(trials: Sequence[Trial]) -> list[Trial]:
    """Give those with a value."""
    return [trial for trial in trials if trial.state == DONE and trial.value is not None]


def failures(trials: Sequence[Trial]) -> dict[str, int]:
    """Count the failed ones by their cause, the most frequent first; without ``lost_ones``."""
    counts: dict[str, int] = {}
    lost = {trial.number for trial in lost_ones(trials)}
    for trial in trials:
        if trial.state == FAILED and trial.number not in lost:
            counts[trial.cause] = counts.get(trial.cause, 0) + 1
    return dict(sorted(counts.items(), key=lambda pair: -pair[1]))
