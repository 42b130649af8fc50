"""What a person can ask of each verb, typed: one frozen dataclass a verb.

Field names are the keys of the verb's YAML, where the defaults stand; parts are chosen and not yet
made. ``collision.commands._entry`` makes these from the command line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from collision.checks import STRICT, UserPath
from collision.config import FUSION, Part
from collision.errors import ConfigError
from collision.types import Seconds, Split

Accelerator: TypeAlias = Literal["auto", "cpu", "gpu"]
Reader: TypeAlias = Literal["pyav", "decord", "torchcodec"]
Precision: TypeAlias = Literal["32-true", "bf16-mixed", "16-mixed"]
Count: TypeAlias = Annotated[int, Field(ge=1)]
Whole: TypeAlias = Annotated[int, Field(ge=0)]
Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
# What an optimizer had before there was ``scheduler=``.
OF_THE_SCHEDULER = ("warmup", "final_fraction")
Duration: TypeAlias = Annotated[Seconds, Field(ge=0.001, allow_inf_nan=False)]
ValFraction: TypeAlias = Annotated[float, Field(ge=0.01, le=0.9)]
PLAIN_FUSION = "concat"  # side by side, as the features of a single backbone are


@dataclass(frozen=True)
class ExtractionOptions:
    """How features are computed.

    Attributes:
        batch_size: Windows that the backbone sees at once; None: what suits the device.
        num_workers: Processes that decode; None: as many as the backbone needs, and cores allow.
        timeout: After which decoding a video counts as hanging.
        precision: Of the backbone; None: what suits the device. Part of the fingerprint.
        reader: Of video files; None: PyAV, or who read for the features that there are. Part of the
            fingerprint.
    """

    __pydantic_config__ = STRICT

    batch_size: Count | None = None
    num_workers: Whole | None = None
    timeout: Duration = 120
    accelerator: Accelerator = "auto"
    precision: Precision | None = None
    reader: Reader | None = None


@dataclass(frozen=True)
class RayOptions:
    """Which cluster ``engine=ray`` uses.

    Attributes:
        address: ``auto`` (the one of this machine, or of RAY_ADDRESS), ``local`` (one that is
            started for this command), or HOST:PORT.
    """

    __pydantic_config__ = STRICT

    address: str = "auto"


@dataclass(frozen=True)
class TrainerOptions:
    """How a head is fitted. All lengths are in optimizer steps: an epoch of a small set is none.

    Attributes:
        max_steps: None: what suits the size of the set; so with ``batch_size``, in examples.
        passes: Instead of steps: so many passes over the training examples (epochs).
        validations: How often in that time validation is scored.
        patience: Validations without a better one before training stops; None: it never does.
        selection: Which weights are kept: the last, or those of the validation with the highest
            mAP, the highest mAP smoothed over the latest three, or the lowest loss.
        averaging: Of weights over steps: exponential (EMA), or over the last quarter (SWA).
        refit: Train again, as long as was selected, on training and validation split together.
        gradient_clip: Largest norm of the gradient; 0: any.
        precision: None: what suits the device.
    """

    __pydantic_config__ = STRICT

    max_steps: Count | None = None
    passes: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    batch_size: Count | None = None
    validations: Count = 20
    patience: Whole | None = None
    selection: Literal["last", "map", "smoothed_map", "loss"] = "last"
    averaging: Literal["none", "ema", "swa"] = "none"
    refit: bool = False
    gradient_clip: Annotated[float, Field(ge=0)] = 1.0
    accelerator: Accelerator = "auto"
    precision: Precision | None = None

    def __post_init__(self) -> None:
        if self.max_steps is not None and self.passes is not None:
            raise ConfigError(
                f"trainer.max_steps={self.max_steps} and trainer.passes={self.passes:g} both say "
                "how long training lasts: give one of them."
            )


@dataclass(frozen=True)
class ThresholdOptions:
    """What the suggested threshold has on validation.

    Attributes:
        false_alarm_rate: At most this share of negatives alarms.
        precision: Instead: at least this share of alarms is right.
    """

    __pydantic_config__ = STRICT

    false_alarm_rate: Share | None = 0.1
    precision: Share | None = None


@dataclass(frozen=True, kw_only=True)
class Folders:
    """Where things lie, for every verb."""

    data_root: UserPath = Path("data")
    cache_root: UserPath = Path("cache")
    runs_root: UserPath = Path("runs")


@dataclass(frozen=True, kw_only=True)
class OfRun(Folders):
    """Of verbs on a trained run, which settles how features were computed."""

    extraction: ExtractionOptions = ExtractionOptions()
    limit: Count | None = None
    trust: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (precision := self.extraction.precision) is not None:
            raise ConfigError(
                f"extraction.precision={precision}: the run's features have settled it. "
                "Leave it out."
            )


@dataclass(frozen=True, kw_only=True)
class TrainOptions(Folders):
    """See configs/train.yaml; ``parts`` is the name of the YAML chosen in each group.

    ``parallel``: so many seeds and folds are trained at once; None: as many as pay. ``fusion`` is
    None where there is a single backbone.
    """

    dataset: Part
    backbone: Part
    fusion: Part | None = None
    head: Part
    pooling: Part
    sampling: Part
    loss: Part
    optimizer: Part
    scheduler: Part
    logger: Part | None = None
    trainer: TrainerOptions = TrainerOptions()
    extraction: ExtractionOptions = ExtractionOptions()
    threshold: ThresholdOptions = ThresholdOptions()
    seed: Whole = 0
    seeds: Count = 1
    folds: Count | None = None
    parallel: Count | None = None
    init_from: UserPath | None = None
    trust: tuple[str, ...] = ()
    feature_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    feature_noise: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    components: Count | Literal["auto"] | None = "auto"
    change: bool = True
    prior: str | None = "logistic"
    ensemble: bool = False
    mixup: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    val_fraction: ValFraction = 0.2
    limit: Count | None = None
    extract: bool = True
    skip_failures: bool = False
    resume: UserPath | None = None
    evaluate_on: tuple[str, ...] = ()
    num_resamples: Count = 10000
    audit: bool = True
    audit_workers: Whole | None = None
    parts: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._check_scheduler()
        self._settle_fusion()

    def _check_scheduler(self) -> None:
        moved = [name for name in OF_THE_SCHEDULER if name in self.optimizer.options]
        if moved and self.optimizer.target.startswith("collision."):
            there = self.scheduler.options
            names = [name for name in moved if name in there]
            instead = " and ".join(f"scheduler.{name}" for name in names) or "scheduler=cosine"
            raise ConfigError(
                f"optimizer.{moved[0]}={self.optimizer.options[moved[0]]}: how the learning rate "
                f"changes is a part of its own. Give {instead} instead."
            )

    def _settle_fusion(self) -> None:
        """Forget a fusion that plays no role; refuse one that cannot."""
        if self.fusion is None or self.backbone.target == FUSION:
            return
        if self.fusion.name != PLAIN_FUSION:
            raise ConfigError(
                f"fusion={self.fusion.name} with backbone={self.backbone.name}: there is nothing "
                "to fuse. Give backbone=fusion with backbone.parts=[a,b], or leave fusion out."
            )
        object.__setattr__(self, "fusion", None)
        others = {group: name for group, name in self.parts.items() if group != "fusion"}
        object.__setattr__(self, "parts", others)


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(OfRun):
    """See configs/evaluate.yaml; without ``datasets``, the run's own is scored."""

    datasets: tuple[Part, ...] = ()
    split: Split = "test"
    within: tuple[Duration, Duration] | None = None
    skip_failures: bool = False
    num_resamples: Count = 10000
    dense: Duration | None = None
    slices: tuple[str, ...] | None = None
    accelerator: Accelerator = "auto"


