"""Search a space: many trainings, and which is best by fresh seeds; status and export of one."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from collision.commands._compose import options_for
from collision.commands._early import datasets_after
from collision.commands._shown import Shown, follow
from collision.config import config_dirs
from collision.console import progress_console, say_result, wide_console
from collision.devices import device_of, num_cores
from collision.errors import CollisionError
from collision.files import write_whole
from collision.learning.asked import source_of
from collision.options import SearchOptions, TrainOptions
from collision.report.page import Picture
from collision.search.archive import draw_archive
from collision.search.design import Planned, factorial
from collision.search.desk import Terms
from collision.search.engine import Engine, Plan
from collision.search.features import Shelf, collect, feature_points, key_of
from collision.search.folder import (
    Begun,
    digest_of,
    identity,
    make_folder,
    of_trainings,
    read_begun,
    text_of_space,
)
from collision.search.judging import TestSplits
from collision.search.leases import new_token
from collision.search.obstacles import without
from collision.search.overview import About, overview, verdict
from collision.search.page import write_page
from collision.search.pareto import DIRECTIONS
from collision.search.reading import Reading, as_csv, done
from collision.search.recipe import Recipe
from collision.search.space import Space
from collision.search.storage import open_storage, study_there
from collision.search.training import Kitchen
from collision.search.trials import Trial
from collision.search.workers import Orders

_MOST_ON_A_GPU = 4  # processes: each has a context of its own there


def run(options: SearchOptions, paths: list[str]) -> int:
    """Search, or do one of the actions on a search that was begun."""
    console = wide_console() if paths else progress_console()
    if not paths:
        search(options, console)
    elif paths[0] == "status":
        begun = read_begun(options.runs_root, paths[1])
        reading, about = opened(begun, options), about_of(begun)
        follow(console, reading, about, once=options.once)
    elif paths[0] == "report":
        begun = read_begun(options.runs_root, paths[1])
        page = report(begun, opened(begun, options).trials())
        _say(console, f"Page: {page}")
    else:
        begun = read_begun(options.runs_root, paths[1])
        trials = opened(begun, options).trials()
        export(options, begun, done(trials) if options.done else trials, console)
    return 0


def named(options: SearchOptions, space: Space) -> SearchOptions:
    """Give a search a name, if it has none."""
    if options.name is not None:
        return options
    stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    how = options.design or options.policy.name
    return replace(options, name=f"{stamp}_{space.name}_{how}")


def search(options: SearchOptions, console: Console) -> None:
    """Begin a search, go on with one, or join one."""
    assert options.space is not None, "looked at before"
    if options.design is None:
        options.policy.build()  # what is wrong with it is told before any work
    whole, text = Space.load(options.space), text_of_space(options.space)
    options = named(options, whole)
    recipe = Recipe.of(
        whole,
        of_trainings(options.typed, is_design=options.design is not None),
        partial(options_for, "train"),
    )
    _say(console, f"Looking up the backbones of {whole.name} and their features ...")
    sets, unbuildable = found_features(whole, recipe, console)
    space = without(whole, unbuildable, skip=options.skip_unbuildable)
    design = planned_of(options, space)
    planned = "" if design is None else f", {len(design):,} trainings"
    _say(console, f"Search {options.name}: {space.size:,} cells of {space.name}{planned}")
    for name, why in unbuildable.items():
        _say(console, f"  left out, {name}: {why}")
    for number, one in enumerate(sets, start=1):
        _say(console, f"Features {number} of {len(sets)}: {one.backbone.name}")
        collect(one, console)
    tests = None
    if design is not None:
        tests = TestSplits([options.dataset, *datasets_after(options)])
        _say(console, "Features of the test splits, on which a design is scored ...")
        for one in sets:
            tests.collect(one, console)
    folder = make_folder(options, text)
    has_gpu = _has_gpu(options)
    shelf = Shelf(_bytes(options.memory))
    if not has_gpu:  # processes that are forked share it
        _say(console, "Reading the features, and solving what heads start from ...")
        shelf.fill(sets)
    kitchen = Kitchen(recipe, space, options.objectives, folder, tests=tests)
    kitchen = replace(kitchen, shelf=None if has_gpu else shelf, memory=_bytes(options.memory))
    lasting = {**identity(options), "space": digest_of(text), "left_out": sorted(unbuildable)}
    plan = replace(plan_of(options, has_gpu, lasting), design=design)
    engine = Engine(
        orders_of(options, space, folder, kitchen),
        plan,
        has_gpu=has_gpu,
        how_to_go_on=f"Go on with: collision search name={shlex.quote(str(options.name))}",
    )
    about = about_of(read_begun(options.runs_root, str(options.name)), options)
    about = about if design is None else replace(about, budget=len(design))
    _say(console, f"Starting {plan.workers} worker{'s' * (plan.workers > 1)} ...")
    with Shown(console, about) as shown:
        ending = engine.run(shown)
    if ending.others_go_on:
        goes_on = "the last one confirms" if design is None else "so does the same one, later"
        _say(console, f"The hours are over; other commands go on, and {goes_on}.")
    console.print(overview(ending.trials, about))
    for line in verdict(ending.trials, about):
        say_result(line)
    page = report(read_begun(options.runs_root, str(options.name)), ending.trials)
    say_result(f"Search: {folder}\nPage: {page}")


def report(begun: Begun, trials: Sequence[Trial]) -> Path:
    """Write the search's page, with the archive where a policy keeps one."""
    pictures = []
    axes = begun.axes
    if axes is not None and done(trials):
        path = begun.folder / "archive.png"
        draw_archive(done(trials), begun.space, axes, path)
        pictures = [Picture(path, f"The best of each {axes[0]} with each {axes[1]}.")]
    facts = {
        "space": f"{begun.space.name}, {begun.space.size:,} cells",
        "policy": begun.design or begun.policy,
        "shared by all trials": " ".join(begun.of_trainings) or "the defaults",
        "command": shlex.join(["python", "train.py", *begun.of_trainings]),
        "storage": begun.storage or "a journal in its folder",
    }
    return write_page(
        begun.folder, begun.name, begun.space, trials, facts, begun.objectives, pictures
    )


