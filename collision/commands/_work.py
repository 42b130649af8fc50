"""The heads of a run: fitted one after the other, with the baseline that they are set against."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from collision.config import part
from collision.errors import ConfigError
from collision.experiment import Experiment, Fold
from collision.learning.choice import Choice, with_head
from collision.learning.fit import Place, TrainingSetup
from collision.learning.fitted import FittedHead, Lesson, fit_ensemble, fit_predictor
from collision.learning.head import HeadModel
from collision.learning.predictor import BASELINE, LearnedFrom, Origin, Predictor
from collision.learning.predictor_files import BASELINE_FOLDER, FILE_NAME
from collision.learning.scoring import MONITOR
from collision.learning.side_by_side import Training, num_at_once, train_ahead
from collision.options import TrainOptions, as_config
from collision.report.words import steps_line

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger

    from collision.runs.tracker import Tracker


@dataclass(frozen=True)
class Work:
    """What all heads of a run share; ``choices`` are the heads of folds, where one was chosen."""

    options: TrainOptions
    experiment: Experiment
    setup: TrainingSetup
    folder: Path
    initial: Predictor | None
    tracker: Tracker | None
    console: Console
    choices: Mapping[str, Choice] = field(default_factory=dict)

    def setup_of(self, fold: Fold) -> TrainingSetup:
        """Give what the fold's head is made of, and how it is trained."""
        choice = self.choices.get(fold.name)
        return self.setup if choice is None else with_head(self.setup, choice.head)

    def baselines(self) -> list[FittedHead]:
        """Fit the baseline of each fold, on the windows that the heads learn from.

        None where the run's head is the baseline itself.
        """
        head = part("head", BASELINE)
        if {self.setup_of(fold).head.target for fold in self.experiment.folds} == {head.target}:
            return []
        setup = with_head(self.setup, head)
        fitted = []
        for fold in self.experiment.folds:
            lesson = self.lesson(fold, setup)
            place = Place(self.folder / BASELINE_FOLDER / fold.name, 0, self.console)
            fitted.append(fit_predictor(setup, lesson, self.options.threshold, place))
        return fitted

    def with_priors(
        self, baselines: Sequence[FittedHead]
    ) -> Iterator[tuple[Fold, HeadModel | None]]:
        """Give each fold with the solved head to start from, where the baseline is just that."""
        prior = self.setup.prior
        is_same = prior is not None and prior.name == BASELINE and baselines
        solved = [one.predictor.model if is_same else None for one in baselines]
        yield from zip_longest(self.experiment.folds, solved)

    def train_all(self, baselines: Sequence[FittedHead]) -> dict[int, list[FittedHead]]:
        """Train with every seed on every fold; give the heads by seed, in the order of folds."""
        seeds = range(self.options.seed, self.options.seed + self.options.seeds)
        folds = list(self.with_priors(baselines))
        initial = head_of(self.initial, self.options.init_from) if self.initial else None
        if len(seeds) * len(folds) > 1:
            own = [self.setup_of(fold).settled(fold.data["train"]) for fold, _ in folds]
            ahead = [
                Training(setup, fold.data, self.place_of(seed, fold), initial, prior)
                for seed in seeds
                for setup, (fold, prior) in zip(own, folds, strict=True)
            ]
            is_logged = self.tracker is not None
            at_once = num_at_once(ahead, self.options.parallel, is_logged=is_logged)
            if at_once > 1:
                train_ahead(ahead, at_once, self.console)
        return {seed: [self.train(seed, fold, prior) for fold, prior in folds] for seed in seeds}

    def place_of(self, seed: int, fold: Fold, loggers: Sequence[Logger] = ()) -> Place:
        """Say where a head and its checkpoints lie."""
        return Place(self.folder / fold.name / f"seed_{seed}", seed, self.console, loggers)

    def train(self, seed: int, fold: Fold, prior: HeadModel | None) -> FittedHead:
        """Train with one seed on one fold, and save the selected predictor."""
        folder = self.place_of(seed, fold).folder
        logger = None
        if self.tracker:
            part = str(folder.relative_to(self.folder))
            logger = self.tracker.logger(self.folder, part, as_config(self.options))
            print_plain(self.console, self.tracker.where(logger))
        place = self.place_of(seed, fold, [logger] if logger else [])
        lesson = replace(self.lesson(fold), prior=prior)
        head = fit_predictor(self.setup_of(fold), lesson, self.options.threshold, place)
        if self.tracker and logger:
            self.tracker.finish(logger, folder / FILE_NAME, self.description(head.predictor))
        name = f"seed {seed} {fold.name}".rstrip()
        print_plain(self.console, f"{name}: {steps_line(steps_of(head))}")
        return head

    def ensemble(self, heads: Mapping[int, Sequence[FittedHead]]) -> dict[int, list[FittedHead]]:
        """Put the seeds of each fold together; the first seed names what comes of it."""
        fitted = []
        for place, fold in enumerate(self.experiment.folds):
            members = [of_seed[place] for of_seed in heads.values()]
            what = self.setup_of(fold), self.lesson(fold), self.options.threshold
            fitted.append(fit_ensemble(members, *what, self.folder / fold.name))
        return {self.options.seed: fitted}

    def description(self, predictor: Predictor) -> dict[str, Any]:
        """Tell what a predictor is and needs, without the list of its videos."""
        origin = asdict(replace(predictor.origin, learned_from=None))
        spec = predictor.spec.as_dict()
        return {**origin, "spec": spec, "feature_fingerprint": predictor.fingerprint.key}

    def lesson(self, fold: Fold, setup: TrainingSetup | None = None) -> Lesson:
        """Take a fold's data, and what is to be remembered of them and of the setup's head."""
        options, experiment, setup = self.options, self.experiment, setup or self.setup_of(fold)
        made_of = {"head": setup.head, "pooling": setup.pooling}
        others = {g: one.name for g, one in made_of.items() if one is not getattr(options, g)}
        learned_from = LearnedFrom.of(fold.data, experiment.digests())
        is_painted: bool | None = getattr(experiment.dataset, "is_painted", False)
        if self.initial is not None:
            start = self.initial.origin
            same = start.dataset == experiment.dataset.name
            learned_from = learned_from.joined(start.learned_from, same_dataset=same)
            is_painted = is_painted and start.is_painted
        origin = Origin(
            dataset=experiment.dataset.name,
            data_digest=experiment.facts()["data_digest"],
            parts={**options.parts, **others},
            learned_from=learned_from,
            is_painted=is_painted,
        )
        parts = {"backbone": options.backbone, **made_of}
        if options.fusion is not None:
            parts["fusion"] = options.fusion
        seen = (experiment.policy, experiment.source.fingerprint)
        start_model = head_of(self.initial, self.options.init_from) if self.initial else None
        return Lesson(fold.data, parts, *seen, origin, start_model)


def steps_of(head: FittedHead) -> dict[str, Any]:
    """Give a head's optimizer steps, its validation mAP, and what selecting it gained there."""
    return {
        "best_step": head.best_step,
        "last_step": head.last_step,
        MONITOR: head.predictor.origin.value,
        "val_groups": head.num_groups,
        "over_last": head.over_last.as_json() if head.over_last else None,
    }


def head_of(predictor: Predictor, path: Path | None) -> HeadModel:
    """Give a predictor's head; ConfigError where it is an ensemble."""
    if not isinstance(predictor.model, HeadModel):
        raise ConfigError(f"init_from={path} is an ensemble: give the folder of one of its seeds.")
    return predictor.model


def print_plain(console: Console, text: str) -> None:
    """Print text that may hold paths: as it is, however wide the terminal."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)
