import io
from contextlib import nullcontext
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from av.video.reformatter import ColorRange, Colorspace
from PIL import Image

from collision.video import decode
from collision.video.frames import read_frames
from collision.video.index import VideoIndex, index_video
from tests.kit.video import numbered_frames, read_numbers, write_video

FPS = 20


def shown(index: VideoIndex) -> list[int]:
    return read_numbers(read_frames(index, np.arange(len(index.frame_times))))


# --- Which frames ---------------------------------------------------------------------------------


@pytest.mark.parametrize("tune", [{}, {"tune": "zerolatency"}], ids=["plain", "zerolatency"])
def test_single_frames_of_intra_refresh(tmp_path: Path, tune: dict[str, str]):
    refresh = {"bf": "0", "x264-params": "intra-refresh=1:keyint=20"}
    options = {"encoder_options": {**tune, **refresh}}
    index = index_video(write_video(tmp_path / "a.mp4", numbered_frames(120), FPS, **options))
    wanted = [0, 30, 61, 73, 76, 77]
    assert read_numbers(read_frames(index, np.array(wanted))) == wanted
    for number in wanted:
        assert read_numbers(read_frames(index, np.array([number]))) == [number]


OFFSETS = {
    "negative offsets": {"movflags": "negative_cts_offsets"},
    "no edit list": {"use_editlist": "0"},
}


@pytest.mark.parametrize("options", OFFSETS.values(), ids=OFFSETS)
def test_b_frames_whatever_says_when_they_are_shown(tmp_path: Path, options: dict[str, str]):
    coding = {"encoder_options": {"bf": "2"}, "muxer_options": options}
    index = index_video(write_video(tmp_path / "a.mp4", numbered_frames(60), FPS, **coding))
    assert shown(index) == list(range(60))
    np.testing.assert_allclose(index.frame_times, np.arange(60) / FPS, atol=1e-4)
