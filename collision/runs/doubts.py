"""What a training run says against its own predictor, for whoever uses the predictor later.

A predictor is saved before it is judged, so this stands in the run's files beside it, which an
exported folder has as well: ``metrics.json`` and ``config.yaml``. They are shown, never trusted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collision.errors import CheckpointError
from collision.files import load_json
from collision.learning.predictor import Predictor
from collision.metrics.estimate import MIN_GROUPS
from collision.metrics.threshold import OperatingPoint
from collision.untrusted import read_config

# Of what is found (``collision.evaluation.guards``), what makes scores or threshold worthless.
_REPEATED = (
    *("no_better_than_chance", "worse_than_base_rate", "no_better_than_shortcut"),
    *("validation_far_above_test", "validation_saturated"),
)
NO_DISTANCE = (
    "How far videos are from those of the training is not known: the predictor learned from fewer "
    f"than {MIN_GROUPS} groups, or was made by an earlier version. Nothing warns of videos that "
    "are unlike them."
)


@dataclass(frozen=True)
class Doubts:
    """Why scores should not be believed, whatever video they are of: a sentence each.

    ``is_fallback``: no threshold did on validation what was wanted of the suggested one.
    """

    texts: tuple[str, ...] = ()
    is_fallback: bool = False

    @classmethod
    def of(cls, predictor: Predictor, path: Path) -> Doubts:
        """Read what stands in the run folder, or beside the predictor's file."""
        folder = _run_of(path)
        fallback = _fallback(predictor.threshold, _wanted(folder))
        return cls((*_found(folder), *([fallback] if fallback else ())), bool(fallback))


def _run_of(path: Path) -> Path:
    """Give the run's folder; that of a seed or a fold lies in it."""
    folder = path.resolve()
    folder = folder if folder.is_dir() else folder.parent
    while folder.name.startswith(("seed_", "fold_")) and not (folder / "metrics.json").exists():
        folder = folder.parent
    return folder


def _found(folder: Path) -> Iterator[str]:
    file = folder / "metrics.json"
    if not file.is_file():
        return
    try:
        metrics = load_json(file)
    except (OSError, ValueError):
        yield f"How good the predictor was in its own test is not known: {str(file)!r} is damaged."
        return
    listed = metrics.get("warnings") if isinstance(metrics, dict) else None
    for one in listed if isinstance(listed, list) else ():
        if isinstance(one, dict) and one.get("name") in _REPEATED:
            yield f"Of the predictor's own test: {one.get('message')}"


def _wanted(folder: Path) -> Mapping[str, Any]:
    try:
        wanted = read_config(folder).get("threshold")
    except CheckpointError:  # a predictor without its run, or what else is there
        return {}
    return wanted if isinstance(wanted, dict) else {}


def _fallback(point: OperatingPoint | None, wanted: Mapping[str, Any]) -> str:
    """Say what a threshold does that does not do what was wanted; empty where it does."""
    precision, rate = wanted.get("precision"), wanted.get("false_alarm_rate")
    if point is None:
        return ""
    if isinstance(precision, int | float):
        is_reached, what = point.precision >= precision, f"a precision of {precision:g}"
        has = f"{point.precision:.3f}"
    elif isinstance(rate, int | float):
        is_reached, what = point.false_alarm_rate <= rate, f"a false-alarm rate of {rate:g} or less"
        has = f"{point.false_alarm_rate:.3f}"
    else:
        return ""
    if is_reached:
        return ""
    return (
        f"The threshold {point.threshold:.2f} is a fallback, the one with the best F1: none has "
        f"{what} on validation, and this one has {has} there."
    )
