"""What is stored of one video: its windows by their end times, and how two of these are united.

Shapes: N windows, S steps a window, D feature dim, K windows that do not exist.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from collision.types import Seconds
from collision.video.index import VERSION as READER

# End times this close are the same window: they come from sums of floats.
TIME_TOLERANCE: Seconds = 1e-6
STEPS = "num_steps"


@dataclass(frozen=True)
class StoredVideo:
    """What is stored of one video: both time arrays ascend.

    ``num_steps [N]``, how many of a window's steps are real, are all of them where it is None;
    ``reader`` is the version of ``collision.video.index`` that its frames were read by.
    """

    features: NDArray[np.floating]
    end_times: NDArray[np.float64]
    unavailable: NDArray[np.float64]
    reader: int = READER
    num_steps: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        """Count every step of old windows."""
        if self.num_steps is None:
            whole = np.full(len(self.end_times), self.features.shape[1], np.int64)
            object.__setattr__(self, STEPS, whole)

    def without_features(self) -> StoredVideo:
        """Copy what is known of the windows."""
        assert self.num_steps is not None
        times = self.end_times.copy(), self.unavailable.copy(), self.reader, self.num_steps.copy()
        return StoredVideo(self.features[:0].copy(), *times)

    @property
    def is_empty(self) -> bool:
        """Whether no window is known, not even one that does not exist."""
        return not len(self.end_times) and not len(self.unavailable)

    def equals(self, other: StoredVideo) -> bool:
        """Whether both hold the same windows."""
        names = ("features", "end_times", "unavailable", STEPS)
        arrays = ((getattr(self, name), getattr(other, name)) for name in names)
        return self.reader == other.reader and all(np.array_equal(*pair) for pair in arrays)


@dataclass(frozen=True)
class StoredTimes:
    """What is stored of one video, without the features: for whoever asks what is missing."""

    end_times: NDArray[np.float64]
    unavailable: NDArray[np.float64]
    reader: int

    def missing(self, end_times: ArrayLike, revision: int = 1) -> NDArray[np.float64]:
        """As ``FeatureStore.missing``."""
        wanted = np.asarray(end_times, np.float64)
        if not (wanted[1:] > wanted[:-1]).all():
            wanted = np.unique(wanted)
        if self.reader < revision:
            return wanted
        absent = wanted[positions_of(self.end_times, wanted) < 0]
        return absent[positions_of(self.unavailable, absent) < 0] if len(absent) else absent


def rounded(times: ArrayLike) -> NDArray[np.float64]:
    """Round to a nanosecond: sums of floats in another order leave the same bytes."""
    return np.asarray(times, np.float64).round(9) + 0.0  # no -0


def positions_of(known: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.int64]:
    """Find each wanted time among the ascending known ones; -1 where there is none."""
    if not len(known):
        return np.full(len(wanted), -1)
    if len(known) == len(wanted) and (known == wanted).all():  # as it mostly is
        return np.arange(len(known))
    after = np.searchsorted(known, wanted).clip(max=len(known) - 1)
    before = (after - 1).clip(min=0)
    closer_before = np.abs(known[before] - wanted) < np.abs(known[after] - wanted)
    nearest = np.where(closer_before, before, after)
    return np.where(np.abs(known[nearest] - wanted) <= TIME_TOLERANCE, nearest, -1)


def merged(old: StoredVideo, new: StoredVideo) -> StoredVideo:
    """Unite two sets of windows; the new one wins where both have a window."""
    order = _distinct(new.end_times)
    added = new.end_times[order]
    keep = positions_of(added, old.end_times) < 0
    end_times = np.concatenate([added, old.end_times[keep]])
    features = np.concatenate([new.features[order], old.features[keep]])
    assert old.num_steps is not None and new.num_steps is not None
    num_steps = np.concatenate([new.num_steps[order], old.num_steps[keep]])
    ascending = np.argsort(end_times)
    unavailable = np.concatenate([new.unavailable, old.unavailable])
    unavailable = unavailable[_distinct(unavailable)]
    unavailable = unavailable[positions_of(end_times[ascending], unavailable) < 0]
    return StoredVideo(
        features[ascending], end_times[ascending], unavailable, num_steps=num_steps[ascending]
    )


def _distinct(times: NDArray[np.float64]) -> NDArray[np.int64]:
    """Give the order that makes times ascend, each within the tolerance once."""
    order = np.argsort(times)
    fresh = np.diff(times[order], prepend=-np.inf) > TIME_TOLERANCE
    return order[fresh]
