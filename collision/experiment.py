"""The assembly line that the verbs share: records, the moments to score, their features.

    experiment = Experiment.index(dataset, policy, source, selection)
    experiment.collect(options, console)
    experiment.load()

Heads are then fitted on its folds (``collision.learning``) and judged (``collision.evaluation``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from collision.audit.facts import DurationCache
from collision.audit.jobs import Pool
from collision.audit.missing import FOUND, UNREADABLE, Missing, Reasons, count_missing, guess_units
from collision.audit.short import too_short
from collision.audit.shortcuts import FoldAudit, audit_fold
from collision.errors import ConfigError, Interrupted
from collision.features.clips import WindowRequest
from collision.features.extract import ExtractionReport
from collision.features.failures import check_failures, distinct
from collision.features.source import FeatureSource
from collision.features.sources import Source, in_turn
from collision.learning.alignment import load_features
from collision.learning.datamodule import FeatureDataset
from collision.option_groups import ExtractionOptions, OfTraining
from collision.records.check import records_of
from collision.records.files import prepare
from collision.records.splits import folded
from collision.sampling.durations import Durations
from collision.sampling.index import DENSE, DataIndex, Selection, index_dataset, index_records
from collision.sampling.policy import SamplingPolicy
from collision.types import UNLABELLED, Dataset, Example, Failure, Split, VideoRecord
from collision.video.notes import counted


@dataclass
class Fold:
    """What one training learns from and is judged on: everything (no ``name``), or one fold of it.

    ``load`` fills ``data``, the features by split; ``name`` is its folder in the run.
    """

    name: str
    index: DataIndex
    data: dict[str, FeatureDataset] = field(default_factory=dict)


@dataclass
class Experiment:
    """A data set, cut by a sampling policy, seen by a backbone or by several.

    ``failures`` gave no features; ``notes`` are what is odd about videos that were read, by id;
    ``missing`` are the examples without frames, once they were looked for; of ``num_outdated``
    videos an older reader had seen other frames; ``report`` is of the last extraction.
    """

    dataset: Dataset
    policy: SamplingPolicy
    source: Source
    selection: Selection
    folds: list[Fold]
    failures: list[Failure] = field(default_factory=list)
    notes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    missing: Missing = field(default_factory=Missing)
    num_outdated: int = 0
    report: ExtractionReport | None = None

    @classmethod
    def index(
        cls,
        dataset: Dataset,
        policy: SamplingPolicy,
        source: Source,
        selection: Selection,
        num_folds: int | None = None,
    ) -> Experiment:
        """List the videos and the moments to score; nothing is decoded.

        In a fold, validation is part of the training groups: nothing of the tested groups selects.
        """
        root = source.parts[0].store.folder.parent
        durations = Durations(DurationCache(root, source.digests))
        if num_folds is None:
            folds = [Fold("", index_dataset(dataset, policy, selection, durations))]
        else:
            # Else every fold would cut, and extract, the same video elsewhere.
            selection = replace(selection, separate_pools=False)
            prepare(dataset, None, selection.skip_missing)
            records = [record for record in records_of(dataset) if record.label != UNLABELLED]
            folds = []
            for fold in range(num_folds):
                rows = folded(records, num_folds, fold, policy.seed)
                index = index_records(dataset.name, rows, policy, selection, durations)
                folds.append(Fold(f"fold_{fold}", index))
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

    def requests(self, part: FeatureSource) -> list[WindowRequest]:
        """List the windows of a backbone that all folds need, video by video."""
        return part.requests(self._whole(), self.policy)

    def tell_short(self, console: Console) -> None:
        """Say before extraction how many examples will have no window, and what would keep them.

        A predictor's own windows stand as they are: its head was trained on them.
        """
        splits = (own.items() for own in (fold.index.examples for fold in self.folds))
        wanted = [e for own in splits for split, some in own if split != DENSE for e in some]
        for part in self.source.parts:
            said = too_short(wanted, self.policy, part.spec, part.part.options)
            if said and len(self.source.parts) > 1:
                option = f" backbone.options.{part.part.name}."
                said = f"{part.spec.name}: {said.replace(' backbone.', option)}"
            if said and part.whose:
                said += " For that it has to be trained anew."
            if said:
                console.print(said, markup=False, highlight=False, soft_wrap=True)

    def extract(
        self,
        options: ExtractionOptions,
        *,
        devices: int | str = 1,
        num_nodes: int = 1,
        engine: str = "local",
    ) -> ExtractionReport:
        """Extract what is missing, unless a signal stops it (Interrupted); failures are kept.

        With the ``engine`` ray it is done by the cluster that this process has joined.
        """

        def extract_part(part: FeatureSource) -> ExtractionReport:
            if engine == "ray":
                from collision.features.cluster import extract_on_cluster  # needs torch

                return extract_on_cluster(part, self.requests(part), options)
            where = {"devices": devices, "num_nodes": num_nodes}
            is_task = self.selection.shard is not None
            return part.extract(self.requests(part), options, **where, is_task=is_task)

        self.report = report = in_turn(self.source, extract_part)
        if report.signal is not None:
            raise Interrupted(report.signal)
        self.failures = distinct([*self.failures, *report.failures])
        self.notes |= report.notes
        self.num_outdated = report.num_outdated
        return report

    def require_features(self) -> None:
        """Check that nothing is missing, without extracting anything; else a ConfigError."""
        for part in self.source.parts:
            missing, failed = part.look(self.requests(part))
            if missing:
                raise ConfigError(
                    f"{missing} windows are not in {str(part.store.folder)!r}. Run `collision "
                    "extract` with the same options first, or leave extract=false out."
                )
            self.failures = distinct([*self.failures, *failed])

    def collect(self, asked: OfTraining, console: Console) -> None:
        """Extract what is missing, or with ``extract=false`` check that nothing is.

        CollisionError: something is missing, or videos failed and may not be skipped.
        """
        if asked.extract:
            self.extract(asked.extraction)
        else:
            self.require_features()
        self.check_failures(asked.skip_failures, console)

    def check_failures(self, skip: bool, console: Console) -> None:
        """Tell of videos that could not be read; a CollisionError unless the user skips them."""
        files = [str(part.store.folder / "failures.csv") for part in self.source.parts]
        check_failures(self.failures, skip, ", ".join(files), console)

    def load(self) -> None:
        """Read the features of every fold from the cache; count examples that have none."""
        for fold in self.folds:
            fold.data = load_features(fold.index, self.source, self.policy, self.failures)
        parts = [part for fold in self.folds for part in fold.data.values()]
        self.find_missing({example for part in parts for example in part.dropped})

    def find_missing(self, dropped: Set[Example] | None = None) -> None:
        """Say why examples have no frames: those dropped, or, by their files, whichever have none.

        Of several folds the sum.
        """
        records = self.records
        reasons = Reasons(self.source, self.policy, records, (f.video for f in self.failures))

        def why(example: Example) -> str:
            if dropped is None or example.end_time < 0:
                return reasons(example)
            # Frames that are there and gave no features count as unreadable.
            return (reasons(example) or UNREADABLE) if example in dropped else FOUND

        wanted: dict[str, list[Example]] = {}
        for fold in self.folds:
            for split, examples in fold.index.wanted.items():
                wanted.setdefault(split, []).extend(examples)
        self.missing = count_missing(wanted, why, self.policy)
        videos = {example.video for examples in wanted.values() for example in examples}
        self.missing.units = guess_units((records[v] for v in videos), reasons.files)

    def audit(self, cache_root: Path, pool: Pool) -> list[FoldAudit]:
        """Look for copies and shortcuts in what each fold learns from and is judged on."""
        audits = []
        for fold in self.folds:
            learned, judged = (fold.data[split].examples for split in ("train", self.judged_split))
            records, digests = fold.index.records, self.source.digests
            audits.append(audit_fold(records, learned, judged, digests, cache_root, pool))
            self.notes |= audits[-1].notes
        return audits

    def digests(self, whole: bool = False) -> dict[str, str]:
        """Give the digest of each readable video's content by id.

        ``whole``: of every byte of the files, as earlier versions took it.
        """
        return self.source.digest_of(self._whole(), self.failures, whole)

    def data_digest(self, whole: bool = False) -> str:
        """Hash what is learned from and scored on; ``whole`` as in ``digests``."""
        return data_digest(self.records.values(), self.digests(whole))

    def facts(self) -> dict[str, Any]:
        """Tell what was learned from or scored, ready for JSON."""
        return {
            "dataset": self.dataset.name,
            "data_digest": self.data_digest(),
            "feature_fingerprint": self.source.fingerprint.key,
            "videos": len(self.records),
            "limit": self.selection.limit,
            "failures": len(self.failures),
            "notes": counted(self.notes),
            "sampling": asdict(self.policy),
        }

    def _whole(self) -> DataIndex:
        if len(self.folds) == 1:
            return self.folds[0].index
        examples = {
            f"{fold.name}/{split}": examples
            for fold in self.folds
            for split, examples in fold.index.examples.items()
        }
        return DataIndex(self.dataset.name, self.records, examples)


def data_digest(records: Iterable[VideoRecord], digest_of: Mapping[str, str]) -> str:
    """Hash what was learned from and scored on: each video's content, label, times and split."""
    rows = []
    for r in records:
        times = (r.event_time, r.alert_time, r.mock_event_time, r.cut_horizon)
        rows.append(json.dumps([r.id, digest_of.get(r.id), r.label, r.split, r.group, *times]))
    return hashlib.sha256("\n".join(sorted(rows)).encode()).hexdigest()[:16]


def prepare_all(
    datasets: Sequence[Dataset], splits: Sequence[Split] | None, skip_missing: bool
) -> None:
    """Check data sets before work begins: what the last lacks is told before the first's hours."""
    names = [dataset.name for dataset in datasets]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ConfigError(f"The data set {twice[0]!r} was given twice.")
    for dataset in datasets:
        prepare(dataset, splits, skip_missing)
