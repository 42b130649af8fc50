"""Features of several backbones side by side: which step of one meets which of the other."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from collision.features.bank import FusedBank
from collision.features.fingerprint import Fingerprint
from collision.features.store import FeatureStore
from collision.learning.alignment import fused_dataset, latest_steps, read_steps
from collision.learning.components import std_mean
from collision.learning.novelty import video_means
from collision.learning.refit import joined
from collision.sampling.policy import SamplingPolicy
from collision.sampling.windows import step_times
from collision.types import PLAIN, BackboneSpec, Example, VideoRecord, View

VIDEOS = ("crash", "calm", "gone")
DIGESTS = {video: f"{number:016x}" for number, video in enumerate(VIDEOS)}
RECORDS = {v: VideoRecord(v, Path(f"{v}.mp4"), 0, "val", v) for v in VIDEOS}
POLICY = SamplingPolicy()  # 8 windows of a frame model, 2 s; one of a clip model
FRAME = (1, 1, 3)  # frames and steps a window, features
SLOW = (10, 5, 2)  # a step every 0.2 s, from -0.8 s
FAST = (20, 20, 2)  # every 0.1 s, from -1.9 s


class Shelf:
    """A store each of whose features is the moment of its step, in the file's time."""

    def __init__(self, folder, make, dtype="float32", view=PLAIN):
        num_frames, num_steps, feature_dim = make
        sizes = {"num_frames": num_frames, "num_steps": num_steps, "feature_dim": feature_dim}
        fixed = {"fps": 10.0, "height": 8, "width": 8, "mean": (0.0,) * 3, "std": (1.0,) * 3}
        self.spec = BackboneSpec(f"test/{make}", "kit 1", **sizes, **fixed, dtype=dtype)
        self.store = FeatureStore(folder, Fingerprint(self.spec.as_dict()))
        self.view = view

    def put(self, video, end_times, unavailable=(), delay=0.0, view=PLAIN):
        """Write windows; late by ``delay``, they show what was there so much earlier."""
        within = step_times(self.spec, 1, 0.25)
        moments = np.asarray(end_times)[:, None] + within - delay
        values = np.repeat(moments[..., None], self.spec.feature_dim, axis=-1)
        self.store.write(DIGESTS[video] + view.suffix, end_times, values, unavailable)
        return self


def grid(first, last):
    return np.arange(round(first * 4), round(last * 4) + 1) / 4


def cut(video, end_time):
    return Example(video, end_time, 0, 0.5)


def fused(shelves, *examples, policy=POLICY):
    parts = [read_steps(examples, shelf.store, DIGESTS, policy) for shelf in shelves]
    return fused_dataset(examples, RECORDS, parts)


def batch_of(dataset):
    return dataset.__getitems__(range(len(dataset)))


def seen(batch, shelves, row=0):
    """Give the moments that each backbone shows at the real steps of a row."""
    widths = [shelf.spec.feature_dim for shelf in shelves]
    columns = batch["features"][row][batch["mask"][row]].split(widths, dim=-1)
    assert all((one == one[:, :1]).all() for one in columns)
    return [one[:, 0].double().numpy().round(3).tolist() for one in columns]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_slower_backbone_shows_its_latest_step(tmp_path, order):
    """Widths and rates differ; the times are those of the one with most steps, wherever it is."""
    frame = Shelf(tmp_path, FRAME).put("crash", grid(0, 6))
    slow = Shelf(tmp_path, SLOW).put("crash", grid(1, 6))
    shelves = [(frame, slow)[place] for place in order]
    batch = batch_of(fused(shelves, cut("crash", 3.0)))
    assert batch["features"].shape == (1, 8, 5) and batch["times"].shape == (1, 8)
    assert batch["times"][0].tolist() == (grid(1.25, 3) - 3).tolist()
    # Before -0.8 s the slow one has no step: there nothing counts.
    assert batch["mask"].int().tolist() == [[0, 0, 0, 0, 1, 1, 1, 1]]
    assert batch["features"][~batch["mask"]].abs().max() == 0
    by_backbone = [[2.25, 2.5, 2.75, 3.0], [2.2, 2.4, 2.6, 3.0]]
    assert seen(batch, shelves) == [by_backbone[place] for place in order]


