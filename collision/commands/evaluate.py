"""Score a trained run on the test split of its own or of other data sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.console import Console

from collision.commands._entry import check_lists, check_number
from collision.config import build, check_targets, named_part, plain
from collision.devices import device_of
from collision.errors import ConfigError, Interrupted
from collision.evaluation import guards
from collision.evaluation.numbers import judge, judge_curves, oracle_of
from collision.evaluation.scores import (
    curves_of,
    probability_of_videos,
    scored_examples,
    write_submission,
)
from collision.features.failures import check_failures, distinct
from collision.features.fingerprint import Fingerprint, check_same
from collision.features.source import FeatureSource, open_features, run_extraction
from collision.learning.datamodule import load_features
from collision.learning.predictor import Predictor, find_predictors, load_predictor
from collision.metrics.curves import Curve, curves_to_csv
from collision.metrics.scored import Scored
from collision.report.other_metrics import datasets_grid, numbers_grid
from collision.report.page import Block, Code, Heading, Text, write_page
from collision.report.run_page import judged_blocks
from collision.report.tables import as_rich, final_grid, print_warnings
from collision.runs.folder import (
    create_run_folder,
    data_digest,
    provenance,
    read_config,
    write_json,
)
from collision.sampling.index import DENSE, index_dataset
from collision.types import UNLABELLED, Dataset


@dataclass
class Evaluation:
    """The numbers of one data set and the scores behind them.

    Attributes:
        metrics: Plain data; without ``ap`` where the labels are secret.
        scored: One table a seed.
        curves: Of each seed, where scores along whole videos were asked for.
        dataset: What was scored.
        submission: Probability of each video, by seed.
    """

    metrics: dict[str, Any]
    scored: list[Scored]
    curves: list[list[Curve]]
    dataset: Dataset
    submission: list[dict[str, float]]

    @property
    def is_judged(self) -> bool:
        """Whether there are labels to judge by."""
        return "ap" in self.metrics


def run(config: DictConfig, paths: list[str]) -> int:
    """Evaluate on every wanted data set; one folder of results."""
    console = Console()
    check_number(config, "limit", 1, optional=True)
    check_number(config, "num_resamples", 1)
    check_number(config, "dense", 0.001, whole=False, optional=True)
    check_lists(config, "slices", "within", "datasets")
    run_path = Path(paths[0]).expanduser()
    predictors = [load_predictor(path) for path in find_predictors(run_path)]
    source = source_of(predictors[0], config)
    datasets = wanted_datasets(config, run_path)
    for dataset in datasets:
        dataset.prepare()  # what is missing of the last one is told before the first takes hours
    evaluations = [
        evaluate_one(predictors, source, dataset, config, console) for dataset in datasets
    ]
    names = "_".join(e.metrics["dataset"] for e in evaluations)
    folder = create_run_folder(Path(config.runs_root), f"evaluate_{names}")
    write_evaluations(folder, run_path, evaluations)
    tell(console, evaluations)
    console.print(f"Results: {folder}", markup=False, highlight=False, soft_wrap=True)
    return 0


def tell(console: Console, evaluations: Sequence[Evaluation]) -> None:
    """Print one table for all data sets, the horizons of a single one, and the warnings."""
    judged = [evaluation.metrics for evaluation in evaluations if evaluation.is_judged]
    if len(judged) > 1:
        console.print(as_rich(datasets_grid(judged)))
    for metrics in judged[:1] if len(judged) == 1 else ():
        console.print(f"\n{metrics['dataset']}, split {metrics['split']}", style="bold")
        console.print(as_rich(final_grid(metrics)))
    for metrics in judged:
        if "anticipation" in metrics:
            console.print(f"\n{metrics['dataset']}, along whole videos too", style="bold")
            console.print(as_rich(numbers_grid(metrics)))
    for evaluation in evaluations:
        metrics = evaluation.metrics
        if not evaluation.is_judged:
            console.print(
                f"{metrics['dataset']}, split {metrics['split']}: {metrics['videos']} videos "
                "scored; their labels are secret, so nothing is judged.",
                highlight=False,
            )
        if absent := metrics.get("absent_slices"):
            console.print(
                f"slices: the videos of {metrics['dataset']} have no tag {', '.join(absent)}.",
                markup=False,
                highlight=False,
            )
        print_warnings(console, metrics["warnings"])


def wanted_datasets(config: DictConfig, run_path: Path) -> list[Dataset]:
    """Build the data sets that the command line names, or the run's own."""
    if config.datasets is not None:
        if len(set(config.datasets)) < len(config.datasets):
            raise ConfigError(f"datasets={list(config.datasets)}: a name is there twice.")
        return [build(named_part("dataset", name, config)) for name in config.datasets]
    if config.get("dataset") is not None:
        return [build(config.dataset)]
    if not run_path.is_dir():
        raise ConfigError("A single predictor file does not name its data set: give dataset=NAME.")
    own = read_config(run_path)["dataset"]
    check_targets(own, f"{str(run_path / 'config.yaml')!r}")
    return [build(own)]


