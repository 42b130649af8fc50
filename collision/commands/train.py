"""Train a head on cached features and score it on the test split."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from omegaconf import DictConfig
from rich.console import Console

from collision.audit.jobs import Pool
from collision.commands._train_options import check_learned_from, check_options, resumed
from collision.config import build, plain
from collision.devices import device_of, precision_of
from collision.errors import ConfigError, Interrupted, MetricError
from collision.evaluation.numbers import oracle_of
from collision.evaluation.scores import write_submission
from collision.evaluation.seeds import Judged, audit_shares, guard
from collision.experiment import Share, examples_by_split, judged_split, merged, shares_of
from collision.features.failures import check_failures, distinct
from collision.features.fingerprint import Fingerprint, check_same
from collision.features.source import (
    FeatureSource,
    look_in_cache,
    open_features,
    requests_for,
    run_extraction,
)
from collision.learning.datamodule import load_features
from collision.learning.fit import (
    MONITOR,
    TrainedHead,
    check_classes,
    check_trainable,
    fit_head,
    new_model,
    read_log,
)
from collision.learning.head import HeadModel
from collision.learning.predictor import FILE_NAME, Predictor, find_predictors, load_predictor
from collision.learning.task import probabilities
from collision.metrics.calibration import calibrated, fit_temperature, logits_of
from collision.metrics.curves import curves_to_csv
from collision.metrics.threshold import (
    OperatingPoint,
    threshold_at_best_f1,
    threshold_at_false_alarm_rate,
    threshold_at_precision,
)
from collision.report.other_metrics import numbers_grid
from collision.report.run_page import write_results
from collision.report.tables import (
    as_rich,
    count_examples,
    counts_grid,
    final_grid,
    print_warnings,
)
from collision.runs.folder import (
    create_run_folder,
    data_digest,
    mark_latest,
    provenance,
    write_config,
    write_json,
)
from collision.sampling.policy import SamplingPolicy
from collision.types import SPLITS, Failure

if TYPE_CHECKING:  # without logger=wandb, W&B is not loaded
    from collision.runs.wandb_tracker import WandbTracker


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
    shares = shares_of(
        dataset,
        policy,
        folds=config.folds,
        limit=config.limit,
        val_fraction=config.val_fraction,
    )
    check_classes(merged(shares).records.values(), policy)
    source = open_features(
        backbone,
        Path(config.cache_root),
        precision_of(config.extraction.accelerator, config.extraction.precision),
    )
    start = initial_predictor(config, source)
    initial = start.model if start else None
    failures = features_of_all(shares, source, policy, config, console)
    for share in shares:
        share.data = load_features(share.index, source, policy, failures)
        check_trainable(share.data)
    everything = merged(shares)
    learned_from = {
        "data_digest": data_digest(
            everything.records.values(), source.digest_of(everything, failures)
        ),
        "feature_fingerprint": source.fingerprint.key,
    }
    if run_folder is not None:
        check_learned_from(run_folder, learned_from)
    audited = None
    if config.audit:
        pool = Pool(config.audit_workers, config.extraction.timeout)
        audited = audit_shares(shares, source.digests, Path(config.cache_root), pool)
    if run_folder is None:
        name = "_".join(config.parts[part] for part in ("dataset", "backbone", "head"))
        run_folder = create_run_folder(Path(config.runs_root), name)
        write_json(run_folder / "provenance.json", {**made, "learned_from": learned_from})
    write_config(run_folder, plain(config))
    announce(console, run_folder, config, shares, source)
    split = judged_split(everything.records.values())
    facts = {
        "dataset": dataset.name,
        "split": split if config.folds is None else f"{config.folds} folds",
        **learned_from,
        "parts": plain(config.parts),
        "selected_on": MONITOR,
        "seeds": list(range(config.seed, config.seed + config.seeds)),
        "folds": config.folds,
        "init_from": config.init_from,
        "init_from_dataset": start.origin.get("dataset") if start else None,
        "limit": config.limit,
        "failures": len(failures),
        "dropped": {
            split: sum(len(share.data[split].dropped) for share in shares) for split in SPLITS
        },
        "sampling": asdict(policy),
    }
    judged = Judged(split)
    for seed in facts["seeds"]:
        heads = [
            train_seed(config, share, source, facts, seed, run_folder, initial, tracker, console)
            for share in shares
        ]
        judged.add(seed, shares, heads, policy, device_of(config.trainer.accelerator))
    is_cut_like_oracle = split == "test" and policy.within is None and not policy.whole_clip
    is_whole_test = is_cut_like_oracle and config.folds is None and config.limit is None
    oracle = oracle_of(dataset) if is_whole_test else None
    metrics = {
        **facts,
        **judged.numbers(oracle, config.num_resamples),
        "provenance": made,
    }
    findings = guard(metrics, judged, shares, policy, audited, config.num_resamples)
    metrics["warnings"] = [finding.as_dict() for finding in findings]
    write_report(run_folder, metrics, judged, shares, console)
    submission = write_submission(dataset, run_folder, judged.submission)
    if submission:
        console.print(f"Submission: {submission}", markup=False, highlight=False, soft_wrap=True)
    mark_latest(run_folder)
    if tracker:
        tracker.summary(run_folder, metrics)
    return 0


def initial_predictor(config: DictConfig, source: FeatureSource) -> Predictor | None:
    """Load the predictor that training starts from, if one is named.

    Raises:
        CacheMismatchError: It was trained on other features.
    """
    if config.init_from is None:
        return None
    predictor = load_predictor(find_predictors(Path(config.init_from))[0])
    check_same(source.fingerprint, Fingerprint(predictor.fingerprint), repr(config.init_from))
    return predictor


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
    else:
        missing, failed = look_in_cache(source, requests_for(everything, source.spec, policy))
        if missing:
            raise ConfigError(
                f"{missing} windows are not in {str(source.store.folder)!r}, and extract=false. "
                "Run `collision extract` with the same options first, or leave extract=false out."
            )
        failures = distinct([*failures, *failed])
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
    console.print(as_rich(counts_grid(count_examples(examples_by_split(data)))))
    length = data["train"].times.shape[1]
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
    judged: Judged,
    shares: Sequence[Share],
    console: Console,
) -> None:
    """Write ``metrics.json``, predictions, plots and pages; print the final table."""
    write_json(run_folder / "metrics.json", metrics)
    for seed, scored in judged.best.items():
        scored.to_csv(run_folder / f"predictions_seed{seed}.csv")
    for seed, curves in judged.curves.items():
        curves_to_csv(curves, run_folder / f"curves_seed{seed}.csv")
    first = metrics["seeds"][0]
    made = metrics["provenance"]
    facts = {
        "commit": f"{made['commit']}{' and changes' if made['dirty'] else ''}",
        "machine": f"{made['device']}, {made['cpu_cores']} cores",
        **{
            name: metrics[name]
            for name in ("split", "data_digest", "feature_fingerprint", "selected_on")
        },
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
        scored=judged.best[first],
        last=metrics["last_epoch"],
        counts=count_examples(examples_by_split(shares[0].data)),
        log=read_log(run_folder / shares[0].name / f"seed_{first}" / "log.csv"),
    )
    console.print(as_rich(final_grid(metrics, metrics["last_epoch"])))
    if "anticipation" in metrics:
        console.print(as_rich(numbers_grid(metrics)))
    print_warnings(console, metrics["warnings"])
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
) -> tuple[TrainedHead, Predictor]:
    """Train with one seed and save the best epoch's predictor, calibrated, with its threshold."""
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
    labels = data["val"].labels.numpy()
    temperature = fit_temperature(labels, logits_of(validation.numpy()))
    threshold = suggested_threshold(
        labels, calibrated(validation.numpy(), temperature.value), config.threshold
    )
    predictor = Predictor(
        model=trained.best,
        config={
            key: settings[key]
            for key in ("backbone", "head", "pooling", "sampling", "feature_dropout")
        },
        spec=source.spec.as_dict(),
        fingerprint=dict(source.fingerprint.fields),
        threshold=threshold.as_dict(),
        temperature=temperature.value,
        origin={
            **{key: facts[key] for key in ("dataset", "data_digest", "selected_on", "parts")},
            "seed": seed,
            "epoch": trained.best_epoch,
            MONITOR: trained.best_value,
            "temperature": temperature.as_dict(),
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
    return trained, predictor


def suggested_threshold(
    labels: np.ndarray, scores: np.ndarray, wanted: Mapping[str, float | None]
) -> OperatingPoint:
    """Give the threshold with the wanted precision or false-alarm rate on validation.

    Where none has it, the one with the best F1.
    """
    try:
        if wanted["precision"] is not None:
            return threshold_at_precision(labels, scores, wanted["precision"])
        return threshold_at_false_alarm_rate(labels, scores, wanted["false_alarm_rate"] or 0.0)
    except MetricError as error:
        logging.getLogger(__name__).warning(
            f"{error} The suggested threshold is the one with the best F1 on validation instead."
        )
        return threshold_at_best_f1(labels, scores)
