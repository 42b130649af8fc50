"""LightningDataModules: clips (decoded by decord in workers) and features (from the cache).

Shapes: B examples, N windows, W windows of one example, S steps a window, L = W * S, D features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from collision.errors import ConfigError
from collision.features.clips import Clip, ClipDataset, Failure, WindowRequest
from collision.features.store import FeatureStore
from collision.features.workers import decode_all
from collision.sampling import SamplingPolicy, step_times, window_ends
from collision.types import BackboneSpec, Example, Seconds, VideoRecord

Batch = dict[str, Tensor]


@dataclass
class FeatureDataset(Dataset):
    """Examples over a bank of windows, in memory.

    Attributes:
        bank: ``[N + 1, S, D]`` in the stored dtype; the last row is zero and stands for a window
            that does not exist.
        window_index: ``int64 [E, W]`` rows of the bank, oldest first.
        times: ``float32 [L]`` nominal time of each step, seconds relative to the cut.
        examples: The E examples, in order.
        records: The record of each example.
        dropped: Examples with no window at all, or of a video whose features could not be had.
    """

    bank: Tensor
    window_index: Tensor
    times: Tensor
    examples: list[Example]
    records: list[VideoRecord]
    dropped: list[Example] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Lay labels out as tensors."""
        self.labels = torch.tensor([e.label for e in self.examples], dtype=torch.float32)
        self.weights = torch.tensor([e.weight for e in self.examples], dtype=torch.float32)
        self.horizons = torch.tensor([e.horizon for e in self.examples], dtype=torch.float32)

    def __len__(self) -> int:
        """Count the examples."""
        return len(self.examples)

    def __getitem__(self, index: int) -> Batch:
        """Give one example as a batch of one."""
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Give a batch: features ``[B, L, D]``, times and mask ``[B, L]``, the rest ``[B]``."""
        chosen = torch.as_tensor(indices)
        windows = self.window_index[chosen]
        features = self.bank[windows].flatten(1, 2).float()
        exists = windows != len(self.bank) - 1
        return {
            "features": features,
            "times": self.times.expand(len(chosen), -1),
            "mask": exists.repeat_interleave(self.bank.shape[1], dim=1),
            "label": self.labels[chosen],
            "weight": self.weights[chosen],
            "horizon": self.horizons[chosen],
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
        digest_of: Content digest by video id; a video that failed has none.
        spec: Of the backbone behind ``store``.
        policy: Gives context and window stride.
    """
    num_windows = policy.num_windows(spec)
    rows: list[Tensor] = []
    row_of: dict[tuple[str, int], int] = {}
    by_video: dict[str, list[Example]] = {}
    for example in examples:
        by_video.setdefault(example.video, []).append(example)
    for video, members in by_video.items():
        if video not in digest_of:
            continue
        ends = np.unique(
            np.concatenate([_ends(example, num_windows, policy) for example in members])
        )
        ends = ends[ends >= 0]
        features, exists = store.read(digest_of[video], ends)
        for end, feature in zip(ends[exists], features[exists], strict=True):
            row_of[video, _microseconds(end)] = len(rows)
            rows.append(torch.from_numpy(np.ascontiguousarray(feature)))
    empty = torch.zeros(
        spec.num_steps, spec.feature_dim, dtype=rows[0].dtype if rows else torch.float16
    )
    kept: list[Example] = []
    dropped: list[Example] = []
    index: list[list[int]] = []
    for example in examples:
        found = [
            row_of.get((example.video, _microseconds(end)), len(rows))
            for end in _ends(example, num_windows, policy)
        ]
        if all(row == len(rows) for row in found):
            dropped.append(example)
        else:
            kept.append(example)
            index.append(found)
    return FeatureDataset(
        bank=torch.stack([*rows, empty]),
        window_index=torch.tensor(index, dtype=torch.int64).reshape(len(index), num_windows),
        times=torch.from_numpy(step_times(spec, num_windows, policy.window_stride)),
        examples=kept,
        records=[records[example.video] for example in kept],
        dropped=dropped,
    )


def _ends(example: Example, num_windows: int, policy: SamplingPolicy) -> np.ndarray:
    return np.round(window_ends(example.end_time, num_windows, policy.window_stride), 6)


def _microseconds(time: float) -> int:
    return round(time * 1_000_000)


class ClipLoader:
    """Decoded clips as they get ready; a video that fails is a value among them."""

    def __init__(
        self,
        dataset: ClipDataset,
        num_workers: int,
        timeout: Seconds,
        should_stop: Callable[[], bool],
    ):
        self.dataset, self.num_workers = dataset, num_workers
        self.timeout, self.should_stop = timeout, should_stop

    def __len__(self) -> int:
        """Count the clips."""
        return len(self.dataset)

    def __iter__(self) -> Iterator[tuple[int, Clip | Failure]]:
        """Give (position of the request, its frames or failure), the first that is ready first."""
        return decode_all(self.dataset, self.num_workers, self.timeout, self.should_stop)


class ClipDataModule(LightningDataModule):
    """Clips of video, decoded by decord in worker processes; a batch is one video's windows.

    torch's DataLoader is not used: one worker that dies would end a night's job.

    Args:
        requests: The windows that are wanted, video by video.
        spec: Frames, rate and size of a window.
        num_workers: Decoding processes; 0 decodes in this one.
        timeout: Seconds after which decoding a video counts as hanging.
        should_stop: Asked between videos; True ends the loader.
    """

    def __init__(
        self,
        requests: Sequence[WindowRequest],
        spec: BackboneSpec,
        num_workers: int = 1,
        timeout: Seconds = 120.0,
        should_stop: Callable[[], bool] = lambda: False,
    ):
        super().__init__()
        self.dataset = ClipDataset(requests, spec)
        self.num_workers, self.timeout, self.should_stop = num_workers, timeout, should_stop

    def predict_dataloader(self) -> ClipLoader:
        """Give each request's ``Clip`` (``uint8`` frames and window indices) or ``Failure``."""
        return ClipLoader(self.dataset, self.num_workers, self.timeout, self.should_stop)


class FeatureDataModule(LightningDataModule):
    """Batches of cached features for training and validation."""

    def __init__(self, train: FeatureDataset, val: FeatureDataset, batch_size: int, seed: int):
        super().__init__()
        if batch_size < 1:
            raise ConfigError(f"trainer.batch_size={batch_size}: give 1 or more.")
        self.train, self.val = train, val
        self.batch_size, self.seed = batch_size, seed

    def train_dataloader(self) -> DataLoader:
        """Shuffle anew each epoch, the same way for the same seed and epoch."""
        return feature_loader(self.train, self.batch_size, EpochShuffle(len(self.train), self.seed))

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

    def __init__(self, num_examples: int, seed: int):
        self.num_examples, self.seed = num_examples, seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Count the examples."""
        return self.num_examples

    def __iter__(self) -> Iterator[int]:
        """Give every example's number once."""
        generator = torch.Generator().manual_seed(epoch_seed(self.seed, self.epoch))
        yield from torch.randperm(self.num_examples, generator=generator).tolist()


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
