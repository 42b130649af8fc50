from collections import Counter
from dataclasses import replace
from itertools import chain, groupby, product
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, default_collate

from collision.errors import CacheMismatchError, ConfigError
from collision.features.fingerprint import Fingerprint
from collision.features.store import FeatureStore
from collision.learning.datamodule import (
    EndlessShuffle,
    feature_dataset,
    feature_loader,
)
from collision.learning.feature_datamodule import FeatureDataModule
from collision.metrics.views import mean_by_example
from collision.sampling.policy import SamplingPolicy
from collision.types import BackboneSpec, Example, VideoRecord, View
from tests.kit.features import planted

VIDEOS = ("crash", "calm", "gone")
DIM = 3


def make_spec(num_frames, num_steps, dtype="float32"):
    return BackboneSpec(
        name="test/made up",
        implementation="kit 1",
        num_frames=num_frames,
        fps=10.0,
        height=8,
        width=8,
        mean=(0.0,) * 3,
        std=(1.0,) * 3,
        num_steps=num_steps,
        feature_dim=DIM,
        dtype=dtype,
    )


FRAME = make_spec(num_frames=1, num_steps=1)
CLIP = make_spec(num_frames=4, num_steps=2)
POLICY = SamplingPolicy(context=1.0, window_stride=0.25)  # 4 windows


class Shelf:
    """A store whose features say of which video, window and step they are."""

    def __init__(self, folder, spec, policy=POLICY):
        fields = {**spec.as_dict(), "weights_digest": "0", "precision": "32-true", "schema": 1}
        self.spec, self.policy = spec, policy
        self.store = FeatureStore(folder, Fingerprint(fields))
        self.digest_of = {video: f"{number:016x}" for number, video in enumerate(VIDEOS)}

    def value(self, video, end_time, step=0):
        return 100 * VIDEOS.index(video) + end_time + 0.01 * step

    def put(self, video, end_times, unavailable=()):
        values = [
            [[self.value(video, end, step)] * DIM for step in range(self.spec.num_steps)]
            for end in end_times
        ]
        features = np.array(values, np.float64).reshape(-1, self.spec.num_steps, DIM)
        self.store.write(self.digest_of[video], end_times, features, unavailable)

    def take(self, *examples):
        records = {v: VideoRecord(v, Path(f"{v}.mp4"), 0, "val", v) for v in VIDEOS}
        return feature_dataset(examples, records, self.store, self.digest_of, self.policy)


def batch_of(dataset):
    return dataset.__getitems__(range(len(dataset)))


def grid(first, last, stride=0.25):
    return np.arange(round(first / stride), round(last / stride) + 1) * stride


def cut(video, end_time, label=0, horizon=0.5, weight=1.0):
    return Example(video, end_time, label, horizon, weight)


def test_a_frame_model_gives_a_step_a_window_up_to_the_cut(tmp_path):
    shelf = Shelf(tmp_path, FRAME)
    shelf.put("crash", grid(0, 6))
    item = shelf.take(cut("crash", 3.0, label=1, horizon=1.5, weight=0.5))[0]
    assert item["features"].shape == (1, 4, DIM)
    assert item["features"][0, :, 0].tolist() == [2.25, 2.5, 2.75, 3.0]
    assert item["times"].tolist() == [[-0.75, -0.5, -0.25, 0.0]]
    assert item["mask"].tolist() == [[True] * 4]
    assert [item[key].item() for key in ("label", "weight", "horizon")] == [1.0, 0.5, 1.5]
    assert item["features"].dtype == item["times"].dtype == torch.float32


def test_windows_before_the_video_and_unavailable_ones_are_masked(tmp_path):
    shelf = Shelf(tmp_path, FRAME)
    shelf.put("crash", grid(0.25, 1), unavailable=[0.0])
    item = batch_of(shelf.take(cut("crash", 0.5), cut("crash", 0.25), cut("crash", 1.0)))
    assert item["mask"].int().tolist() == [[0, 0, 1, 1], [0, 0, 0, 1], [1, 1, 1, 1]]
    assert item["features"][~item["mask"]].abs().max() == 0
    assert item["features"][0, 2:, 0].tolist() == [0.25, 0.5]