def found_features(
    space: Space, recipe: Recipe, console: Console
) -> tuple[list[TrainOptions], dict[str, str]]:
    """List a training for each set of features, and backbones without, with the reason."""
    default = recipe.base.backbone.name
    asked: dict[str, tuple[str, TrainOptions]] = {}
    for point in feature_points(space):
        one = recipe.options(point, space, 0)
        asked.setdefault(key_of(one), (point.cell.get("backbone", default), one))
    sets: list[TrainOptions] = []
    unbuildable: dict[str, str] = {}
    for name, one in track(
        asked.values(),
        "Looking for backbones",
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ):
        if name in unbuildable:
            continue
        try:
            source_of(one)
        except CollisionError as error:
            unbuildable[name] = " ".join(str(error).split())
        else:
            sets.append(one)
    return sets, unbuildable


def planned_of(options: SearchOptions, space: Space) -> list[Planned] | None:
    """List the trainings of a design, if that is what is asked for."""
    if options.design is None:
        return None
    return factorial(space, options.draws, options.seeds, options.seed)


def orders_of(options: SearchOptions, space: Space, folder: Path, kitchen: Kitchen) -> Orders:
    """Put together what workers are given."""
    assert options.name is not None
    budget = options.budget if options.design is None else 0  # it asks no policy
    what = budget, options.seed, options.retries, options.lease, options.policy.name
    return Orders(
        name=options.name,
        storage=options.storage,
        folder=folder,
        space=space,
        policy=options.policy,
        directions=[DIRECTIONS[name] for name in options.objectives],
        terms=Terms(*what),
        token=new_token(),
        make_trainer=kitchen,
        config_dirs=config_dirs()[1:],
    )


def plan_of(options: SearchOptions, has_gpu: bool, lasting: Mapping[str, Any]) -> Plan:
    """Say how long is searched, and with how many workers."""
    most = min(num_cores(), _MOST_ON_A_GPU) if has_gpu else num_cores()
    return Plan(
        workers=options.workers or most,
        hours=options.hours,
        confirm=options.confirm,
        confirm_seeds=options.confirm_seeds,
        stop_saturated=options.saturated == "stop",
        lasting=lasting,
    )


def opened(begun: Begun, options: SearchOptions) -> Reading:
    """Open what a search keeps; ConfigError: its storage does not answer."""
    storage = open_storage(options.storage or begun.storage, begun.folder)
    return Reading(study_there(storage, begun.name), begun.space)


def about_of(begun: Begun, options: SearchOptions | None = None) -> About:
    """Say what is known of a search beside its trials; of a running one by its own options."""
    budget = begun.budget if options is None else options.budget
    return About(begun.name, begun.space, begun.objectives, begun.of_trainings, budget)


def export(options: SearchOptions, begun: Begun, trials: Sequence[Trial], console: Console) -> None:
    """Write or print a CSV, a line a trial."""
    text = as_csv(trials, begun.space, begun.of_trainings)
    if options.output is None:
        print(text, end="")
        return
    write_whole(options.output, text)
    _say(console, f"{len(trials)} trials -> {options.output}")


def _has_gpu(options: SearchOptions) -> bool:
    """Whether this process or its workers use a GPU: then workers cannot be forked."""
    names = options.trainer.accelerator, options.extraction.accelerator
    return any(device_of(name).type == "cuda" for name in names)


def _bytes(gigabytes: float | None) -> float | None:
    return None if gigabytes is None else gigabytes * 1e9


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
