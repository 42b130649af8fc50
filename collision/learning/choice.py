"""The head that suits a training set, chosen by cross-validation over its groups."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from collision.checks import STRICT, typed
from collision.config import Part, names_of, no_such_part, part
from collision.devices import device_of
from collision.errors import ConfigError
from collision.files import load_json, write_json
from collision.learning.datamodule import FeatureDataset
from collision.learning.fit import Place, TrainingSetup, fit_head
from collision.learning.head import is_chosen, is_solved
from collision.learning.scoring import probabilities
from collision.learning.side_by_side import Training, num_at_once, train_ahead
from collision.metrics.comparison import Comparison, compare
from collision.metrics.estimate import MIN_GROUPS, Z
from collision.metrics.scored import Scored, smaller_class

CHOICE_FILE = "choice.json"
_FOLDER = ".choice_"  # of the trainings, until the choice is made
_VERSION = 1


class AutoHead:
    """No head, but several to choose from; ``choose_head`` says how.

    Args:
        candidates: Names of heads, the plainest first.
        folds: Of the cross-validation.

    Raises:
        ConfigError: A candidate that is no head, or is there twice; fewer than two of either.
    """

    def __init__(
        self, candidates: tuple[str, ...] = ("logistic", "gru", "zipformer"), folds: int = 4
    ):
        given = f"head.candidates=[{','.join(candidates)}]"
        if folds < 2:
            raise ConfigError(f"head.folds={folds}: give 2 or more.")
        if len(candidates) < 2:
            raise ConfigError(f"{given}: give two heads or more, or head=NAME.")
        if len(set(candidates)) < len(candidates):
            raise ConfigError(f"{given}: give each head once.")
        for name in candidates:
            if name not in names_of("head"):
                raise ConfigError(f"{given}: {no_such_part('head', name)}")
            if is_chosen(part("head", name)):
                raise ConfigError(f"{given}: {name} is itself a choice; name the heads.")
        self.candidates, self.folds = candidates, folds

    def candidate_heads(self) -> list[Part]:
        """Give the candidates, with the options of their YAML files."""
        return [part("head", name) for name in self.candidates]


@dataclass(frozen=True)
class Tried:
    """A candidate's cross-validated mAP, and by how much it is above the first candidate's.

    ``low`` and ``high`` are the difference's 95 % interval; None where a class has too few groups.
    """

    __pydantic_config__ = STRICT

    head: str
    map: float
    over_first: float = 0.0
    low: float | None = None
    high: float | None = None

    @property
    def is_shown_better(self) -> bool:
        """Whether it is above the first by more than one standard error."""
        if self.low is None or self.high is None:
            return False
        return self.over_first > (self.high - self.low) / (2 * Z)


@dataclass(frozen=True)
class Choice:
    """Which head was chosen, and why: all candidates, by so many folds of so many groups."""

    __pydantic_config__ = STRICT

    chosen: str
    candidates: tuple[Tried, ...]
    folds: int
    groups: int
    examples: int

    @property
    def head(self) -> Part:
        """The chosen head."""
        return part("head", self.chosen)

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def with_head(setup: TrainingSetup, head: Part) -> TrainingSetup:
    """Train this head instead; one that is solved has no use for pooling and prior."""
    if is_solved(head):
        return replace(setup, head=head, pooling=part("pooling", "last"), prior=None)
    return replace(setup, head=head)


def candidate_setups(setup: TrainingSetup) -> list[TrainingSetup]:
    """Give the setup of each candidate; of a head that is none to choose, its own alone."""
    if not is_chosen(setup.head):
        return [setup]
    return [with_head(setup, head) for head in setup.head.build().candidate_heads()]


def remembered_choice(
    setup: TrainingSetup, train: FeatureDataset, place: Place, parallel: int | None = None
) -> Choice:
    """Read the choice of ``place.folder``; if there is none, choose, and write it there.

    A file that is damaged, or tells of other candidates or another training set, counts as none.
    ConfigError: as in ``choose_head``.
    """
    path = place.folder / CHOICE_FILE
    choice = _read(path, setup.head.build(), train)
    if choice is None:
        choice = choose_head(setup, train, place, parallel)
        write_json(path, {"version": _VERSION, **choice.as_json()})
    return choice


def _read(path: Path, auto: AutoHead, train: FeatureDataset) -> Choice | None:
    try:
        data = load_json(path)
        if data.pop("version", None) != _VERSION:
            return None
        choice: Choice = typed(Choice, data)
    except (OSError, ValueError, AttributeError, TypeError, ConfigError):
        return None
    is_ours = (
        tuple(one.head for one in choice.candidates) == auto.candidates
        and choice.chosen in auto.candidates
        and choice.folds <= auto.folds
        and (choice.groups, choice.examples) == (_num_groups(train), len(train.examples))
    )
    return choice if is_ours else None


def choose_head(
    setup: TrainingSetup, train: FeatureDataset, place: Place, parallel: int | None = None
) -> Choice:
    """Choose among the candidates of ``setup.head`` by what they make of groups left out.

    The groups of the training set are parted into folds. Every candidate is trained on all folds
    but one and scores that one, and nothing is selected on it. All scores of a candidate are judged
    together: the mean AP over the horizons at which both classes have 20 groups; without such, all
    examples as if at one horizon.

    The rule: the candidate with the highest mAP is taken if its paired difference to the first
    candidate is above one standard error; the 95 % interval is 2 x 1.96 of them wide. Otherwise the
    first is, and so it is where there is no interval: with fewer than 20 groups of a class.

    Args:
        setup: Its ``head`` is an ``AutoHead``; all else holds for every candidate.
        train: The training split; neither validation nor test has a part in this.
        place: Temporary checkpoints lie in its folder; every training has its seed.
        parallel: So many trainings at once; None: as many as pay. The choice is the same.

    Raises:
        ConfigError: The groups can't be parted so that each fold has both classes, or a candidate
            can't be trained, or not so many at once.
        Interrupted: By a signal; the same call goes on.
    """
    auto = setup.head.build()
    folds = group_folds(train, auto.folds)
    folder = _folder_of(setup, train, place)
    inside = Place(folder, place.seed, Console(quiet=True, force_terminal=False))
    try:
        trainings = [
            trainings_without(left, setup, train, replace(inside, folder=folder / f"fold_{number}"))
            for number, left in enumerate(folds)
        ]
        ahead = [one for of_fold in trainings for one in of_fold]
        at_once = num_at_once(ahead, parallel, is_logged=False)
        if at_once > 1:
            train_ahead(ahead, at_once, place.console)
        scores = _left_out_scores(setup, folds, trainings, place.console)
    except ConfigError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
    tried = _tried(_compared(train, scores))
    best = max(tried, key=lambda one: one.map)
    chosen = best if best.is_shown_better else tried[0]
    sizes = len(folds), _num_groups(train), len(train.examples)
    return Choice(chosen.head, tuple(tried), *sizes)


def _folder_of(setup: TrainingSetup, train: FeatureDataset, place: Place) -> Path:
    """Give the folder of just these trainings; those of others are of no use any more."""
    examples = [astuple(one) for one in train.examples]
    asked = repr((setup, place.seed, tuple(train.bank.shape), examples))
    folder = place.folder / f"{_FOLDER}{sha256(asked.encode()).hexdigest()[:16]}"
    for other in place.folder.glob(f"{_FOLDER}*"):
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def group_folds(train: FeatureDataset, most: int) -> list[np.ndarray]:
    """Part the examples into folds, bool ``[E]`` each, that share no group; the classes alike.

    As many as ``most``, or fewer, so that each fold and the rest of each have both classes.
    ConfigError: two are too many.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    labels, groups = train.labels.numpy().astype(int), _groups_of(train)
    of_class = [len(np.unique(groups[labels == label])) for label in (0, 1)]
    for count in range(min(most, *of_class), 1, -1):
        splitter = StratifiedGroupKFold(count, shuffle=True, random_state=0)
        parts = [left for _, left in splitter.split(labels, labels, groups)]
        folds = [np.isin(np.arange(len(labels)), left) for left in parts]
        if all(len(np.unique(labels[rows])) == 2 for one in folds for rows in (one, ~one)):
            return folds
    raise ConfigError(
        f"head=auto needs folds that hold both classes each, and the training split has "
        f"{of_class[1]} groups with positives and {of_class[0]} with negatives, which can't be "
        "parted so. Name a head, such as head=logistic, or add videos."
    )


