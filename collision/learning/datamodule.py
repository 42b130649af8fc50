"""LightningDataModules: clips (decoded by decord in workers) and features (from the cache).

Shapes: B rows of a batch, E examples, V views of one example, R rows (examples in their views),
N windows, W windows of one example, S steps a window, L = W * S, D features.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from collision.errors import ConfigError
from collision.features.source import FeatureSource
from collision.features.store import FeatureStore
from collision.sampling.index import DataIndex
from collision.sampling.policy import SamplingPolicy
from collision.sampling.windows import ends_of, step_times, stored_view, window_spacing
from collision.types import BackboneSpec, Example, Failure, VideoRecord, View

Batch = dict[str, Tensor]


@dataclass
class FeatureDataset(Dataset):
    """Examples over a bank of windows, in memory; an item is one example in one view.

    Attributes:
        bank: ``[N + 1, S, D]`` in the stored dtype; the last row is zero and stands for a window
            that does not exist.
        window_index: ``int64 [R, W]`` rows of the bank, oldest first.
        times: ``float32 [R, L]`` nominal time of each step, seconds relative to the cut.
        example_of: ``int64 [R]`` which example each row is a view of.
        examples: The E examples, in order.
        records: The record of each example.
        dropped: Examples with no window at all, or of a video whose features could not be had.
    """

    bank: Tensor
    window_index: Tensor
    times: Tensor
    example_of: Tensor
    examples: list[Example]
    records: list[VideoRecord]
    dropped: list[Example] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Lay out what is known of the examples as tensors ``[E]``."""
        self.labels = torch.tensor([e.label for e in self.examples], dtype=torch.float32)
        self.weights = torch.tensor([e.weight for e in self.examples], dtype=torch.float32)
        self.horizons = torch.tensor([e.horizon for e in self.examples], dtype=torch.float32)

    def __len__(self) -> int:
        """Count the rows: examples in their views."""
        return len(self.window_index)

    def __getitem__(self, index: int) -> Batch:
        """Give one row as a batch of one."""
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Give a batch: features ``[B, L, D]``, times and mask ``[B, L]``, the rest ``[B]``."""
        chosen = torch.as_tensor(indices)
        windows = self.window_index[chosen]
        features = self.bank[windows].flatten(1, 2).float()
        exists = windows != len(self.bank) - 1
        example = self.example_of[chosen]
        return {
            "features": features,
            "times": self.times[chosen],
            "mask": exists.repeat_interleave(self.bank.shape[1], dim=1),
            "example": example,
            "label": self.labels[example],
            "weight": self.weights[example],
            "horizon": self.horizons[example],
        }

    def valid_features(self) -> Tensor:
        """Give the windows that these examples use, each once: ``float32 [M, D]``."""
        used = torch.unique(self.window_index)
        used = used[used != len(self.bank) - 1]
        return self.bank[used].flatten(0, 1).float()

    def count(self) -> dict[str, dict[str, int]]:
        """Count examples by horizon and class."""
        counts: dict[str, dict[str, int]] = {}
        for example in self.examples:
            row = counts.setdefault(f"{example.horizon:g}", {"positive": 0, "negative": 0})
            row["positive" if example.label else "negative"] += 1
        return counts


def feature_dataset(
    examples: Sequence[Example],
    records: Mapping[str, VideoRecord],
    store: FeatureStore,
    digest_of: Mapping[str, str],
    spec: BackboneSpec,
    policy: SamplingPolicy,
) -> FeatureDataset:
    """Read the windows of ``examples`` from the cache.

    Args:
        examples: What is to be scored.
        records: By id.
        store: Features of one fingerprint.
        digest_of: Digest of content and clock by video id; a video that failed has none.
        spec: Of the backbone behind ``store``.
        policy: Gives context, window stride and views.
    """
    bank = _Bank(spec)
    num_windows = policy.num_windows(spec)
    by_video: dict[str, list[Example]] = {}
    for example in examples:
        by_video.setdefault(example.video, []).append(example)
    for video, members in by_video.items():
        if video in digest_of:
            for view in policy.views:
                ends = np.unique(np.concatenate([ends_of(e, policy, view, spec) for e in members]))
                bank.read(store, digest_of[video], stored_view(view, spec), video, ends[ends >= 0])
    kept: list[Example] = []
    dropped: list[Example] = []
    rows: list[list[int]] = []
    example_of: list[int] = []
    times: list[np.ndarray] = []
    for example in examples:
        seen = [(view, bank.find(example, policy, view)) for view in policy.views]
        seen = [(view, found) for view, found in seen if any(row is not None for row in found)]
        if not seen:
            dropped.append(example)
            continue
        for view, found in seen:
            spacing = window_spacing(example, policy, view, spec)
            times.append(step_times(spec, num_windows, spacing, view))
            rows.append([bank.empty if row is None else row for row in found])
            example_of.append(len(kept))
        kept.append(example)
    return FeatureDataset(
        bank=bank.tensor(),
        window_index=torch.tensor(rows, dtype=torch.int64).reshape(len(rows), num_windows),
        times=torch.from_numpy(
            np.array(times, np.float32).reshape(len(rows), num_windows * spec.num_steps)
        ),
        example_of=torch.tensor(example_of, dtype=torch.int64),
        examples=kept,
        records=[records[example.video] for example in kept],
        dropped=dropped,
    )


class _Bank:
    """Windows read from the store, each once, and where they are."""

    def __init__(self, spec: BackboneSpec):
        self.spec = spec
        self._rows: list[Tensor] = []
        self._row_of: dict[tuple[str, View, int], int] = {}

    def read(
        self, store: FeatureStore, digest: str, view: View, video: str, ends: np.ndarray
    ) -> None:
        """Add a video's windows, those that exist; ``ends`` are seconds."""
        features, exists = store.read(digest + view.suffix, ends)
        for end, feature in zip(ends[exists], features[exists], strict=True):
            key = (video, view, _microseconds(end))
            if key not in self._row_of:
                self._row_of[key] = len(self._rows)
                self._rows.append(torch.from_numpy(np.ascontiguousarray(feature)))

    def find(self, example: Example, policy: SamplingPolicy, view: View) -> list[int | None]:
        """Give the row of each of an example's windows, None where it does not exist."""
        stored = stored_view(view, self.spec)
        return [
            self._row_of.get((example.video, stored, _microseconds(end)))
            for end in ends_of(example, policy, view, self.spec)
        ]

    @property
    def empty(self) -> int:
        """The row that stands for a window that does not exist."""
        return len(self._rows)

    def tensor(self) -> Tensor:
        """Give all rows and the empty one: ``[N + 1, S, D]``."""
        dtype = self._rows[0].dtype if self._rows else torch.float16
        empty = torch.zeros(self.spec.num_steps, self.spec.feature_dim, dtype=dtype)
        return torch.stack([*self._rows, empty])


