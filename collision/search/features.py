"""The features of a search, in memory: read once for all trials that need the same.

The test split is not there: neither its labels nor its features are loaded.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rich.console import Console
from torch import Tensor

from collision.config import Part
from collision.devices import threads_at_most
from collision.errors import ConfigError
from collision.experiment import Experiment
from collision.features.bank import FusedBank, free_memory
from collision.features.sources import Source
from collision.learning.asked import setup_of, source_of
from collision.learning.components import num_above_noise
from collision.learning.datamodule import FeatureDataset
from collision.learning.fit import TrainingSetup, check_classes, check_trainable
from collision.learning.head import HeadModel, HeadOptions, build_model
from collision.learning.solve import solve
from collision.options import TrainOptions
from collision.sampling.index import Selection
from collision.search.space import Dimension, Point, Range, Space
from collision.types import Split

# Options that features depend on.
_DECIDING = ("dataset", "backbone", "sampling", "extraction", "limit", "val_fraction")
SPLITS: tuple[Split, ...] = ("train", "val")
_SHARE_OF_MEMORY = 0.5  # of what is free when a search begins, for all its processes together


@dataclass
class Loaded:
    """The features that trials learn from and are scored on, with what follows from them alone."""

    data: Mapping[str, FeatureDataset]
    source: Source
    num_bytes: int
    num_components: int | None = None
    priors: dict[str, HeadModel] = field(default_factory=dict)

    def settled(self, setup: TrainingSetup) -> TrainingSetup:
        """Fill in what follows from the training set; counted once."""
        if not setup.find_components:
            return setup
        if self.num_components is None:
            self.num_components = num_above_noise(self.data["train"].steps)
        options = replace(setup.options, components=self.num_components)
        return replace(setup, options=options, find_components=False)

    def prior(self, setup: TrainingSetup) -> HeadModel | None:
        """Give the solved head that a settled setup starts from; solved once."""
        if setup.prior is None:
            return None
        components = setup.options.components
        key = _text([_plain(setup.prior), components])
        if key not in self.priors:
            seen = HeadOptions(components=components)
            width = self.data["train"].bank.shape[-1]
            model = build_model(setup.prior, setup.pooling, width, seen)
            self.priors[key] = solve(model, self.data["train"])
        return self.priors[key]


class Shelf:
    """Feature sets in memory, the least recently used of which goes where they take too much."""

    def __init__(
        self,
        limit: float | None = None,
        load: Callable[[TrainOptions], Loaded] | None = None,
    ):
        """Keep at most so many bytes; None: a share of what is free now."""
        self.limit = _SHARE_OF_MEMORY * free_memory() if limit is None else limit
        self._load = load or loaded
        self._kept: OrderedDict[str, Loaded] = OrderedDict()

    def get(self, options: TrainOptions) -> Loaded:
        """Give the features that a training needs."""
        key = key_of(options)
        if key not in self._kept:
            self._kept[key] = self._load(options)
        self._kept.move_to_end(key)
        while len(self._kept) > 1 and self.num_bytes > self.limit:
            self._kept.popitem(last=False)
        return self._kept[key]

    @property
    def num_bytes(self) -> int:
        """How much all of them take."""
        return sum(one.num_bytes for one in self._kept.values())

    def fill(self, sets: Sequence[TrainOptions]) -> None:
        """Load ahead, for processes that are forked from this one, while there is room.

        What most trainings on them begin with is worked out, too.
        """
        with threads_at_most(1):  # as in those
            for options in sets:
                before = self.num_bytes
                have = self.get(options)
                setup = setup_of(options, options.sampling.build(), source=have.source)
                have.prior(have.settled(setup))
                if before + 2 * have.num_bytes > self.limit:
                    return


def key_of(options: TrainOptions) -> str:
    """Name what features depend on."""
    extraction = options.extraction
    what = [options.dataset, options.backbone, options.sampling]
    plain = [options.limit, options.val_fraction, options.skip_failures, extraction.reader]
    return _text([*map(_plain, what), *plain, extraction.precision, extraction.accelerator])


def _plain(part: Part) -> list[Any]:
    """Give what a part is, without looking up its short name."""
    return [part.target, part.options]


def _text(data: Any) -> str:
    return json.dumps(data, sort_keys=True, default=str)


def distinct(asked: Iterable[TrainOptions]) -> list[TrainOptions]:
    """Give one training of each feature set."""
    return list({key_of(options): options for options in asked}.values())


def feature_points(space: Space) -> list[Point]:
    """Give points of a space that need all features which any of its points can need.

    What features depend on is chosen by few dimensions: those are gone through, the others stand.

    ConfigError: Such a dimension is a range, of which no list can be made.
    """
    points: list[dict[str, str | float]] = [{}]
    for dimension in space.dimensions:
        if isinstance(dimension, Range):
            if _decides(dimension.key):
                raise ConfigError(
                    f"space {space.name}: {dimension.key} is a range, and features hang on it: "
                    "they are extracted before, for each choice. Give choices."
                )
            found: Sequence[str | float] = [dimension.low]
        else:
            decides = any(_decides(k) for choice in dimension.choices for k in choice.changes)
            names = [choice.name for choice in dimension.choices]
            found = names if decides else names[:1]
        points = [
            {**point, dimension.key: value}
            for point in points
            for value in (found if _counts(space, dimension, point) else found[:1])
        ]
    return [space.named(values) for values in points]


def _decides(key: str) -> bool:
    return key.partition(".")[0] in _DECIDING


def _counts(space: Space, dimension: Dimension | Range, values: Mapping[str, str | float]) -> bool:
    return space.applies(dimension, {key: str(value) for key, value in values.items()})


def indexed(options: TrainOptions) -> Experiment:
    """List what a training learns from and is scored on; nothing is decoded."""
    policy = replace(options.sampling.build(), dense=None)  # moments along videos are not scored
    selection = Selection(
        SPLITS, options.limit, options.val_fraction, skip_missing=options.skip_failures
    )
    dataset = options.dataset.build()
    experiment = Experiment.index(dataset, policy, source_of(options), selection)
    check_classes(experiment.records.values(), policy)
    return experiment


def collect(options: TrainOptions, console: Console) -> None:
    """Extract what a training misses, or refuse; CollisionError as of ``train``."""
    experiment = indexed(options)
    if options.extract:
        experiment.tell_short(console)
    experiment.collect(options, console)


def loaded(options: TrainOptions) -> Loaded:
    """Read features from the cache; CollisionError: some were never extracted, or lack a class."""
    experiment = indexed(options)
    experiment.require_features()
    experiment.load()
    experiment.missing.check(*SPLITS)
    (fold,) = experiment.folds
    check_trainable(fold.data)
    data = {str(split): fold.data[split] for split in SPLITS}
    return Loaded(data, experiment.source, sum(map(_size, data.values())))


def _size(data: FeatureDataset) -> int:
    tensors: list[Tensor] = [data.window_index, data.times, data.example_of]
    if isinstance(data.bank, FusedBank):
        tensors += [*data.bank.banks, data.bank.index]
    else:
        tensors.append(data.bank)
    return sum(one.numel() * one.element_size() for one in tensors)