def source_of(predictor: Predictor, config: DictConfig) -> FeatureSource:
    """Rebuild the backbone that a predictor was trained on, and open its cache.

    Raises:
        CacheMismatchError: It gives other features here, for example with other weights.
    """
    backbone = build(predictor.config["backbone"])
    source = open_features(
        backbone, Path(config.cache_root), str(predictor.fingerprint["precision"])
    )
    check_same(source.fingerprint, Fingerprint(predictor.fingerprint), "the checkpoint")
    return source


def evaluate_one(
    predictors: Sequence[Predictor],
    source: FeatureSource,
    dataset: Dataset,
    config: DictConfig,
    console: Console,
) -> Evaluation:
    """Extract what is missing and judge every seed's predictor on one data set."""
    policy = predictors[0].policy
    if config.within is not None:
        policy = replace(policy, within=tuple(config.within), dense=None, whole_clip=False)
    elif config.dense is not None:
        policy = replace(policy, dense=config.dense)
    index = index_dataset(dataset, policy, [config.split], limit=config.limit)
    report = run_extraction(source, index, policy, plain(config.extraction))
    if report.signal is not None:
        raise Interrupted(report.signal)
    failures = distinct([*index.unreadable, *report.failures])
    check_failures(failures, config.skip_failures, source.store.folder / "failures.csv", console)
    features = load_features(index, source, policy, failures)
    data = features[config.split]
    device = device_of(config.accelerator)
    metrics: dict[str, Any] = {
        "dataset": dataset.name,
        "split": config.split,
        "videos": len(index.records),
        "data_digest": data_digest(index.records.values(), source.digest_of(index, failures)),
        "feature_fingerprint": source.fingerprint.key,
        "trained_on": predictors[0].origin["dataset"],
        "selected_on": predictors[0].origin["selected_on"],
        "seeds": [predictor.origin["seed"] for predictor in predictors],
        "failures": len(failures),
        "dropped": len(data.dropped),
        "limit": config.limit,
        "sampling": asdict(policy),
        "provenance": provenance(),
    }
    findings = [guards.leaking_policy(policy)]
    by_seed = [predictor.probabilities(data, device) for predictor in predictors]
    scored: list[Scored] = []
    curves: list[list[Curve]] = []
    if any(record.label != UNLABELLED for record in index.records.values()):
        scored = [scored_examples(data, s, index, config.split, policy) for s in by_seed]
        thresholds = [p.threshold["threshold"] for p in predictors if p.threshold]
        judged_like_oracle = config.split == "test" and policy.within is None
        oracle = oracle_of(dataset) if judged_like_oracle and config.limit is None else None
        options = config.num_resamples
        metrics["temperatures"] = [predictor.origin["temperature"] for predictor in predictors]
        metrics |= judge(scored, None, oracle, options, config.slices, thresholds)
        if len(features.get(DENSE, ())):
            curves = [
                curves_of(
                    features[DENSE],
                    predictor.probabilities(features[DENSE], device),
                    index,
                    config.split,
                )
                for predictor in predictors
            ]
            metrics["anticipation"] = judge_curves(curves, thresholds, options)
        findings.append(guards.missing_classes(metrics["counts"]))
    metrics["warnings"] = [finding.as_dict() for finding in guards.found(findings)]
    submission = [probability_of_videos(data, scores) for scores in by_seed]
    return Evaluation(metrics, scored, curves, dataset, submission)


def write_evaluations(folder: Path, run_path: Path, evaluations: Sequence[Evaluation]) -> None:
    """Write ``metrics.json``, predictions, submissions, ``results.md`` and ``results.html``."""
    by_name = {e.metrics["dataset"]: e.metrics for e in evaluations}
    write_json(folder / "metrics.json", {"checkpoint": str(run_path), "datasets": by_name})
    blocks: list[Block] = [Heading(f"Evaluation of {run_path.name}", level=1)]
    blocks.append(Code(evaluations[0].metrics["provenance"]["command"]))
    judged = [evaluation.metrics for evaluation in evaluations if evaluation.is_judged]
    if len(judged) > 1:
        blocks += [Heading("All data sets"), datasets_grid(judged)]
    for evaluation in evaluations:
        blocks += section(folder, evaluation)
    commit = evaluations[0].metrics["provenance"]["commit"]
    blocks.append(Text(f"Commit {commit or 'unknown'}"))
    write_page(folder, blocks)


def section(folder: Path, evaluation: Evaluation) -> list[Block]:
    """Write a data set's scores and pictures; give its part of the page."""
    metrics, name = evaluation.metrics, evaluation.metrics["dataset"]
    seeds = metrics["seeds"]
    for seed, scored in zip(seeds, evaluation.scored, strict=False):
        scored.to_csv(folder / f"predictions_{name}_seed{seed}.csv")
    for seed, curves in zip(seeds, evaluation.curves, strict=False):
        curves_to_csv(curves, folder / f"curves_{name}_seed{seed}.csv")
    blocks: list[Block] = [Heading(f"{name}, split {metrics['split']}")]
    submission = write_submission(evaluation.dataset, folder, evaluation.submission)
    if submission:
        blocks.append(Text(f"Scores for the owners' own judging: {submission.name}"))
    if not evaluation.is_judged:
        return [*blocks, Text("The labels are secret: nothing is judged.")]
    pictures = folder / f"plots_{name}"
    return blocks + judged_blocks(pictures, metrics, evaluation.scored[0], level=3)
