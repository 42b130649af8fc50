"""A trained head in one file: weights and everything needed to use them again.

``predictor.safetensors`` holds the head's state dict; its header holds JSON: backbone, head and
pooling by name with their options, the sampling, the fingerprint of the features, the suggested
threshold, and where the weights come from. Nothing in it is code.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from collision.checks import STRICT, call_typed, typed
from collision.config import Part
from collision.errors import CheckpointError
from collision.features.fingerprint import Fingerprint
from collision.files import write_whole
from collision.learning.datamodule import FeatureDataset
from collision.learning.head import HeadModel, build_model
from collision.learning.task import MONITOR, probabilities
from collision.metrics.calibration import Temperature, calibrated
from collision.metrics.threshold import OperatingPoint
from collision.sampling.policy import SamplingPolicy
from collision.types import BackboneSpec
from collision.untrusted import check_format, json_data, read_config, reading, saved_part, values_in

FILE_NAME = "predictor.safetensors"
FORMAT = 3
PARTS = ("backbone", "head", "pooling")


@dataclass(frozen=True)
class LearnedFrom:
    """The videos behind a head: those it was trained on, and those its epoch was chosen on.

    Attributes:
        groups: Names of source events or drives by split, ``train`` and ``val``; they mean
            something within one data set only.
        digests: Of the videos' content, by split.
    """

    __pydantic_config__ = STRICT

    groups: Mapping[str, tuple[str, ...]]
    digests: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, data: Mapping[str, FeatureDataset], digest_of: Mapping[str, str]) -> LearnedFrom:
        """Take the videos of ``train`` and ``val``; ``digest_of`` gives digests by video id."""
        videos = {split: data[split].records for split in ("train", "val")}
        return cls(
            {s: _ordered(_writable(r.group) for r in rows) for s, rows in videos.items()},
            {
                s: _ordered(digest_of[r.id] for r in rows if r.id in digest_of)
                for s, rows in videos.items()
            },
        )

    def joined(self, earlier: LearnedFrom | None, *, same_dataset: bool) -> LearnedFrom:
        """Add what the head that training started from had learned from."""
        if earlier is None:
            return self
        before = earlier if same_dataset else replace(earlier, groups={})
        return LearnedFrom(
            *(
                {s: _ordered((*own[s], *others.get(s, ()))) for s in own}
                for own, others in ((self.groups, before.groups), (self.digests, before.digests))
            )
        )


@dataclass(frozen=True)
class Origin:
    """Where a head's weights come from.

    Attributes:
        dataset: Name of the data set.
        data_digest: Of its videos, labels, times and splits.
        seed: Of initial weights and the order of batches.
        epoch: Whose weights these are, counted from 0.
        selected_on: The value by which the epoch was chosen.
        parts: Names of the parts, by group.
        value: Of ``selected_on``.
        temperature: What the temperature does on validation.
        learned_from: The videos; None in predictors of earlier versions.
    """

    __pydantic_config__ = STRICT

    dataset: str = ""
    data_digest: str = ""
    seed: int = 0
    epoch: int = 0
    selected_on: str = ""
    parts: Mapping[str, str | None] = field(default_factory=dict)
    value: float | None = None
    temperature: Temperature | None = None
    learned_from: LearnedFrom | None = None


@dataclass(frozen=True)
class _Header:
    """What a file of this format says of itself."""

    __pydantic_config__ = STRICT

    format: int
    parts: dict[str, Any]
    sampling: dict[str, Any]
    feature_dropout: float
    fingerprint: dict[str, Any]
    threshold: OperatingPoint | None
    temperature: Annotated[float, Field(gt=0)]
    origin: Origin


@dataclass
class Predictor:
    """A head and how its input is made.

    Attributes:
        model: The trained head, in eval mode.
        parts: ``backbone``, ``head`` and ``pooling``.
        policy: The sampling that the head was trained with.
        feature_dropout: As in training.
        fingerprint: Of the features.
        threshold: Suggested from validation, with what it costs there; None without validation.
        temperature: Fitted on validation: probabilities are ``sigmoid(logit / temperature)``.
        origin: Where the weights come from.
    """

    model: HeadModel
    parts: Mapping[str, Part]
    policy: SamplingPolicy
    feature_dropout: float
    fingerprint: Fingerprint
    threshold: OperatingPoint | None = None
    temperature: float = 1.0
    origin: Origin = Origin()

    @property
    def spec(self) -> BackboneSpec:
        """Of the backbone behind the features."""
        return self.fingerprint.spec

    @property
    def knows_its_videos(self) -> bool:
        """Whether the file says which videos the head has learned from; earlier versions' don't."""
        return self.origin.learned_from is not None

    def seen(self, groups: Iterable[str], digests: Iterable[str]) -> dict[str, int]:
        """Count the videos that the head has learned from or was selected on.

        Args:
            groups: Of videos of the same data set, one a video; leave it empty for another data
                set, where equal names mean nothing.
            digests: Of the same videos, in the same order.

        Returns:
            By split, ``train`` and ``val``, where there are any. A video counts where its group or
            its content is known. Empty if the file does not say; see ``knows_its_videos``.
        """
        known = self.origin.learned_from
        if known is None:
            return {}
        videos = list(zip_longest((_writable(group) for group in groups), digests))
        counts = {}
        for split in known.groups:
            own, contents = set(known.groups[split]), set(known.digests.get(split, ()))
            counts[split] = sum(group in own or digest in contents for group, digest in videos)
        return {split: count for split, count in counts.items() if count}

    def probabilities(self, data: FeatureDataset, device: torch.device) -> np.ndarray:
        """Give the calibrated probability of every example, ``[E]``: the mean over its views."""
        return calibrated(probabilities(self.model, data, device).numpy(), self.temperature)

    def save(self, path: Path) -> None:
        """Write whole or not at all."""
        header = _Header(
            FORMAT,
            {group: self.parts[group].as_saved() for group in PARTS},
            asdict(self.policy),
            self.feature_dropout,
            dict(self.fingerprint.fields),
            self.threshold,
            self.temperature,
            self.origin,
        )
        tensors = {
            name: tensor.detach().cpu().contiguous()
            for name, tensor in self.model.state_dict().items()
        }
        text = json.dumps(asdict(header), allow_nan=False)
        write_whole(path, save(tensors, metadata={"collision": text}))


def load_predictor(path: Path, trust: Collection[str] = ()) -> Predictor:
    """Read a predictor; nothing in the file is trusted.

    Args:
        path: Of a ``predictor.safetensors``.
        trust: Packages outside this one whose heads, poolings and backbones may be used.

    Raises:
        CheckpointError: Missing, damaged, of another kind or a newer version, or naming code from
            elsewhere.
    """
    if not path.is_file():
        raise CheckpointError(f"No checkpoint at {str(path)!r}. `train` writes {FILE_NAME}.")
    where = repr(str(path))
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get("collision", "null")
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{where} is damaged or not a predictor ({error}). Train again, or copy it again."
        ) from None
    header = json_data(text, where)
    if not isinstance(header, dict) or header.get("format") in (None, 1):
        raise CheckpointError(
            f"{where} is a safetensors file, but not a predictor of this version. Train again."
        )
    check_format(header["format"], FORMAT, where)
    with reading(where):
        saved = typed(_Header, _upgraded(header) if header["format"] == 2 else header)
        parts = {group: saved_part(saved.parts.get(group), group, where, trust) for group in PARTS}
        policy = call_typed(SamplingPolicy, saved.sampling, {}, "sampling")
        fingerprint = Fingerprint(saved.fingerprint)
        model = _model_of(parts, fingerprint.spec.feature_dim, saved.feature_dropout, state)
    return Predictor(
        model,
        parts,
        policy,
        saved.feature_dropout,
        fingerprint,
        saved.threshold,
        saved.temperature,
        saved.origin,
    )


def _upgraded(header: Mapping[str, Any]) -> dict[str, Any]:
    """Write a header of format 2 as one of format 3; what it lacks is left out, and told later."""
    config, origin = {**header["config"]}, {**header["origin"]}
    origin["value"] = origin.pop(MONITOR, None)
    known = {entry.name for entry in fields(Origin)}
    renewed = {
        "format": FORMAT,
        "parts": {group: config.get(group) for group in PARTS},
        "sampling": {k: v for k, v in config["sampling"].items() if k != "_target_"},
        "feature_dropout": config.get("feature_dropout"),
        "origin": {name: value for name, value in origin.items() if name in known},
    }
    kept = ("fingerprint", "threshold", "temperature")
    return renewed | {name: header[name] for name in kept if name in header}


def _model_of(
    parts: Mapping[str, Part], feature_dim: int, dropout: float, state: Mapping[str, Tensor]
) -> HeadModel:
    """Build a head and fill in its weights; the size of the file bounds what that may take.

    Raises:
        CheckpointError: The file does not hold the head that it names.
    """
    head, pooling = parts["head"], parts["pooling"]
    values = (value for _, value in values_in([dict(head.options), dict(pooling.options)], ""))
    largest = max((value for value in values if isinstance(value, int)), default=0)
    num_values = sum(tensor.numel() for tensor in state.values())
    if largest > num_values and head.target.startswith("collision."):
        raise CheckpointError(f"{largest} in the options of its head, for {num_values} weights.")
    try:
        with torch.device("meta"):  # without memory: is it as large as its weights?
            model = build_model(head, pooling, feature_dim, dropout)
    except Exception:  # options that cannot work, or a head that needs values to be built
        model = build_model(head, pooling, feature_dim, dropout)
    try:
        model.load_state_dict(state, strict=True, assign=True)
        model = build_model(head, pooling, feature_dim, dropout)  # with its constant buffers
        model.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise CheckpointError(f"it does not fit its own head: {error}") from None
    return model.eval()


def _writable(name: str) -> str:
    """Give a group's name as files can hold it: some file systems' names are no text."""
    return name.encode(errors="backslashreplace").decode().replace("${", "$ {")


def _ordered(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))


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
    if seeds and len(seeds) < (wanted := _num_seeds(path)):
        raise CheckpointError(
            f"{str(path)!r} holds {len(seeds)} of {wanted} seeds: its training has not ended. "
            f"Continue it with `python train.py resume={path}`, or give a seed's folder, such as "
            f"{found[0].parent}."
        )
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


def _num_seeds(run_folder: Path) -> int:
    """Say how many seeds a run was started with; 1 where the folder does not tell."""
    is_run = (run_folder / "config.yaml").is_file()
    seeds = read_config(run_folder).get("seeds") if is_run else None
    return seeds if isinstance(seeds, int) else 1
