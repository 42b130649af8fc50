"""Features of examples, from the cache into memory and from there in batches.

Shapes: B rows of a batch, E examples, V views of one example, R rows (examples in their views),
N windows, W windows of one example, S steps a window, L = W * S, D features.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from collision.features.bank import Bank, FusedBank, read_bank
from collision.features.store import FeatureStore
from collision.learning.components import Steps
from collision.sampling.policy import SamplingPolicy
from collision.sampling.windows import index_windows, step_times, window_spacings
from collision.types import BackboneSpec, Example, VideoRecord

Batch = dict[str, Tensor]


@dataclass
class FeatureDataset(Dataset):
    """Examples over a bank of windows, in memory; an item is one example in one view.

    Attributes:
        bank: ``[N + 1, S, D]`` in the stored dtype; the last row is zero and stands for a window
            that does not exist. Of several backbones see ``collision.learning.alignment``.
        window_index: ``int64 [R, W]`` rows of the bank, oldest first.
        times: ``float32 [R, L]`` nominal time of each step, seconds relative to the cut.
        example_of: ``int64 [R]`` which example each row is a view of.
        dropped: Examples with no window at all, or of a video whose features could not be had.
        num_steps: ``int64 [N + 1]`` so many steps of each window of the bank are real, the newest;
            None: all.
        before: ``float32 [R, 1]`` logits of a solved head, from which another one starts; batches
            hold them too.
    """

    bank: Tensor | FusedBank
    window_index: Tensor
    times: Tensor
    example_of: Tensor
    examples: list[Example]
    records: list[VideoRecord]
    dropped: list[Example] = field(default_factory=list)
    num_steps: Tensor | None = None
    before: Tensor | None = None

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

    def __getitem__(self, rows: int | Tensor) -> Batch:
        """Give the batch of one row, or of rows ``int64 [B]``."""
        return self.__getitems__(torch.as_tensor(rows).reshape(-1))

    def __getitems__(self, indices: Sequence[int] | Tensor) -> Batch:
        """Give a batch: features ``[B, L, D]``, times and mask ``[B, L]``, the rest ``[B]``.

        Features have the stored dtype, half the bytes on the way to a device: a head begins by
        making them float32.
        """
        # index_select: indexing by brackets is slower than the gathering of the features.
        chosen = torch.as_tensor(indices, dtype=torch.int64)
        flat = self.window_index.index_select(0, chosen).flatten()
        shape = len(chosen), self.times.shape[1]
        example = self.example_of.index_select(0, chosen)
        batch = {
            "features": self.bank.index_select(0, flat).view(*shape, self.bank.shape[-1]),
            "times": self.times.index_select(0, chosen),
            "mask": self.is_real.index_select(0, flat).view(shape),
            "example": example,
            "label": self.labels.index_select(0, example),
            "weight": self.weights.index_select(0, example),
            "horizon": self.horizons.index_select(0, example),
            "video": self.videos.index_select(0, example),
        }
        if self.before is not None:
            batch["before"] = self.before.index_select(0, chosen)
        return batch

    def of_examples(self, kept: Tensor) -> FeatureDataset:
        """Take some examples, by bool ``[E]``, in all their views; the bank is shared."""
        rows = kept[self.example_of]
        chosen = kept.nonzero().flatten().tolist()
        return replace(
            self,
            window_index=self.window_index[rows],
            times=self.times[rows],
            example_of=(kept.cumsum(0) - 1)[self.example_of[rows]],
            before=None if self.before is None else self.before[rows],
            examples=[self.examples[number] for number in chosen],
            records=[self.records[number] for number in chosen],
            dropped=[],
        )

    @property
    def steps(self) -> Steps:
        """The steps that these examples use, each once."""
        return Steps(self.bank, self.is_real, torch.unique(self.window_index))

    def valid_features(self) -> Tensor:
        """Give these steps as one tensor ``float32 [M, D]``; of large sets it fills the memory."""
        return torch.cat(list(self.steps))


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
    bank, found = read_windows(examples, store, digest_of, policy)
    is_seen: np.ndarray = np.any(found >= 0, axis=2)
    is_kept: np.ndarray = np.any(is_seen, axis=1)
    kept, dropped = (list(compress(examples, which.tolist())) for which in (is_kept, ~is_kept))
    example_of, view_of = np.nonzero(is_seen[is_kept])
    windows = found[is_seen]
    windows[windows < 0] = len(bank.features) - 1
    return FeatureDataset(
        bank=bank.features,
        window_index=torch.from_numpy(windows),
        times=torch.from_numpy(_step_times(kept, example_of, view_of, policy, spec)),
        example_of=torch.from_numpy(example_of),
        examples=kept,
        records=[records[example.video] for example in kept],
        dropped=dropped,
        num_steps=bank.num_steps,
    )


def read_windows(
    examples: Sequence[Example],
    store: FeatureStore,
    digest_of: Mapping[str, str],
    policy: SamplingPolicy,
) -> tuple[Bank, np.ndarray]:
    """Read the windows of examples; with the row of each, ``int64 [E, V, W]``, -1 for none."""
    needed = index_windows(examples, policy, store.spec)
    bank = read_bank(store, needed, digest_of)
    return bank, np.append(bank.rows, -1)[needed.places]


def _step_times(
    examples: Sequence[Example],
    example_of: np.ndarray,
    view_of: np.ndarray,
    policy: SamplingPolicy,
    spec: BackboneSpec,
) -> np.ndarray:
    """Give the times of each row's steps, ``float32 [R, L]``, by its example and view ``[R]``."""
    num_windows = policy.num_windows(spec)
    times = np.empty((len(example_of), num_windows * spec.num_steps), np.float32)
    for number, view in enumerate(policy.views):
        rows = np.flatnonzero(view_of == number)
        spacing = window_spacings(examples, policy, view, spec)[example_of[rows]]
        times[rows] = step_times(spec, num_windows, spacing, view)
    return times


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
        yield from self.rows().tolist()

    def rows(self) -> Tensor:
        """Give them all, ``int64 [num_rows]``."""
        number, skipped = divmod(self.interval * self.num_rows, self.pass_length)
        parts, left = [], self.num_rows
        while left:
            parts.append(self._pass(number)[skipped : skipped + left])
            left, number, skipped = left - len(parts[-1]), number + 1, 0
        return torch.cat(parts)

    @property
    def pass_length(self) -> int:
        """How many rows a pass has: all of them, balanced twice those of the larger class."""
        if not self.balanced:
            return len(self.labels)
        positive = int((self.labels == 1).sum())
        return 2 * max(positive, len(self.labels) - positive)

    def _pass(self, number: int) -> Tensor:
        """Give a pass: every row once, balanced those of the rarer class oftener."""
        generator = torch.Generator().manual_seed(epoch_seed(self.seed, number))
        rows = torch.arange(len(self.labels))
        if self.balanced:
            rows = torch.cat([self._repeated(label, generator) for label in (0, 1)])
        rows = rows[torch.randperm(len(rows), generator=generator)]
        if self.videos is not None and len(rows):
            turn = torch.randperm(int(self.videos.max()) + 1, generator=generator)
            rows = rows[turn[self.videos[rows]].argsort(stable=True)]
        return rows

    def _repeated(self, label: int, generator: torch.Generator) -> Tensor:
        """Give a class's rows, and as many of them again as bring it to half a pass."""
        rows = torch.nonzero(self.labels == label).flatten()
        whole, rest = divmod(self.pass_length // 2, len(rows))
        again = rows[torch.randperm(len(rows), generator=generator)[:rest]]
        return torch.cat([rows.repeat(whole), again])


class RowBatches(Sampler[Tensor]):
    """The rows of each batch as one tensor ``int64 [B]``: no Python object a row."""

    def __init__(self, num_rows: int, batch_size: int, order: EndlessShuffle | None = None):
        """Take all rows as they come, or those of an order."""
        self.num_rows = num_rows if order is None else len(order)
        self.batch_size, self.order = batch_size, order

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before each interval."""
        if self.order is not None:
            self.order.set_epoch(epoch)

    def __len__(self) -> int:
        return -(-self.num_rows // self.batch_size)

    def __iter__(self) -> Iterator[Tensor]:
        """Give the last batch as short as it is."""
        rows = torch.arange(self.num_rows) if self.order is None else self.order.rows()
        yield from rows.split(self.batch_size) if len(rows) else ()


class _DirectLoader(DataLoader):
    """Goes around the steps of torch's loader, which take a tenth of the gathering of a batch."""

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        """Give the batches of the sampler's rows; pinned ones by torch."""
        if self.pin_memory:
            return super().__iter__()
        return map(self.dataset.__getitems__, self.sampler)  # type: ignore[attr-defined]


def feature_loader(
    dataset: FeatureDataset, batch_size: int, order: EndlessShuffle | None = None
) -> DataLoader:
    """Load without workers: a batch is one indexing into memory."""
    return _DirectLoader(
        dataset,
        batch_size=None,  # the sampler gives whole batches
        sampler=RowBatches(len(dataset), batch_size, order),
        generator=torch.Generator(),  # else beginning an interval takes a draw from dropout's
        collate_fn=lambda batch: batch,  # it is one already
        pin_memory=torch.cuda.is_available(),
    )