def test_a_clip_model_gives_all_steps_of_its_windows(tmp_path):
    shelf = Shelf(tmp_path, CLIP, SamplingPolicy(context=0.5, window_stride=0.25))
    shelf.put("calm", [0.5, 0.75], unavailable=[0.25])
    item = batch_of(shelf.take(cut("calm", 0.5), cut("calm", 0.75)))
    assert item["mask"].int().tolist() == [[0, 0, 1, 1], [1, 1, 1, 1]]
    expected = torch.tensor([[0.0, 0.0, 100.5, 100.51], [100.5, 100.51, 100.75, 100.76]])
    torch.testing.assert_close(item["features"][..., 0], expected)
    # A step is two frames at 10 fps: steps of one window lie 0.2 s apart.
    torch.testing.assert_close(item["times"][0], torch.tensor([-0.45, -0.25, -0.2, 0.0]))


def test_a_clip_model_sees_a_single_window_by_default(tmp_path):
    shelf = Shelf(tmp_path, CLIP, SamplingPolicy())
    shelf.put("calm", [2.0])
    item = shelf.take(cut("calm", 2.0))[0]
    assert item["features"].shape == (1, 2, DIM)
    assert item["mask"].all()


def test_examples_with_nothing_left_are_dropped_and_named(tmp_path):
    shelf = Shelf(tmp_path, CLIP, SamplingPolicy())
    shelf.put("crash", [1.0], unavailable=[0.25])
    shelf.put("calm", [2.0])
    del shelf.digest_of["gone"]
    examples = [cut("gone", 1.0), cut("calm", 2.0), cut("crash", 0.25), cut("crash", 1.0, label=1)]
    dataset = shelf.take(*examples)
    assert dataset.examples == [examples[1], examples[3]]
    assert [record.id for record in dataset.records] == ["calm", "crash"]
    assert dataset.dropped == [examples[0], examples[2]]
    assert batch_of(dataset)["features"][:, 0, 0].tolist() == [102.0, 1.0]
    assert dataset.labels.tolist() == [0.0, 1.0]


def test_a_data_set_can_be_empty(tmp_path):
    shelf = Shelf(tmp_path, FRAME)
    del shelf.digest_of["gone"]
    dataset = shelf.take(cut("gone", 1.0))
    assert len(dataset) == 0 and len(dataset.dropped) == 1
    assert dataset.window_index.shape == (0, 4)
    assert dataset.valid_features().shape == (0, DIM)
    assert list(feature_loader(dataset, 8)) == []


def test_the_loader_gives_what_torchs_would():
    dataset = planted(6, seed=0)
    order = EndlessShuffle(dataset.labels, 12, 0)
    loader = feature_loader(dataset, 5, order)
    for interval in range(2):
        order.set_epoch(interval)
        ours, theirs = list(loader), list(DataLoader.__iter__(loader))
        assert [len(batch["label"]) for batch in ours] == [5, 5, 2] and len(loader) == 3
        for one, other in zip(ours, theirs, strict=True):
            assert one.keys() == other.keys()
            assert all(one[name].equal(other[name]) for name in one)
    assert not isinstance(iter(loader), type(DataLoader.__iter__(loader)))


def test_windows_that_were_never_extracted_are_an_error(tmp_path):
    shelf = Shelf(tmp_path, FRAME)
    shelf.put("crash", grid(1, 2))
    with pytest.raises(CacheMismatchError, match=r"1 of 4 windows.*Run extract"):
        shelf.take(cut("crash", 1.5))


def test_examples_share_windows_and_only_used_ones_are_standardised_by(tmp_path):
    shelf = Shelf(tmp_path, FRAME)
    shelf.put("crash", grid(0, 6))
    dataset = shelf.take(cut("crash", 3.0), cut("crash", 3.25), cut("crash", 3.0))
    assert len(dataset.bank) == 5 + 1
    assert dataset.valid_features()[:, 0].tolist() == [2.25, 2.5, 2.75, 3.0, 3.25]


def test_cuts_that_come_from_sums_of_floats_find_their_windows(tmp_path):
    shelf = Shelf(tmp_path, FRAME)
    event = 17 / 3
    shelf.put("crash", np.round(event - grid(0.5, 3), 6))
    dataset = shelf.take(*(cut("crash", event - horizon) for horizon in (0.5, 1.0, 1.5)))
    assert batch_of(dataset)["mask"].all()


def test_stored_half_precision_is_kept_in_memory_and_in_batches(tmp_path):
    shelf = Shelf(tmp_path, make_spec(1, 1, dtype="float16"))
    shelf.put("crash", grid(0, 3))
    dataset = shelf.take(cut("crash", 3.0))
    assert dataset.bank.dtype == torch.float16
    assert dataset[0]["features"].dtype == torch.float16
    assert dataset.valid_features().dtype == torch.float32


