"""How many examples, or videos, a number rests on, and what is missing among them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from collision.metrics.estimate import Plain


@dataclass(frozen=True)
class Counts(Plain):
    """Examples (of scores along videos: videos) of both classes.

    Attributes:
        positive: Positives; one without a score counts as the lowest.
        negative: Negatives; one without a score is left out, and the scored ones stand for it.
        positive_groups: Groups of the positives.
        negative_groups: Groups of the negatives that are not left out.
        missing: All without a score.
        missing_positive: The positives among them, of the seed that lacks most.
        missing_negative: The negatives among them, of any seed.
    """

    positive: int
    negative: int
    positive_groups: int
    negative_groups: int
    missing: int
    missing_positive: int
    missing_negative: int

    @classmethod
    def of(
        cls,
        label: np.ndarray,
        group: np.ndarray,
        missing: np.ndarray,
        rows: np.ndarray,
        ranked: np.ndarray,
    ) -> Counts:
        """Count some rows of ``[N]`` labels and groups; ``missing`` is bool ``[seeds, N]``."""
        positive, negative = rows & (label == 1), rows & (label == 0)
        missing_positive = int((missing & positive).sum(axis=1).max())
        missing_negative = int((missing.any(axis=0) & negative).sum())
        return cls(
            int(positive.sum()),
            int(negative.sum()),
            int(np.unique(group[positive]).size),
            int(np.unique(group[negative & ranked]).size),
            missing_positive + missing_negative,
            missing_positive,
            missing_negative,
        )

    @property
    def smaller_class(self) -> int:
        """Groups of the class that has fewer."""
        return min(self.positive_groups, self.negative_groups)
