"""The assembly line that the verbs share: records, the moments to score, their features.

    experiment = Experiment.index(dataset, policy, source, selection)
    experiment.extract(options)      # or experiment.require_features()
    experiment.load()

What follows is in ``collision.learning`` (heads are fitted on ``experiment.folds``) and in
``collision.evaluation`` (their scores are judged).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from collision.audit.durations import DurationCache
from collision.audit.jobs import Pool
from collision.audit.run_audit import FoldAudit, FoldToAudit, audit_fold
from collision.errors import ConfigError, Interrupted
from collision.features.clips import WindowRequest
from collision.features.extract import ExtractionReport
from collision.features.failures import check_failures, distinct
from collision.features.source import FeatureSource
from collision.learning.datamodule import FeatureDataset, load_features
from collision.options import ExtractionOptions
from collision.records.splits import folded
from collision.sampling.durations import Durations, ReadDurations
from collision.sampling.index import DataIndex, Selection, index_dataset, index_records
from collision.sampling.policy import SamplingPolicy
from collision.types import UNLABELLED, Dataset, Failure, Split, VideoRecord


@dataclass
class Fold:
    """What one training learns from and is judged on: everything, or one fold of it.

    Attributes:
        name: Its folder in the run; empty for everything.
        index: Its videos and examples.
        data: Their features by split; filled by ``Experiment.load``.
    """

    name: str
    index: DataIndex
    data: dict[str, FeatureDataset] = field(default_factory=dict)


@dataclass
class Experiment:
    """A data set, cut by a sampling policy, seen by a backbone.

    Attributes:
        dataset: What is learned from or scored.
        policy: Which moments, with what label, from which windows.
        source: The backbone's features.
        selection: Which videos were asked for.
        folds: One, or one for each fold of a cross-validation.
        failures: Videos that gave no features, one each.
    """

    dataset: Dataset
    policy: SamplingPolicy
    source: FeatureSource
    selection: Selection
    folds: list[Fold]
    failures: list[Failure] = field(default_factory=list)

    @classmethod
    def index(
        cls,
        dataset: Dataset,
        policy: SamplingPolicy,
        source: FeatureSource,
        selection: Selection,
        num_folds: int | None = None,
    ) -> Experiment:
        """List the videos and the moments to score; nothing is decoded.

        In a fold, validation is part of the training groups: nothing of the tested groups selects.

        Raises:
            DatasetNotFoundError: The data set's files are not there.
            ConfigError: A split is empty, or there are too few groups for the folds.
        """
        root = source.store.folder.parent
        durations = Durations(DurationCache(root, source.digests))
        if num_folds is None:
            folds = [Fold("", index_dataset(dataset, policy, selection, durations))]
        else:
            # Else every fold would cut, and extract, the same video elsewhere.
            selection = replace(selection, separate_pools=False)
            folds = _cross_validation(dataset, policy, selection, num_folds, durations)
        unreadable = distinct([one for fold in folds for one in fold.index.unreadable])
        return cls(dataset, policy, source, selection, folds, unreadable)

    @property
    def records(self) -> dict[str, VideoRecord]:
        """All videos by id."""
        return {name: record for fold in self.folds for name, record in fold.index.records.items()}

    @property
    def judged_split(self) -> str:
        """The split that can be judged: test, or validation where the test's labels are secret."""
        labels = {record.label for record in self.records.values() if record.split == "test"}
        return "val" if labels == {UNLABELLED} else "test"

    def requests(self) -> list[WindowRequest]:
        """List the windows that all folds need, video by video."""
        return self.source.requests(self._whole(), self.policy)

    def extract(
        self, options: ExtractionOptions, *, devices: int | str = 1, num_nodes: int = 1
    ) -> ExtractionReport:
        """Extract what is missing; failures are kept, and judged by ``check_failures``.

        Raises:
            Interrupted: A signal asked to stop; what was finished is kept.
        """
        report = self.source.extract(self.requests(), options, devices=devices, num_nodes=num_nodes)
        if report.signal is not None:
            raise Interrupted(report.signal)
        self.failures = distinct([*self.failures, *report.failures])
        return report

    def require_features(self) -> None:
        """Check that nothing is missing, without extracting anything.

        Raises:
            ConfigError: Windows were never extracted.
        """
        missing, failed = self.source.look(self.requests())
        if missing:
            raise ConfigError(
                f"{missing} windows are not in {str(self.source.store.folder)!r}, and "
                "extract=false. Run `collision extract` with the same options first, or leave "
                "extract=false out."
            )
        self.failures = distinct([*self.failures, *failed])

    def check_failures(self, skip: bool, console: Console) -> None:
        """Tell of videos that could not be read.

        Raises:
            CollisionError: There are some, and the user did not choose to go on without them.
        """
        check_failures(self.failures, skip, self.source.store.folder / "failures.csv", console)

    def load(self) -> None:
        """Read the features of every fold from the cache."""
        for fold in self.folds:
            fold.data = load_features(fold.index, self.source, self.policy, self.failures)

    def audit(self, cache_root: Path, pool: Pool) -> list[FoldAudit]:
        """Look for copies and shortcuts in what each fold learns from and is judged on.

        Raises:
            Interrupted: A signal asked to stop.
        """
        return [
            audit_fold(
                FoldToAudit(
                    list(fold.index.records.values()),
                    fold.data["train"].examples,
                    fold.data[self.judged_split].examples,
                ),
                self.source.digests,
                cache_root,
                pool,
            )
            for fold in self.folds
        ]

    def digests(self) -> dict[str, str]:
        """Give the digest of each readable video's content by id."""
        return self.source.digest_of(self._whole(), self.failures)

    def facts(self) -> dict[str, Any]:
        """Tell what was learned from or scored, ready for JSON."""
        return {
            "dataset": self.dataset.name,
            "data_digest": data_digest(self.records.values(), self.digests()),
            "feature_fingerprint": self.source.fingerprint.key,
            "videos": len(self.records),
            "limit": self.selection.limit,
            "failures": len(self.failures),
            "sampling": asdict(self.policy),
        }

    def _whole(self) -> DataIndex:
        """Put the videos and examples of all folds into one index."""
        if len(self.folds) == 1:
            return self.folds[0].index
        examples = {
            f"{fold.name}/{split}": examples
            for fold in self.folds
            for split, examples in fold.index.examples.items()
        }
        return DataIndex(self.dataset.name, self.records, examples)


