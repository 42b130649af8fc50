"""What training keeps beside the predictor: ``best.ckpt``, ``last.ckpt`` and ``finished.json``.

Lightning writes the checkpoints; they are read with ``weights_only=True``.
"""

from __future__ import annotations

import io
import json
import math
import pickle
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from collision.errors import CheckpointError, ConfigError
from collision.files import write_json, write_whole
from collision.learning.head import HeadModel
from collision.learning.schedule import Schedule
from collision.learning.scoring import MONITOR
from collision.option_groups import TrainerOptions

_DONE = "finished.json"


def finished_value(folder: Path, options: TrainerOptions) -> float | None:
    """Give the best validation mAP of a training that ended under the same options."""
    try:
        done = json.loads((folder / _DONE).read_text(encoding="utf-8"))
        under = {**asdict(TrainerOptions()), **done["trainer"]}  # it may lack what is new since
        return float(done[MONITOR]) if under == asdict(options) else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def mark_finished(folder: Path, options: TrainerOptions, value: float) -> None:
    """Note that training has ended, with the best validation mAP."""
    write_json(folder / _DONE, {MONITOR: value, "trainer": asdict(options)})


def prepare_resume(path: Path, wanted: Schedule, patience: int | None) -> tuple[Schedule, bool]:
    """Make a checkpoint fit the folder in which it lies and the options that are wanted now.

    Lightning remembers absolute paths, forgets the best score when they differ, and takes the
    patience from the checkpoint. Gives the schedule, whose intervals are those of the training so
    far, and whether it had already ended by its patience.

    Raises:
        ConfigError: More steps were trained than are wanted.
        CheckpointError: The file is damaged.
    """
    saved = load_checkpoint(path)
    trained, interval = int(saved["global_step"]), int(saved["global_step"]) // (saved["epoch"] + 1)
    if trained > wanted.total:
        raise ConfigError(
            f"trainer.max_steps={wanted.total}, but this run has already trained {trained} "
            f"steps. Give {trained} or more, or start a new run."
        )
    folder, is_over = path.parent, False
    for state in saved["callbacks"].values():
        if "patience" in state:
            limit = sys.maxsize if patience is None else max(patience, 1)
            state["patience"] = limit
            is_over = state["wait_count"] >= limit
        if "best_model_path" in state and state["dirpath"] != str(folder):
            _relocate(state, folder)
    content = io.BytesIO()
    torch.save(saved, content)
    write_whole(path, content.getvalue())
    return Schedule(wanted.batch_size, interval, math.ceil(wanted.total / interval)), is_over


def _relocate(state: dict[str, Any], folder: Path) -> None:
    """Let a ModelCheckpoint's files lie in another folder than when they were written."""
    state["dirpath"] = str(folder)
    for key in ("best_model_path", "kth_best_model_path", "last_model_path"):
        if state[key]:
            state[key] = str(folder / Path(state[key]).name)
    best = state["best_k_models"].items()
    state["best_k_models"] = {str(folder / Path(name).name): score for name, score in best}


def restore(model: HeadModel, path: Path) -> tuple[HeadModel, int]:
    """Fill a head with the weights of a checkpoint that fits; give it with its steps so far."""
    saved = load_checkpoint(path)
    prefix = "model."
    weights = saved["state_dict"].items()
    state = {k.removeprefix(prefix): value for k, value in weights if k.startswith(prefix)}
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise misfit(path, error) from None
    return model.eval(), int(saved["global_step"])


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint as plain data; CheckpointError if it is missing or damaged."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
        reason = str(error).partition("\n")[0]
        raise CheckpointError(
            f"{str(path)!r} is missing or damaged ({reason}). "
            f"Delete the folder {str(path.parent)!r} to train this seed again."
        ) from None


def misfit(path: Path, error: RuntimeError) -> CheckpointError:
    """Say that a checkpoint is of another head."""
    return CheckpointError(f"{str(path)!r} does not fit the configured head: {error}")
