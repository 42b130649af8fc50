"""Check a proposed part in a sandbox, try it beside its siblings, accept it into the tree."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from functools import partial
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

from collision.config import Part
from collision.console import wide_console
from collision.errors import CollisionError, ConfigError
from collision.learning.asked import setup_of, source_of
from collision.options import PartOptions, TrainOptions
from collision.report.comparison import differences_grid, reading, runs_grid
from collision.report.tables import Grid, as_rich
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
from collision.search.proposed import Kind, Proposed
from collision.search.sandbox import Wall, find_wall
from collision.search.trials_of_parts import Trained, Trial, compared
from collision.search.trying import BackboneTrial, experiment_of
from collision.search.verdicts import Finding

# Where the suite of each kind runs on all parts of the tree.
_TESTS: dict[Kind, str] = {
    "head": "tests/temporal",
    "pooling": "tests/temporal",
    "loss": "tests/search/test_loss_conformance.py",
    "backbone": "tests/backbones",
}


def run(options: PartOptions, paths: list[str]) -> int:
    """Do one of the actions; give 2 where a part does not pass."""
    action, *files = paths
    actions = {"check": _check, "try": _try, "accept": _accept}
    return actions[action](options, Proposed.read(options.kind, files), wide_console())


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
    seeds = range(options.seed, options.seed + options.seeds)
    trained = _trained(options, proposed, siblings, wall, console)
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
    facts = {"dataset": asked.dataset.name}
    if options.kind != "backbone":
        facts["backbone"] = asked.backbone.name
    tried = {**facts, "seeds": list(seeds), "comparison": comparison.as_json()}
    path = remember(options.runs_root, proposed, trial=tried)
    _say(console, f"Noted: {path}. Next: collision part accept")
    return 0


def _trained(
    options: PartOptions, proposed: Proposed, siblings: Sequence[Part], wall: Wall, console: Console
) -> list[Trained]:
    """Train the siblings, then what was proposed."""
    asked, limits = _as_training(options), options.limits
    seeds = range(options.seed, options.seed + options.seeds)
    of_sibling: Callable[[Part], Trained]
    of_proposed: Callable[[Proposed], Trained]
    if options.kind == "backbone":
        backbones = BackboneTrial(asked, seeds, wall, limits, console)
        of_sibling, of_proposed = backbones.of_sibling, backbones.of_proposed
    else:
        source = source_of(asked)
        experiment = experiment_of(asked, source, console)
        setup = setup_of(asked, experiment.policy, source=source)
        heads = Trial(setup, experiment.folds[0].data, seeds, wall, limits)
        of_sibling = partial(heads.of_sibling, kind=options.kind)
        of_proposed = heads.of_proposed
    trained: list[Trained] = []
    with _progress(console) as bar:
        task = bar.add_task("Training", total=1 + len(siblings))
        for one in siblings:
            bar.update(task, description=f"Training {one.name}")
            trained.append(of_sibling(one))
            bar.advance(task)
        bar.update(task, description=f"Training {proposed.name}")
        trained.append(of_proposed(proposed))
        bar.advance(task)
    return trained


def _as_training(options: PartOptions) -> TrainOptions:
    """Give what a training of this kind is asked for."""
    shared = {item.name for item in fields(TrainOptions)} & {item.name for item in fields(options)}
    return TrainOptions(**{name: getattr(options, name) for name in shared})


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
            f"Next: python -m pytest -q {_TESTS[proposed.kind]} -k {proposed.name}, and its row "
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
