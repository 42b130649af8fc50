"""Near-duplicates are found in spite of coding, size and cuts; look-alikes are left alone."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from collision.audit import duplicates
from collision.audit.duplicates import (
    MAX_BITS,
    crossing,
    near_duplicates,
    similar_frames,
    unrelated,
)
from collision.audit.facts import read_facts
from collision.datasets.synthetic import oracle as oracle_module
from tests.kit.audit import job_of, made_up_facts, made_up_record, scene_frames
from tests.kit.synthetic import small_set
from tests.kit.video import write_video


def pairs_of(facts, digests=None, **changes):
    records = [made_up_record(number, 1, id=name, **changes) for number, name in enumerate(facts)]
    digests = digests or {name: name for name in facts}
    return {(p.first.id, p.second.id): p for p in near_duplicates(records, facts, digests)}


def smaller(frames, height, width):
    return np.stack([cv2.resize(f, (width, height), interpolation=cv2.INTER_AREA) for f in frames])


def facts_of(folder, **videos):
    return {
        name: read_facts(job_of(write_video(folder / f"{name}.mp4", frames, **options)))
        for name, (frames, options) in videos.items()
    }


def test_copies_are_found(tmp_path):
    frames = scene_frames(0)
    poor = {"encoder_options": {"crf": "36"}}
    facts = facts_of(
        tmp_path,
        original=(frames, {"fps": 10}),
        recoded=(frames, {"fps": 10, "codec": "mpeg4"}),
        resized=(smaller(frames, 60, 80), {"fps": 10, **poor}),
        cut=(frames[13:55], {"fps": 10, **poor}),
        thinned=(frames[::2], {"fps": 5}),
        darker=((frames * 0.7).astype(np.uint8), {"fps": 10}),
        other=(scene_frames(1), {"fps": 10}),
    )
    found = pairs_of(facts)
    for name in ("recoded", "resized", "cut", "thinned", "darker"):
        assert ("original", name) in found, name
    assert not any("other" in names for names in found)
    assert found["original", "cut"].shift == pytest.approx(-1.3, abs=0.4)
    assert not found["original", "cut"].is_copy


def test_equal_files_are_copies_whatever_they_show(tmp_path):
    black = np.zeros((30, 48, 64, 3), np.uint8)
    facts = facts_of(tmp_path, a=(black, {}), b=(black, {}), c=(black + 2, {}))
    assert not pairs_of(facts)  # black is no evidence
    found = pairs_of(facts, digests={"a": "same", "b": "same", "c": "c"})
    assert set(found) == {("a", "b")} and found["a", "b"].is_copy


def test_one_moment_in_common_is_not_enough():
    first, second = made_up_facts(0), made_up_facts(1)
    hashes = second.hashes.copy()
    hashes[3:5] = first.hashes[3:5]
    assert not pairs_of({"a": first, "b": replace(second, hashes=hashes)})
    hashes[2:11] = first.hashes[2:11]
    assert pairs_of({"a": first, "b": replace(second, hashes=hashes)})["a", "b"].num_matching == 9


def test_pictures_in_common_at_no_one_shift_are_not_enough():
    first = made_up_facts(0)
    order = np.random.default_rng(1).permutation(len(first.hashes))
    assert not pairs_of({"a": first, "b": replace(first, hashes=first.hashes[order])})


def test_pairs_that_matter():
    first = made_up_facts(0)
    facts = {name: first for name in "abc"}
    records = [
        made_up_record(0, 1, id="a", split="train", group="x"),
        made_up_record(1, 1, id="b", split="test", group="y"),
        made_up_record(2, 1, id="c", split="train", group="x"),
    ]
    pairs = near_duplicates(records, facts, {name: name for name in facts})
    assert len(pairs) == 3
    assert {(p.first.id, p.second.id) for p in unrelated(pairs)} == {("a", "b"), ("b", "c")}
    assert {(p.first.id, p.second.id) for p in crossing(pairs)} == {("a", "b"), ("b", "c")}


@pytest.mark.slow
def test_few_scenes_of_one_painter_are_taken_for_each_other(tmp_path, monkeypatch):
    monkeypatch.setattr(oracle_module, "NUM_TRAINING_SCENES", 4)
    dataset = small_set(tmp_path / "set", num_scenes=8, splits={"train": 1, "test": 1})
    dataset.prepare()
    records = dataset.records()
    facts = {r.id: read_facts(job_of(r.path)) for r in records}
    pairs = near_duplicates(records, facts, {r.id: r.id for r in records})
    assert len(pairs) >= 2  # the two clips of a scene begin alike
    assert len(unrelated(pairs)) <= 1


@pytest.fixture(params=["few", "many"])
def parts(request, monkeypatch):
    """Part hashes as those of few or of many frames are."""
    monkeypatch.setattr(duplicates, "_MANY", 0 if request.param == "many" else 2**40)
    return duplicates._OF_MANY if request.param == "many" else duplicates._OF_FEW


def test_no_two_similar_hashes_are_over_the_limit_in_every_part(parts):
    assert sum(num_bits for num_bits, _ in parts) == 64
    assert sum(most + 1 for _, most in parts) == MAX_BITS + 1


def test_hashes_that_are_at_the_limit_in_every_part_but_one_are_found(parts):
    """One bit more in any part would be a bit too many."""
    for chosen in range(len(parts)):
        bits, shift = [], 0
        for number, (num_bits, most) in enumerate(parts):
            bits += [shift + num_bits - 1 - n for n in range(most + (number != chosen))]
            shift += num_bits
        assert len(bits) == MAX_BITS
        other = np.bitwise_or.reduce(np.uint64(1) << np.array(bits, np.uint64))
        for hashes in ([0, other], [other, 0], [2**64 - 1, ~other]):
            found = similar_frames(np.array(hashes, np.uint64), np.array([0, 1]))
            assert set(zip(*found, strict=True)) == {(0, 1)}, (chosen, hashes)


def test_the_same_frames_are_found_as_by_comparing_all(parts):
    """Hashes at every distance around the limit, of few videos and of many."""
    generator = np.random.default_rng(0)
    for num_videos, frames in ((1, 5), (7, 9), (60, 8)):
        hashes = generator.integers(0, 2**64, num_videos * frames, dtype=np.uint64)
        for place in range(1, len(hashes), 2):  # near copies of another frame
            bits = generator.choice(64, generator.integers(0, 20), replace=False).astype(np.uint64)
            flipped = np.bitwise_xor.reduce(np.uint64(1) << bits, initial=np.uint64(0))
            hashes[place] = hashes[generator.integers(len(hashes))] ^ flipped
        owner = np.repeat(np.arange(num_videos), frames)
        distance = np.bitwise_count(hashes[:, None] ^ hashes)
        is_pair = (distance <= MAX_BITS) & (owner[:, None] < owner)
        expected = set(zip(*np.nonzero(is_pair), strict=True))
        assert set(zip(*similar_frames(hashes, owner), strict=True)) == expected
        assert num_videos == 1 or expected


def test_blocks_that_fit_memory_change_nothing(monkeypatch, parts):
    hashes = np.zeros(200, np.uint64)
    owner = np.repeat(np.arange(50), 4)
    whole = set(zip(*similar_frames(hashes, owner), strict=True))
    monkeypatch.setattr(duplicates, "_MAX_COMPARED", 300)
    monkeypatch.setattr(duplicates, "_IN_CACHE", 7)
    assert set(zip(*similar_frames(hashes, owner), strict=True)) == whole


def test_few_of_all_frames_are_compared(monkeypatch):
    compared = []
    real = duplicates._pairs

    def counted(*columns):
        for pairs in real(*columns):
            compared.append(len(pairs[0]))
            yield pairs

    monkeypatch.setattr(duplicates, "_pairs", counted)
    facts = {str(n): made_up_facts(n, num_frames=80) for n in range(1000)}
    assert not pairs_of(facts)
    num_frames = sum(len(fact.hashes) for fact in facts.values())
    assert sum(compared) < num_frames**2 / 2 / 100
