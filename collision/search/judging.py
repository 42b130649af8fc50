"""The test splits on which the trials of a design are scored. A search never comes here.

Whoever searches chooses by what it sees, and what is chosen on a test split is no test of it. A
design chooses nothing: its cells are listed before the first is trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from rich.console import Console

from collision.config import Part
from collision.errors import ConfigError
from collision.experiment import Experiment
from collision.learning.asked import source_of
from collision.learning.datamodule import FeatureDataset
from collision.learning.head import HeadModel
from collision.learning.scoring import probabilities
from collision.metrics.torch_metric import NexarMAP
from collision.options import TrainOptions
from collision.sampling.index import Selection
from collision.search.features import key_of
from collision.types import UNLABELLED


@dataclass
class TestSplits:
    """Features of the test splits of data sets, by what features depend on."""

    datasets: Sequence[Part]
    _kept: dict[str, Mapping[str, FeatureDataset]] = field(default_factory=dict)

    def collect(self, options: TrainOptions, console: Console) -> None:
        """Extract what is missing, and load it; CollisionError as of ``train``."""
        found = {}
        for dataset in self.datasets:
            policy = replace(options.sampling.build(), dense=None)
            selection = Selection(
                ("test",), options.limit, options.val_fraction, skip_missing=options.skip_failures
            )
            what = dataset.build(), policy, source_of(options), selection
            experiment = Experiment.index(*what)
            if {one.label for one in experiment.records.values()} <= {UNLABELLED}:
                raise ConfigError(
                    f"dataset {dataset.name}: its test split has no labels, on which a design "
                    "could be scored. Name another one in evaluate_on, or search instead."
                )
            experiment.collect(options, console)
            experiment.load()
            experiment.missing.check("test")
            found[f"test/{experiment.dataset.name}"] = experiment.folds[0].data["test"]
        self._kept[key_of(options)] = found

    def scores(
        self, model: HeadModel, options: TrainOptions, device: torch.device
    ) -> dict[str, float]:
        """Give mAP on each test split, by ``test/NAME``."""
        return {
            name: float(f"{_map(probabilities(model, data, device), data):.6g}")
            for name, data in self._kept[key_of(options)].items()
        }


def _map(scores: torch.Tensor, data: FeatureDataset) -> float:
    metric = NexarMAP()
    metric.update(scores, data.labels.long(), data.horizons, torch.arange(len(scores)))
    return float(metric.compute()["nexar_map"])
