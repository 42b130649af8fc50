"""Going on with a run: its own options, what may be changed, and what it has learned from."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args, get_type_hints

from collision.checks import UserPath, call_typed, typed
from collision.config import Part, part, with_changes
from collision.errors import ConfigError
from collision.option_groups import OF_THE_SCHEDULER
from collision.options import TrainOptions
from collision.untrusted import read_config, saved_part

# What a run has learned from and how: changed half-way, its folder would tell of another training.
_KEPT = (
    *("sampling", "head", "pooling", "fusion", "loss", "optimizer", "scheduler"),
    "init_from",
    *("feature_dropout", "feature_noise", "components", "change", "prior", "mixup"),
    *("val_fraction", "limit", "folds", "seed"),
)
_NEW = ("resume", "trust")  # are said anew each time


def resumed(changes: Mapping[str, Any]) -> TrainOptions:
    """Take a run's options, with changes by dotted names; ``resume`` is its folder.

    Raises:
        ConfigError: The command line swaps a part or changes what is learned from or how, which
            would be another run.
        CheckpointError: The folder is not a run, or names parts from elsewhere.
    """
    run: Path = typed(UserPath, changes["resume"], where="resume")
    trust = typed(tuple[str, ...], changes.get("trust") or [], where="trust")
    saved, where = read_config(run), repr(str(run / "config.yaml"))
    saved = _with_scheduler(saved)
    names = saved.get("parts") or {}
    hints = get_type_hints(TrainOptions)
    groups = [name for name, hint in hints.items() if Part in (hint, *get_args(hint))]
    for name, value in changes.items():
        if name in {*groups, *names, "experiment"} and value != names.get(name):
            raise ConfigError(
                f"A resumed run keeps its parts, but {name}={value} swaps one. "
                "Leave it out, or start a new run without resume."
            )
    if "max_epochs" in (saved.get("trainer") or {}):
        raise ConfigError(
            f"{str(run)!r} was begun by a version that counted training in epochs: it can be "
            "evaluated, not continued. Start a new run."
        )
    parts = {
        name: saved_part(saved[name], name, where, trust) for name in groups if saved.get(name)
    }
    plain_ones = hints.keys() - {*groups, *_NEW, "parts"}
    plain = {name: saved[name] for name in hints if name in saved and name in plain_ones}
    own = {name: value for name, value in changes.items() if name not in {*names, *_NEW}}
    before = call_typed(TrainOptions, plain, {**parts, "parts": names}, "")
    given: dict[str, Any] = {"parts": names, "resume": run, "trust": trust}
    for group, one in parts.items():
        start = f"{group}."
        below = {n.removeprefix(start): v for n, v in own.items() if n.startswith(start)}
        given[group] = one.changed(below)
    others = {name: v for name, v in own.items() if name.partition(".")[0] not in parts}
    after = call_typed(TrainOptions, with_changes(plain, others), given, "")
    for name in own:
        kept = name.partition(".")[0]
        if kept in _KEPT and getattr(before, kept) != getattr(after, kept):
            raise ConfigError(
                f"A resumed run keeps what it learns from and how, but {name}={own[name]} changes "
                f"{kept!r}. Leave it out, or start a new run without resume."
            )
    return after


def _with_scheduler(saved: dict[str, Any]) -> dict[str, Any]:
    """Part an earlier version's optimizer from its schedule, which was always the cosine."""
    optimizer = saved.get("optimizer")
    if saved.get("scheduler") or not isinstance(optimizer, dict):
        return saved
    nested = optimizer.get("options")  # else they stand beside ``_target_``
    options = nested if isinstance(nested, dict) else optimizer
    left = {name: value for name, value in options.items() if name not in OF_THE_SCHEDULER}
    taken = {name: options[name] for name in OF_THE_SCHEDULER if name in options}
    return {
        **saved,
        "optimizer": {**optimizer, "options": left} if isinstance(nested, dict) else left,
        "scheduler": part("scheduler", "cosine", **taken).as_saved(),
        "parts": {**(saved.get("parts") or {}), "scheduler": "cosine"},
    }


def check_learned_from(
    run_folder: Path, learned_from: Mapping[str, str], earlier_digest: Callable[[], str]
) -> None:
    """Refuse to go on with other videos or features than those that a run began with.

    Its heads have learned from those: of another split, they may know what tests them. Where the
    ``data_digest`` differs, ``earlier_digest`` gives it as earlier versions took it.

    Raises:
        ConfigError: a digest or fingerprint in ``learned_from`` differs from the run's.
    """
    try:
        made = json.loads((run_folder / "provenance.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        made = {}
    began_with = made.get("learned_from", {})  # runs of earlier versions do not say
    for name, found in learned_from.items():
        before = began_with.get(name, found)
        if found != before and not (name == "data_digest" and earlier_digest() == before):
            raise ConfigError(
                f"{str(run_folder)!r} cannot be resumed: its {name} was {before} when it began, "
                f"and is {found} now. A resumed run keeps its videos, their times and splits, and "
                "its features. Put back what has changed, or start a new run without resume."
            )
