"""How unlike a predictor's training videos the judged ones are."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from collision.experiment import Fold
from collision.files import write_whole
from collision.learning.fitted import FittedHead
from collision.learning.novelty import FALSE_ALARM_RATE, limit_rank
from collision.metrics.estimate import Plain


@dataclass(frozen=True)
class Distances(Plain):
    """How far videos are from those that a predictor learned from; 1 is the limit.

    19 of 20 videos like the training's stay within the limit.

    Attributes:
        videos, groups: How many were looked at.
        unlike: The share of videos beyond the limit.
        expected: That share of videos like the training's.
        p_value: Of so many groups or more beyond the limit if all were like the training's, one or
            other video of a group counting in part.
        median: Of the distances.
    """

    videos: int
    groups: int
    unlike: float
    expected: float
    p_value: float
    median: float
    by_video: Mapping[str, float] = field(repr=False, default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Plain data without the single videos, which have a file of their own."""
        return {name: value for name, value in super().as_json().items() if name != "by_video"}

    def to_csv(self, path: Path) -> None:
        """Write one row a video, ``video,distance``, the farthest first."""
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["video", "distance"])
        rows = sorted(self.by_video.items(), key=lambda row: -row[1])
        writer.writerows([name, f"{distance:.4f}"] for name, distance in rows)
        write_whole(path, text.getvalue())


def distances_of(
    folds: Sequence[Fold], heads: Sequence[FittedHead], split: str
) -> Distances | None:
    """Measure the videos of a split, each from those that its fold's head learned from.

    None where a head does not know what they looked like, or no video is there.
    """
    by_video: dict[str, float] = {}
    group_of: dict[str, str] = {}
    known_groups = []
    for fold, head in zip(folds, heads, strict=True):
        known = head.predictor.known
        if known is None:
            return None
        by_video |= known.distances(fold.data[split])
        group_of |= {record.id: record.group for record in fold.data[split].records}
        known_groups.append(int(known.num_groups))
    if not by_video:
        return None
    values = np.array(list(by_video.values()))
    num_groups, unlike = len(set(group_of.values())), float((values > 1).mean())
    p_value = chance_of(unlike, num_groups, min(known_groups))
    median = float(np.median(values))
    about = len(values), num_groups, unlike, FALSE_ALARM_RATE
    return Distances(*about, p_value, median, by_video)


def chance_of(share: float, num_groups: int, num_known: int) -> float:
    """Give the chance that so large a share of groups lies beyond the limit if all are alike.

    The limit is an order statistic of ``num_known`` held-out groups, so that the number beyond it
    is beta-binomial: it allows for the limit's own error.
    """
    from scipy.stats import betabinom  # a second: only where it is computed

    rank, count = limit_rank(num_known), int(np.floor(share * num_groups + 1e-9))
    return float(betabinom.sf(count - 1, num_groups, num_known + 1 - rank, rank))
