"""Train a head on cached features and score it on the test split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console

from collision.commands._entry import check_number
from collision.config import build, check_targets, plain
from collision.datamodule import FeatureDataset
from collision.devices import device_of, precision_of
from collision.errors import ConfigError, Interrupted, MetricError
from collision.features.clips import Failure
from collision.features.fingerprint import Fingerprint, check_same
from collision.metrics.scored import Scored
from collision.metrics.threshold import (
    OperatingPoint,
    threshold_at_best_f1,
    threshold_at_false_alarm_rate,
)
from collision.model import HeadModel
from collision.pipeline import (
    DataIndex,
    FeatureSource,
    check_failures,
    distinct,
    index_dataset,
    index_records,
    load_features,
    missing_windows,
    open_features,
    requests_for,
    run_extraction,
)
from collision.predictor import FILE_NAME, Predictor, find_predictors, load_predictor
from collision.report.page import write_results
from collision.report.tables import as_rich, count_examples, counts_grid, final_grid
from collision.results import concatenated, judge, oracle_of, scored_examples
from collision.runs import (
    create_run_folder,
    data_digest,
    mark_latest,
    provenance,
    read_config,
    write_config,
    write_json,
)
from collision.sampling import SamplingPolicy, check_groups, folded
from collision.task import probabilities
from collision.training import (
    MONITOR,
    TrainedHead,
    check_trainable,
    fit_head,
    new_model,
    read_log,
)
from collision.types import SPLITS, Dataset

if TYPE_CHECKING:  # without logger=wandb, W&B is not loaded
    from collision.tracking import WandbTracker

FALSE_ALARM_RATE = 0.1  # on validation, of the suggested threshold


@dataclass
class Share:
    """What one head is trained and tested on: the whole data set, or one fold of it.

    Attributes:
        name: Empty, or ``fold_0`` and so on: the sub-folder of its checkpoints.
        index: Its videos and examples.
        data: Their features by split; filled after extraction.
    """

    name: str
    index: DataIndex
    data: dict[str, FeatureDataset] = field(default_factory=dict)


def run(config: DictConfig, paths: list[str]) -> int:
    """Train, or continue a run; then judge."""
    console = Console()
    run_folder: Path | None = None
    if config.resume is not None:
        run_folder = Path(config.resume)
        config = resumed(config, run_folder)
    check_options(config)
    made = provenance()
    tracker = make_tracker(config)
    policy: SamplingPolicy = build(config.sampling)
    backbone = build(config.backbone)  # first: weights that can't be had are told at once
    new_model(plain(config), backbone.spec.feature_dim)  # likewise a head that can't be built
    dataset = build(config.dataset)
    shares = shares_of(dataset, policy, config)
    source = open_features(
        backbone,
        Path(config.cache_root),
        precision_of(config.extraction.accelerator, config.extraction.precision),
    )
    initial = initial_head(config, source)
    failures = features_of_all(shares, source, policy, config, console)
    for share in shares:
        share.data = load_features(share.index, source, policy, failures)
        check_trainable(share.data)
    if run_folder is None:
        name = "_".join(config.parts[part] for part in ("dataset", "backbone", "head"))
        run_folder = create_run_folder(Path(config.runs_root), name)
        write_json(run_folder / "provenance.json", made)
    write_config(run_folder, plain(config))
    announce(console, run_folder, config, shares, source)
    everything = merged(shares)
    facts = {
        "dataset": dataset.name,
        "split": "test" if config.folds is None else f"{config.folds} folds",
        "data_digest": data_digest(
            everything.records.values(), source.digest_of(everything, failures)
        ),
        "feature_fingerprint": source.fingerprint.key,
        "parts": plain(config.parts),
        "selected_on": MONITOR,
        "seeds": list(range(config.seed, config.seed + config.seeds)),
        "folds": config.folds,
        "init_from": config.init_from,
        "limit": config.limit,
        "failures": len(failures),
        "dropped": {
            split: sum(len(share.data[split].dropped) for share in shares) for split in SPLITS
        },
        "sampling": asdict(policy),
    }
    best: dict[int, Scored] = {}
    last: dict[int, Scored] = {}
    epochs: dict[str, dict[str, Any]] = {}
    for seed in facts["seeds"]:
        scored: dict[str, list[Scored]] = {"best": [], "last": []}
        for share in shares:
            trained = train_seed(
                config, share, source, facts, seed, run_folder, initial, tracker, console
            )
            for which, model in (("best", trained.best), ("last", trained.last)):
                scores = probabilities(
                    model, share.data["test"], device_of(config.trainer.accelerator)
                )
                scored[which].append(
                    scored_examples(share.data["test"], scores.numpy(), share.index, "test", policy)
                )
            epochs[" ".join(filter(None, (str(seed), share.name)))] = {
                "best_epoch": trained.best_epoch,
                "last_epoch": trained.last_epoch,
                MONITOR: trained.best_value,
            }
        best[seed], last[seed] = concatenated(scored["best"]), concatenated(scored["last"])
    oracle = oracle_of(dataset) if config.folds is None and config.limit is None else None
    metrics = {
        **facts,
        **judge(list(best.values()), list(last.values()), oracle, config.num_resamples),
        "epochs": epochs,  # counted from 0
        "provenance": made,
    }
    write_report(run_folder, metrics, best, shares, console)
    mark_latest(run_folder)
    if tracker:
        tracker.summary(run_folder, metrics)
    return 0


def shares_of(dataset: Dataset, policy: SamplingPolicy, config: DictConfig) -> list[Share]:
    """Index the data set once, or once for each fold.

    In a fold, validation is part of the training groups: nothing of the tested groups selects.
    """
    options = {"limit": config.limit, "val_fraction": config.val_fraction}
    if config.folds is None:
        return [Share("", index_dataset(dataset, policy, SPLITS, **options))]
    dataset.prepare()
    records = dataset.records()
    check_groups(records)
    return [
        Share(
            f"fold_{fold}",
            index_records(
                dataset.name,
                folded(records, config.folds, fold, policy.seed),
                policy,
                SPLITS,
                **options,
            ),
        )
        for fold in range(config.folds)
    ]


def initial_head(config: DictConfig, source: FeatureSource) -> HeadModel | None:
    """Load the head that training starts from, if one is named.

    Raises:
        CacheMismatchError: It was trained on other features.
    """
    if config.init_from is None:
        return None
    predictor = load_predictor(find_predictors(Path(config.init_from))[0])
    check_same(source.fingerprint, Fingerprint(predictor.fingerprint), repr(config.init_from))
    return predictor.model


def merged(shares: Sequence[Share]) -> DataIndex:
    """Put the videos and examples of all shares into one index."""
    return DataIndex(
        shares[0].index.name,
        {k: v for share in shares for k, v in share.index.records.items()},
        {
            f"{share.name}/{split}": examples
            for share in shares
            for split, examples in share.index.examples.items()
        },
    )


def check_options(config: DictConfig) -> None:
    """Refuse what cannot work before anything takes time or leaves a folder.

    Raises:
        ConfigError: With the option's name and value.
    """
    for name in ("seeds", "num_resamples", "trainer.max_epochs", "trainer.batch_size"):
        check_number(config, name, 1)
    for name in ("limit", "folds"):
        check_number(config, name, 1, optional=True)
    check_number(config, "seed", 0)
    check_number(config, "trainer.patience", 0)
    check_number(config, "val_fraction", 0.01, whole=False)
    check_number(config, "optimizer.lr", 0, whole=False)
    if config.val_fraction > 0.9:
        raise ConfigError(f"val_fraction={config.val_fraction}: give a share, .01 to .9.")
    precision_of(config.trainer.accelerator, config.trainer.precision)
    build(config.loss)
    build(config.optimizer)


def features_of_all(
    shares: Sequence[Share],
    source: FeatureSource,
    policy: SamplingPolicy,
    config: DictConfig,
    console: Console,
) -> list[Failure]:
    """Extract what the shares lack, or check that nothing is missing; give what failed.

    Raises:
        ConfigError: Something is missing and extract=false.
        Interrupted: By a signal.
        CollisionError: Videos failed, and skip_failures=false.
    """
    everything = merged(shares)
    failures = distinct([failure for share in shares for failure in share.index.unreadable])
    if config.extract:
        report = run_extraction(source, everything, policy, plain(config.extraction))
        if report.signal is not None:
            raise Interrupted(report.signal)
        failures = distinct([*failures, *report.failures])
    elif missing := missing_windows(source, requests_for(everything, source.spec, policy)):
        raise ConfigError(
            f"{missing} windows are not in {str(source.store.folder)!r}, and extract=false. "
            "Run `collision extract` with the same options first, or leave extract=false out."
        )
    check_failures(failures, config.skip_failures, source.store.folder / "failures.csv", console)
    return failures


def announce(
    console: Console,
    run_folder: Path,
    config: DictConfig,
    shares: Sequence[Share],
    source: FeatureSource,
) -> None:
    """Say what is about to be trained: device, precision, sizes, and examples of every kind."""
    options, data = config.trainer, shares[0].data
    if len(shares) > 1:
        console.print(f"{len(shares)} folds over groups; examples of the first:")
    model = new_model(plain(config), source.spec.feature_dim)
    console.print(as_rich(counts_grid(count_examples({s: d.examples for s, d in data.items()}))))
    length = data["train"].times.numel()
    console.print(
        f"head {config.parts.head}, pooling {config.parts.pooling}: "
        f"{model.num_parameters:,} parameters on {length} steps of {source.spec.feature_dim} "
        f"features from {source.spec.name}\n"
        f"device {device_of(options.accelerator)}, precision "
        f"{precision_of(options.accelerator, options.precision)}, run {run_folder}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    for split, part in data.items():
        if part.dropped:
            console.print(
                f"{split}: {len(part.dropped)} examples have no window and are left out"
                + (" (on a test split they score 0)" if split == "test" else ""),
                style="yellow",
            )


def write_report(
    run_folder: Path,
    metrics: Mapping[str, Any],
    best: Mapping[int, Scored],
    shares: Sequence[Share],
    console: Console,
) -> None:
    """Write ``metrics.json``, predictions, plots and pages; print the final table."""
    write_json(run_folder / "metrics.json", metrics)
    for seed, scored in best.items():
        scored.to_csv(run_folder / f"predictions_seed{seed}.csv")
    data = shares[0].data
    first = metrics["seeds"][0]
    made = metrics["provenance"]
    facts = {
        "commit": f"{made['commit']}{' and changes' if made['dirty'] else ''}",
        "machine": f"{made['device']}, {made['cpu_cores']} cores",
        **{name: metrics[name] for name in ("data_digest", "feature_fingerprint", "selected_on")},
        **{
            f"seed {seed}": f"best epoch {epochs['best_epoch'] + 1} of {epochs['last_epoch'] + 1}, "
            f"{MONITOR} {epochs[MONITOR]:.3f}"
            for seed, epochs in metrics["epochs"].items()
        },
        "videos that could not be read": metrics["failures"],
        "examples left out": ", ".join(f"{s} {n}" for s, n in metrics["dropped"].items()),
        "limit": metrics["limit"],
    }
    write_results(
        run_folder,
        title=f"{metrics['parts']['head']} on {metrics['dataset']}",
        command=made["command"],
        facts=facts,
        summary=metrics,
        scored=best[first],
        last=metrics["last_epoch"],
        counts=count_examples({split: part.examples for split, part in data.items()}),
        log=read_log(run_folder / shares[0].name / f"seed_{first}" / "log.csv"),
    )
    console.print(as_rich(final_grid(metrics, metrics["last_epoch"])))
    console.print(
        f"Results: {run_folder / 'results.html'} and metrics.json beside it",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def make_tracker(config: DictConfig) -> WandbTracker | None:
    """Build what logs beside ``log.csv``, if one is chosen; it checks its account at once."""
    return build(config.logger) if "_target_" in (config.logger or {}) else None


def train_seed(
    config: DictConfig,
    share: Share,
    source: FeatureSource,
    facts: Mapping[str, Any],
    seed: int,
    run_folder: Path,
    initial: HeadModel | None,
    tracker: WandbTracker | None,
    console: Console,
) -> TrainedHead:
    """Train with one seed and save the best epoch's predictor with its threshold."""
    settings, data = plain(config), share.data
    folder = run_folder / share.name / f"seed_{seed}"
    logger = tracker and tracker.logger(run_folder, str(folder.relative_to(run_folder)), settings)
    if tracker and logger:
        console.print(tracker.where(logger), markup=False, highlight=False, soft_wrap=True)
    trained = fit_head(
        settings,
        data,
        source.spec.feature_dim,
        seed,
        folder,
        [logger] if logger else [],
        console,
        initial,
    )
    validation = probabilities(trained.best, data["val"], device_of(config.trainer.accelerator))
    threshold = suggested_threshold(data["val"].labels.numpy(), validation.numpy())
    predictor = Predictor(
        model=trained.best,
        config={
            key: settings[key]
            for key in ("backbone", "head", "pooling", "sampling", "feature_dropout")
        },
        spec=source.spec.as_dict(),
        fingerprint=dict(source.fingerprint.fields),
        threshold=threshold.as_dict(),
        origin={
            **{key: facts[key] for key in ("dataset", "data_digest", "selected_on", "parts")},
            "seed": seed,
            "epoch": trained.best_epoch,
            MONITOR: trained.best_value,
        },
    )
    predictor.save(folder / FILE_NAME)
    if tracker and logger:
        facts_of_features = {
            "spec": predictor.spec,
            "feature_fingerprint": source.fingerprint.key,
        }
        tracker.finish(logger, folder / FILE_NAME, {**predictor.origin, **facts_of_features})
    console.print(
        f"seed {seed} {share.name}".rstrip()
        + f": best epoch {trained.best_epoch + 1} of {trained.last_epoch + 1}, "
        f"{MONITOR} {trained.best_value:.3f}",
        highlight=False,
    )
    return trained


