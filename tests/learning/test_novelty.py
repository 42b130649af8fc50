from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from collision.errors import CheckpointError
from collision.learning.novelty import (
    PREFIX,
    KnownVideos,
    known_videos,
    limit_rank,
    video_means,
)
from tests.kit.features import FEATURE_DIM, planted


def moved(data, shift=0.0, scale=1.0):
    """The same videos, their features shifted and scaled; the empty window stays empty."""
    bank = data.bank.float() * scale + shift
    bank[-1] = 0
    return replace(data, bank=bank)


@pytest.fixture(scope="module")
def known():
    return known_videos(planted(120, seed=0), planted(40, seed=1))


def test_videos_like_the_training_seldom_lie_beyond_the_limit(known):
    """As often as is claimed, over many trainings and videos that they have not seen."""
    beyond = []
    for seed in range(10):
        other = known_videos(planted(60, 10 * seed + 2), planted(20, 10 * seed + 3))
        distances = other.distances(planted(100, 10 * seed + 4)).values()
        beyond.append(np.mean([distance > 1 for distance in distances]))
    assert 0.02 < np.mean(beyond) < 0.08


def with_rare_features(data, seed):
    """300 features more that are 0 in nearly all windows, as behind a ReLU."""
    generator = torch.Generator().manual_seed(seed)
    rare = (torch.rand(len(data.bank), 1, 300, generator=generator) < 0.001).half()
    rare[-1] = 0
    return replace(data, bank=torch.cat((data.bank, rare), dim=2))


def test_features_that_hardly_ever_moved_raise_no_alarms_after_few_videos():
    """A held-out video may not stretch its own units: then more than half were unlike."""
    beyond = []
    for seed in range(0, 30, 3):
        parts = [
            with_rare_features(planted(count, seed + n), seed + n)
            for n, count in enumerate((20, 4, 100))
        ]
        distances = known_videos(*parts[:2]).distances(parts[2]).values()
        beyond.append(np.mean([distance > 1 for distance in distances]))
    assert np.mean(beyond) < 0.06


@pytest.mark.parametrize("change", [{"shift": 4.0}, {"scale": 5.0}])
def test_other_videos_lie_beyond_it(known, change):
    far = list(known.distances(moved(planted(40, seed=7), **change)).values())
    assert np.mean([distance > 1 for distance in far]) > 0.9


def test_a_shift_beside_what_ever_moved_is_seen():
    """Along the main directions nothing has changed: the residual tells it."""
    flat = [planted(60, seed) for seed in (0, 1, 2)]
    for data in flat:
        data.bank[:, :, -1] *= 0.01
    known = known_videos(*flat[:2])
    flat[2].bank[:-1, :, -1] += 0.2
    assert min(known.distances(flat[2]).values()) > 1


def test_the_distance_is_that_of_a_video_s_mean():
    data = planted(6, seed=3)
    names, means = video_means(data)
    for name, mean in zip(names, means, strict=True):
        rows = [n for n, example in enumerate(data.examples) if example.video == name]
        used = data.window_index[rows].unique()
        own = data.bank[used[used != len(data.bank) - 1]].float().mean(dim=(0, 1))
        assert torch.allclose(mean, own, atol=1e-5)


def test_steps_that_are_not_real_do_not_count():
    data = planted(6, seed=3)
    empty = torch.full_like(data.bank, 7.0)  # older than the file's first frame
    padded = replace(
        data,
        bank=torch.cat((empty, data.bank), dim=1),
        num_steps=torch.ones(len(data.bank), dtype=torch.int64),
    )
    assert torch.equal(video_means(padded)[1], video_means(data)[1])


def test_a_rank_and_its_share(known):
    assert limit_rank(19) == 19 and limit_rank(99) == 95 and limit_rank(5) == 5
    assert known.share_beyond(0) == 1 and known.share_beyond(1e6) == 0
    assert 0 < known.share_beyond(1) <= 0.06


def test_the_same_videos_give_the_same_and_too_few_give_nothing(known):
    again = known_videos(planted(120, seed=0), planted(40, seed=1))
    for name, tensor in known.tensors().items():
        assert torch.equal(tensor, again.tensors()[name]), name
    assert known_videos(planted(12, seed=0), planted(7, seed=1)) is None
    assert known_videos(planted(12, seed=0), planted(8, seed=1)) is not None
    still = [moved(planted(40, seed), scale=0.0) for seed in (0, 1)]
    assert known_videos(*still) is None


def test_it_comes_back_from_its_tensors_and_is_small(known):
    tensors = known.tensors()
    back = KnownVideos.of_tensors({**tensors, "head.weight": torch.zeros(1)})
    assert all(
        torch.equal(getattr(back, one.name), getattr(known, one.name)) for one in fields(back)
    )
    assert KnownVideos.of_tensors({"head.weight": torch.zeros(1)}) is None
    assert sum(one.numel() * one.element_size() for one in tensors.values()) < 10_000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("centre", torch.zeros(FEATURE_DIM + 1)),
        ("centre", torch.tensor(0.0)),
        ("spread", torch.zeros(FEATURE_DIM)),
        ("directions", torch.zeros(2)),
        ("directions", torch.tensor(0.0)),
        ("variances", torch.full((5,), torch.nan)),
        ("residual", torch.ones(2)),
        ("held_out", torch.tensor([])),
        ("held_out", torch.arange(160.0).flip(0)),
        ("num_groups", torch.tensor([10**9])),
        ("num_groups", torch.tensor([20.0])),
        ("num_groups", None),
    ],
)
def test_damaged_tensors_are_refused(known, name, value):
    tensors = {**known.tensors(), PREFIX + name: value}
    tensors = {key: tensor for key, tensor in tensors.items() if tensor is not None}
    with pytest.raises(CheckpointError, match="damaged"):
        KnownVideos.of_tensors(tensors)
