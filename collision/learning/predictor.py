"""A trained head in one file: weights and everything needed to use them again.

``predictor.safetensors`` holds the head's state dict and, where there were enough, what the videos
that it learned from look like; its header holds JSON: backbone, head and
pooling by name with their options, the sampling, the fingerprint of the features, the suggested
threshold, and where the weights come from. Nothing in it is code.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor
from torch.overrides import TorchFunctionMode

from collision.checks import STRICT, call_typed, typed
from collision.config import Part
from collision.errors import CheckpointError
from collision.features.fingerprint import Fingerprint
from collision.features.sources import check_parts
from collision.files import write_whole
from collision.learning.datamodule import FeatureDataset
from collision.learning.ensemble import Ensemble, states_of
from collision.learning.head import Fused, HeadModel, HeadOptions, build_model
from collision.learning.novelty import PREFIX, KnownVideos
from collision.learning.predictor_files import damaged, header_of
from collision.learning.scoring import MONITOR, probabilities
from collision.metrics.calibration import Temperature, calibrated
from collision.metrics.threshold import OperatingPoint
from collision.sampling.policy import SamplingPolicy
from collision.types import BackboneSpec
from collision.untrusted import check_format, reading, saved_part, values_in

FORMAT = 5
PARTS = ("backbone", "head", "pooling")
BASELINE = "logistic"  # the head that every run is set against
PAINTED = (
    "The predictor learned from painted scenes alone: on footage its scores mean nothing until "
    "they are checked on labelled clips."
)


@dataclass(frozen=True)
class LearnedFrom:
    """The videos behind a head: those it was trained on, and those its weights were chosen on.

    By split, ``train`` and ``val``: digests of their content, and their groups (source events or
    drives), which mean something within one data set only. Of what earlier versions have trained,
    the ``whole_digests`` are known instead, of every byte.
    """

    __pydantic_config__ = STRICT

    groups: Mapping[str, tuple[str, ...]]
    digests: Mapping[str, tuple[str, ...]]
    whole_digests: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, data: Mapping[str, FeatureDataset], digest_of: Mapping[str, str]) -> LearnedFrom:
        """Take the videos of ``train`` and ``val``; ``digest_of`` gives digests by video id."""
        videos = {split: data[split].records for split in ("train", "val")}
        groups = {s: _ordered(_writable(r.group) for r in rows) for s, rows in videos.items()}
        found = {s: [digest_of.get(r.id, "") for r in rows] for s, rows in videos.items()}
        return cls(groups, {s: _ordered(filter(None, names)) for s, names in found.items()})

    def joined(self, earlier: LearnedFrom | None, *, same_dataset: bool) -> LearnedFrom:
        """Add what the head that training started from had learned from."""
        if earlier is None:
            return self
        groups = earlier.groups if same_dataset else {}
        none = {split: () for split in self.digests}
        return LearnedFrom(
            _united(self.groups, groups),
            _united(self.digests, earlier.digests),
            _united({**none, **self.whole_digests}, earlier.whole_digests),
        )


@dataclass(frozen=True)
class Origin:
    """Where a head's weights come from.

    Attributes:
        data_digest: Of its videos, labels, times and splits.
        step: How many steps of the optimizer the weights had.
        selected_on: The name of the value by which they were chosen.
        learned_from: None in predictors of earlier versions.
        is_painted: Whether all videos that it has learned from were painted, not filmed; None where
            nobody knows.
    """

    __pydantic_config__ = STRICT

    dataset: str = ""
    data_digest: str = ""
    seed: int = 0
    step: int = 0
    selected_on: str = ""
    parts: Mapping[str, str | None] = field(default_factory=dict)
    value: float | None = None
    temperature: Temperature | None = None
    learned_from: LearnedFrom | None = None
    is_painted: bool | None = None


@dataclass(frozen=True)
class _Header:
    __pydantic_config__ = STRICT

    format: int
    parts: dict[str, Any]
    sampling: dict[str, Any]
    options: HeadOptions
    fingerprint: dict[str, Any]
    threshold: OperatingPoint | None
    temperature: Annotated[float, Field(gt=0)]
    origin: Origin


@dataclass
class Predictor:
    """A head, or an ensemble of heads, in eval mode, and how its input is made.

    Attributes:
        parts: ``backbone``, ``head`` and ``pooling``; ``prior``, where the head has one, and
            ``fusion``, where the backbones are several.
        policy: The sampling that the head was trained with.
        threshold: Suggested from validation, with what it costs there; None without validation.
        temperature: Fitted on validation: probabilities are ``sigmoid(logit / temperature)``.
        known: What the videos that it learned from look like; None of too few, and in predictors of
            earlier versions.
    """

    model: HeadModel | Ensemble
    parts: Mapping[str, Part]
    policy: SamplingPolicy
    fingerprint: Fingerprint
    threshold: OperatingPoint | None = None
    temperature: float = 1.0
    origin: Origin = Origin()
    known: KnownVideos | None = None

    @property
    def spec(self) -> BackboneSpec:
        """Of the backbone behind the features."""
        return self.fingerprint.spec

    @property
    def knows_whole(self) -> bool:
        """Whether an earlier version trained it, or what it began from: it knows whole files."""
        known = self.origin.learned_from
        return known is not None and any(known.whole_digests.values())

    def seen(
        self, groups: Iterable[str], digests: Iterable[str], whole_digests: Iterable[str] = ()
    ) -> dict[str, int]:
        """Count the videos, by split, that the head has learned from or was selected on.

        A video counts where its group or its content is known. Groups and digests are of the same
        videos; give no groups of another data set, whose names differ. ``whole_digests`` are needed
        if it ``knows_whole``.
        """
        known = self.origin.learned_from
        if known is None:
            return {}
        names = (_writable(group) for group in groups)
        videos = list(zip_longest(names, digests, whole_digests))
        counts = {}
        for split in known.groups:
            lists = (known.groups, known.digests, known.whole_digests)
            own = [set(one.get(split, ())) for one in lists]
            counts[split] = sum(
                any(name in there for name, there in zip(video, own, strict=True))
                for video in videos
            )
        return {split: count for split, count in counts.items() if count}

    def probabilities(self, data: FeatureDataset, device: torch.device) -> np.ndarray:
        """Give the calibrated probability of every example, ``[E]``: the mean over its views."""
        return calibrated(probabilities(self.model, data, device).numpy(), self.temperature)

    def save(self, path: Path) -> None:
        """Write whole or not at all."""
        header = _Header(
            FORMAT,
            {group: part.as_saved() for group, part in self.parts.items()},
            asdict(self.policy),
            self.model.options,
            dict(self.fingerprint.fields),
            self.threshold,
            self.temperature,
            self.origin,
        )
        state = self.model.state_dict().items()
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state}
        tensors |= self.known.tensors() if self.known else {}
        text = json.dumps(asdict(header), allow_nan=False)
        write_whole(path, save(tensors, metadata={"collision": text}))


def load_predictor(path: Path, trust: Collection[str] = ()) -> Predictor:
    """Read a predictor; nothing in the file is trusted, and no part of a package outside ``trust``.

    CheckpointError: missing, damaged, of another kind, too new, or naming code from elsewhere.
    """
    header, where = header_of(path), repr(str(path))
    try:
        with safe_open(path, framework="pt") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise damaged(path, error) from None
    check_format(header["format"], FORMAT, where)
    with reading(where):
        saved = typed(_Header, _upgraded(header))
        parts = {group: saved_part(saved.parts.get(group), group, where, trust) for group in PARTS}
        if prior := saved.parts.get("prior"):
            parts["prior"] = saved_part(prior, "head", where, trust)
        if fusion := saved.parts.get("fusion"):
            parts["fusion"] = saved_part(fusion, "fusion", where, trust)
        policy = call_typed(SamplingPolicy, saved.sampling, {}, "sampling")
        fingerprint = Fingerprint(saved.fingerprint)
        check_parts(fingerprint, parts["backbone"])
        known = _known_of(state, fingerprint.spec.feature_dim)
        weights = {name: one for name, one in state.items() if not name.startswith(PREFIX)}
        what = parts, fingerprint, saved.options
        heads = [_model_of(*what, own) for own in states_of(weights)]
        model = heads[0] if len(heads) == 1 else Ensemble(heads).eval()
    judged = saved.threshold, saved.temperature, saved.origin
    return Predictor(model, parts, policy, fingerprint, *judged, known)


def _upgraded(header: Mapping[str, Any]) -> dict[str, Any]:
    """Write a header of an earlier format as today's; what it lacks is left out, and told later."""
    if header["format"] == FORMAT:
        return {**header}
    origin = header.get("origin")
    learned = origin.get("learned_from") if isinstance(origin, dict) else None
    if isinstance(learned, dict) and isinstance(whole := learned.get("digests"), dict):
        learned = {**learned, "digests": dict.fromkeys(whole, ()), "whole_digests": whole}
        header = {**header, "origin": {**header["origin"], "learned_from": learned}}
    if header["format"] == 4:
        return {**header}
    if header["format"] == 2:
        header = _from_format_2(header)
    renewed = {name: value for name, value in header.items() if name != "feature_dropout"}
    if "feature_dropout" in header:
        renewed["options"] = {"feature_dropout": header["feature_dropout"]}
    if isinstance(header.get("origin"), dict):  # its epoch says nothing any more
        renewed["origin"] = {k: v for k, v in header["origin"].items() if k != "epoch"}
    return renewed