def trainings_without(
    left: np.ndarray, setup: TrainingSetup, train: FeatureDataset, place: Place
) -> list[Training]:
    """Say how every candidate is trained on what is not ``left``, bool ``[E]``.

    The prior, if there is one, is solved here, once.
    """
    rows = torch.from_numpy(left)
    # A training needs a validation split, but the last weights are taken. At one horizon: there it
    # would be refused for horizons with hard negatives alone.
    data = {"train": train.of_examples(~rows), "val": _at_one_horizon(train.of_examples(rows))}
    trainer = replace(setup.trainer, selection="last", patience=None, refit=False, validations=1)
    setup = replace(setup, trainer=trainer).settled(data["train"])
    prior = None
    if setup.prior is not None:
        prior = fit_head(with_head(setup, setup.prior), data, place).best
    return [
        Training(one, data, replace(place, folder=place.folder / one.head.name), prior=prior)
        for one in candidate_setups(setup)
    ]


def _left_out_scores(
    setup: TrainingSetup,
    folds: Sequence[np.ndarray],
    trainings: Sequence[Sequence[Training]],
    console: Console,
) -> dict[str, np.ndarray]:
    """Train what is not trained yet; give what each candidate scores, ``[E]``, on every fold."""
    scores = {one.setup.head.name: np.zeros(len(folds[0])) for one in trainings[0]}
    device = device_of(setup.trainer.accelerator)
    pairs = [(left, one) for left, some in zip(folds, trainings, strict=True) for one in some]
    shown = console.is_terminal
    for left, one in track(pairs, "Choosing a head", console=console, disable=not shown):
        model = one.prior
        if model is None or one.setup.head != setup.prior:
            model = fit_head(one.setup, one.data, one.place, prior=one.prior).best
        scores[one.setup.head.name][left] = probabilities(model, one.data["val"], device).numpy()
    return scores


