"""A trained head in one file: weights and everything needed to use them again.

``predictor.safetensors`` holds the head's state dict; its header holds JSON: the configuration of
backbone, head, pooling and sampling, the backbone's spec and fingerprint, the suggested threshold,
and where the weights come from. Nothing in it is code.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from collision.config import build, check_targets
from collision.errors import CheckpointError
from collision.learning.datamodule import FeatureDataset
from collision.learning.head import HeadModel, build_model
from collision.learning.task import probabilities
from collision.metrics.calibration import calibrated
from collision.sampling.policy import SamplingPolicy

FILE_NAME = "predictor.safetensors"
_FORMAT = 2


@dataclass
class Predictor:
    """A head and how its input is made.

    Attributes:
        model: The trained head, in eval mode.
        config: Plain ``backbone``, ``head``, ``pooling``, ``sampling`` and ``feature_dropout``.
        spec: The backbone's spec as plain data.
        fingerprint: The fields of the features' fingerprint.
        threshold: Suggested from validation, with what it costs there; None without validation.
        temperature: Fitted on validation: probabilities are ``sigmoid(logit / temperature)``.
        origin: Data set, data digest, seed, epoch, what it was selected on.
    """

    model: HeadModel
    config: Mapping[str, Any]
    spec: Mapping[str, Any]
    fingerprint: Mapping[str, Any]
    threshold: Mapping[str, Any] | None = None
    temperature: float = 1.0
    origin: Mapping[str, Any] = field(default_factory=dict)

    @property
    def policy(self) -> SamplingPolicy:
        """The sampling that the head was trained with."""
        return build(self.config["sampling"])

    def probabilities(self, data: FeatureDataset, device: torch.device) -> np.ndarray:
        """Give the calibrated probability of every example, ``[E]``: the mean over its views."""
        return calibrated(probabilities(self.model, data, device).numpy(), self.temperature)

    def save(self, path: Path) -> None:
        """Write whole or not at all."""
        header = {
            "format": _FORMAT,
            "config": self.config,
            "spec": self.spec,
            "fingerprint": self.fingerprint,
            "threshold": self.threshold,
            "temperature": self.temperature,
            "origin": self.origin,
        }
        tensors = {
            name: tensor.detach().cpu().contiguous()
            for name, tensor in self.model.state_dict().items()
        }
        temporary = path.with_name(f".{path.name}.partial")
        save_file(tensors, temporary, metadata={"collision": json.dumps(header)})
        temporary.replace(path)


def load_predictor(path: Path) -> Predictor:
    """Read a predictor; nothing in the file is trusted.

    Raises:
        CheckpointError: Missing, damaged, of another kind, or naming code from elsewhere.
    """
    if not path.is_file():
        raise CheckpointError(f"No checkpoint at {str(path)!r}. `train` writes {FILE_NAME}.")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("collision", "null"))
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise CheckpointError(
            f"{str(path)!r} is damaged or not a predictor ({error}). Train again, or copy it again."
        ) from None
    if not isinstance(header, dict) or header.get("format") != _FORMAT:
        raise CheckpointError(
            f"{str(path)!r} is a safetensors file, but not a predictor of this version."
        )
    absent = _absent_entries(header)
    if absent:
        raise CheckpointError(
            f"{str(path)!r} lacks {', '.join(absent)} in its header. Train again, or copy it again."
        )
    config = header["config"]
    check_targets(config, f"{str(path)!r}")
    model = build_model(
        config["head"],
        config["pooling"],
        int(header["spec"]["feature_dim"]),
        float(config["feature_dropout"]),
        trusted=False,
    )
    try:
        model.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise CheckpointError(f"{str(path)!r} does not fit its own head: {error}") from None
    return Predictor(
        model=model.eval(),
        config=config,
        spec=header["spec"],
        fingerprint=header["fingerprint"],
        threshold=header["threshold"],
        temperature=_temperature(path, header["temperature"]),
        origin=header["origin"],
    )


def _temperature(path: Path, value: Any) -> float:
    if not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise CheckpointError(f"{str(path)!r} has the temperature {value!r}, not a number above 0.")
    return float(value)


def _absent_entries(header: Mapping[str, Any]) -> list[str]:
    """Name what the header should hold and does not."""
    wanted: dict[str, tuple[str, ...]] = {
        "config": ("backbone", "head", "pooling", "sampling", "feature_dropout"),
        "spec": ("feature_dim",),
        "fingerprint": (),
    }
    absent = [name for name in ("threshold", "temperature", "origin") if name not in header]
    for part, entries in wanted.items():
        if not isinstance(header.get(part), Mapping):
            absent.append(part)
        else:
            absent += [f"{part}.{entry}" for entry in entries if entry not in header[part]]
    return absent


def find_predictors(path: Path) -> list[Path]:
    """Find the predictor files of a run folder (one a seed), or take a file as it is.

    Raises:
        CheckpointError: There is none.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise CheckpointError(
            f"No trained predictor in {str(path)!r}: there is no such folder. "
            "Give a run folder, as `train` names it at its end."
        )
    seeds = [p for p in path.glob(f"seed_*/{FILE_NAME}") if _seed_of(p).isdecimal()]
    found = sorted(seeds, key=lambda p: int(_seed_of(p))) or sorted(path.glob(FILE_NAME))
    folds = sorted(path.glob(f"fold_*/seed_*/{FILE_NAME}"))
    if not found and folds:
        raise CheckpointError(
            f"{str(path)!r} is a cross-validation: it has a predictor for each fold. Give one of "
            f"them, such as {folds[0]}."
        )
    if not found:
        there = ", ".join(sorted(p.name for p in path.iterdir())[:8])
        raise CheckpointError(
            f"No trained predictor in {str(path)!r} (found: {there or 'nothing'}). "
            "Give a run folder whose training ended, or continue it with "
            f"`python train.py resume={path}`."
        )
    return found


def _seed_of(path: Path) -> str:
    return path.parent.name.removeprefix("seed_")
