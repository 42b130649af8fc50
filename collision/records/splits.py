"""Which videos belong to which split: whole groups, dealt by hashes of their names.

Plain functions of plain data. A group (a source event, a drive) is never parted here; where the
owners of a data set parted one, ``shared_groups`` says so.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace

from collision.errors import ConfigError
from collision.types import SPLITS, UNLABELLED, Split, VideoRecord


def fraction_from(text: str) -> float:
    """Map text to [0, 1) evenly and for ever: draws that no other video's presence can change."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64


def with_validation(
    records: Sequence[VideoRecord], fraction: float, seed: int = 0
) -> list[VideoRecord]:
    """Move whole groups from train to validation where a data set has no validation split.

    Groups are chosen by a hash of their name, separately among those that hold a positive and
    those that do not, so that both classes are in both splits.
    """
    if any(r.split == "val" for r in records) or not any(r.split == "train" for r in records):
        return list(records)
    positive_groups = {r.group for r in records if r.label == 1}
    moved: set[str] = set()
    for holds_positive in (True, False):
        groups = {r.group for r in records if r.split == "train"}
        alike = [g for g in groups if (g in positive_groups) == holds_positive]
        order = sorted(alike, key=lambda g: fraction_from(f"validation/{seed}/{g}"))
        moved.update(order[: max(1, round(fraction * len(order)))] if len(order) > 1 else [])
    return [
        replace(r, split="val") if r.split == "train" and r.group in moved else r for r in records
    ]


def require_splits(name: str, records: Sequence[VideoRecord], splits: Sequence[Split]) -> None:
    """Refuse a wanted split of a data set that holds no video, by a ConfigError."""
    found = [split for split in SPLITS if any(r.split == split for r in records)]
    for split in splits:
        if split not in found:
            raise ConfigError(
                f"Data set {name!r} has no video in the split {split!r}, "
                f"only in: {', '.join(found) or 'none'}. `train` can make its own by "
                "cross-validation, folds=5; `evaluate` scores another with split=NAME."
            )


def folded(records: Sequence[VideoRecord], folds: int, fold: int, seed: int) -> list[VideoRecord]:
    """Make one fold the test split and all else training, whatever the splits were.

    Whole groups, dealt by a hash of their names, apart for those that hold a positive.
    """
    positive_groups = {r.group for r in records if r.label == 1}
    fold_of: dict[str, int] = {}
    for groups in (positive_groups, {r.group for r in records} - positive_groups):
        order = sorted(groups, key=lambda g: fraction_from(f"fold/{seed}/{g}"))
        for position, group in enumerate(order):
            fold_of[group] = position % folds
    if not 2 <= folds <= len(positive_groups):
        raise ConfigError(
            f"folds={folds}: give 2 to {len(positive_groups)}, the number of groups with positives."
        )
    return [replace(r, split="test" if fold_of[r.group] == fold else "train") for r in records]


def limited(records: Sequence[VideoRecord], limit: int | None) -> list[VideoRecord]:
    """Keep whole groups of each split, both classes in turn, until ``limit`` videos a split.

    Clips whose label is secret come after those with one.
    """
    if limit is None:
        return list(records)
    if limit < 1:
        raise ConfigError(f"limit={limit}: give a number of videos a split, 1 or more, or null.")
    kept: set[tuple[str, str]] = set()
    for split in SPLITS:
        groups: dict[str, list[VideoRecord]] = {}
        for record in records:
            if record.split == split:
                groups.setdefault(record.group, []).append(record)
        waiting = {
            label: deque(g for g, rows in groups.items() if any(r.label == label for r in rows))
            for label in (0, 1, UNLABELLED)
        }
        count, turn = 0, 1
        while count < limit and any(waiting.values()):
            queue = waiting[turn] or waiting[1 - turn] or waiting[UNLABELLED]
            group = queue.popleft()
            turn = 1 - turn
            if (split, group) not in kept:
                kept.add((split, group))
                count += len(groups[group])
    return [r for r in records if (r.split, r.group) in kept]


def shared_groups(records: Iterable[VideoRecord]) -> dict[str, list[str]]:
    """Find the groups that lie in several splits, with those splits."""
    splits: dict[str, set[str]] = {}
    for record in records:
        splits.setdefault(record.group, set()).add(record.split)
    return {
        group: [split for split in SPLITS if split in found]
        for group, found in splits.items()
        if len(found) > 1
    }