def test_a_fast_backbone_gives_the_times(tmp_path):
    frame = Shelf(tmp_path, FRAME).put("crash", grid(0, 6))
    fast = Shelf(tmp_path, FAST).put("crash", grid(2, 6))
    batch = batch_of(fused([frame, fast], cut("crash", 3.0)))
    own, theirs = seen(batch, [frame, fast])
    assert theirs == pytest.approx(np.arange(13, 31) / 10)  # none before the first frame, 1.25 s
    assert own[:4] == [1.25, 1.25, 1.5, 1.5] and own[-4:] == [2.5, 2.75, 2.75, 3.0]


def lags(shelves, *examples):
    """Say how far behind the times each backbone is, ``[P, steps]`` seconds."""
    dataset = fused(shelves, *examples)
    batch, found = batch_of(dataset), []
    for row, example in enumerate(dataset.examples):
        now = batch["times"][row][batch["mask"][row]].double().numpy() + example.end_time
        found.append([now - np.array(own) for own in seen(batch, shelves, row)])
    return [np.concatenate(rows) for rows in zip(*found, strict=True)]


@pytest.mark.parametrize("make", [SLOW, FAST])
def test_no_step_is_seen_before_its_time_nor_late_by_a_stride(tmp_path, make):
    """A backbone whose features are one window's stride late would be noticed."""
    frame = Shelf(tmp_path / "frame", FRAME).put("crash", grid(0, 6))
    cuts = [cut("crash", end) for end in (2.5, 3.0, 4.75)]
    late = {}
    for delay in (0.0, 0.25, -0.25):
        other = Shelf(tmp_path / f"{delay}", make).put("crash", grid(0, 6), delay=delay)
        late[delay] = lags([frame, other], *cuts)
    spacings = (0.25, make[0] / make[1] / 10)
    for lag, spacing in zip(late[0.0], spacings, strict=True):
        assert lag.min() > -2e-3 and lag.max() < spacing
    assert late[0.25][1].max() > spacings[1] and late[-0.25][1].min() < -2e-3
    assert all(np.allclose(late[0.0][0], late[delay][0]) for delay in late)


def test_what_comes_after_a_cut_changes_nothing_before_it(tmp_path):
    ends, example = grid(0, 6), cut("crash", 3.0)
    before = [Shelf(tmp_path / "a", make).put("crash", ends) for make in (FRAME, FAST)]
    after = [Shelf(tmp_path / "b", make) for make in (FRAME, FAST)]
    for shelf in after:
        shelf.put("crash", ends[ends <= 3.0]).put("crash", ends[ends > 3.0], delay=100.0)
    one, other = (batch_of(fused(shelves, example)) for shelves in (before, after))
    assert all(torch.equal(one[name], other[name]) for name in one)
    later = cut("crash", 3.25)
    assert not torch.equal(
        *(batch_of(fused(shelves, later))["features"] for shelves in (before, after))
    )


def test_a_step_counts_where_every_backbone_has_one(tmp_path):
    """A hole in one; a video that one lacks; a video of which the steps never meet."""
    frame, slow = Shelf(tmp_path, FRAME), Shelf(tmp_path, SLOW)
    frame.put("crash", grid(0, 2.25), unavailable=grid(2.5, 2.75)).put("crash", grid(3, 6))
    slow.put("crash", grid(0, 6))
    frame.put("calm", grid(0, 6))
    slow.put("calm", [], unavailable=grid(0, 6))
    frame.put("gone", grid(0, 2.0), unavailable=grid(2.25, 6))
    slow.put("gone", grid(0, 6))
    cuts = [cut("crash", 3.0), cut("calm", 3.0), cut("gone", 3.0)]
    dataset = fused([frame, slow], *cuts)
    assert dataset.examples == cuts[:1] and dataset.dropped == cuts[1:]
    assert dataset.records == [RECORDS["crash"]]
    assert seen(batch_of(dataset), [frame, slow]) == [[2.25, 3.0], [2.2, 3.0]]
    assert not len(fused([frame, slow], *cuts[1:]))


