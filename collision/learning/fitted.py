"""A trained head with all that it takes to use it: fitted, calibrated, with a threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from collision.config import Part
from collision.devices import device_of
from collision.errors import MetricError
from collision.features.fingerprint import Fingerprint
from collision.learning.datamodule import FeatureDataset
from collision.learning.ensemble import Ensemble
from collision.learning.head import HeadModel
from collision.learning.novelty import known_videos
from collision.learning.predictor import Origin, Predictor
from collision.learning.predictor_files import FILE_NAME
from collision.learning.scoring import probabilities
from collision.metrics.calibration import Temperature, calibrated, fit_temperature, logits_of
from collision.metrics.comparison import compare
from collision.metrics.estimate import Difference
from collision.metrics.scored import Scored
from collision.metrics.threshold import (
    OperatingPoint,
    threshold_at_best_f1,
    threshold_at_false_alarm_rate,
    threshold_at_precision,
)
from collision.option_groups import ThresholdOptions
from collision.sampling.policy import SamplingPolicy

if TYPE_CHECKING:  # needs Lightning: seconds, which judging a head need not pay
    from collision.learning.fit import Place, TrainedHead, TrainingSetup


@dataclass
class FittedHead:
    """A predictor of the selected weights and how its training went.

    What is of the last step is None where only the file is there, and ``best_step`` too. Where
    weights were selected, ``over_last`` is what that gained on validation; None if that is unknown.
    """

    predictor: Predictor
    last: HeadModel | Ensemble | None = None
    best_step: int | None = None
    last_step: int | None = None
    num_groups: int | None = None  # of validation
    over_last: Difference | None = None


@dataclass(frozen=True)
class Lesson:
    """What one head learns from, and as what that is remembered.

    Attributes:
        data: Features by split: ``train`` and ``val``.
        parts: ``backbone``, ``head`` and ``pooling``; of several backbones ``fusion``, too.
        origin: Data set, digests, videos and names of the parts; the rest is filled in.
    """

    data: Mapping[str, FeatureDataset]
    parts: Mapping[str, Part]
    policy: SamplingPolicy
    fingerprint: Fingerprint
    origin: Origin
    initial: HeadModel | None = None
    prior: HeadModel | None = None


def fit_predictor(
    setup: TrainingSetup, lesson: Lesson, threshold: ThresholdOptions, place: Place
) -> FittedHead:
    """Train a head as ``fit_head`` does; calibrate it, suggest a threshold, save it.

    What its videos look like is kept beside it.
    """
    from collision.learning.fit import SELECTED_BY, fit_head  # needs Lightning
    from collision.learning.refit import refitted

    trained = fit_head(setup, lesson.data, place, lesson.initial, lesson.prior)
    device = device_of(setup.trainer.accelerator)
    temperature, point = calibrate(trained.best, lesson.data["val"], threshold, device)
    origin = replace(
        lesson.origin,
        seed=place.seed,
        step=trained.best_step,
        selected_on=SELECTED_BY[setup.trainer.selection][0] or "the last step",
        value=trained.best_value,
        temperature=temperature,
    )
    parts = dict(lesson.parts)
    if setup.prior is not None and trained.best.prior is not None:
        parts["prior"] = setup.prior
    what = parts, lesson.policy, lesson.fingerprint
    known = known_videos(lesson.data["train"], lesson.data["val"])
    final = trained.best
    if setup.trainer.refit:
        final = refitted(setup, lesson.data, trained, place, lesson.initial)
    predictor = Predictor(final, *what, point, temperature.value, origin, known)
    predictor.save(place.folder / FILE_NAME)
    num_groups = len({record.group for record in lesson.data["val"].records})
    gain = None
    if trained.best_step != trained.last_step:
        gain = gained(trained, lesson.data["val"], device)
    steps = trained.best_step, trained.last_step
    return FittedHead(predictor, trained.last, *steps, num_groups, gain)


def gained(trained: TrainedHead, val: FeatureDataset, device: torch.device) -> Difference | None:
    """Say how much better the selected weights are than the last ones, on validation.

    An interval that holds 0 means that the choice may be chance. None where cuts of one video can't
    be told apart by their horizon.
    """
    about = (
        np.array([example.video for example in val.examples]),
        np.array([record.group for record in val.records]),
        val.labels.numpy().astype(int),
        val.horizons.numpy().astype(float).round(6),
    )
    runs = {
        name: [Scored(*about, probabilities(model, val, device).numpy())]
        for name, model in (("last", trained.last), ("selected", trained.best))
    }
    try:
        return compare(runs, num_resamples=1000).differences["selected"]
    except MetricError:
        return None


def fit_ensemble(
    heads: Sequence[FittedHead],
    setup: TrainingSetup,
    lesson: Lesson,
    threshold: ThresholdOptions,
    folder: Path,
) -> FittedHead:
    """Put the heads of several seeds together; calibrate the mean of their logits, and save it."""
    first = heads[0].predictor
    members = [head.predictor.model for head in heads]
    model = Ensemble(member for member in members if isinstance(member, HeadModel)).eval()
    val = lesson.data["val"]
    temperature, point = calibrate(model, val, threshold, device_of(setup.trainer.accelerator))
    values = [head.predictor.origin.value or 0.0 for head in heads]
    origin = replace(first.origin, value=float(np.mean(values)), temperature=temperature)
    predictor = replace(
        first, model=model, threshold=point, temperature=temperature.value, origin=origin
    )
    predictor.save(folder / FILE_NAME)
    last_models = [head.last for head in heads if isinstance(head.last, HeadModel)]
    return FittedHead(predictor, Ensemble(last_models).eval() if last_models else None)


def calibrate(
    model: HeadModel | Ensemble,
    val: FeatureDataset,
    wanted: ThresholdOptions,
    device: torch.device,
) -> tuple[Temperature, OperatingPoint]:
    """Fit the temperature on validation, and suggest a threshold on what it makes of the scores."""
    labels, scores = val.labels.numpy(), probabilities(model, val, device).numpy()
    temperature = fit_temperature(labels, logits_of(scores))
    return temperature, suggested_threshold(labels, calibrated(scores, temperature.value), wanted)


def suggested_threshold(
    labels: np.ndarray, scores: np.ndarray, wanted: ThresholdOptions
) -> OperatingPoint:
    """Give the threshold of the wanted precision or false-alarm rate, else of the best F1.

    ``guards.threshold_not_reached`` tells of the latter, for all heads together.
    """
    try:
        if wanted.precision is not None:
            return threshold_at_precision(labels, scores, wanted.precision)
        return threshold_at_false_alarm_rate(labels, scores, wanted.false_alarm_rate or 0.0)
    except MetricError:
        return threshold_at_best_f1(labels, scores)
