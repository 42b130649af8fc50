"""Extract features of data sets into the cache; resumable, done twice it computes nothing."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from collision.commands._entry import check_lists
from collision.config import build, named_part, plain
from collision.devices import precision_of
from collision.errors import CollisionError, Interrupted
from collision.features.failures import check_failures, distinct
from collision.features.planning import plan
from collision.features.source import open_features, requests_for, run_extraction
from collision.report.tables import plan_table
from collision.sampling.index import index_dataset
from collision.sampling.policy import SamplingPolicy


def run(config: DictConfig, paths: list[str]) -> int:
    """Extract every wanted data set with every wanted backbone, one pair after the other."""
    check_lists(config, "datasets", "backbones")
    console = Console()
    policy: SamplingPolicy = build(config.sampling)
    datasets = [named_part("dataset", name, config) for name in config.datasets or ()] or [
        config.dataset
    ]
    backbones = [named_part("backbone", name, config) for name in config.backbones or ()] or [
        config.backbone
    ]
    built = [build(dataset_config) for dataset_config in datasets]
    for dataset in built:
        dataset.prepare()  # what is missing of the last one is told before the first takes hours
    precision = precision_of(config.extraction.accelerator, config.extraction.precision)
    plans = []
    complaints: list[str] = []
    for backbone_config in backbones:
        source = open_features(build(backbone_config), Path(config.cache_root), precision)
        for dataset in built:
            index = index_dataset(
                dataset, policy, None, limit=config.limit, val_fraction=config.val_fraction
            )
            if config.plan:
                requests = requests_for(index, source.spec, policy)
                planned = plan(requests, source.store, source.digests, source.backbone)
                source.digests.save()
                plans.append((dataset.name, source.spec.name, planned))
                continue
            report = run_extraction(
                source,
                index,
                policy,
                plain(config.extraction),
                devices=config.devices,
                num_nodes=config.num_nodes,
            )
            if report.signal is not None:
                raise Interrupted(report.signal)
            console.print(
                f"{dataset.name} with {source.spec.name}: {report.num_windows} windows computed, "
                f"{report.num_reused} reused, {report.num_unavailable} beyond the videos, "
                f"{report.seconds:.0f} s -> {source.store.folder}",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )
            failures = distinct([*index.unreadable, *report.failures])
            where = source.store.folder / "failures.csv"
            try:
                check_failures(failures, config.skip_failures, where, console)
            except CollisionError as error:
                complaints.append(f"{dataset.name}: {error}")  # the other data sets go on
    if complaints:
        raise CollisionError("\n".join(complaints))
    if plans:
        console.print(plan_table(plans))
    return 0
