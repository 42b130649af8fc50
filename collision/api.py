"""The library: what ``import collision`` offers; see docs/library.md. The verbs are written on it.

Shapes: N windows, S steps a window, D feature dim.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch

from collision.checks import arguments_of, user_path
from collision.config import FUSION, Part, described, names_of, part
from collision.console import wide_console
from collision.devices import device_of, precision_of
from collision.errors import (
    CheckpointError,
    ConfigError,
    DatasetNotFoundError,
    VideoDecodeError,
)
from collision.features.clips import WindowRequest
from collision.features.missing import store_key
from collision.features.source import FeatureSource
from collision.features.sources import Source, source_of_fingerprint
from collision.features.store import FeatureStore  # noqa: F401 - offered to users
from collision.learning.head import build_model, is_chosen
from collision.learning.predictor import Predictor, load_predictor
from collision.learning.predictor_files import BASELINE_FOLDER, FILE_NAME, find_predictors
from collision.metrics.alarms import DEFAULT_RULE, Alarm, AlarmRule  # noqa: F401 - offered
from collision.option_groups import ExtractionOptions
from collision.prediction import Moments, Prediction, predict
from collision.sampling.index import Selection
from collision.types import Dataset, Seconds, Split
from collision.untrusted import read_config

if TYPE_CHECKING:  # predicting needs none of it
    from collision.evaluation.evaluation import Evaluation


@dataclass(frozen=True, eq=False)
class Windows:
    """Features of one video: ``[N]`` seconds at which windows end, and ``[N, S, D]`` values.

    ``num_steps [N]`` of each window are real, its newest; older ones are zero where the beginning
    of the file cuts a window short, which ``backbone.min_frames`` allows.
    """

    times: np.ndarray
    values: np.ndarray
    num_steps: np.ndarray


@dataclass
class Model:
    """A trained run (its folder or a predictor's file): one predictor a seed, on one source.

    ``baselines`` is the logistic regression that a run was set against, where the folder has it.
    """

    path: Path
    predictors: list[Predictor]
    source: Source
    baselines: list[Predictor] = field(default_factory=list)

    @property
    def val_fraction(self) -> float:
        """The share of training groups that the run validated on, to find the same ones again."""
        config = read_config(self.path) if self.path.is_dir() else {}
        return float(config.get("val_fraction", Selection().val_fraction))

    @property
    def threshold(self) -> float | None:
        """Suggested on validation, of the first seed; None where none is known."""
        point = self.predictors[0].threshold
        return point.threshold if point else None

    def predict(
        self,
        video: str | Path,
        moments: Moments | None = None,
        extraction: ExtractionOptions | None = None,
        rule: AlarmRule = DEFAULT_RULE,
    ) -> Prediction:
        """Give the probability of a collision over the time of a video, by the first seed's head.

        Args:
            video: A file, or a folder of images (``Moments(frame_rate=...)``).
            moments: Default: every 0.25 s.
            extraction: Batch size, device, workers.
            rule: What makes an alarm.

        Raises:
            VideoDecodeError: It can't be read, or is too short.
            CheckpointError: The head was trained on whole clips, the collision included.
        """
        self.check_foresees()
        moments, extraction = moments or Moments(), extraction or ExtractionOptions()
        given = user_path(video), moments, extraction
        return replace(predict(self.predictors[0], self.source, *given), rule=rule)

    def check_foresees(self) -> None:
        """Refuse (CheckpointError) a head that was trained on whole clips, collision included."""
        if self.predictors[0].policy.whole_clip:
            raise CheckpointError(
                f"{str(self.path)!r} was trained on whole clips, in which the collision can be "
                "seen: it does not foresee one. Train with another sampling, such as "
                "sampling=nexar."
            )


def _cache(root: str | Path | None) -> Path:
    return user_path(root or os.environ.get("COLLISION_CACHE", "cache"))


def load(
    checkpoint: str | Path, *, trust: Sequence[str] = (), cache_root: str | Path | None = None
) -> Model:
    """Load what `train` made. The files are data: nothing of theirs is run.

    Args:
        checkpoint: A run folder, or a ``predictor.safetensors``.
        trust: Packages from outside this project that its parts may come from.
        cache_root: Folder of features; default: ``COLLISION_CACHE``, else ``cache``.

    Raises:
        CheckpointError: Not there, damaged, or naming code that is not trusted.
    """
    path, cache = user_path(checkpoint), _cache(cache_root)
    predictors = [load_predictor(file, trust) for file in find_predictors(path)]
    first = predictors[0]
    source = source_of_fingerprint(first.fingerprint, first.parts["backbone"], cache)
    baseline = path / BASELINE_FOLDER / FILE_NAME
    baselines = [load_predictor(baseline, trust)] if baseline.is_file() else []
    return Model(path, predictors, source, baselines)


def features(
    video: str | Path,
    backbone: str | Part = "efficientnet_lite0",
    *,
    every: Seconds = 0.25,
    end_times: Sequence[Seconds] | None = None,
    cache_root: str | Path | None = None,
    **options: Any,
) -> Windows:
    """Give a video's features, from the cache where they are there.

    Args:
        video: A file.
        backbone: Its name, or a part of your own.
        every: Seconds between the ends of neighbouring windows.
        end_times: The ends themselves, in seconds, instead.
        cache_root: As in ``load``.
        options: Of the backbone, such as ``height=128``.

    Raises:
        VideoDecodeError: It can't be read.
        ConfigError: It is a fusion, whose backbones have features of their own.
    """
    chosen = backbone if isinstance(backbone, Part) else part("backbone", backbone, **options)
    if chosen.target == FUSION:
        raise ConfigError("backbone=fusion: ask for the features of each backbone by its own name.")
    source = FeatureSource.of_part(chosen, _cache(cache_root), precision_of("auto", None))
    path = user_path(video)
    if end_times is None:
        ends = np.arange(0, float(source.looks.index(path).frame_times[-1]) + 1e-6, every)
    else:
        ends = np.unique(np.asarray(end_times, dtype=np.float64))
    request = WindowRequest(path.stem, path, ends.round(6))
    report = source.extract([request], ExtractionOptions(), progress=False)
    if report.failures:
        raise VideoDecodeError(path, report.failures[0].reason)
    key = store_key(source.digests, request)
    values, exists = source.store.read(key, request.end_times)
    times = request.end_times[exists]
    return Windows(times, values[exists], source.store.num_steps(key, times))


@dataclass(frozen=True)
class Request:
    """What is to be judged, and how.

    Attributes:
        limit: At most so many videos.
        within: (near, far), seconds: cuts near the event against cuts of the same videos far from
            it.
        dense: Also score videos along their whole length, every so many seconds.
        slices: Tags whose values are judged apart; None: all with a few values.
        num_resamples: Of the bootstrap behind the intervals.
        skip_failures: Go on without videos that can't be read; they are counted.
        accelerator: Of the head.
        extraction: Of what is not in the cache.
    """

    split: Split = "test"
    limit: int | None = None
    within: tuple[Seconds, Seconds] | None = None
    dense: Seconds | None = None
    slices: tuple[str, ...] | None = None
    num_resamples: int = 10_000
    skip_failures: bool = False
    accelerator: str = "auto"
    extraction: ExtractionOptions = field(default_factory=ExtractionOptions)


def evaluate(
    checkpoint: str | Path | Model, clips: str | Path | Dataset, **options: Any
) -> Evaluation:
    """Judge a run on a table of clips, or on a data set; all its seeds.

    Args:
        checkpoint: As for ``load``.
        clips: A CSV file as in docs/own_videos.md, the name of a data set, or a data set.
        options: As in ``Request``.

    Raises:
        CollisionError: Files are missing, or can't be read; or a class or horizon of which there
            were examples has none left.
    """
    from collision.evaluation.evaluation import Judging, evaluate_heads  # a second or more
    from collision.experiment import Experiment
    from collision.learning.fitted import FittedHead

    model = checkpoint if isinstance(checkpoint, Model) else load(checkpoint)
    request = Request(**options)
    dataset = _dataset_of(clips)
    policy = model.predictors[0].policy
    if request.within is not None:
        policy = replace(policy, within=request.within, dense=None, whole_clip=False)
    elif request.dense is not None:
        policy = replace(policy, dense=request.dense)
    selection = Selection(
        (request.split,), request.limit, model.val_fraction, skip_missing=request.skip_failures
    )
    experiment = Experiment.index(dataset, policy, model.source, selection)
    experiment.tell_short(wide_console(stderr=True))
    experiment.extract(request.extraction)
    experiment.check_failures(request.skip_failures, wide_console(stderr=True))
    experiment.load()
    experiment.missing.check(request.split)
    heads = {one.origin.seed: [FittedHead(one)] for one in model.predictors}
    judging = Judging(device_of(request.accelerator), request.num_resamples, request.slices)
    baselines = [FittedHead(one) for one in model.baselines]
    return evaluate_heads(experiment, heads, request.split, judging, baselines=baselines)


def _dataset_of(clips: str | Path | Dataset) -> Dataset:
    if not isinstance(clips, str | Path):
        return clips
    if str(clips) in names_of("dataset"):
        return part("dataset", str(clips)).build()
    path = user_path(clips)
    return part("dataset", "manifest", csv=str(path), name=path.stem).build()


@dataclass(frozen=True)
class Listed:
    """A part that can be chosen by name.

    Attributes:
        name: On the command line and in ``collision.features(backbone=...)``.
        about: What it is, in a line.
        options: With their defaults; one that must be given is ``???``.
    """

    name: str
    about: str
    options: Mapping[str, Any]

    @classmethod
    def all(cls, group: str) -> list[Self]:
        """List a group's."""
        return [cls(name, *described(group, name)) for name in names_of(group)]


class ListedBackbone(Listed):
    """A backbone; ``collision.features(video, NAME)`` uses one."""

    def spec(self, **options: Any) -> dict[str, float]:
        """Say what its windows are and give, with some options; no weights are loaded.

        ``num_frames``, ``fps``, ``height``, ``width``, ``num_steps`` and ``feature_dim``, as in
        ``BackboneSpec``. Takes a second or two: the network is built, without its numbers.

        Raises:
            ConfigError: An option that cannot work, or one without a default that is not given.
        """
        chosen = part("backbone", self.name, **options)
        unweighted = {"pretrained": False, "weights": None, "package": None}
        known = arguments_of(chosen.imported())
        with torch.device("meta"):
            spec = chosen.changed({k: v for k, v in unweighted.items() if k in known}).build().spec
        fields = ("num_frames", "fps", "height", "width", "num_steps", "feature_dim")
        return {name: getattr(spec, name) for name in fields}


class ListedHead(Listed):
    """A head."""

    def num_parameters(self, feature_dim: int, **options: Any) -> int:
        """Count what is trained on features of size D, with pooling ``last`` and a classifier."""
        with torch.device("meta"):
            chosen = part("head", self.name, **options)
            return build_model(chosen, part("pooling", "last"), feature_dim).num_parameters


class ListedDataset(Listed):
    """A data set; ``collision.evaluate(RUN, NAME)`` scores one."""

    def is_there(self, **options: Any) -> bool:
        """Say whether all its files are there, with some options; nothing is opened or made.

        AnnotationError: lines of its annotation files that cannot be read.
        """
        try:
            records = part("dataset", self.name, **options).build().records()
        except (ConfigError, DatasetNotFoundError):  # as where a path must be given
            return False
        return all(record.path.exists() for record in records)


def list_backbones() -> list[ListedBackbone]:
    """List the backbones; ``fusion``, several of them, is none."""
    return [one for one in ListedBackbone.all("backbone") if one.name != "fusion"]


def list_heads() -> list[ListedHead]:
    """List the heads; ``auto``, a choice among them, is none."""
    return [one for one in ListedHead.all("head") if not is_chosen(part("head", one.name))]


def list_datasets() -> list[ListedDataset]:
    """List the data sets."""
    return ListedDataset.all("dataset")
