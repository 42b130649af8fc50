from __future__ import annotations

import numpy as np
import pytest

from collision.errors import MetricError
from collision.report import plots
from collision.report.timeline import (
    Timeline,
    apart,
    draw_timeline,
    moments_to_show,
)
from tests.kit.pages import pixels, share_of


def frames(count: int, shape=(36, 64, 3)) -> list[np.ndarray]:
    return [np.full(shape, 8 * index, np.uint8) for index in range(count)]


def draw(path, times, probabilities, **options) -> np.ndarray:
    given = {"first_time": 2.0, "threshold": 0.6, **options}
    strip = given.pop("frames", frames(3)), given.pop("frame_times", np.linspace(0, 9, 3))
    draw_timeline(Timeline(times, probabilities, **given), path, *strip)
    return pixels(path)


def test_timeline_marks_alarms_only_above_the_threshold(tmp_path) -> None:
    times = np.arange(2, 9, 0.25)
    quiet = draw(tmp_path / "quiet.png", times, np.full(times.size, 0.3))
    alarm = draw(tmp_path / "alarm.png", times, np.full(times.size, 0.9))
    event = draw(tmp_path / "event.png", times, np.full(times.size, 0.3), event_time=8.5)
    # The legend names the alarm in any case; dots or a line make more of the colour.
    red = [int(plots.RED[i : i + 2], 16) for i in (1, 3, 5)]
    count = [(np.abs(image.astype(int) - red).max(axis=2) < 8).sum() for image in (quiet, alarm)]
    assert count[1] > 5 * count[0]
    assert share_of(event, plots.RED)


def test_timeline_invents_nothing_before_the_first_full_window(tmp_path) -> None:
    """A value handed in for a time before it is not drawn."""
    late = draw(tmp_path / "late.png", [2.0, 3.0], [0.1, 0.2])
    early = draw(tmp_path / "early.png", [1.0, 2.0, 3.0], [0.9, 0.1, 0.2])
    assert (late == early).all()


@pytest.mark.parametrize(
    ("times", "probabilities", "options"),
    [
        ([], [], {"frames": [], "frame_times": [], "first_time": 2.0}),
        ([2.0], [0.5], {"frames": frames(1), "frame_times": [0.0], "threshold": None}),
        ([2.0, 3.0], [np.nan, 0.5], {"title": "$5_{a.mp4 <b> %"}),
        (
            [0.5],
            [0.5],
            {"first_time": 0.0, "frames": frames(12, (64, 36, 3)), "frame_times": np.arange(12)},
        ),
        ([0.0], [0.5], {"first_time": 0.0, "frames": [], "frame_times": []}),
    ],
)
def test_timeline_of_odd_videos(tmp_path, times, probabilities, options) -> None:
    assert draw(tmp_path / "a.png", times, probabilities, **options).size


def test_timeline_refuses_what_does_not_belong_together(tmp_path) -> None:
    with pytest.raises(MetricError, match="2 times and 1 probabilities"):
        draw(tmp_path / "a.png", [1.0, 2.0], [0.5])
    with pytest.raises(MetricError, match="3 frames and 1 frame times"):
        draw(tmp_path / "a.png", [2.0], [0.5], frame_times=[1.0])
    assert not (tmp_path / "a.png").exists()


def test_what_was_seen_in_part_is_drawn_otherwise_and_named(tmp_path) -> None:
    times, values = np.arange(2, 9, 0.25), np.full(28, 0.3)
    first = np.arange(28) < 10
    whole = draw(tmp_path / "whole.png", times, values)
    part = draw(tmp_path / "part.png", times, values, from_part=first)
    blue = [int(plots.BLUE[i : i + 2], 16) for i in (1, 3, 5)]
    solid = [(np.abs(image.astype(int) - blue).max(axis=2) < 8).sum() for image in (whole, part)]
    assert 0 < solid[1] < 0.9 * solid[0]
    for number in (1, 2, 3):  # moments
        draw(tmp_path / "few.png", times[:number], values[:number], from_part=first[:number])
    assert (whole == draw(tmp_path / "none.png", times, values, from_part=first & False)).all()


def test_frames_stand_under_their_times_and_the_alarm_is_among_them(tmp_path) -> None:
    """Each frame is a colour of its own; its middle is looked for below its time."""
    timeline = Timeline(np.arange(0, 9.25, 0.25), np.full(37, 0.3), first_time=0.0, end=9.0)
    for around in (0.0, 3.7, 9.0):
        moments = moments_to_show(timeline.span(), (36, 64), around)
        assert around in moments and (np.diff(moments) > 0).all() and 4 <= len(moments) <= 5
        path = tmp_path / "a.png"
        shades = [np.full((36, 64, 3), (10 + 9 * n, 200, 40), np.uint8) for n in range(9)]
        draw_timeline(timeline, path, shades[: len(moments)], moments)
        image = pixels(path)
        for number, moment in enumerate(moments):
            colour = np.array((10 + 9 * number, 200, 40))
            columns = np.flatnonzero((np.abs(image.astype(int) - colour) < 3).all(axis=2).any(0))
            assert len(columns) > 300  # of 1800: large enough to see
            at = (0.7 + 11.05 * moment / 9) / 12 * image.shape[1]
            is_at_an_end = moment in (0.0, 9.0)
            assert abs(columns.mean() - at) < (200 if is_at_an_end else 8), (around, moment)


def test_the_first_alarms_frame_is_marked(tmp_path) -> None:
    times, values = np.arange(2, 9, 0.25), np.full(28, 0.3)
    plain = draw(tmp_path / "plain.png", times, values, frame_times=[1.0, 4.0, 8.0])
    marked = draw(
        tmp_path / "marked.png", times, values, frame_times=[1.0, 4.0, 8.0], alarm_time=4.0
    )
    assert share_of(marked, plots.RED) > 0.002 > share_of(plain, plots.RED)


def test_places_move_apart_as_little_as_it_takes() -> None:
    assert apart(np.array([1.0, 5.0, 9.0]), 2.0, 1.0, 9.0).tolist() == [1, 5, 9]
    assert apart(np.array([4.0, 5.0]), 2.0, 0.0, 9.0).tolist() == [3.5, 5.5]
    assert apart(np.array([0.0, 0.5, 9.5]), 2.0, 1.0, 9.0).tolist() == [1, 3, 9]
    assert apart(np.zeros(0), 1.0, 0.0, 1.0).tolist() == []
