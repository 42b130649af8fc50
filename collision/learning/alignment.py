"""Features of examples from the stores of one backbone or of several, aligned in time.

The times are those of the backbone with most steps, the first of equals. At each of them every
other backbone gives its latest real step that is not later, so that no step is seen before its
time. A step counts where all have one.

Shapes: P backbones, E examples, V views, W windows, S steps a window, L = W * S steps of one
backbone, G steps of the one with most, K steps of its windows, R rows, N steps of all rows that
count, M distinct ones of them, D features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np
import torch
from torch import Tensor

from collision.features.bank import FusedBank
from collision.features.sources import Source
from collision.features.store import FeatureStore
from collision.learning.datamodule import FeatureDataset, feature_dataset, read_windows
from collision.sampling.index import DataIndex
from collision.sampling.policy import SamplingPolicy
from collision.sampling.windows import step_times, window_spacings
from collision.types import Example, Failure, Seconds, VideoRecord

# Times of equal moments differ by rounding, and no two steps lie so close.
TOLERANCE: Seconds = 1e-3


@dataclass(frozen=True, eq=False)
class PartSteps:
    """The steps of one backbone that examples may see.

    Attributes:
        bank: ``[K, D]`` steps of windows; the last row is zero.
        rows: ``int64 [E, V, L]`` rows of the bank.
        times: ``float32 [E, V, L]`` nominal times, seconds relative to the cut.
        is_real: bool ``[E, V, L]``.
    """

    bank: Tensor
    rows: Tensor
    times: Tensor
    is_real: Tensor


def load_features(
    index: DataIndex, source: Source, policy: SamplingPolicy, failures: Sequence[Failure]
) -> dict[str, FeatureDataset]:
    """Read the features of each split of an index from the cache."""
    digest_of = source.digest_of(index, [*failures, *index.unreadable])
    stores = [part.store for part in source.parts]
    about = index.records, stores, digest_of, policy
    return {s: features_of_stores(examples, *about) for s, examples in index.examples.items()}


def features_of_stores(
    examples: Sequence[Example],
    records: Mapping[str, VideoRecord],
    stores: Sequence[FeatureStore],
    digest_of: Mapping[str, str],
    policy: SamplingPolicy,
) -> FeatureDataset:
    """Read examples from the store of each backbone; see ``feature_dataset``."""
    if len(stores) == 1:
        return feature_dataset(examples, records, stores[0], digest_of, policy)
    parts = [read_steps(examples, store, digest_of, policy) for store in stores]
    return fused_dataset(examples, records, parts)


def read_steps(
    examples: Sequence[Example],
    store: FeatureStore,
    digest_of: Mapping[str, str],
    policy: SamplingPolicy,
) -> PartSteps:
    """Read the steps of ``examples`` from the cache; see ``feature_dataset``."""
    spec = store.spec
    bank, found = read_windows(examples, store, digest_of, policy)
    num_steps, feature_dim = bank.features.shape[1:]
    windows = torch.from_numpy(np.where(found < 0, len(bank.features) - 1, found))
    within = torch.arange(num_steps)
    first_real = num_steps - torch.where(torch.from_numpy(found) < 0, 0, bank.num_steps[windows])
    count = policy.num_windows(spec)
    times = [
        step_times(spec, count, window_spacings(examples, policy, view, spec), view)
        for view in policy.views
    ]
    return PartSteps(
        bank=bank.features.view(-1, feature_dim),
        rows=(windows[..., None] * num_steps + within).flatten(-2),
        times=torch.from_numpy(np.stack(times, axis=1)),
        is_real=(within >= first_real[..., None]).flatten(-2),
    )


def fused_dataset(
    examples: Sequence[Example], records: Mapping[str, VideoRecord], parts: Sequence[PartSteps]
) -> FeatureDataset:
    """Put the features of several backbones side by side, in the order of ``parts``."""
    grid = max(parts, key=lambda part: part.times.shape[-1])
    places = [_places(part, grid) for part in parts]
    exists = torch.stack(places).amin(0) >= 0  # [E, V, G]
    is_seen = exists.any(-1)
    is_kept = is_seen.any(-1)
    example_of, view_of = is_seen[is_kept].nonzero(as_tuple=True)
    steps = torch.stack(
        [
            part.rows.gather(-1, place.clamp_min(0))[exists]
            for part, place in zip(parts, places, strict=True)
        ]
    )
    bank, numbers = _distinct(steps, [part.bank for part in parts])
    windows = torch.full(exists.shape, len(bank) - 1)
    windows[exists] = numbers
    kept, dropped = (list(compress(examples, one.tolist())) for one in (is_kept, ~is_kept))
    return FeatureDataset(
        bank=bank,
        window_index=windows[is_kept][example_of, view_of],
        times=grid.times[is_kept][example_of, view_of],
        example_of=example_of,
        examples=kept,
        records=[records[example.video] for example in kept],
        dropped=dropped,
    )


def latest_steps(moments: Tensor, times: Tensor, is_real: Tensor) -> Tensor:
    """Give the place of the latest real step at or before each moment; -1 where there is none.

    Args:
        moments: ``[..., G]`` seconds.
        times: ``[..., L]`` seconds, in any order; of equal ones the last counts.
        is_real: bool ``[..., L]``.

    Returns:
        ``int64 [..., G]`` places in ``times``.
    """
    known = times.masked_fill(~is_real, float("inf")).sort(dim=-1, stable=True)
    moments = moments.contiguous() + TOLERANCE
    place = torch.searchsorted(known.values, moments, right=True) - 1
    return torch.where(place < 0, place, known.indices.gather(-1, place.clamp_min(0)))


def _places(part: PartSteps, grid: PartSteps) -> Tensor:
    """Give the step of a part at each moment of the grid, ``int64 [E, V, G]``; -1 for none."""
    if part is grid:
        return torch.arange(part.times.shape[-1]).where(part.is_real, -1)
    return latest_steps(grid.times, part.times, part.is_real)


def _distinct(steps: Tensor, banks: Sequence[Tensor]) -> tuple[FusedBank, Tensor]:
    """Number the steps that go together, rows ``int64 [P, N]`` of the banks: ``int64 [N]``."""
    numbers = torch.zeros(steps.shape[1], dtype=torch.int64)
    for rows, bank in zip(steps, banks, strict=True):
        numbers = torch.unique(numbers * len(bank) + rows, return_inverse=True)[1]
    none = torch.tensor([[len(bank) - 1] for bank in banks])
    count = int(numbers.max()) + 1 if len(numbers) else 0
    index = none.repeat(1, count + 1)
    index[:, numbers] = steps
    return FusedBank(tuple(banks), index), numbers
