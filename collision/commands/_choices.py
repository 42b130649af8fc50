"""What is announced of a run's head, and the head that is chosen for each of its folds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from collision.errors import ConfigError
from collision.experiment import Fold
from collision.learning.choice import Choice, Tried, candidate_setups, remembered_choice
from collision.learning.fit import Place, TrainingSetup
from collision.learning.head import is_chosen
from collision.options import TrainOptions
from collision.report.tables import number, signed


def check_choice(options: TrainOptions) -> None:
    """Refuse (``ConfigError``) to choose a head where the one to start from settles it."""
    if options.init_from is not None and is_chosen(options.head):
        raise ConfigError(
            f"head={options.head.name} with init_from={options.init_from}: the head to start from "
            "is already chosen. Name that head, or leave init_from out."
        )


def announced(setup: TrainingSetup, feature_dim: int) -> str:
    """Say which head is trained, and of what size; all that may be are built, to see if they can.

    ConfigError: one can't.
    """
    about = f"head {setup.head.name}"
    if setup.fused is not None:
        about = f"fusion {setup.fused.kind.name}, {about}"
    models = {one.head.name: one.model(feature_dim) for one in candidate_setups(setup)}
    if is_chosen(setup.head):
        folds = f"by {setup.head.build().folds} folds of the training groups"
        return f"{about} (one of {', '.join(models)}, {folds}), pooling {setup.pooling.name}"
    size = models[setup.head.name].num_parameters
    return f"{about}, pooling {setup.pooling.name}: {size:,} parameters"


def choices(
    setup: TrainingSetup,
    folds: Sequence[Fold],
    folder: Path,
    options: TrainOptions,
    console: Console,
) -> dict[str, Choice]:
    """Choose the head of each fold, by the fold's name; none where the run's head is given."""
    if not is_chosen(setup.head):
        return {}
    made = {}
    for fold in folds:
        place = Place(folder / fold.name, options.seed, console)
        train = fold.data["train"]
        made[fold.name] = remembered_choice(setup, train, place, options.parallel)
        before = f"{fold.name}: " if fold.name else ""
        text = f"{before}head={setup.head.name}: {choice_line(made[fold.name])}"
        console.print(text, markup=False, highlight=False, soft_wrap=True)
    return made


def choice_line(choice: Choice) -> str:
    """Say what was chosen, and how the candidates compare with the first one."""
    first, *others = choice.candidates
    folds = f"by {choice.folds} folds of {choice.groups} groups"
    chosen = next((one for one in others if one.head == choice.chosen), None)
    if chosen is not None:
        return f"{chosen.head} ({number(chosen.map)}, {_over(chosen)} over {first.head}, {folds})"
    rest = ", ".join(f"{one.head} {_over(one)}" for one in others)
    return f"{first.head} ({number(first.map)}; {rest}, {folds})"


def _over(tried: Tried) -> str:
    """Give the difference to the first candidate with its interval, where there is one."""
    text = signed(tried.over_first)
    if tried.low is None or tried.high is None:
        return f"{text} [too few groups]"
    return f"{text} [{signed(tried.low)}, {signed(tried.high)}]"
