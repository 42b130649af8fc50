from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from collision.sampling.examples import build_examples
from collision.sampling.policy import SamplingPolicy
from collision.sampling.windows import (
    example_window_ends,
    example_windows,
    needed_windows,
    step_times,
    window_grid,
)
from collision.types import PLAIN, BackboneSpec, Example, VideoRecord, View
from collision.video.frames import newest_frames, window_frame_indices

FRAME = BackboneSpec("f", "test 1", 1, 8.0, 8, 8, (0.5,) * 3, (0.5,) * 3, 1, 4)
CLIP = BackboneSpec("c", "test 1", 16, 8.0, 8, 8, (0.5,) * 3, (0.5,) * 3, 8, 4)


def test_windows_are_oldest_first_and_end_at_the_cut():
    assert window_grid(3.0, 4, 0.25).tolist() == [2.25, 2.5, 2.75, 3.0]
    policy = SamplingPolicy()
    assert policy.num_windows(FRAME) == 8
    assert policy.num_windows(CLIP) == 1
    assert SamplingPolicy(context=1.0).num_windows(CLIP) == 4
    assert step_times(FRAME, 3, 0.25).tolist() == [-0.5, -0.25, 0.0]
    assert step_times(CLIP, 1, 0.25).tolist() == [-1.75 + 0.25 * s for s in range(8)]


@settings(max_examples=25)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=8), st.integers(1, 8))
def test_needed_windows_hold_every_window_of_every_example_once(steps, num_windows):
    policy = SamplingPolicy(hard_negatives=0, context=num_windows * 0.25)
    videos = [
        VideoRecord("a", "a.mp4", 1, split, "a", event_time=20.0) for split in ("train", "test")
    ]
    examples = [
        example
        for step in steps
        for split in ("train", "test")
        for example in build_examples(videos, {"a": step * 0.25}, policy, split)
    ]
    needed = needed_windows(examples, policy, FRAME)
    for key, ends in needed.items():
        assert key == ("a", PLAIN)
        assert np.all(np.diff(ends) > 0)
        assert np.all(ends >= 0)
    for example in examples:
        for end in window_grid(example.end_time, num_windows, 0.25):
            assert end < 0 or np.isclose(needed["a", PLAIN], end).any()


def test_views_of_a_clip_model_are_stored_apart_and_end_at_the_cut():
    policy = SamplingPolicy(flip=True, strides=(1, 2))
    needed = needed_windows([Example("a", 9.0, 1, 0.5)], policy, CLIP)
    views = [View(), View(stride=2.0), View(True), View(True, 2.0)]
    assert {key: ends.tolist() for key, ends in needed.items()} == {
        ("a", view): [9.0] for view in views
    }
    assert [view.suffix for view in views] == ["", "-stride2", "-flip", "-flip-stride2"]
    # 16 frames at half the rate: the same steps, twice as long ago.
    plain, stretched = (step_times(CLIP, 1, 0.25, view) for view in views[:2])
    assert stretched.tolist() == (2 * plain).tolist()


def test_a_stride_of_a_frame_model_spreads_its_windows():
    policy = SamplingPolicy(strides=(1, 2), context=1.0)
    example = Example("a", 9.0, 1, 0.5)
    assert example_window_ends(example, policy, View(stride=2.0), FRAME).tolist() == [
        7.5,
        8.0,
        8.5,
        9.0,
    ]
    needed = needed_windows([example], policy, FRAME)
    assert {key: ends.tolist() for key, ends in needed.items()} == {
        ("a", PLAIN): [7.5, 8.0, 8.25, 8.5, 8.75, 9.0]
    }


def test_a_whole_clips_windows_are_spread_over_it():
    policy = SamplingPolicy(whole_clip=True, allow_leak=True, context=1.0)
    example = Example("a", 8.0, 1, 0.0, window_stride=2.0)
    assert example_window_ends(example, policy, PLAIN, FRAME).tolist() == [2.0, 4.0, 6.0, 8.0]


@given(
    st.floats(2.0, 6.0),
    st.sampled_from([FRAME, CLIP, replace(CLIP, min_frames=3)]),
    st.sampled_from([1.0, 2.0]),
)
def test_within_clips_the_number_of_frames_tells_nothing(event, spec, stride):
    policy = SamplingPolicy(within=(0.5, 2.0), context=2.0, strides=(stride,))
    records = [
        VideoRecord("crash", "a.mp4", 1, "test", "a", event_time=event),
        VideoRecord("calm", "b.mp4", 0, "test", "b", mock_event_time=event),
    ]
    examples = build_examples(records, {"crash": event, "calm": event}, policy, "test")
    (view,) = policy.views
    frame_times = np.arange(7000) / 1000
    seen = []
    for example in examples:
        ends, most = example_windows(example, policy, view, spec)
        wanted = window_frame_indices(frame_times, ends, spec.num_frames, spec.fps / view.stride)
        count = np.minimum(newest_frames(wanted), most)
        seen.append(np.where(count >= spec.least_frames, count, 0).tolist())
    assert seen[0] == seen[1] == seen[2]


def test_a_short_context_asks_for_windows_of_fewer_frames():
    spec = replace(CLIP, min_frames=4)
    policy = SamplingPolicy(context=0.5, window_stride=0.25, flip=True)
    example = Example("a", 9.0, 1, 0.5, context=0.7)
    needed = needed_windows([example], policy, spec)
    assert {key: ends.tolist() for key, ends in needed.items()} == {
        ("a", View(flip, frames=count)): [end]
        for flip in (False, True)
        for end, count in ((8.75, 4), (9.0, 6))  # 0.45 and 0.7 s at 8 a second
    }
    assert View(True, frames=6).suffix == "-flip-last6"
    assert needed_windows([replace(example, context=0.3)], policy, spec) == {}