def _microseconds(time: float) -> int:
    return round(time * 1_000_000)


class FeatureDataModule(LightningDataModule):
    """Batches of cached features for training and validation.

    Args:
        train: What is learned from.
        val: What epochs are chosen on.
        batch_size: Rows at a time.
        seed: Of the order of the rows.
        balanced: Every epoch sees as many positives as negatives.
    """

    def __init__(
        self,
        train: FeatureDataset,
        val: FeatureDataset,
        batch_size: int,
        seed: int,
        balanced: bool = False,
    ):
        super().__init__()
        if batch_size < 1:
            raise ConfigError(f"trainer.batch_size={batch_size}: give 1 or more.")
        self.train, self.val = train, val
        self.batch_size, self.seed, self.balanced = batch_size, seed, balanced

    def train_dataloader(self) -> DataLoader:
        """Shuffle anew each epoch, the same way for the same seed and epoch."""
        labels = self.train.labels[self.train.example_of]
        order = EpochShuffle(labels, self.seed, self.balanced)
        return feature_loader(self.train, self.batch_size, order)

    def val_dataloader(self) -> DataLoader:
        """Keep the order."""
        return feature_loader(self.val, self.batch_size)


def epoch_seed(seed: int, epoch: int) -> int:
    """Give each epoch of each run its own seed."""
    return seed * 1_000_003 + epoch


class EpochShuffle(Sampler[int]):
    """An order for each epoch that hangs on nothing else, however often it is begun.

    A generator that lives on from epoch to epoch would give a resumed run another order: Lightning
    begins its first epoch twice.
    """

    def __init__(self, labels: Tensor, seed: int, balanced: bool = False):
        """Take the rows' labels ``[R]``; balanced, the rarer class comes again until both match."""
        self.labels, self.seed, self.balanced = labels, seed, balanced
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Count the rows of an epoch."""
        if not self.balanced:
            return len(self.labels)
        positive = int((self.labels == 1).sum())
        return 2 * max(positive, len(self.labels) - positive)

    def __iter__(self) -> Iterator[int]:
        """Give the rows' numbers: every one once, balanced those of the rarer class oftener."""
        generator = torch.Generator().manual_seed(epoch_seed(self.seed, self.epoch))
        rows = torch.arange(len(self.labels))
        if self.balanced:
            rows = torch.cat([self._repeated(label, generator) for label in (0, 1)])
        yield from rows[torch.randperm(len(rows), generator=generator)].tolist()

    def _repeated(self, label: int, generator: torch.Generator) -> Tensor:
        """Give a class's rows, and as many of them again as bring it to half an epoch."""
        rows = torch.nonzero(self.labels == label).flatten()
        whole, rest = divmod(len(self) // 2, len(rows))
        again = rows[torch.randperm(len(rows), generator=generator)[:rest]]
        return torch.cat([rows.repeat(whole), again])


def feature_loader(
    dataset: FeatureDataset, batch_size: int, order: EpochShuffle | None = None
) -> DataLoader:
    """Load without workers: a batch is one indexing into memory."""
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=order,
        generator=torch.Generator(),  # else beginning an epoch takes a draw from dropout's
        collate_fn=_whole,  # type: ignore[arg-type] # the stubs do not know __getitems__
        pin_memory=torch.cuda.is_available(),
    )


def _whole(batch: Batch) -> Batch:
    """The dataset already gave a batch."""
    return batch


def load_features(
    index: DataIndex,
    source: FeatureSource,
    policy: SamplingPolicy,
    failures: Sequence[Failure],
) -> dict[str, FeatureDataset]:
    """Read the features of each split of an index from the cache."""
    digest_of = source.digest_of(index, [*failures, *index.unreadable])
    return {
        split: feature_dataset(
            examples, index.records, source.store, digest_of, source.spec, policy
        )
        for split, examples in index.examples.items()
    }