def _compared(train: FeatureDataset, scores: Mapping[str, np.ndarray]) -> Comparison:
    """Set every candidate's scores ``[E]`` against the first's, on horizons that can be judged."""
    labels, groups = train.labels.numpy().astype(int), _groups_of(train)
    videos = np.array([example.video for example in train.examples])
    horizons = train.horizons.numpy().astype(float).round(6)
    runs = {name: Scored(videos, groups, labels, horizons, found) for name, found in scores.items()}
    first = next(iter(runs.values()))
    cells = [first.horizon == horizon for horizon in np.unique(first.horizon)]
    judged = [rows for rows in cells if smaller_class(first, rows) >= MIN_GROUPS]
    if judged:
        runs = {name: one.take(np.any(judged, axis=0)) for name, one in runs.items()}
    else:
        none = np.zeros(len(first))
        runs = {name: replace(one, horizon=none) for name, one in runs.items()}
    return compare({name: [one] for name, one in runs.items()}, num_resamples=1000)


def _tried(compared: Comparison) -> list[Tried]:
    """List the candidates, the first one first."""
    tried = []
    for name, found in compared.runs.items():
        assert found.value is not None, "all examples have a score"
        against = compared.differences.get(name)
        over = (against.value, against.low, against.high) if against else ()
        tried.append(Tried(name, found.value, *over))
    return tried


def _at_one_horizon(data: FeatureDataset) -> FeatureDataset:
    return replace(data, examples=[replace(example, horizon=0.0) for example in data.examples])


def _groups_of(data: FeatureDataset) -> np.ndarray:
    """Give each example's group, ``[E]``."""
    return np.array([record.group for record in data.records])


def _num_groups(data: FeatureDataset) -> int:
    return len({record.group for record in data.records})
