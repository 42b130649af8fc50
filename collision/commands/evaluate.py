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
from collision.features.fingerprint import Fingerprint, check_same
from collision.metrics.scored import Scored
from collision.pipeline import (
    FeatureSource,
    check_failures,
    distinct,
    index_dataset,
    load_features,
    open_features,
    run_extraction,
)
from collision.predictor import Predictor, find_predictors, load_predictor
from collision.report.tables import as_markdown, as_rich, final_grid, slices_grid
from collision.results import judge, oracle_of, scored_examples
from collision.runs import create_run_folder, data_digest, provenance, read_config, write_json
from collision.task import probabilities
from collision.types import Dataset


@dataclass
class Evaluation:
    """The numbers of one data set and the scores behind them, one ``Scored`` a seed."""

    metrics: dict[str, Any]
    scored: list[Scored]


def run(config: DictConfig, paths: list[str]) -> int:
    """Evaluate on every wanted data set; one folder of results."""
    console = Console()
    check_number(config, "limit", 1, optional=True)
    check_number(config, "num_resamples", 1)
    check_lists(config, "slices", "within", "datasets")
    run_path = Path(paths[0]).expanduser()
    predictors = [load_predictor(path) for path in find_predictors(run_path)]
    source = source_of(predictors[0], config)
    evaluations = [
        evaluate_one(predictors, source, dataset, config, console)
        for dataset in wanted_datasets(config, run_path)
    ]
    names = "_".join(e.metrics["dataset"] for e in evaluations)
    folder = create_run_folder(Path(config.runs_root), f"evaluate_{names}")
    write_evaluations(folder, run_path, evaluations)
    for evaluation in evaluations:
        console.print(f"\n{evaluation.metrics['dataset']}, split {config.split}", style="bold")
        console.print(as_rich(final_grid(evaluation.metrics)))
    console.print(f"Results: {folder}", markup=False, highlight=False, soft_wrap=True)
    return 0


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
        policy = replace(policy, within=tuple(config.within))
    index = index_dataset(dataset, policy, [config.split], limit=config.limit)
    report = run_extraction(source, index, policy, plain(config.extraction))
    if report.signal is not None:
        raise Interrupted(report.signal)
    failures = distinct([*index.unreadable, *report.failures])
    check_failures(failures, config.skip_failures, source.store.folder / "failures.csv", console)
    data = load_features(index, source, policy, failures)[config.split]
    device = device_of(config.accelerator)
    scored = [
        scored_examples(
            data,
            probabilities(predictor.model, data, device).numpy(),
            index,
            config.split,
            policy,
        )
        for predictor in predictors
    ]
    judged_like_oracle = config.split == "test" and policy.within is None and config.limit is None
    oracle = oracle_of(dataset) if judged_like_oracle else None
    metrics = {
        "dataset": dataset.name,
        "split": config.split,
        "data_digest": data_digest(index.records.values(), source.digest_of(index, failures)),
        "feature_fingerprint": source.fingerprint.key,
        "trained_on": predictors[0].origin["dataset"],
        "selected_on": predictors[0].origin["selected_on"],
        "seeds": [predictor.origin["seed"] for predictor in predictors],
        "failures": len(failures),
        "dropped": len(data.dropped),
        "limit": config.limit,
        "sampling": asdict(policy),
        **judge(scored, None, oracle, config.num_resamples, config.slices),
        "provenance": provenance(),
    }
    return Evaluation(metrics, scored)


def write_evaluations(folder: Path, run_path: Path, evaluations: Sequence[Evaluation]) -> None:
    """Write ``metrics.json``, predictions and ``results.md``."""
    by_name = {e.metrics["dataset"]: e.metrics for e in evaluations}
    write_json(folder / "metrics.json", {"checkpoint": str(run_path), "datasets": by_name})
    lines = [f"# Evaluation of `{run_path.name}`\n"]
    for evaluation in evaluations:
        name = evaluation.metrics["dataset"]
        for seed, scored in zip(evaluation.metrics["seeds"], evaluation.scored, strict=True):
            scored.to_csv(folder / f"predictions_{name}_seed{seed}.csv")
        lines += [
            f"## {name}, split {evaluation.metrics['split']}\n",
            as_markdown(final_grid(evaluation.metrics)) + "\n",
        ]
        if evaluation.metrics["slices"]:
            lines.append(as_markdown(slices_grid(evaluation.metrics)) + "\n")
    command = evaluations[0].metrics["provenance"]["command"]
    commit = evaluations[0].metrics["provenance"]["commit"]
    lines.append(f"Command: `{command}`, commit {commit or 'unknown'}\n")
    (folder / "results.md").write_text("\n".join(lines))