def test_validation_keeps_the_order_and_training_shuffles_whole_batches():
    train, val = planted(6, seed=0), planted(5, seed=1)
    module = FeatureDataModule(train, val, batch_size=4, interval=3, seed=0)
    kept = list(module.val_dataloader())
    assert [len(batch["label"]) for batch in kept] == [4, 4, 2]
    whole = {key: torch.cat([batch[key] for batch in kept]) for key in kept[0]}
    expected = default_collate([{k: v[0] for k, v in val[i].items()} for i in range(len(val))])
    assert all(torch.equal(whole[key], expected[key]) for key in whole)
    shuffled = torch.cat([batch["features"] for batch in module.train_dataloader()])
    rows = {tuple(row.flatten().tolist()) for row in shuffled}
    assert rows == {tuple(train[i]["features"].flatten().tolist()) for i in range(len(train))}


def interval_of(shuffle, number):
    shuffle.set_epoch(number)
    assert list(shuffle) == list(shuffle) and len(list(shuffle)) == len(shuffle)
    return list(shuffle)


def test_an_intervals_rows_hang_on_seed_and_interval_alone():
    orders = set()
    for seed in (0, 1):
        shuffle = EndlessShuffle(torch.zeros(20), 20, seed)
        for number in (1, 0):
            rows = interval_of(shuffle, number)
            assert sorted(rows) == list(range(20))
            orders.add(tuple(rows))
    assert len(orders) == 4


@given(st.integers(1, 30), st.integers(1, 70))
def test_intervals_of_any_length_make_up_whole_passes(num_rows, length):
    shuffle = EndlessShuffle(torch.zeros(num_rows), length, seed=0)
    rows = [row for number in range(5) for row in interval_of(shuffle, number)]
    passes = [rows[first : first + num_rows] for first in range(0, len(rows), num_rows)]
    assert all(sorted(one) == list(range(num_rows)) for one in passes[:-1])
    assert len(set(passes[-1])) == len(passes[-1])


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 5)), min_size=2, max_size=30),
    st.booleans(),
)
def test_by_video_the_rows_of_a_video_come_one_after_the_other(rows, balanced):
    labels, videos = torch.tensor(rows).T
    balanced = balanced and 0 < labels.sum() < len(labels)
    length = EndlessShuffle(labels, 1, 0, balanced).pass_length
    plain, shuffle = (EndlessShuffle(labels, length, 0, balanced, v) for v in (None, videos))
    order = list(shuffle)
    assert sorted(order) == sorted(plain) and len(order) == len(shuffle)
    runs = [key for key, _ in groupby(videos[order].tolist())]
    assert len(runs) == len(set(runs))


def test_by_video_order_hangs_on_seed_and_interval_and_mixes_videos_and_cuts():
    videos = torch.arange(8).repeat(4)
    orders = {}
    for seed, epoch in product((0, 1), (0, 1)):
        shuffle = EndlessShuffle(torch.zeros(32), 32, seed, videos=videos)
        shuffle.set_epoch(epoch)
        orders[seed, epoch] = tuple(shuffle)
        assert tuple(shuffle) == orders[seed, epoch]
    by_video = [tuple(videos[list(order)].tolist()) for order in orders.values()]
    of_first = [tuple(row for row in order if videos[row] == 0) for order in orders.values()]
    assert len(set(by_video)) == 4 and len(set(of_first)) > 1


def test_a_batch_says_which_cuts_are_of_one_video():
    train = planted(6, seed=0)
    for by_video in (False, True):
        module = FeatureDataModule(train, train, 4, interval=3, seed=0, by_video=by_video)
        batches = list(module.train_dataloader())
        names = [[train.examples[e].video for e in b["example"].tolist()] for b in batches]
        assert all(
            (b["video"][i] == b["video"][j]).item() == (own[i] == own[j])
            for b, own in zip(batches, names, strict=True)
            for i, j in product(range(4), range(4))
        )
        whole = list(chain(*names))
        assert by_video == all(a == b for a, b in zip(whole[::2], whole[1::2], strict=True))


@given(st.lists(st.integers(0, 1), min_size=2, max_size=30).filter(lambda x: 0 < sum(x) < len(x)))
def test_a_balanced_pass_has_every_row_and_both_classes_alike(labels):
    length = EndlessShuffle(torch.tensor(labels), 1, seed=0, balanced=True).pass_length
    rows = list(EndlessShuffle(torch.tensor(labels), length, seed=0, balanced=True))
    assert len(rows) == length == 2 * max(sum(labels), len(labels) - sum(labels))
    assert sum(labels[row] for row in rows) == len(rows) // 2
    counts = Counter(rows)
    assert set(counts) == set(range(len(labels)))
    for label in (0, 1):  # nobody comes again before everybody of the class has come
        own = [count for row, count in counts.items() if labels[row] == label]
        assert max(own) - min(own) <= 1


