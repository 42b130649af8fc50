"""Check a proposed part in a sandbox, try it beside its siblings, accept it into the tree."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from collision.commands.train import setup_of, source_of
from collision.errors import CollisionError, ConfigError
from collision.experiment import Experiment
from collision.learning.fit import check_trainable
from collision.options import PartOptions, TrainOptions
from collision.report.comparison import differences_grid, reading, runs_grid
from collision.report.tables import Grid, as_rich, print_missing
from collision.sampling.index import Selection
from collision.search.accepting import (
    SUITE,
    check_passed,
    difference,
    nearest,
    remember,
    siblings_of,
    tree_for,
    write_into,
)
from collision.search.checking import check_part
from collision.search.conformance import Finding
from collision.search.proposed import Proposed
from collision.search.sandbox import find_wall
from collision.search.trials_of_parts import Trained, Trial, compared


def run(options: PartOptions, paths: list[str]) -> int:
    """Do one of the actions; give 2 where a part does not pass."""
    action, *files = paths
    actions = {"check": _check, "try": _try, "accept": _accept}
    return actions[action](options, Proposed.read(options.kind, files), Console())


def _check(options: PartOptions, proposed: Proposed, console: Console) -> int:
    wall = find_wall()
    _say(console, f"{proposed.kind} {proposed.name}, digest {proposed.digest[:16]}")
    _say(console, f"In a sandbox ({wall.name}): {_limits(options)}.")
    found: list[Finding] = []
    for one in check_part(proposed, wall, options.limits):
        found.append(one)
        verdict = f"no: {one.why}" if one.why else "yes"
        _say(console, f"  {one.check:<46} {one.seconds:5.1f} s  {verdict}")
    wrong = [one for one in found if not one.passed]
    findings = [asdict(one) for one in found]
    check = {"passed": not wrong, "suite": SUITE, "wall": wall.name, "findings": findings}
    path = remember(options.runs_root, proposed, check=check)
    if wrong:
        _say(console, f"{proposed.name} does not pass: {len(wrong)} of {len(found)}. Noted: {path}")
        return CollisionError.exit_code
    _say(console, f"{proposed.name} passes. Noted: {path}. Next: collision part try")
    return 0


def _try(options: PartOptions, proposed: Proposed, console: Console) -> int:
    check_passed(options.runs_root, proposed)
    wall, siblings = find_wall(), siblings_of(options.kind, options.siblings)
    if proposed.name in [one.name for one in siblings]:
        raise ConfigError(f"siblings names {proposed.name} itself: leave it out.")
    asked = _as_training(options)
    policy, source = asked.sampling.build(), source_of(asked)
    setup = setup_of(asked, policy, source=source)
    skip = asked.skip_failures
    selection = Selection(("train", "val"), asked.limit, asked.val_fraction, skip_missing=skip)
    experiment = Experiment.index(asked.dataset.build(), policy, source, selection)
    _load(asked, experiment, console)
    seeds = range(options.seed, options.seed + options.seeds)
    trial = Trial(setup, experiment.folds[0].data, seeds, wall, options.limits)
    trained: list[Trained] = []
    with _progress(console) as bar:
        task = bar.add_task("Training", total=1 + len(siblings))
        for one in siblings:
            bar.update(task, description=f"Training {one.name}")
            trained.append(trial.of_sibling(one, options.kind))
            bar.advance(task)
        bar.update(task, description=f"Training {proposed.name}")
        trained.append(trial.of_proposed(proposed))
        bar.advance(task)
    comparison = compared(trained, options.num_resamples)
    size = [[one.name, f"{one.num_parameters:,}", f"{one.seconds:.1f}"] for one in trained]
    grids = (
        Grid("Cost", ["run", "parameters", "seconds\na training"], size),
        runs_grid(comparison),
        differences_grid(comparison),
    )
    for grid in grids:
        console.print(as_rich(grid))
    _say(console, f"Scores on validation, weights of the last step. {reading(comparison)}")
    facts = {"dataset": asked.dataset.name, "backbone": asked.backbone.name}
    tried = {**facts, "seeds": list(seeds), "comparison": comparison.as_json()}
    path = remember(options.runs_root, proposed, trial=tried)
    _say(console, f"Noted: {path}. Next: collision part accept")
    return 0


def _as_training(options: PartOptions) -> TrainOptions:
    """Give what a training of this kind is asked for."""
    shared = {item.name for item in fields(TrainOptions)} & {item.name for item in fields(options)}
    return TrainOptions(**{name: getattr(options, name) for name in shared})


def _load(options: TrainOptions, experiment: Experiment, console: Console) -> None:
    """Extract what is missing of training and validation, and read it."""
    if options.extract:
        experiment.extract(options.extraction)
    else:
        experiment.require_features()
    experiment.check_failures(options.skip_failures, console)
    experiment.load()
    print_missing(console, experiment.missing.as_json())
    experiment.missing.check("train", "val")
    check_trainable(experiment.folds[0].data)


def _accept(options: PartOptions, proposed: Proposed, console: Console) -> int:
    found = check_passed(options.runs_root, proposed)
    root = tree_for(proposed, options.into)
    changes = difference(proposed, root)
    if not changes:
        _say(console, f"{root} holds {proposed.name} already, as it is here.")
        return 0
    _say(console, changes)
    name, share = nearest(proposed)
    _say(console, f"Nearest of its kind: {name}, {share:.0%} alike. {_told_of_trial(found)}")
    if not options.yes and not _agreed(console, root):
        _say(console, "Nothing was written. To write it without a question: yes=true")
        return CollisionError.exit_code
    for path in write_into(root, proposed):
        _say(console, f"Written: {path}")
    if proposed.is_ours:
        _say(
            console,
            f"Next: python -m pytest -q tests/temporal -k {proposed.name}, and its row "
            "in docs/parts.md.",
        )
    else:
        _say(
            console,
            f"Next: PYTHONPATH={root} python train.py --config-dir {root / 'configs'} "
            f"{proposed.kind}={proposed.name}",
        )
    return 0


def _told_of_trial(found: Mapping[str, Any]) -> str:
    tried = found.get("trial")
    if not isinstance(tried, dict):
        return "It passed its check, and was not tried."
    runs = tried["comparison"]["runs"]
    values = ", ".join(f"{name} {one['value']:.3f}" for name, one in runs.items())
    return f"It passed its check; mAP on validation of {tried['dataset']}: {values}."


def _agreed(console: Console, root: Path) -> bool:
    if not sys.stdin.isatty():
        return False
    _say(console, f"Write this into {root}? Once it is there it runs like any other code of yours.")
    return input("yes or no: ").strip().lower() in ("y", "yes")


def _limits(options: PartOptions) -> str:
    limits = options.limits
    return (
        f"no network, {limits.seconds:g} s, {limits.memory:g} GiB of memory, {limits.disk} MiB of "
        "files, no further process"
    )


@contextmanager
def _progress(console: Console) -> Iterator[Progress]:
    columns = (
        *(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()),
        *(TimeElapsedColumn(), TimeRemainingColumn()),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        yield bar


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
