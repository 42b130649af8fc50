"""Extract features of data sets into the cache; resumable, done twice it computes nothing."""

from __future__ import annotations

from rich.console import Console

from collision.console import progress_console, say_result, wide_console
from collision.devices import precision_of
from collision.errors import CollisionError, ConfigError, Interrupted
from collision.experiment import Experiment, prepare_all
from collision.features.failures import distinct
from collision.features.fusion import distinct_backbones
from collision.features.reports import write_report
from collision.features.source import FeatureSource
from collision.features.tasks import shard_of_task
from collision.options import ExtractOptions
from collision.report.tables import plan_table, print_missing, print_notes
from collision.sampling.index import Selection
from collision.sampling.policy import SamplingPolicy


def run(options: ExtractOptions, paths: list[str]) -> int:
    """Extract every wanted data set with every wanted backbone, one pair after the other."""
    wanted = options.extraction
    if options.engine == "local" or options.plan:
        return _run(options, precision_of(wanted.accelerator, wanted.precision))
    if options.devices != 1 or options.num_nodes != 1:
        raise ConfigError(
            f"devices={options.devices} num_nodes={options.num_nodes} with engine=ray, which uses "
            "every GPU that its cluster has: leave them out."
        )
    from collision.features.cluster import connected

    with connected(options.ray.address) as has_gpu:
        usual = "bf16-mixed" if has_gpu and wanted.accelerator != "cpu" else "32-true"
        return _run(options, wanted.precision or usual)


def _run(options: ExtractOptions, precision: str) -> int:
    console = progress_console()
    shard = shard_of_task(options.shard, options.devices, options.num_nodes)
    policy: SamplingPolicy = options.sampling.build()
    datasets = [part.build() for part in options.datasets]
    prepare_all(datasets, None, options.skip_failures)
    skip = options.skip_failures
    limits = options.limit, options.val_fraction
    selection = Selection(None, *limits, skip_missing=skip, shard=shard)
    part = "" if shard is None or shard.is_whole else f" shard {shard}"
    plans, complaints = [], []
    for backbone in distinct_backbones(options.backbones):
        source = FeatureSource.of_part(
            backbone, options.cache_root, precision, options.extraction.reader
        )
        for dataset in datasets:
            experiment = Experiment.index(dataset, policy, source, selection)
            experiment.tell_short(console)
            name = dataset.name + part
            if part:
                _tell(console, f"{name}: {len(experiment.records)} videos")
            if options.plan:
                planned = source.plan(experiment.requests(source), options.extraction)
                plans.append((name, source.spec.name, planned))
                continue
            complaints += _extract(experiment, source, options, name, console)
    if complaints:
        raise CollisionError("\n".join(complaints))
    if plans:
        wide_console().print(plan_table(plans))
        for name, embedded_by, planned in plans:
            if planned.rate:
                say_result(f"Time of {name} with {embedded_by}: at {planned.rate}.")
        if all(planned.is_done for _, _, planned in plans):
            say_result("Nothing to do: everything is in the cache.")
    return 0


def _extract(
    experiment: Experiment,
    source: FeatureSource,
    options: ExtractOptions,
    name: str,
    console: Console,
) -> list[str]:
    """Extract one data set with one backbone; give what is wrong while the others go on."""
    try:
        report = experiment.extract(
            options.extraction,
            devices=options.devices,
            num_nodes=options.num_nodes,
            engine=options.engine,
        )
    except Interrupted as error:
        _write_report(experiment, source, error.exit_code)
        raise
    say_result(
        f"{name} with {source.spec.name}: {report.num_windows} windows computed, "
        f"{report.num_reused} reused, {report.num_unavailable} beyond the videos, "
        f"{report.seconds:.0f} s -> {source.store.folder}",
    )
    print_notes(console, report.notes, report.num_outdated)
    experiment.find_missing()
    print_missing(console, experiment.missing.as_json(), experiment.missing.units)
    try:
        experiment.check_failures(options.skip_failures, console)
    except CollisionError as error:
        _write_report(experiment, source, error.exit_code)
        return [f"{name}: {error}"]
    _write_report(experiment, source, 0)
    return []


def _write_report(experiment: Experiment, source: FeatureSource, exit_code: int) -> None:
    report = experiment.report
    if report is not None and report.rank == 0:
        shard = experiment.selection.shard
        names = {
            "dataset": experiment.dataset.name,
            "backbone": source.spec.name,
            "precision": source.fingerprint.precision,
            "shard": None if shard is None else str(shard),
            "videos": len(experiment.records),
            "videos_failed": len(distinct([*experiment.failures, *report.failures])),
        }
        write_report(source.store, report, exit_code, **names)


def _tell(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
