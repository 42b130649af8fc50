"""What a threshold does to whole clips, as a person would count: of how many does it warn?

A clip alarms if any of its scored moments is at or above the threshold; all of those lie before the
event. The rates of ``collision.metrics.threshold`` count moments instead. All results are of one
seed: a threshold belongs to one model. Shapes: N examples.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from collision.metrics.calibration import wilson
from collision.metrics.estimate import MIN_GROUPS, Estimate, Plain
from collision.metrics.scored import NEGATIVES_FROM, Scored
from collision.metrics.threshold import Threshold, levels, middle_and_range

COLLISIONS, COLLISIONS_AND_NEAR = "collisions", "collisions and near-collisions"
_NEAR = ("near collision", "near miss")  # values of tags


@dataclass(frozen=True)
class Warned(Plain):
    """Shares of clips that alarm, of collisions (``recall``) and of others (``false_alarms``).

    The intervals are Wilson's, with as many trials as groups. ``least_horizon`` is the latest
    moment that counts, in seconds before the event. ``chance`` is the recall of alarms that know
    nothing and come as often: the share of false alarms. ``unscored`` negatives are left out, a
    positive without a score is missed. ``within``: negatives are (also) moments of crash videos,
    long before their events. Where each fold has its own threshold, their lowest and highest are
    ``threshold_range``, and ``threshold`` is their mean. ``near_collisions``: positives are (also)
    near-collisions, as their data set or a tag says.
    """

    threshold: float
    least_horizon: float
    positives: int
    negatives: int
    unscored: int
    recall: Estimate
    false_alarms: Estimate
    chance: float | None
    within: bool = False
    threshold_range: Sequence[float] | None = None
    near_collisions: bool = False

    @property
    def positives_in_words(self) -> str:
        """What is warned of."""
        return COLLISIONS_AND_NEAR if self.near_collisions else COLLISIONS


def warned(scored: Scored, threshold: Threshold) -> Warned:
    """Count the clips of which a threshold warns; each by its own, where there is one by video."""
    middle, spread = middle_and_range(threshold)
    shares, counts, unscored = {}, {}, 0
    for label in (1, 0):
        rows = np.flatnonzero(scored.label == label)
        videos, clip_of = np.unique(scored.video[rows], return_inverse=True)
        highest = np.full(len(videos), -np.inf)
        np.maximum.at(highest, clip_of, np.nan_to_num(scored.score[rows], nan=-np.inf))
        group = np.empty(len(videos), dtype=scored.group.dtype)
        group[clip_of] = scored.group[rows]
        alarmed = highest >= levels(threshold, videos)
        kept = np.isfinite(highest) | (label == 1)
        unscored += int((~kept).sum())
        counts[label] = int(kept.sum())
        shares[label] = _share(alarmed[kept], np.unique(group[kept]).size)
    kinds = scored.tags.get(NEGATIVES_FROM)
    return Warned(
        threshold=middle,
        least_horizon=float(scored.horizon.min()),
        positives=counts[1],
        negatives=counts[0],
        unscored=unscored,
        recall=shares[1],
        false_alarms=shares[0],
        chance=shares[0].value,
        within=kinds is not None and "crash videos" in kinds,
        threshold_range=spread,
        near_collisions=_has_near_collisions(scored),
    )


def is_near_collision(values: Iterable[str]) -> bool:
    """Whether one of a clip's tags calls it a near-collision, or a near miss."""
    return any(value.lower().replace("_", " ").replace("-", " ") in _NEAR for value in values)


def _has_near_collisions(scored: Scored) -> bool:
    rows = scored.label == 1
    return is_near_collision({one for tag in scored.tags.values() for one in tag[rows].tolist()})


def _share(alarmed: np.ndarray, num_groups: int) -> Estimate:
    if not alarmed.size:
        return Estimate(None, reason="there is no clip of this class")
    value = float(alarmed.mean())
    if num_groups < MIN_GROUPS:
        groups = "group" if num_groups == 1 else "groups"
        reason = f"a class has only {num_groups} {groups}; an interval needs {MIN_GROUPS} of each"
        return Estimate(value, reason=reason)
    return Estimate(value, *wilson(value, num_groups))
