"""Pictures and clips show the frames of their times; what cannot be shown says why."""

from __future__ import annotations

import io
from dataclasses import replace

import av
import numpy as np
import pytest
from PIL import Image

from collision.report.clips import Clip, size_of
from collision.report.footage import FPS, LONGEST, WIDTH, footage_of
from tests.kit.video import numbered_frames, read_number, truncate, write_video


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """12 s at 20 frames a second: frame n is shown at n / 20."""
    path = tmp_path_factory.mktemp("video") / "a.mp4"
    return write_video(path, numbered_frames(240, height=180, width=320), fps=20)


def clip_of(path, **changes) -> Clip:
    clip = Clip("a", str(path), size_of(path), event_time=6.0, cuts={"0.5": 5.5, "1.5": 4.5})
    return replace(clip, **changes)


def number_of(data: bytes) -> int:
    return read_number(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


def frames_of(data: bytes) -> tuple[list[int], list[float]]:
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264" and stream.codec_context.width <= WIDTH
        found = [(read_number(f.to_ndarray(format="rgb24")), f.time) for f in container.decode()]
    numbers, times = map(list, zip(*found, strict=True))
    return numbers, times


def test_pictures_are_of_their_times_and_the_clip_follows_the_files_clock(video) -> None:
    footage = footage_of(clip_of(video), cut=5.5, seen=1.0)
    assert footage.why == "" and number_of(footage.picture) == 110
    assert [(time, number_of(data)) for time, data in footage.strip] == [
        (4.5, 90),
        (5.0, 100),
        (5.5, 110),
        (6.0, 120),  # the event, which the predictor has not seen
    ]
    assert (footage.start, footage.stop) == (3.0, 7.0)
    numbers, times = frames_of(footage.clip)
    assert times[0] == 0 and times[1] == pytest.approx(1 / FPS)
    assert numbers == [round(20 * (footage.start + time)) for time in times]
    assert numbers[-1] == 140


def test_a_clip_is_short_and_a_missing_event_shows_what_came_later(video) -> None:
    clip = clip_of(video, event_time=None, cuts={"0.5": 10.5, "9.0": 1.0})
    footage = footage_of(clip, cut=10.5, seen=1.0)
    assert footage.stop - footage.start == LONGEST and footage.stop == 11.5
    assert footage.strip[-1][0] == 11.5 and number_of(footage.strip[-1][1]) == 230


def test_no_clip_is_made_where_none_is_wanted(video) -> None:
    footage = footage_of(clip_of(video), 5.5, 1.0, with_clip=False)
    assert footage.clip is None and footage.picture and footage.strip


def test_what_cannot_be_shown_says_why(video, tmp_path) -> None:
    gone = footage_of(clip_of(tmp_path / "none.mp4", size=9), 5.5, 1.0)
    assert "is gone" in gone.why and gone.picture is None
    other = footage_of(clip_of(video, size=7), 5.5, 1.0)
    assert "Another file" in other.why and other.clip is None
    broken = truncate(video, tmp_path / "half.mp4", 0.4)
    assert "cannot be shown" in footage_of(clip_of(broken), 5.5, 1.0).why
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    assert "cannot be shown" in footage_of(clip_of(text), 5.5, 1.0).why


def test_odd_sizes_and_upright_pictures_are_encoded(tmp_path) -> None:
    for height, width in ((61, 99), (640, 200)):
        path = write_video(tmp_path / "odd.mp4", numbered_frames(60, height, width), fps=10)
        footage = footage_of(clip_of(path, event_time=3.0, cuts={"0.5": 2.5}), 2.5, 1.0)
        assert footage.why == ""
        with av.open(io.BytesIO(footage.clip)) as container:
            shown = container.streams.video[0]
            assert shown.width % 2 == shown.height % 2 == 0
            assert max(shown.width, shown.height) <= WIDTH
            assert shown.width / shown.height == pytest.approx(width / height, abs=0.05)