@dataclass(frozen=True, kw_only=True)
class PredictOptions(OfRun):
    """See configs/predict.yaml."""

    checkpoint: UserPath
    output: UserPath = Path("predictions")
    every: Duration = 0.25
    event_time: Annotated[Seconds, Field(ge=0, allow_inf_nan=False)] | None = None
    frame_rate: Annotated[float, Field(ge=0.001, allow_inf_nan=False)] | None = None
    video_stream: Whole | None = None


@dataclass(frozen=True, kw_only=True)
class ExtractOptions(Folders):
    """See configs/extract.yaml; ``devices`` as in Lightning: how many, or -1 or ``auto``: all.

    ``engine``: this process with its devices, or a cluster of Ray. ``shard``: as ``3/8``, the part
    of the videos that this task does; None: as its launcher says.
    """

    datasets: tuple[Part, ...]
    backbones: tuple[Part, ...]
    sampling: Part
    extraction: ExtractionOptions = ExtractionOptions()
    plan: bool = False
    val_fraction: ValFraction = 0.2
    limit: Count | None = None
    devices: Count | Literal[-1, "auto"] = 1
    num_nodes: Count = 1
    shard: str | int | None = None
    engine: Literal["local", "ray"] = "local"
    ray: RayOptions = RayOptions()
    skip_failures: bool = False


