"""Videos that show the same scene: copies of a file, and copies that were cut or coded anew.

Two videos are near-duplicates if, at one shift in time, enough of the frames in which they overlap
look alike. A copy at another speed, mirrored or heavily cropped is not found.

Shapes: V videos, N hashed frames of all, K of one video, J of another.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from collision.audit.facts import Facts
from collision.types import Seconds, VideoRecord

# Of 30 real clips that were cut, shrunk and coded anew, 28 are found so, and no two different ones
# are paired; nor are any of 208 painted scenes by day, and 2 of 32,512 pairs by night. A share of a
# half, or 3 frames, finds no more of the copies and up to 20 of those pairs: see docs/data.md.
MAX_BITS = 10
MIN_FRAMES = 4
MIN_SHARE = 0.6
# Frames are hashed at most about 0.6 s apart, so those of a copy lie at most half of it off.
SLACK: Seconds = 0.375

Places: TypeAlias = NDArray[np.int64]
Times: TypeAlias = NDArray[np.float64]

_PART_BITS = 16
# All ways to change at most MAX_BITS // 4 = 2 bits of a part.
_FLIPS = [
    sum(1 << bit for bit in bits)
    for count in range(MAX_BITS // (64 // _PART_BITS) + 1)
    for bits in combinations(range(_PART_BITS), count)
]
_MAX_COMPARED = 2**22  # pairs of frames at once


@dataclass(frozen=True)
class DuplicatePair:
    """Two videos that show the same scene, in the order of the index."""

    first: VideoRecord
    second: VideoRecord
    is_copy: bool  # the files are equal byte by byte
    num_matching: int  # hashed frames that look alike
    num_overlapping: int  # hashed frames that could, by their times
    shift: Seconds  # how much later a moment comes in the second video


def near_duplicates(
    records: Sequence[VideoRecord], facts: Facts, digests: Mapping[str, str]
) -> list[DuplicatePair]:
    """Find all pairs of records with facts that show the same scene; of equal digests, copies."""
    records = [r for r in records if r.id in facts]
    copies = list(_copies(records, facts, digests))
    known = {(pair.first.id, pair.second.id) for pair in copies}
    similar = _look_alikes(records, facts)
    return copies + [p for p in similar if (p.first.id, p.second.id) not in known]


def crossing(pairs: Iterable[DuplicatePair]) -> list[DuplicatePair]:
    """Keep the unrelated pairs in two splits: what is learned on one is tested on the other."""
    return [pair for pair in unrelated(pairs) if pair.first.split != pair.second.split]


def unrelated(pairs: Iterable[DuplicatePair]) -> list[DuplicatePair]:
    """Keep the pairs in two groups: intervals take them for independent, splits may part them."""
    return [pair for pair in pairs if pair.first.group != pair.second.group]


def _copies(
    records: Sequence[VideoRecord], facts: Facts, digests: Mapping[str, str]
) -> Iterator[DuplicatePair]:
    by_digest: dict[str, list[VideoRecord]] = defaultdict(list)
    for record in records:
        by_digest[digests[record.id]].append(record)
    for members in by_digest.values():
        for first, second in combinations(members, 2):
            count = len(facts[first.id].hashes)
            yield DuplicatePair(first, second, True, count, count, 0.0)


def _look_alikes(records: Sequence[VideoRecord], facts: Facts) -> Iterator[DuplicatePair]:
    """Find the pairs of videos with enough similar frames, then the best shift of each."""
    records = [r for r in records if len(facts[r.id].hashes) >= MIN_FRAMES]
    if not records:
        return
    hashes = np.concatenate([facts[r.id].hashes for r in records])
    owner = np.repeat(np.arange(len(records)), [len(facts[r.id].hashes) for r in records])
    frame, similar = similar_frames(hashes, owner)
    # Frames of the second video that look like any of the first, by pair of videos.
    found = np.unique(owner[frame] * len(hashes) + similar)
    pairs, counts = np.unique(
        (found // len(hashes)) * len(records) + owner[found % len(hashes)], return_counts=True
    )
    for pair in pairs[counts >= MIN_FRAMES]:
        first, second = records[pair // len(records)], records[pair % len(records)]
        one, other = facts[first.id], facts[second.id]
        matches = np.bitwise_count(one.hashes[:, None] ^ other.hashes) <= MAX_BITS
        if best := _best_shift(matches, one.hash_times, other.hash_times):
            yield DuplicatePair(first, second, False, *best)


def similar_frames(hashes: NDArray[np.uint64], owner: Places) -> tuple[Places, Places]:
    """Find all frames of different videos whose ``hashes [N]`` differ in at most ``MAX_BITS`` bits.

    Of the four 16-bit parts of two such hashes, one differs in at most ``MAX_BITS // 4`` = 2 bits.
    So each frame is compared with those alone that have a part within 2 bits of its own: of hashes
    that are spread evenly, one in 120.

    ``owner [N]``, the video of each, is ascending. Gives the places of the earlier and of the later
    frame of each pair; a pair may come several times.
    """
    earlier, later = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for shift in range(0, 64, _PART_BITS):
        part = (hashes >> np.uint64(shift)).astype(np.int64) & (2**_PART_BITS - 1)
        order = np.argsort(part, kind="stable")
        begins = np.searchsorted(part[order], np.arange(2**_PART_BITS + 1))
        for flipped in _FLIPS:
            wanted = part ^ flipped
            begin, size = begins[wanted], begins[wanted + 1] - begins[wanted]
            for block in _blocks(size):
                frame, other = _expanded(block, begin[block], size[block], order)
                is_pair = owner[frame] < owner[other]
                frame, other = frame[is_pair], other[is_pair]
                is_similar = np.bitwise_count(hashes[frame] ^ hashes[other]) <= MAX_BITS
                earlier.append(frame[is_similar])
                later.append(other[is_similar])
    return np.concatenate(earlier), np.concatenate(later)


def _blocks(size: Places) -> list[Places]:
    """Part the frames that have something to be compared with, so that each block fits memory."""
    frames = np.flatnonzero(size)
    block = np.cumsum(size[frames]) // _MAX_COMPARED
    return np.split(frames, np.flatnonzero(np.diff(block)) + 1)


def _expanded(frames: Places, begin: Places, size: Places, order: Places) -> tuple[Places, Places]:
    """Give each frame with each of ``order[begin : begin + size]``."""
    within = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
    return np.repeat(frames, size), order[np.repeat(begin, size) + within]


def _best_shift(
    matches: NDArray[np.bool_], first: Times, second: Times
) -> tuple[int, int, Seconds] | None:
    """Find the shift in time at which most frames look alike, if those are enough.

    Frame k of the first video, at ``first [K]``, looks like frame j of the second by ``matches
    [K, J]``. Gives how many frames look alike and overlap, and the shift.
    """
    k, j = np.nonzero(matches)
    shifts = second[j] - first[k]
    best: tuple[int, int, Seconds] | None = None
    for shift in np.unique(shifts.round(3)):
        near = np.abs(shifts - shift) <= SLACK
        count = min(len(np.unique(k[near])), len(np.unique(j[near])))
        overlap = min(_num_within(first + shift, second), _num_within(second - shift, first))
        is_enough = count >= max(MIN_FRAMES, MIN_SHARE * overlap)
        if is_enough and (best is None or count > best[0]):
            best = count, overlap, float(shift)
    return best


def _num_within(times: Times, other: Times) -> int:
    """Count the times that lie within the span of the other video's."""
    return int(np.sum((times >= other[0] - SLACK) & (times <= other[-1] + SLACK)))