def test_views_meet_their_own(tmp_path):
    """A mirrored view that one of them lacks is left out; the other views stay."""
    flip = View(flip=True)
    frame, slow = Shelf(tmp_path, FRAME), Shelf(tmp_path, SLOW)
    for shelf in (frame, slow):
        shelf.put("crash", grid(0, 6)).put("crash", grid(0, 6), delay=1000.0, view=flip)
    frame.put("calm", grid(0, 6)).put("calm", grid(0, 6), view=flip)
    slow.put("calm", grid(0, 6)).put("calm", [], unavailable=grid(0, 6), view=flip)
    policy = replace(POLICY, flip=True)
    dataset = fused([frame, slow], cut("crash", 3.0), cut("calm", 3.0), policy=policy)
    assert dataset.example_of.tolist() == [0, 0, 1]
    batch = batch_of(dataset)
    assert [seen(batch, [frame, slow], row)[1][-1] for row in range(3)] == [3.0, -997.0, 3.0]
    assert [seen(batch, [frame, slow], row)[0][-1] for row in range(3)] == [3.0, -997.0, 3.0]


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 9))
def test_latest_steps_are_those_found_one_by_one(seed, num_moments, num_steps):
    """Also where times are in no order, and equal to the moments."""
    generator = np.random.default_rng(seed)
    moments = generator.integers(-20, 1, (3, num_moments)) / 10
    times = np.stack([generator.permutation(30)[:num_steps] / 10 - 3 for _ in range(3)])
    is_real = generator.random((3, num_steps)) < 0.7
    found = latest_steps(*(torch.from_numpy(one) for one in (moments, times, is_real)))
    for row in range(3):
        for place, moment in enumerate(moments[row]):
            known = [
                (time, number)
                for number, time in enumerate(times[row])
                if is_real[row, number] and time <= moment + 1e-3
            ]
            assert found[row, place] == (max(known)[1] if known else -1)


@pytest.fixture
def shelves(tmp_path):
    frame, fast = Shelf(tmp_path, FRAME, dtype="float16"), Shelf(tmp_path, FAST)
    for video in VIDEOS:
        for shelf in (frame, fast):
            shelf.put(video, grid(0, 6), delay=VIDEOS.index(video))
    return [frame, fast]


def plain(dataset):
    """Put all steps into one tensor."""
    return replace(dataset, bank=dataset.bank[torch.arange(len(dataset.bank))])


def test_a_fused_bank_does_what_the_tensor_does_that_it_stands_for(shelves):
    """For whatever uses a data set: batches, statistics, distances, subsets, refitting."""
    cuts = [cut(video, end) for video in VIDEOS for end in (2.0, 2.25, 3.0)]
    dataset = fused(shelves, *cuts)
    assert isinstance(dataset.bank, FusedBank)
    assert not dataset.bank[torch.tensor([len(dataset.bank) - 1])].any()
    others = fused(shelves, cut("gone", 4.0), cut("calm", 5.0))
    assert dataset.bank[torch.arange(3)].shape[1:] == dataset.bank.shape[1:]
    kept = torch.arange(len(cuts)) % 2 == 0
    for make in (
        lambda one, _: batch_of(one),
        lambda one, _: batch_of(one.of_examples(kept)),
        lambda one, other: batch_of(joined(one, other)),
        lambda one, _: dict(enumerate(std_mean(one.steps))),
        lambda one, _: {"means": video_means(one)[1], "all": one.valid_features()},
    ):
        ours, theirs = make(dataset, others), make(plain(dataset), plain(others))
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    both = joined(dataset, others)
    assert isinstance(both.bank, FusedBank) and both.bank.banks[0].dtype == torch.float16


def test_steps_that_meet_often_are_kept_once(shelves):
    """Windows of a frame model that several cuts share are no further rows of its bank."""
    cuts = [cut("crash", end) for end in (2.0, 2.25, 2.5, 3.0)]
    dataset = fused(shelves, *cuts)
    assert [len(bank) for bank in dataset.bank.banks] == [12 + 1, 4 * 20 + 20]
    assert dataset.bank.index.shape[1] == len(torch.unique(dataset.window_index))
