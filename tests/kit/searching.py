"""A small search for the tests of policies that propose: a space, a study, a trial of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from collision.config import part
from collision.search.proposing import Quest, distributions, suggested
from collision.search.space import Space

SPACE = """# A small space.
cells:
  head: [gru, lstm, tcn]
  loss: [bce, focal]
  trainer.batch_size: [16, 32]
within:
  optimizer.lr: {low: 1.0e-4, high: 1.0e-2, log: true}
  loss.gamma: {low: 0.5, high: 5, when: {loss: focal}}
"""
POINT = {
    "head": "gru",
    "loss": "focal",
    "trainer.batch_size": "16",
    "optimizer.lr": 0.001,
    "loss.gamma": 2.0,
}
PLAIN = {**POINT, "head": "tcn", "loss": "bce", "loss.gamma": None}


def small_space(folder: Path, text: str = SPACE) -> Space:
    (folder / "small.yaml").write_text(text)
    return Space.load(str(folder / "small.yaml"))


def small_study(**more: Any) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(direction="maximize", **more)


def quest_of(space: Space, folder: Path, **more: Any) -> Quest:
    given = {"seed": 0, "worker": 0, "folder": folder, **more}
    return Quest(space=space, directions=[StudyDirection.MAXIMIZE], **given)


def sampler_of(server: Any, quest: Quest, **options: Any) -> optuna.samplers.BaseSampler:
    given = {
        "model": "scripted",
        "base_url": server.url if server else "http://127.0.0.1:9/v1",
        "mix": 0.0,
        "retries": 0,
        "timeout": 60.0,
        "proposals": 1,
        **options,
    }
    return part("policy", "llm", **given).build().sampler(quest)


def proposed(study: optuna.Study, space: Space, score: float | None = 0.5, **noted: Any) -> Any:
    """Ask for a trial as the engine does, and let it end; None: it still runs."""
    trial = study.ask()
    point = suggested(space, trial)
    for name, value in noted.items():
        trial.set_user_attr(name, value)
    if score is not None:
        study.tell(trial, score)
    return trial, point


def add(
    study: optuna.Study,
    space: Space,
    values: Mapping[str, Any],
    score: float | None,
    **noted: Any,
) -> FrozenTrial:
    """Put an ended trial into a study; without a score it failed."""
    known = {key: value for key, value in values.items() if value is not None}
    kinds = distributions(space)
    study.add_trial(
        create_trial(
            state=TrialState.COMPLETE if score is not None else TrialState.FAIL,
            value=score,
            params=known,
            distributions={key: kinds[key] for key in known},
            user_attrs=noted,
        )
    )
    return study.get_trials(deepcopy=False)[-1]
