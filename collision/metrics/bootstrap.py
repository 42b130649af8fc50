"""A bootstrap over groups, all resamples at once; ``estimate`` makes intervals of them.

Clips of one group (a source event, a drive) are not independent, so whole groups are drawn with
replacement. A draw gives every group a weight, how often it came up, and a weighted AP, area under
the ROC curve or mean needs no copy of any row. One draw serves all horizons, slices and models:
their differences are paired.

A resample in which a class is left without weight at some horizon has no AP and is dropped.

Shapes: R resamples, G groups, N examples, P positive examples, K rankings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from collision.errors import MetricError

# Weights and their sums of one chunk of resamples stay within a processor's cache.
CHUNK_VALUES = 100_000


@dataclass(frozen=True)
class Ranking:
    """Examples in order of falling score, prepared to be weighted again and again."""

    group: np.ndarray  # [N] index of each example's group
    positive: np.ndarray  # [P] ranks of the positives
    negative: np.ndarray  # [N - P] ranks of the negatives
    tied_from: np.ndarray  # [P] first rank with the same score as each positive
    flagged_to: np.ndarray  # [P] last rank with the same score as each positive
    hits_to: np.ndarray  # [P] the last positive, counted among positives, up to that rank
    weight: np.ndarray | None = None  # [N, 1], beside that of the group; None: all 1

    @classmethod
    def of(
        cls, labels: np.ndarray, scores: np.ndarray, group: np.ndarray, weight: ArrayLike = 1.0
    ) -> Ranking:
        """Rank ``[N]`` labels and scores; ``group`` indexes the rows of later weights."""
        order = np.argsort(-scores, kind="stable")
        falling = -scores[order]
        positive = np.flatnonzero(labels[order] == 1)
        flagged_to = np.searchsorted(falling, falling[positive], side="right") - 1
        weight = np.broadcast_to(weight, order.shape)[order, None]
        return cls(
            group=group[order],
            positive=positive,
            negative=np.flatnonzero(labels[order] != 1),
            tied_from=np.searchsorted(falling, falling[positive], side="left"),
            flagged_to=flagged_to,
            hits_to=np.searchsorted(positive, flagged_to, side="right") - 1,
            weight=None if (weight == 1).all() else weight,
        )

    def average_precision(self, weights: np.ndarray) -> np.ndarray:
        """AP under each column of ``weights [G, R]``: ``[R]``, NaN where a class has no weight."""
        example_weights = self._of_examples(weights)
        flagged = np.cumsum(example_weights, axis=0)[self.flagged_to]
        positive_weights = example_weights[self.positive]
        hits = np.cumsum(positive_weights, axis=0)[self.hits_to]
        precision = np.divide(hits, flagged, out=np.zeros_like(hits), where=flagged > 0)
        positive_total = positive_weights.sum(axis=0)
        defined = (positive_total > 0) & (example_weights[self.negative].sum(axis=0) > 0)
        recalled = np.einsum("pr,pr->r", positive_weights, precision)
        undefined = np.full_like(recalled, np.nan)
        return np.divide(recalled, positive_total, out=undefined, where=defined)

    def area_under_roc(self, weights: np.ndarray) -> np.ndarray:
        """Like ``average_precision``: the chance that a positive outranks a negative, ties half."""
        example_weights = self._of_examples(weights)
        positive_weights = example_weights[self.positive]
        negative_weights = example_weights.copy()
        negative_weights[self.positive] = 0
        # Row n: the weight of the negatives among the first n ranks.
        above = np.cumsum(np.pad(negative_weights, ((1, 0), (0, 0))), axis=0)
        twice_above = above[self.tied_from] + above[self.flagged_to + 1]
        lost = np.einsum("pr,pr->r", positive_weights, twice_above)
        pairs = positive_weights.sum(axis=0) * above[-1]
        share = np.divide(lost / 2, pairs, out=np.full_like(pairs, np.nan), where=pairs > 0)
        return 1 - share

    def _of_examples(self, weights: np.ndarray) -> np.ndarray:
        """``[N, R]`` from ``[G, R]``."""
        of_groups = weights[self.group]
        return of_groups if self.weight is None else of_groups * self.weight


def resample(
    rankings: Sequence[Ranking],
    num_groups: int,
    *,
    num_resamples: int,
    seed: int,
    statistic: Callable[[Ranking, np.ndarray], np.ndarray] = Ranking.average_precision,
) -> np.ndarray:
    """AP, or the area under ROC, of K rankings under the same draws of their groups: ``[R, K]``.

    NaN where undefined. Raises what ``group_weights`` does.
    """
    chunks = []
    for weights in group_weights(num_groups, num_resamples, seed):
        chunk = [statistic(ranking, weights) for ranking in rankings]
        chunks.append(np.reshape(chunk, (len(rankings), weights.shape[1])))
    return np.concatenate(chunks, axis=1).T


def group_weights(num_groups: int, num_resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Draw groups with replacement; yields how often each came up, ``[G, chunk]`` a time.

    MetricError: ``num_resamples`` is not positive.
    """
    if num_resamples < 1:
        raise MetricError(
            f"num_resamples is {num_resamples}; an interval needs at least 1, better 10000."
        )
    generator = np.random.default_rng(seed)
    chunk = max(1, CHUNK_VALUES // num_groups)
    for start in range(0, num_resamples, chunk):
        size = min(chunk, num_resamples - start)
        drawn = generator.integers(num_groups, size=(num_groups, size))
        cells = (drawn * size + np.arange(size)).ravel()
        counts = np.bincount(cells, minlength=num_groups * size)
        yield counts.reshape(num_groups, size).astype(np.float64)
