"""How much of a video is decoded at once."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from collision.backbones.optical_flow import OpticalFlow
from collision.features import clips
from collision.features.clips import WindowRequest, max_distinct_frames, split_long
from collision.types import View
from collision.video.frames import window_frame_indices
from tests.kit.backbone import TinyBackbone

_PATH = Path("a.mp4")


def num_frames_needed(request, spec, native_fps):
    times = np.arange(int(request.end_times[-1] * native_fps) + 2) / native_fps
    rate = spec.fps / request.view.stride
    wanted = window_frame_indices(times, request.end_times, spec.num_frames, rate)
    return len(np.unique(wanted[(wanted >= 0).all(axis=1)]))


requests = st.builds(
    lambda first, step, count, stride: WindowRequest(
        "a", _PATH, np.round(first + step * np.arange(count), 6), view=View(stride=stride)
    ),
    st.floats(0, 5),
    st.sampled_from([0.01, 0.1, 0.25, 1 / 3, 0.5, 2.0]),
    st.integers(1, 40),
    st.sampled_from([1.0, 1.5, 2.0]),
)
rates = st.sampled_from([2.0, 4.0, 7.5, 8.0, 10.0, 25.0])


@settings(max_examples=40)
@given(requests, st.sampled_from([1, 2, 4, 16]), rates, st.sampled_from([10, 20, 24.97, 30, 60]))
def test_no_more_frames_are_needed_than_was_said(request, num_frames, fps, native_fps):
    spec = replace(TinyBackbone().spec, num_frames=num_frames, fps=fps)
    needed = num_frames_needed(request, spec, native_fps)
    assert needed <= max_distinct_frames(request, spec) <= len(request.end_times) * num_frames


def test_grids_that_do_not_fit_are_counted_whole():
    spec = OpticalFlow().spec  # 10 frames/s, and windows four times a second
    request = WindowRequest("a", _PATH, np.arange(8, 232) / 4)
    needed = num_frames_needed(request, spec, 1000.0)
    assert max_distinct_frames(request, spec) == needed > 1.9 * 10 * (56 + 1.5)


@settings(max_examples=40)
@given(requests, rates)
def test_pieces_fit_and_are_all(request, fps):
    spec = replace(TinyBackbone().spec, fps=fps)
    room, before = 20, clips.MAX_PIECE_BYTES
    clips.MAX_PIECE_BYTES = room * spec.height * spec.width * 3
    try:
        pieces = list(split_long(request, spec))
    finally:
        clips.MAX_PIECE_BYTES = before
    assert np.concatenate([p.end_times for p in pieces]).tolist() == request.end_times.tolist()
    assert all(max_distinct_frames(piece, spec) <= room for piece in pieces)
