"""Train a head on cached features and score it on the test split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from collision.audit.jobs import Pool
from collision.commands import evaluate
from collision.commands._choices import announced, check_choice, choices
from collision.commands._early import datasets_after
from collision.commands._work import Work, print_plain, steps_of
from collision.console import progress_console, say_result, warning_console
from collision.devices import device_of, precision_of
from collision.evaluation import guards
from collision.evaluation.evaluation import Evaluation, Judging, evaluate_heads
from collision.evaluation.scores import write_submission
from collision.experiment import Experiment, prepare_all
from collision.features.fingerprint import check_same
from collision.features.fusion import backbones_of
from collision.features.sources import Source
from collision.files import write_json
from collision.learning.asked import setup_of, source_of
from collision.learning.fit import check_classes, check_trainable
from collision.learning.fitted import FittedHead
from collision.learning.predictor import Predictor, load_predictor
from collision.learning.predictor_files import find_predictors
from collision.options import EvaluateOptions, TrainOptions
from collision.report.clips import clips_of, write_clips
from collision.report.headline import hardly_left, sentence
from collision.report.run_page import remake
from collision.report.tables import (
    as_rich,
    count_examples,
    counts_grid,
    final_grid,
    numbers_grid,
    print_missing,
    print_notes,
    print_warnings,
)
from collision.runs.folder import create_run_folder, mark_latest, write_config
from collision.runs.provenance import provenance
from collision.runs.resume import check_learned_from
from collision.sampling.index import DENSE, Selection
from collision.types import SPLITS


def run(options: TrainOptions, paths: list[str]) -> int:
    """Train, or continue a run; then judge."""
    console = progress_console()
    made = provenance()
    tracker = options.logger.build() if options.logger else None
    policy, source = options.sampling.build(), source_of(options)
    check_choice(options)
    initial = initial_predictor(options, source)
    setup = setup_of(options, policy, initial, source)
    head = announced(setup, source.spec.feature_dim)  # can't be built: told before data are made
    skip = options.skip_failures
    selection = Selection(SPLITS, options.limit, options.val_fraction, skip_missing=skip)
    later = evaluation_after(options)
    prepare_all([part.build() for part in later.datasets], (later.split,), skip)
    experiment = Experiment.index(options.dataset.build(), policy, source, selection, options.folds)
    check_classes(experiment.records.values(), policy)
    collect_features(experiment, options, console)
    facts = experiment.facts()
    learned_from = {key: facts[key] for key in ("data_digest", "feature_fingerprint")}
    if options.resume:
        check_learned_from(options.resume, learned_from, lambda: experiment.data_digest(whole=True))
    pool = Pool(options.audit_workers, options.extraction.timeout)
    audits = experiment.audit(options.cache_root, pool) if options.audit else []
    folder = options.resume or new_folder(options, made, learned_from)
    write_config(folder, options)
    announce(console, folder, options, experiment, head)
    chosen = choices(setup, experiment.folds, folder, options, console)
    work = Work(options, experiment, setup, folder, initial, tracker, console, chosen)
    baselines = work.baselines()
    heads = work.train_all(baselines)
    judged_heads = work.ensemble(heads) if options.ensemble else heads
    judging = Judging(device_of(options.trainer.accelerator), options.num_resamples)
    judged = experiment.judged_split
    evaluation = evaluate_heads(experiment, judged_heads, judged, judging, audits, baselines)
    evaluation.findings += guards.found([threshold_finding(options, judged_heads)])
    metrics = {
        "version": 1,
        **evaluation.as_json(),
        **run_facts(options, evaluation, heads, initial),
        "choice": {name or "all": one.as_json() for name, one in chosen.items()} or None,
        "examples": examples_by_split(experiment),
    }
    metrics["provenance"] = made
    write_report(options, folder, metrics, evaluation, console)
    mark_latest(folder)
    if tracker:
        tracker.summary(folder, evaluation.numbers)
    return evaluate.run(later, [str(folder)]) if later.datasets else 0


def evaluation_after(options: TrainOptions) -> EvaluateOptions:
    """Ask for a trained run's scores on other data sets, as it was trained itself."""
    shared = {item.name for item in fields(EvaluateOptions)} & {i.name for i in fields(options)}
    given = {name: getattr(options, name) for name in shared}
    given["extraction"] = replace(options.extraction, precision=None)  # the run's own
    datasets, accelerator = datasets_after(options), options.trainer.accelerator
    return EvaluateOptions(**given, datasets=datasets, accelerator=accelerator)


def initial_predictor(options: TrainOptions, source: Source) -> Predictor | None:
    """Load the predictor that training starts from, if one is named; of the same features."""
    if options.init_from is None:
        return None
    predictor = load_predictor(find_predictors(options.init_from)[0], options.trust)
    check_same(source.fingerprint, predictor.fingerprint, repr(str(options.init_from)))
    return predictor


