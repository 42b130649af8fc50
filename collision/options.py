"""What a person can ask of each verb, typed: one frozen dataclass a verb.

Field names are the keys of the verb's YAML, where the defaults stand; parts are chosen and not yet
made. ``collision.commands._entry`` makes these from the command line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field

from collision.checks import UserPath
from collision.config import FUSION, Part
from collision.errors import ConfigError
from collision.option_groups import (
    Accelerator,
    AlarmOptions,
    ClipsMode,
    Count,
    Duration,
    ExtractionOptions,
    Folders,
    HeatOptions,
    Limits,
    OfRun,
    OfTraining,
    RayOptions,
    StreamOptions,
    ThresholdOptions,
    ValFraction,
    VideoType,
    Whole,
)
from collision.types import Seconds, Split

PLAIN_FUSION = "concat"  # side by side, as the features of a single backbone are


@dataclass(frozen=True, kw_only=True)
class TrainOptions(OfTraining):
    """See configs/train.yaml.

    ``parallel``: so many seeds, folds and candidates of ``head=auto`` are trained at once; None: as
    many as pay. ``fusion`` is None where there is a single backbone.
    """

    fusion: Part | None = None
    logger: Part | None = None
    threshold: ThresholdOptions = ThresholdOptions()
    folds: Count | None = None
    parallel: Count | None = None
    init_from: UserPath | None = None
    trust: tuple[str, ...] = ()
    ensemble: bool = False
    resume: UserPath | None = None
    evaluate_on: tuple[str, ...] = ()
    audit: bool = True
    audit_workers: Whole | None = None
    clips: ClipsMode = "embed"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._settle_fusion()

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
    limit: Count | None = None
    split: Split = "test"
    within: tuple[Duration, Duration] | None = None
    skip_failures: bool = False
    num_resamples: Count = 10000
    dense: Duration | None = None
    slices: tuple[str, ...] | None = None
    accelerator: Accelerator = "auto"
    clips: ClipsMode = "embed"


@dataclass(frozen=True, kw_only=True)
class PredictOptions(OfRun):
    """See configs/predict.yaml."""

    checkpoint: UserPath
    output: UserPath = Path("predictions")
    limit: Count | None = None
    every: Duration = 0.25
    event_time: Annotated[Seconds, Field(ge=0, allow_inf_nan=False)] | None = None
    events: UserPath | None = None
    formats: tuple[Literal["csv", "jsonl", "parquet", "png"], ...] = ("csv", "png")
    overlay: bool = False
    heatmap: bool = False
    heat: HeatOptions = HeatOptions()
    clips: Literal["link", "small", "none"] = "link"
    alarms: AlarmOptions = AlarmOptions()
    stream: StreamOptions = StreamOptions()
    frame_rate: Annotated[float, Field(ge=0.001, allow_inf_nan=False)] | None = None
    video_stream: Whole | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.event_time is not None and self.events is not None:
            raise ConfigError(
                f"event_time={self.event_time:g} and events={self.events} both say when the event "
                "is: give one of them."
            )


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
    clips: ClipsMode = "embed"


@dataclass(frozen=True, kw_only=True)
class ReportOptions(Folders):
    """See configs/report.yaml; ``refresh`` in seconds, None: the page over runs is made once."""

    clips: ClipsMode = "embed"
    refresh: Count | None = None


@dataclass(frozen=True, kw_only=True)
class ServeOptions(OfRun):
    """See configs/serve.yaml; ``max_size`` in MiB, ``keep`` in hours, others in seconds."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8765
    every: Duration = 0.25
    alarms: AlarmOptions = AlarmOptions()
    heat: HeatOptions = HeatOptions()
    types: tuple[VideoType, ...] = get_args(VideoType)
    max_size: Count = 500
    max_length: Duration = 600.0
    max_jobs: Count = 50
    keep: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 24.0


@dataclass(frozen=True, kw_only=True)
class CacheOptions(Folders):
    """See configs/cache.yaml; ``older_than`` is in days."""

    delete: bool = False
    yes: bool = False
    older_than: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    missing_folders: bool = False


@dataclass(frozen=True, kw_only=True)
class DoctorOptions(Folders):
    """See configs/doctor.yaml; ``timeout`` is of the hub's answer."""

    json: bool = False
    build: bool = True
    timeout: Duration = 5


@dataclass(frozen=True, kw_only=True)
class CompletionOptions(Folders):
    """See configs/completion.yaml: nothing of its own."""


@dataclass(frozen=True, kw_only=True)
class SpaceOptions(Folders):
    """See configs/space.yaml."""

    sample: Whole = 5
    seed: Whole = 0
    build: bool = True


@dataclass(frozen=True, kw_only=True)
class SearchOptions(TrainOptions):
    """See configs/search.yaml: what every trial is trained with, and the search's own.

    ``seed`` is that of a cell's first trial, and of the policy; ``typed`` are all overrides. With
    a ``design`` nobody searches: all cells are trained, with ``draws`` of what differs within them
    and ``seeds`` each.
    """

    space: str | None = None
    design: Literal["factorial"] | None = None
    draws: Count = 1
    policy: Part
    budget: Count | None = None
    hours: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    name: str | None = None
    storage: str | None = None
    workers: Count | None = None
    memory: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    objectives: tuple[Literal["map", "parameters", "windows_per_second"], ...] = ("map",)
    confirm: Whole = 3
    confirm_seeds: Whole = 3
    retries: Whole = 1
    lease: Annotated[Seconds, Field(ge=5, allow_inf_nan=False)] = 120
    saturated: Literal["stop", "go_on"] = "stop"
    skip_unbuildable: bool = False
    output: UserPath | None = None
    done: bool = False
    once: bool = False
    typed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.objectives[:1] != ("map",) or len(set(self.objectives)) < len(self.objectives):
            raise ConfigError(
                f"objectives=[{','.join(self.objectives)}]: the first is map; others come behind "
                "it, each once."
            )
        if self.confirm and self.confirm_seeds < 2:
            raise ConfigError(
                f"confirm_seeds={self.confirm_seeds}: a mean of fresh seeds needs two at least, as "
                "one seed does not say how far seeds move the score. Give confirm_seeds=2 or more; "
                "or confirm=0, and nothing is confirmed."
            )
        if self.design is None and self.draws > 1:
            raise ConfigError(
                f"draws={self.draws}: only a design has them. Give design=factorial, or leave them "
                "out."
            )


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


@dataclass(frozen=True, kw_only=True)
class PartOptions(OfTraining):
    """See configs/part.yaml; ``siblings`` None: some of its kind."""

    kind: Literal["head", "pooling", "loss", "backbone"] = "head"
    limits: Limits = Limits()
    siblings: tuple[str, ...] | None = None
    seeds: Count = 3
    into: UserPath | None = None
    yes: bool = False


@dataclass(frozen=True, kw_only=True)
class ExportOptions(Folders):
    """See configs/export.yaml."""

    output: UserPath = Path("exported")
    onnx: tuple[Literal["head", "backbone"], ...] = ("head", "backbone")
    trust: tuple[str, ...] = ()


OPTIONS: dict[str, type] = {
    "cache": CacheOptions,
    "compare": CompareOptions,
    "completion": CompletionOptions,
    "data": DataOptions,
    "doctor": DoctorOptions,
    "evaluate": EvaluateOptions,
    "export": ExportOptions,
    "extract": ExtractOptions,
    "part": PartOptions,
    "predict": PredictOptions,
    "report": ReportOptions,
    "search": SearchOptions,
    "serve": ServeOptions,
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