def test_every_view_is_a_row_and_scores_are_averaged_over_views(tmp_path):
    policy = SamplingPolicy(flip=True, context=0.5, window_stride=0.25)
    shelf = Shelf(tmp_path, FRAME, policy)
    shelf.put("crash", grid(0, 3))
    shelf.put("calm", grid(0, 3))
    digest = shelf.digest_of["crash"] + View(flip=True).suffix
    mirrored = np.full((13, 1, DIM), -1.0)
    shelf.store.write(digest, grid(0, 3), mirrored)
    calm = shelf.digest_of["calm"] + View(flip=True).suffix
    shelf.store.write(calm, [], np.zeros((0, 1, DIM)), grid(0, 3))  # none of them exists
    data = shelf.take(cut("crash", 2.0, label=1), cut("calm", 1.0))
    assert data.example_of.tolist() == [0, 0, 1]
    assert data.labels.tolist() == [1.0, 0.0]
    batch = batch_of(data)
    assert batch["features"][:, :, 0].tolist() == [[1.75, 2.0], [-1.0, -1.0], [100.75, 101.0]]
    assert batch["label"].tolist() == [1.0, 1.0, 0.0] and batch["example"].tolist() == [0, 0, 1]
    by_row = batch["features"][:, -1, 0]
    assert mean_by_example(by_row, data.example_of).tolist() == [0.5, 101.0]


def test_a_stretched_view_has_stretched_times(tmp_path):
    policy = SamplingPolicy(strides=(1, 2), context=0.5, window_stride=0.25)
    shelf = Shelf(tmp_path, FRAME, policy)
    shelf.put("crash", grid(0, 3))
    batch = batch_of(shelf.take(cut("crash", 2.0)))
    assert batch["times"].tolist() == [[-0.25, 0.0], [-0.5, 0.0]]
    assert batch["features"][:, :, 0].tolist() == [[1.75, 2.0], [1.5, 2.0]]


def test_beginning_an_interval_takes_no_draw_from_dropout():
    loader = feature_loader(planted(6, seed=0), 4, EndlessShuffle(torch.zeros(12), 12, 0))
    state = torch.random.get_rng_state()
    list(loader)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("batch_size", [0, -3])
def test_a_batch_needs_an_example(batch_size):
    with pytest.raises(ConfigError, match=f"batch_size={batch_size}"):
        FeatureDataModule(planted(4, 0), planted(4, 1), batch_size, interval=1, seed=0)


def test_steps_before_the_beginning_of_a_file_are_masked_one_by_one(tmp_path):
    spec = replace(CLIP, min_frames=2)
    shelf = Shelf(tmp_path, spec, SamplingPolicy(context=0.5, window_stride=0.25))
    values = np.ones((2, 2, DIM)) * np.array([[[0], [5]], [[6], [7]]])
    steps = np.array([1, 2])
    shelf.store.write(shelf.digest_of["calm"], [0.25, 0.5], values, [0.0], num_steps=steps)
    dataset = shelf.take(cut("calm", 0.5), cut("calm", 0.25))
    item = batch_of(dataset)
    assert item["mask"].int().tolist() == [[0, 1, 1, 1], [0, 0, 0, 1]]
    assert item["features"][..., 0].tolist() == [[0, 5, 6, 7], [0, 0, 0, 5]]
    # What is learned of the scale of features is learned of real steps.
    assert sorted(dataset.valid_features()[:, 0].tolist()) == [5, 6, 7]


def test_a_near_cut_reads_the_window_of_few_frames(tmp_path):
    """Within clips it may look no farther back than its far cut can."""
    spec = replace(CLIP, min_frames=2)
    shelf = Shelf(tmp_path, spec, SamplingPolicy())
    key = shelf.digest_of["calm"]
    one = np.ones((1, 2, DIM))
    shelf.store.write(key, [2.0], one, num_steps=np.array([2]))
    shelf.store.write(key + View(frames=3).suffix, [2.0], 5 * one, num_steps=np.array([1]))
    near = replace(cut("calm", 2.0), context=0.2)
    item = batch_of(shelf.take(near, cut("calm", 2.0), replace(near, context=0.3)))
    assert item["mask"].int().tolist() == [[0, 1], [1, 1], [1, 1]]
    assert item["features"][:, 1, 0].tolist() == [5, 1, 1]
    assert shelf.take(replace(near, context=0.05)).dropped