def _from_format_2(header: Mapping[str, Any]) -> dict[str, Any]:
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


def _known_of(state: Mapping[str, Tensor], feature_dim: int) -> KnownVideos | None:
    known = KnownVideos.of_tensors(state)
    if known is not None and len(known.centre) != feature_dim:
        found = f"what its training videos look like has {len(known.centre)} features"
        raise CheckpointError(f"{found}, its backbone gives {feature_dim}")
    return known


def _model_of(
    parts: Mapping[str, Part],
    fingerprint: Fingerprint,
    options: HeadOptions,
    state: Mapping[str, Tensor],
) -> HeadModel:
    """Build a head and fill in its weights; the size of the file bounds what that may take."""
    head, pooling, fusion = parts["head"], parts["pooling"], parts.get("fusion")
    given = [dict(one.options) for one in (head, pooling, fusion) if one is not None]
    values = (value for _, value in values_in(given, ""))
    widths = tuple(one.spec.feature_dim for one in fingerprint.parts)
    fused = None if fusion is None else Fused(fusion, widths)
    largest = max((value for value in values if isinstance(value, int)), default=0)
    num_values = sum(tensor.numel() for tensor in state.values())
    if largest > num_values and head.target.startswith("collision."):
        raise CheckpointError(f"{largest} in the options of its head, for {num_values} weights.")
    bias = state.get("classifier.bias", torch.zeros(1))

    def build() -> HeadModel:
        num_outputs, prior = max(1, bias.numel()), parts.get("prior")
        what = head, pooling, sum(widths), options
        return build_model(*what, num_outputs=num_outputs, prior=prior, fused=fused)

    try:
        # Without memory: is it as large as its weights?
        with torch.device("meta"), _Undrawn():
            model = build()
    except Exception:  # options that cannot work, or a head that needs values to be built
        model = build()
    try:
        model.load_state_dict(state, strict=True, assign=True)
        model = build()  # with its constant buffers
        model.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise CheckpointError(f"it does not fit its own head: {error}") from None
    return model.eval()


class _Undrawn(TorchFunctionMode):
    """Draws no random numbers: on the meta device they would load torch's compiler, two seconds."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (Tensor.normal_, Tensor.uniform_):
            return args[0]
        return func(*args, **(kwargs or {}))


def _writable(name: str) -> str:
    """Give a group's name as files can hold it: some file systems' names are no text."""
    return name.encode(errors="backslashreplace").decode().replace("${", "$ {")


def _united(
    own: Mapping[str, tuple[str, ...]], others: Mapping[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    return {split: _ordered((*own[split], *others.get(split, ()))) for split in own}


def _ordered(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))
