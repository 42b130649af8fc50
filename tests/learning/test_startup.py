"""What is read from the cache all at once is what reading it example by example gives."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from collision.features.fingerprint import Fingerprint
from collision.features.store import FeatureStore
from collision.learning.datamodule import FeatureDataset, feature_dataset
from collision.sampling.policy import SamplingPolicy
from collision.sampling.windows import (
    example_windows,
    needed_windows,
    shortened,
    step_times,
    stored_view,
    window_spacing,
)
from collision.types import BackboneSpec, Example, VideoRecord

CLIP = BackboneSpec(
    name="test/made up",
    implementation="kit 1",
    num_frames=4,
    fps=10.0,
    height=8,
    width=8,
    mean=(0.0,) * 3,
    std=(1.0,) * 3,
    num_steps=2,
    feature_dim=5,
    min_frames=2,
)
FRAME = replace(CLIP, num_frames=1, num_steps=1, min_frames=None, dtype="float32")
NUM_VIDEOS = 70  # more than a thread reads in one go


def plain_windows(examples, policy, spec):
    """Collect windows one by one."""
    ends = {}
    for example in examples:
        for view in policy.views:
            found = zip(*example_windows(example, policy, view, spec), strict=True)
            for end, num_frames in found:
                if end >= 0:
                    key = (example.video, shortened(stored_view(view, spec), num_frames, spec))
                    ends.setdefault(key, set()).add(float(end))
    return {key: np.array(sorted(times)) for key, times in ends.items()}


def plain_dataset(examples, records, store, digest_of, policy):
    """Look up every window of every example by itself."""
    spec = store.spec
    blocks, steps, row_of = [], [], {}
    for (video, view), ends in plain_windows(examples, policy, spec).items():
        for end in ends if video in digest_of else ():
            key = digest_of[video] + view.suffix
            features, exists = store.read(key, [end])
            if exists[0]:
                row_of[video, view, end] = len(blocks)
                blocks.append(features[0])
                steps.append(store.num_steps(key, [end])[0])
    none = len(blocks)
    blocks.append(np.zeros((spec.num_steps, spec.feature_dim), store.dtype))
    kept, dropped, index, times, example_of = [], [], [], [], []
    for example in examples:
        is_seen = False
        for view in policy.views:
            rows = []
            for end, num_frames in zip(*example_windows(example, policy, view, spec), strict=True):
                there = shortened(stored_view(view, spec), num_frames, spec)
                rows.append(row_of.get((example.video, there, float(end)), none))
            if min(rows) < none:
                is_seen = True
                index.append(rows)
                spacing = window_spacing(example, policy, view, spec)
                times.append(step_times(spec, len(rows), spacing, view))
                example_of.append(len(kept))
        (kept if is_seen else dropped).append(example)
    return FeatureDataset(
        bank=torch.from_numpy(np.stack(blocks)),
        window_index=torch.tensor(index),
        times=torch.from_numpy(np.stack(times)),
        example_of=torch.tensor(example_of),
        examples=kept,
        records=[records[example.video] for example in kept],
        dropped=dropped,
        num_steps=torch.tensor([*steps, 0]),
    )


def made_examples(rng, with_context):
    videos = [f"video{number}" for number in range(NUM_VIDEOS)]
    examples = []
    for video in rng.permutation(np.repeat(videos, 4)).tolist():
        end = float(rng.uniform(0, 5))
        context = float(rng.uniform(0, 1)) if with_context and rng.random() < 0.5 else None
        spacing = 0.2 if rng.random() < 0.2 else None
        label, horizon = int(rng.integers(2)), float(rng.choice([0.5, 1.0]))
        weight = float(rng.uniform())
        examples.append(
            Example(video, end, label, horizon, weight, window_stride=spacing, context=context)
        )
    return examples


def filled(folder, spec, policy, examples, rng):
    """Store what examples need, but for some windows that do not exist, and more besides."""
    fields = {**spec.as_dict(), "weights_digest": "0", "precision": "32-true", "schema": 1}
    store = FeatureStore(folder, Fingerprint(fields))
    digest_of = {f"video{n}": f"{n:032x}" for n in range(NUM_VIDEOS) if n % 10 != 3}  # 3: failed
    for (video, view), ends in plain_windows(examples, policy, spec).items():
        if video not in digest_of:
            continue
        exists = rng.random(len(ends)) < 0.8
        beside = ends[exists] + 0.01  # nobody asks for them
        stored = np.sort(np.concatenate([ends[exists], beside[: rng.integers(3)]]))
        features = rng.normal(size=(len(stored), spec.num_steps, spec.feature_dim))
        steps = rng.integers(1, spec.num_steps + 1, len(stored)) if spec.min_frames else None
        key = digest_of[video] + view.suffix
        store.write(key, stored, features, ends[~exists], num_steps=steps)
    return FeatureStore(folder, Fingerprint(fields)), digest_of


CASES = {
    "clips": (CLIP, SamplingPolicy(context=0.5, window_stride=0.25), True),
    "views of clips": (CLIP, SamplingPolicy(flip=True, strides=(1, 2)), True),
    "views of frames": (FRAME, SamplingPolicy(flip=True, strides=(1, 2), context=1.0), True),
    "whole windows": (replace(CLIP, min_frames=None), SamplingPolicy(), False),
}


@pytest.mark.parametrize("case", CASES)
def test_all_at_once_gives_what_one_by_one_gives(tmp_path, case):
    spec, policy, with_context = CASES[case]
    rng = np.random.default_rng(sorted(CASES).index(case))
    examples = made_examples(rng, with_context)
    store, digest_of = filled(tmp_path, spec, policy, examples, rng)
    records = {e.video: VideoRecord(e.video, Path(e.video), 0, "val", "") for e in examples}
    plain = plain_dataset(examples, records, store, digest_of, policy)
    quick = feature_dataset(examples, records, store, digest_of, policy)
    assert quick.dropped == plain.dropped and plain.dropped
    assert quick.examples == plain.examples and quick.records == plain.records
    for name in ("bank", "window_index", "times", "example_of", "num_steps", "is_real", "videos"):
        one, other = getattr(quick, name), getattr(plain, name)
        assert one.dtype == other.dtype and torch.equal(one, other), name
    rows = torch.from_numpy(rng.permutation(len(plain)))
    batches = quick.__getitems__(rows), plain.__getitems__(rows.tolist())
    for name in batches[0]:
        assert torch.equal(batches[0][name], batches[1][name]), name


@pytest.mark.parametrize("case", CASES)
def test_windows_are_those_of_each_example_in_the_order_of_first_need(case):
    spec, policy, with_context = CASES[case]
    examples = made_examples(np.random.default_rng(1), with_context)
    quick, plain = (of(examples, policy, spec) for of in (needed_windows, plain_windows))
    assert list(quick) == list(plain)
    assert all(quick[key].tolist() == plain[key].tolist() for key in plain)
