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

# How a hash is parted: each part's bits, and in how many of them it may differ. A hash that differs
# in one bit more in every part differs in MAX_BITS + 1 bits: the sums of these are just that.
Parts: TypeAlias = tuple[tuple[int, int], ...]
_OF_FEW: Parts = ((16, 2), (16, 2), (16, 2), (16, 1))
# Nine times as many ways to differ, and a sixth of the pairs to compare.
_OF_MANY: Parts = ((22, 3), (22, 3), (20, 2))
_MANY = 500_000  # hashes, from where on that pays
_MAX_COMPARED = 2**22  # pairs of frames at once
_IN_CACHE = 2**15  # parts that are looked up at once, in memory that is near


@dataclass(frozen=True)
class DuplicatePair:
    """Two videos that show the same scene, in the order of the index."""

    first: VideoRecord
    second: VideoRecord
    is_copy: bool  # the files have the same digest
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

    Two such hashes have a part in which they differ in few bits: none can be over its limit in
    every part. So each frame is compared with those alone that have such a part: of hashes that are
    spread evenly one in 150, of many hashes, in larger parts, one in 950.

    ``owner [N]``, the video of each, is ascending. Gives the places of the earlier and of the later
    frame of each pair; a pair may come several times.
    """
    earlier, later = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    shift = 0
    for num_bits, most in _OF_MANY if len(hashes) > _MANY else _OF_FEW:
        part = (hashes >> np.uint64(shift)).astype(np.int64) & (2**num_bits - 1)
        shift += num_bits
        order = np.argsort(part, kind="stable")
        own, owners = hashes[order], owner[order]
        for frame, other in _with_like_parts(part[order], num_bits, most):
            is_pair = np.bitwise_count(own[frame] ^ own[other]) <= MAX_BITS
            frame, other = frame[is_pair], other[is_pair]
            is_pair = owners[frame] != owners[other]
            frame, other = order[frame[is_pair]], order[other[is_pair]]
            earlier.append(np.minimum(frame, other))
            later.append(np.maximum(frame, other))
    return np.concatenate(earlier), np.concatenate(later)


def _with_like_parts(part: Places, num_bits: int, most: int) -> Iterator[tuple[Places, Places]]:
    """Give the places of parts that differ in at most so many bits, each pair once.

    ``part [N]`` ascends. Of two that differ, the one without the highest differing bit is looked
    from.
    """
    sizes = np.bincount(part, minlength=2**num_bits)
    begins, is_there = np.concatenate([[0], np.cumsum(sizes)]), sizes > 0
    places = np.arange(len(part))
    yield from _pairs(places, places + 1, begins[part + 1] - places - 1)
    for highest in range(num_bits):
        flips = [
            sum(1 << bit for bit in (*bits, highest))
            for count in range(most)
            for bits in combinations(range(highest), count)
        ]
        lower = np.flatnonzero((part >> highest) & 1 == 0)
        for start in range(0, len(lower), _IN_CACHE):
            some = lower[start : start + _IN_CACHE]
            own, wanted, is_like = part[some], np.empty_like(some), np.empty(len(some), np.bool_)
            for flipped in flips:
                np.bitwise_xor(own, flipped, out=wanted)
                is_there.take(wanted, out=is_like, mode="clip")  # the fastest that numpy has
                found = np.flatnonzero(is_like)
                like = wanted[found]
                yield from _pairs(some[found], begins[like], sizes[like])


def _pairs(frames: Places, begin: Places, size: Places) -> Iterator[tuple[Places, Places]]:
    """Give each frame with each of those from ``begin`` on; few enough at once for the memory."""
    for block in _blocks(size):
        count = size[block]
        within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        yield np.repeat(frames[block], count), np.repeat(begin[block], count) + within


def _blocks(size: Places) -> list[Places]:
    """Part the frames that have something to be compared with, so that each block fits memory."""
    frames = np.flatnonzero(size)
    block = np.cumsum(size[frames]) // _MAX_COMPARED
    return np.split(frames, np.flatnonzero(np.diff(block)) + 1)


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