def _cross_validation(
    dataset: Dataset,
    policy: SamplingPolicy,
    selection: Selection,
    num_folds: int,
    durations: ReadDurations,
) -> list[Fold]:
    dataset.prepare()
    records = [record for record in dataset.records() if record.label != UNLABELLED]
    parted = [folded(records, num_folds, fold, policy.seed) for fold in range(num_folds)]
    return [
        Fold(f"fold_{fold}", index_records(dataset.name, rows, policy, selection, durations))
        for fold, rows in enumerate(parted)
    ]


def data_digest(records: Iterable[VideoRecord], digest_of: Mapping[str, str]) -> str:
    """Hash what was learned from and scored on: each video's content, label, times and split.

    ``digest_of`` gives the digest of a video's content by id; an unreadable file has none.
    """
    rows = sorted(
        json.dumps(
            [
                r.id,
                digest_of.get(r.id),
                r.label,
                r.split,
                r.group,
                r.event_time,
                r.alert_time,
                r.mock_event_time,
                r.cut_horizon,
            ]
        )
        for r in records
    )
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]


def prepare_all(datasets: Sequence[Dataset], splits: Sequence[Split] | None = None) -> None:
    """Check data sets before work begins: what the last one lacks is told before the first's hours.

    Raises:
        DatasetNotFoundError: Files are missing.
        ConfigError: A data set is named twice.
    """
    names = [dataset.name for dataset in datasets]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ConfigError(f"The data set {twice[0]!r} was given twice.")
    for dataset in datasets:
        dataset.prepare(splits)
