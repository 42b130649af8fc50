"""A trained head with all that it takes to use it: fitted, calibrated, with a threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lightning.pytorch.loggers import Logger
from rich.console import Console

from collision.config import Part
from collision.devices import device_of
from collision.features.fingerprint import Fingerprint
from collision.learning.calibrate import calibrate
from collision.learning.datamodule import FeatureDataset
from collision.learning.fit import TrainingSetup, fit_head
from collision.learning.head import HeadModel
from collision.learning.predictor import FILE_NAME, Origin, Predictor
from collision.learning.task import MONITOR
from collision.options import ThresholdOptions
from collision.sampling.policy import SamplingPolicy


@dataclass
class FittedHead:
    """A predictor and how its training went.

    Attributes:
        predictor: Of the selected epoch.
        last: The head of the last epoch; None where only the file is there.
        best_epoch: Counted from 0.
        last_epoch: Likewise; None where only the file is there.
    """

    predictor: Predictor
    last: HeadModel | None = None
    best_epoch: int | None = None
    last_epoch: int | None = None


@dataclass(frozen=True)
class Lesson:
    """What one head learns from, and as what that is remembered.

    Attributes:
        data: Features by split: ``train`` and ``val``.
        parts: ``backbone``, ``head`` and ``pooling``, as they are saved.
        policy: Sampling of the examples.
        fingerprint: Of the features.
        origin: Data set, digests, videos and names of the parts; the rest is filled in.
        initial: The head that training starts from.
    """

    data: Mapping[str, FeatureDataset]
    parts: Mapping[str, Part]
    policy: SamplingPolicy
    fingerprint: Fingerprint
    origin: Origin
    initial: HeadModel | None = None


@dataclass(frozen=True)
class Place:
    """Where a head is trained, with which seed, and who is told.

    Attributes:
        folder: For checkpoints, ``log.csv`` and the predictor.
        seed: Of initial weights and order of batches.
        console: Where the progress goes.
        loggers: Lightning loggers beside the CSV.
    """

    folder: Path
    seed: int
    console: Console
    loggers: Sequence[Logger] = ()


def fit_predictor(
    setup: TrainingSetup, lesson: Lesson, threshold: ThresholdOptions, place: Place
) -> FittedHead:
    """Train a head; calibrate it and suggest a threshold on validation; save it.

    Raises:
        ConfigError: Training cannot begin, or diverged.
        Interrupted: By a signal; the same call goes on.
    """
    trained = fit_head(
        setup,
        lesson.data,
        place.seed,
        place.folder,
        place.console,
        place.loggers,
        lesson.initial,
    )
    device = device_of(setup.trainer.accelerator)
    temperature, point = calibrate(trained.best, lesson.data["val"], threshold, device)
    predictor = Predictor(
        trained.best,
        lesson.parts,
        lesson.policy,
        setup.feature_dropout,
        lesson.fingerprint,
        point,
        temperature.value,
        replace(
            lesson.origin,
            seed=place.seed,
            epoch=trained.best_epoch,
            selected_on=MONITOR,
            value=trained.best_value,
            temperature=temperature,
        ),
    )
    predictor.save(place.folder / FILE_NAME)
    return FittedHead(predictor, trained.last, trained.best_epoch, trained.last_epoch)
