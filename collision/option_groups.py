"""Groups of options that several verbs share, typed; see ``collision.options``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from collision.checks import STRICT, UserPath
from collision.config import Part
from collision.errors import ConfigError
from collision.types import Seconds

Accelerator: TypeAlias = Literal["auto", "cpu", "gpu"]
Reader: TypeAlias = Literal["pyav", "decord", "torchcodec"]
Precision: TypeAlias = Literal["32-true", "bf16-mixed", "16-mixed"]
ClipsMode: TypeAlias = Literal["embed", "link", "none"]  # in a page, beside it, or not at all
VideoType: TypeAlias = Literal["mp4", "mkv", "avi", "ts", "mpg"]  # as video.streams says
Count: TypeAlias = Annotated[int, Field(ge=1)]
Whole: TypeAlias = Annotated[int, Field(ge=0)]
Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Duration: TypeAlias = Annotated[Seconds, Field(ge=0.001, allow_inf_nan=False)]
ValFraction: TypeAlias = Annotated[float, Field(ge=0.01, le=0.9)]


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
        compile: Compile the backbone with torch.compile.
        channels_last: Lay the backbone's convolutions out by channels last.
    """

    __pydantic_config__ = STRICT

    batch_size: Count | None = None
    num_workers: Whole | None = None
    timeout: Duration = 120
    accelerator: Accelerator = "auto"
    precision: Precision | None = None
    reader: Reader | None = None
    compile: bool = False
    channels_last: bool = False


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


@dataclass(frozen=True)
class AlarmOptions:
    """What makes an alarm; see ``collision.metrics.alarms.AlarmRule``."""

    __pydantic_config__ = STRICT

    hysteresis: Share = 0.0
    min_length: Annotated[Seconds, Field(ge=0, allow_inf_nan=False)] = 0.0
    refractory: Annotated[Seconds, Field(ge=0, allow_inf_nan=False)] = 5.0


@dataclass(frozen=True)
class HeatOptions:
    """How a heat map is made.

    Attributes:
        method: ``occlusion``, for any backbone; ``gradients``, for those that say where the tokens
            of a picture lie; ``auto``: gradients where they can be had.
        cells: Of occlusion, along the longer side of the picture.
    """

    __pydantic_config__ = STRICT

    method: Literal["auto", "occlusion", "gradients"] = "auto"
    cells: Annotated[int, Field(ge=2, le=64)] = 8


@dataclass(frozen=True)
class StreamOptions:
    """How a stream is read; see configs/predict.yaml."""

    __pydantic_config__ = STRICT

    drop: bool | None = None
    listen: bool = False
    timeout: Duration = 10.0
    reconnects: Whole | None = None


@dataclass(frozen=True)
class Limits:
    """What a process may use in which a proposed part runs.

    Attributes:
        seconds: From when torch is loaded to the end, and of processor time.
        memory: GiB beyond what Python with torch takes.
        disk: MiB of files, which lie in memory, too.
        answer: MiB of one answer.
    """

    __pydantic_config__ = STRICT

    seconds: Duration = 600
    memory: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 4.0
    disk: Count = 256
    answer: Count = 64
    parameters: Count = 5_000_000


# What an optimizer had before there was ``scheduler=``.
OF_THE_SCHEDULER = ("warmup", "final_fraction")


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
    trust: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (precision := self.extraction.precision) is not None:
            raise ConfigError(
                f"extraction.precision={precision}: the run's features have settled it. "
                "Leave it out."
            )


@dataclass(frozen=True, kw_only=True)
class OfTraining(Folders):
    """What is trained and on what, whoever asks for it; ``parts`` names the YAML of each group."""

    dataset: Part
    backbone: Part
    head: Part
    pooling: Part
    sampling: Part
    loss: Part
    optimizer: Part
    scheduler: Part
    trainer: TrainerOptions = TrainerOptions()
    extraction: ExtractionOptions = ExtractionOptions()
    seed: Whole = 0
    seeds: Count = 1
    feature_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    feature_noise: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    components: Count | Literal["auto"] | None = "auto"
    change: bool = True
    prior: str | None = "logistic"
    mixup: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    val_fraction: ValFraction = 0.2
    limit: Count | None = None
    extract: bool = True
    skip_failures: bool = False
    num_resamples: Count = 10000
    parts: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._check_scheduler()

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
