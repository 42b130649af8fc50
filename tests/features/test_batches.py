"""Batches cut across clips hold every window once, of one length each, mirrored where wanted."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from collision.features.batches import BatchCutter, Target
from collision.features.clips import Clip, WindowRequest
from collision.features.missing import WantedVideo
from collision.types import View
from tests.kit.backbone import TinyBackbone

SPEC = dataclasses.replace(TinyBackbone().spec, height=2, width=3)


def clip_of(generator, num_windows, shortest=4):
    frames = generator.integers(0, 256, (num_windows + 4, 2, 3, 3), np.uint8)
    windows = generator.integers(0, len(frames), (num_windows, 4))
    length = generator.integers(shortest, 5, num_windows)
    windows[np.arange(4) < 4 - length[:, None]] = -1
    return Clip(frames, windows, np.arange(num_windows) / 4, np.zeros(0), (), 1)


def target_of(clip, flip=False):
    request = WindowRequest("a", Path("a.mp4"), clip.end_times, view=View(flip=flip))
    return Target(WantedVideo("0" * 32, (request,), clip.end_times, 0), clip, len(clip.windows))


def cut_all(cutter, **when):
    size = cutter.batch_size * 4 * 2 * 3 * 3
    batches = []
    while batch := cutter.cut(torch.full((size,), 7, dtype=torch.uint8), **when):
        batches.append(batch)
    return batches


@pytest.mark.parametrize("shortest", [1, 4])
@pytest.mark.parametrize("batch_size", [1, 4, 7])
def test_every_window_comes_once_with_its_own_frames(batch_size, shortest):
    generator = np.random.default_rng(batch_size)
    clips = [clip_of(generator, count, shortest) for count in (1, 9, 0, 3, 1, 1)]
    released, cutter = [], BatchCutter(SPEC, batch_size)
    for number, clip in enumerate(clips):
        targets = [target_of(clip), target_of(clip, flip=True)]
        cutter.add(targets, lambda number=number: released.append(number))
    assert cutter.num_windows == 2 * 15 and released == [2]
    seen = {}
    for batch in cut_all(cutter, at_least=1, older_than=math.inf):
        assert len(batch.frames) == batch_size
        begin, length = 0, batch.frames.shape[1]
        for target, numbers in batch.rows:
            for number, frames in zip(numbers, batch.frames[begin:], strict=False):
                wanted = target.clip.windows[number]
                assert (wanted >= 0).sum() == length
                wanted = target.clip.frames[wanted[4 - length :]]
                if target.video.requests[0].view.flip:
                    wanted = wanted[:, :, ::-1]
                np.testing.assert_array_equal(frames.numpy(), wanted)
                seen[id(target), number] = seen.get((id(target), number), 0) + 1
            begin += len(numbers)
        assert (batch.frames[begin:] == 0).all() and begin == batch.num_windows
    assert set(seen.values()) == {1} and len(seen) == 30
    assert sorted(released) == [0, 1, 2, 3, 4, 5] and cutter.num_windows == 0


def test_a_batch_waits_until_it_is_full_or_old():
    cutter = BatchCutter(SPEC, 4)
    generator = np.random.default_rng(0)
    for _ in range(3):
        cutter.add([target_of(clip_of(generator, 3))], lambda: None)
    whole = cut_all(cutter, at_least=4, older_than=math.inf)
    assert [batch.num_windows for batch in whole] == [4, 4] and cutter.num_windows == 1
    assert [len(batch.rows) for batch in whole] == [2, 2]
    assert not cut_all(cutter, at_least=4, older_than=60)
    assert [batch.num_windows for batch in cut_all(cutter, at_least=4, older_than=-1)] == [1]


def test_what_is_not_begun_can_be_dropped():
    cutter, released = BatchCutter(SPEC, 4), []
    generator = np.random.default_rng(0)
    for number in range(3):
        clip = clip_of(generator, 3)
        cutter.add([target_of(clip)], lambda number=number: released.append(number))
    buffer = torch.zeros(4 * 4 * 2 * 3 * 3, dtype=torch.uint8)
    cutter.cut(buffer, at_least=4, older_than=math.inf)  # the first, and one window of the second
    cutter.drop_untouched()
    assert released == [0, 2] and cutter.num_windows == 2
    assert [b.num_windows for b in cut_all(cutter, at_least=1, older_than=math.inf)] == [2]