@dataclass(frozen=True, kw_only=True)
class DataOptions(Folders):
    """See configs/data.yaml."""

    dataset: Part
    sampling: Part
    check: Literal["full"] | None = None
    duplicates: bool = True
    shortcuts: bool = True
    examples: UserPath | None = None
    write: UserPath | None = None
    limit: Count | None = None
    val_fraction: ValFraction = 0.2
    skip_failures: bool = False
    num_workers: Whole | None = None
    timeout: Duration = 600
    num_resamples: Count = 2000
    num_permutations: Annotated[int, Field(ge=19)] = 40  # fewer can show nothing


@dataclass(frozen=True, kw_only=True)
class CompareOptions(Folders):
    """See configs/compare.yaml."""

    dataset: str | None = None
    num_resamples: Count = 10000


@dataclass(frozen=True, kw_only=True)
class CacheOptions(Folders):
    """See configs/cache.yaml; ``older_than`` is in days."""

    delete: bool = False
    yes: bool = False
    older_than: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    missing_folders: bool = False


@dataclass(frozen=True, kw_only=True)
class SpaceOptions(Folders):
    """See configs/space.yaml."""

    sample: Whole = 5
    seed: Whole = 0
    build: bool = True


@dataclass(frozen=True, kw_only=True)
class StudyOptions(Folders):
    """See configs/study.yaml; what is named are columns."""

    factors: tuple[str, ...] = ()
    score: str = "map"
    dataset: str | None = None
    blocks: tuple[str, ...] = ()
    seed: str | None = None
    order: str | None = None
    proposer: str | None = None
    numbers: tuple[str, ...] = ()
    bins: Annotated[int, Field(ge=2, le=20)] = 4
    architecture: tuple[str, ...] = ()
    random: tuple[str, ...] = ()
    across: tuple[str, ...] = ()
    scores: tuple[str, ...] = ()
    test: str | None = None
    number: str | None = None
    parents: str | None = None
    importance: bool = True
    policy: str | None = None
    repeat: str | None = None
    optimum: Annotated[float, Field(allow_inf_nan=False)] | None = None
    correction: Literal["holm", "bonferroni"] = "holm"
    ceiling: Annotated[float, Field(allow_inf_nan=False)] = 1.0
    num_resamples: Annotated[int, Field(ge=100)] = 2000


OPTIONS: dict[str, type] = {
    "cache": CacheOptions,
    "compare": CompareOptions,
    "data": DataOptions,
    "evaluate": EvaluateOptions,
    "extract": ExtractOptions,
    "predict": PredictOptions,
    "space": SpaceOptions,
    "study": StudyOptions,
    "train": TrainOptions,
}


def as_config(options: Any) -> Any:
    """Give options as plain data, ready for ``config.yaml``: parts by name, paths as text."""
    if isinstance(options, Part):
        return options.as_saved()
    if is_dataclass(options):
        return {item.name: as_config(getattr(options, item.name)) for item in fields(options)}
    if isinstance(options, tuple):
        return [as_config(item) for item in options]
    if isinstance(options, Mapping):
        return {key: as_config(value) for key, value in options.items()}
    return str(options) if isinstance(options, Path) else options
