"""Features of examples, from the cache into memory and from there in batches.

Shapes: B rows of a batch, E examples, V views of one example, R rows (examples in their views),
N windows, W windows of one example, S steps a window, L = W * S, D features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from collision.features.source import FeatureSource
from collision.features.store import FeatureStore
from collision.sampling.index import DataIndex
from collision.sampling.policy import SamplingPolicy
from collision.sampling.windows import (
    example_windows,
    needed_windows,
    shortened,
    step_times,
    stored_view,
    window_spacing,
)
from collision.types import Example, Failure, VideoRecord, View

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
        dropped: Examples with no window at all, or of a video whose features could not be had.
        num_steps: ``int64 [N + 1]`` so many steps of each window of the bank are real, the newest;
            None: all.
    """

    bank: Tensor
    window_index: Tensor
    times: Tensor
    example_of: Tensor
    examples: list[Example]
    records: list[VideoRecord]
    dropped: list[Example] = field(default_factory=list)
    num_steps: Tensor | None = None

    def __post_init__(self) -> None:
        """Lay out what is known of windows and examples: tensors ``[N + 1, S]`` and ``[E]``."""
        num_rows, most = self.bank.shape[:2]
        given = torch.full((num_rows,), most) if self.num_steps is None else self.num_steps
        self.is_real = torch.arange(most) >= most - given[:, None]
        self.is_real[-1] = False
        self.labels = torch.tensor([e.label for e in self.examples], dtype=torch.float32)
        self.weights = torch.tensor([e.weight for e in self.examples], dtype=torch.float32)
        self.horizons = torch.tensor([e.horizon for e in self.examples], dtype=torch.float32)
        numbers = {name: n for n, name in enumerate(dict.fromkeys(e.video for e in self.examples))}
        self.videos = torch.tensor([numbers[e.video] for e in self.examples], dtype=torch.int64)

    def __len__(self) -> int:
        return len(self.window_index)

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Give a batch: features ``[B, L, D]``, times and mask ``[B, L]``, the rest ``[B]``."""
        chosen = torch.as_tensor(indices)
        windows = self.window_index[chosen]
        features = self.bank[windows].flatten(1, 2).float()
        example = self.example_of[chosen]
        return {
            "features": features,
            "times": self.times[chosen],
            "mask": self.is_real[windows].flatten(1),
            "example": example,
            "label": self.labels[example],
            "weight": self.weights[example],
            "horizon": self.horizons[example],
            "video": self.videos[example],
        }

    def of_examples(self, kept: Tensor) -> FeatureDataset:
        """Take some examples, by bool ``[E]``, in all their views; the bank is shared."""
        rows = kept[self.example_of]
        chosen = kept.nonzero().flatten().tolist()
        return replace(
            self,
            window_index=self.window_index[rows],
            times=self.times[rows],
            example_of=(kept.cumsum(0) - 1)[self.example_of[rows]],
            examples=[self.examples[number] for number in chosen],
            records=[self.records[number] for number in chosen],
            dropped=[],
        )

    def valid_features(self) -> Tensor:
        """Give the steps that these examples use, each once: ``float32 [M, D]``."""
        used = torch.unique(self.window_index)
        return self.bank[used][self.is_real[used]].float()


def feature_dataset(
    examples: Sequence[Example],
    records: Mapping[str, VideoRecord],
    store: FeatureStore,
    digest_of: Mapping[str, str],
    policy: SamplingPolicy,
) -> FeatureDataset:
    """Read the windows of ``examples`` from the cache.

    ``digest_of`` gives the digest of content and clock by video id; a video that failed has none.
    """
    spec = store.spec
    bank, num_steps, find = _read_bank(examples, store, digest_of, policy)
    num_windows = policy.num_windows(spec)
    kept: list[Example] = []
    dropped: list[Example] = []
    rows: list[tuple[int, np.ndarray, np.ndarray]] = []  # example, windows, times
    for example in examples:
        seen = [(view, find(example, view)) for view in policy.views]
        seen = [(view, found) for view, found in seen if (found >= 0).any()]
        for view, found in seen:
            spacing = window_spacing(example, policy, view, spec)
            times = step_times(spec, num_windows, spacing, view)
            rows.append((len(kept), np.where(found < 0, len(bank) - 1, found), times))
        (kept if seen else dropped).append(example)
    windows = np.array([row[1] for row in rows], np.int64).reshape(-1, num_windows)
    all_times = np.array([row[2] for row in rows], np.float32)
    return FeatureDataset(
        bank=bank,
        window_index=torch.from_numpy(windows),
        times=torch.from_numpy(all_times.reshape(-1, num_windows * spec.num_steps)),
        example_of=torch.tensor([row[0] for row in rows], dtype=torch.int64),
        examples=kept,
        records=[records[example.video] for example in kept],
        dropped=dropped,
        num_steps=num_steps,
    )


def _read_bank(
    examples: Sequence[Example],
    store: FeatureStore,
    digest_of: Mapping[str, str],
    policy: SamplingPolicy,
) -> tuple[Tensor, Tensor, Callable[[Example, View], np.ndarray]]:
    """Read every window once: the bank ``[N + 1, S, D]``, its real steps, where its windows are.

    The function gives the rows of an example's windows in a view, ``int64 [W]``; -1: there is none.
    """
    spec, blocks, steps = store.spec, [], []
    places: dict[tuple[str, View], tuple[np.ndarray, int]] = {}
    num_rows = 0
    for (video, view), ends in needed_windows(examples, policy, spec).items():
        if video in digest_of:
            key = digest_of[video] + view.suffix
            features, exists = store.read(key, ends)
            blocks.append(features[exists])
            steps.append(_num_steps(store, key, ends[exists]))
            places[video, view] = (_microseconds(ends[exists]), num_rows)
            num_rows += len(blocks[-1])
    blocks.append(np.zeros((1, spec.num_steps, spec.feature_dim), store.dtype))
    steps.append(np.zeros(1, np.int64))

    def find(example: Example, view: View) -> np.ndarray:
        ends, num_frames = example_windows(example, policy, view, spec)
        rows = np.full(len(ends), -1)
        for length in np.unique(num_frames):
            chosen = num_frames == length
            wanted = _microseconds(ends[chosen])
            key = (example.video, shortened(stored_view(view, spec), length, spec))
            there, first = places.get(key, (wanted[:0], 0))
            position = np.searchsorted(there, wanted)
            found = np.append(there, -1)[position] == wanted
            rows[chosen] = np.where(found & (wanted >= 0), first + position, -1)
        return rows

    bank, num_steps = np.concatenate(blocks), np.concatenate(steps)
    return torch.from_numpy(bank), torch.from_numpy(num_steps), find


def _num_steps(store: FeatureStore, key: str, ends: np.ndarray) -> np.ndarray:
    """Say how many steps of windows are real; a file is read again only if some may not be."""
    if store.spec.min_frames is None:
        return np.full(len(ends), store.spec.num_steps)
    return store.num_steps(key, ends)


def _microseconds(times: np.ndarray) -> np.ndarray:
    return np.round(times * 1_000_000).astype(np.int64)


def epoch_seed(seed: int, epoch: int) -> int:
    """Give each pass, or interval, of each run its own seed."""
    return seed * 1_000_003 + epoch


class EndlessShuffle(Sampler[int]):
    """Passes over the set, each shuffled anew, cut into intervals of ``num_rows`` rows.

    Seed and interval alone decide: beginning one again repeats its rows. A generator that lives on
    would give a resumed run another order: Lightning begins its first epoch twice.
    """

    def __init__(
        self,
        labels: Tensor,
        num_rows: int,
        seed: int,
        balanced: bool = False,
        videos: Tensor | None = None,
    ):
        """Take the rows' labels ``[R]``; balanced, the rarer class comes again until both match.

        Rows of equal ``videos`` ``[R]`` come one after the other.
        """
        self.labels, self.num_rows, self.seed = labels, num_rows, seed
        self.balanced, self.videos = balanced, videos
        self.interval = 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before each interval."""
        self.interval = epoch

    def __len__(self) -> int:
        return self.num_rows

    def __iter__(self) -> Iterator[int]:
        """Give the rows' numbers of one interval."""
        number, skipped = divmod(self.interval * self.num_rows, self.pass_length)
        left = self.num_rows
        while left:
            rows = self._pass(number)[skipped : skipped + left]
            yield from rows
            left, number, skipped = left - len(rows), number + 1, 0

    @property
    def pass_length(self) -> int:
        """How many rows a pass has: all of them, balanced twice those of the larger class."""
        if not self.balanced:
            return len(self.labels)
        positive = int((self.labels == 1).sum())
        return 2 * max(positive, len(self.labels) - positive)

    def _pass(self, number: int) -> list[int]:
        """Give a pass: every row once, balanced those of the rarer class oftener."""
        generator = torch.Generator().manual_seed(epoch_seed(self.seed, number))
        rows = torch.arange(len(self.labels))
        if self.balanced:
            rows = torch.cat([self._repeated(label, generator) for label in (0, 1)])
        rows = rows[torch.randperm(len(rows), generator=generator)]
        if self.videos is not None and len(rows):
            turn = torch.randperm(int(self.videos.max()) + 1, generator=generator)
            rows = rows[turn[self.videos[rows]].argsort(stable=True)]
        return rows.tolist()

    def _repeated(self, label: int, generator: torch.Generator) -> Tensor:
        """Give a class's rows, and as many of them again as bring it to half a pass."""
        rows = torch.nonzero(self.labels == label).flatten()
        whole, rest = divmod(self.pass_length // 2, len(rows))
        again = rows[torch.randperm(len(rows), generator=generator)[:rest]]
        return torch.cat([rows.repeat(whole), again])


def feature_loader(
    dataset: FeatureDataset, batch_size: int, order: EndlessShuffle | None = None
) -> DataLoader:
    """Load without workers: a batch is one indexing into memory."""
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=order,
        generator=torch.Generator(),  # else beginning an interval takes a draw from dropout's
        collate_fn=lambda batch: batch,  # __getitems__ already gave one
        pin_memory=torch.cuda.is_available(),
    )


def load_features(
    index: DataIndex,
    source: FeatureSource,
    policy: SamplingPolicy,
    failures: Sequence[Failure],
) -> dict[str, FeatureDataset]:
    """Read the features of each split of an index from the cache."""
    digest_of = source.digest_of(index, [*failures, *index.unreadable])
    return {
        split: feature_dataset(examples, index.records, source.store, digest_of, policy)
        for split, examples in index.examples.items()
    }