def suggested_threshold(labels: np.ndarray, scores: np.ndarray) -> OperatingPoint:
    """Give the threshold with at most one false alarm in ten validation negatives.

    Where even the highest score alarms more often, the one with the best F1.
    """
    try:
        return threshold_at_false_alarm_rate(labels, scores, FALSE_ALARM_RATE)
    except MetricError:
        return threshold_at_best_f1(labels, scores)


def resumed(config: DictConfig, run_folder: Path) -> DictConfig:
    """Take a run's configuration, with the plain options of this command line on top.

    Raises:
        ConfigError: The command line swaps a part, which would be another run.
    """
    saved = OmegaConf.create(read_config(run_folder))
    check_targets(plain(saved), repr(str(run_folder / "config.yaml")))
    overrides = [o for o in HydraConfig.get().overrides.task if not o.startswith("resume=")]
    swapped = [o for o in overrides if o.split("=")[0].lstrip("+") in config.parts]
    if swapped:
        raise ConfigError(
            f"A resumed run keeps its parts, but {swapped[0]!r} swaps one. "
            "Leave it out, or start a new run without resume."
        )
    OmegaConf.set_struct(saved, True)
    try:
        merged = OmegaConf.merge(saved, OmegaConf.from_dotlist(overrides))
    except OmegaConfBaseException as error:
        raise ConfigError(
            f"{str(run_folder)!r} has no such option: {str(error).splitlines()[0]}"
        ) from None
    assert isinstance(merged, DictConfig)
    return merged