def collect_features(experiment: Experiment, options: TrainOptions, console: Console) -> None:
    """Extract what is missing, or check that nothing is; then read it.

    CollisionError: something is missing and extract=false; videos failed and skip_failures=false;
    nothing can be learned from it; or a signal asked to stop.
    """
    experiment.tell_short(console)
    experiment.collect(options, console)
    experiment.load()
    print_missing(console, experiment.missing.as_json())
    experiment.missing.check(*SPLITS)
    for fold in experiment.folds:
        check_trainable(fold.data)


def new_folder(
    options: TrainOptions, made: Mapping[str, Any], learned_from: Mapping[str, Any]
) -> Path:
    """Make the run's folder, with where it comes from."""
    parts = backbones_of(options.backbone)  # one of a package of the user's own may have no name
    backbones = "+".join(part.name or part.target.rpartition(".")[2] for part in parts)
    name = f"{options.dataset.name}_{backbones}_{options.head.name}"
    folder = create_run_folder(options.runs_root, name)
    write_json(folder / "provenance.json", {"version": 1, **made, "learned_from": learned_from})
    return folder


def announce(
    console: Console, folder: Path, options: TrainOptions, experiment: Experiment, head: str
) -> None:
    """Say what is about to be trained: device, precision, sizes, and examples of every kind."""
    trainer, data, spec = options.trainer, experiment.folds[0].data, experiment.source.spec
    if len(experiment.folds) > 1:
        console.print(f"{len(experiment.folds)} folds over groups; examples of the first:")
    console.print(as_rich(counts_grid(examples_by_split(experiment))))
    device, precision = trainer.accelerator, trainer.precision
    print_missing(console, {}, experiment.missing.units)
    print_notes(console, experiment.notes, experiment.num_outdated)
    print_plain(
        console,
        f"{head} on "
        f"{data['train'].times.shape[1]} steps of {spec.feature_dim} features from {spec.name}\n"
        f"device {device_of(device)}, precision {precision_of(device, precision)}, run {folder}",
    )


def examples_by_split(experiment: Experiment) -> dict[str, dict[str, dict[str, int]]]:
    """Count the first fold's examples, without the moments along whole videos."""
    data = experiment.folds[0].data
    return count_examples({split: part.examples for split, part in data.items() if split != DENSE})


def threshold_finding(
    options: TrainOptions, heads: Mapping[int, Sequence[FittedHead]]
) -> guards.Finding | None:
    """Tell, once for all heads, where the suggested threshold is not as it was wanted."""
    points = [head.predictor.threshold for of_seed in heads.values() for head in of_seed]
    kind = "folds" if len(heads) == 1 else "heads"
    return guards.threshold_not_reached(points, options.threshold, kind)


def run_facts(
    options: TrainOptions,
    evaluation: Evaluation,
    heads: Mapping[int, Sequence[FittedHead]],
    initial: Predictor | None,
) -> dict[str, Any]:
    """Give what ``metrics.json`` says of the training itself."""
    split = evaluation.split if options.folds is None else f"{options.folds} folds"
    steps = {
        f"{seed} {fold.name}".rstrip(): steps_of(head)
        for seed, of_seed in heads.items()
        for fold, head in zip(evaluation.experiment.folds, of_seed, strict=True)
    }
    return {
        "split": split,
        "parts": options.parts,
        "folds": options.folds,
        "init_from": None if options.init_from is None else str(options.init_from),
        "init_from_dataset": initial.origin.dataset if initial else None,
        "steps": steps,
        "ensemble_of": len(heads) if options.ensemble else None,
    }


def write_report(
    options: TrainOptions,
    folder: Path,
    metrics: Mapping[str, Any],
    evaluation: Evaluation,
    console: Console,
) -> None:
    """Write ``metrics.json``, predictions, plots and pages; print the final table."""
    write_json(folder / "metrics.json", metrics)
    evaluation.write_scores(folder)
    write_clips(folder, {evaluation.name: clips_of(evaluation)})
    submission = write_submission(evaluation.experiment.dataset, folder, evaluation.videos)
    numbers = evaluation.numbers
    assert numbers is not None, "a trained run has a split with labels"
    console.print(as_rich(final_grid(numbers.summary, numbers.last_step, evaluation.baseline)))
    say_result(numbers.summary.headline)
    if said := sentence(numbers.warned, [one["name"] for one in metrics["warnings"]]):
        say_result(said)
    if said := hardly_left(numbers.summary, evaluation.baseline):
        say_result(said)
    if numbers.anticipation:
        console.print(as_rich(numbers_grid(numbers)))
    print_warnings(warning_console(console), metrics["warnings"])
    if submission:
        print_plain(console, f"Submission: {submission}")
    page = remake(folder, options.clips, console)
    say_result(f"Results: {page} and metrics.json beside it")
