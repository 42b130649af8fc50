"""What is painted onto frames can be read from them: numbers, times, risk and alarms."""

import numpy as np
import pytest

from collision.report.overlay import ALARM_PAPER, EVENT, LEVEL, RISK, Course, Painter, label_of
from collision.video.frames import read_frames
from collision.video.index import index_video
from collision.video.redraw import redraw
from tests.kit.pages import share_of
from tests.kit.video import numbered_frames, read_number, write_video

TIMES = np.arange(0, 3, 0.25)
VALUES = np.where(TIMES < 0.5, np.nan, np.round(0.2 + 0.06 * np.arange(12), 2))


def course(**changes):
    given = {"is_on": VALUES >= 0.6, "threshold": 0.6, "event_time": None, "end": 3.0}
    given |= {"from_part": np.zeros(12, bool), **changes}
    return Course(TIMES, VALUES, **given)


def read_words(painted, painter, left):
    """Read the digits that stand at the top, by comparing with each digit: text and its end."""
    top = max(1, painter.text // 4)
    best = None
    for words in CANDIDATES:
        label = label_of(words, painter.text, "#FFFFFF", "#000000").astype(float)
        room = painted[top : top + label.shape[0], left : left + label.shape[1]].astype(float)
        if room.shape == label.shape:
            error = np.abs(room - label).mean()
            best = min(best or (np.inf, "", 0), (error, words, left + label.shape[1]))
    return best


CANDIDATES: list[str] = []


@pytest.mark.parametrize("rate", ["even", "variable"])
def test_numbers_and_drawn_times_are_those_of_the_frames(tmp_path, rate):
    """On a video of 20 frames a second, and on one whose gaps are 20 to 80 ms."""
    gaps = 20 + 7 * np.arange(60) % 61
    own = np.cumsum(gaps) / 1000 if rate == "variable" else np.arange(60) / 20
    own = own - own[0]
    clip = write_video(tmp_path / "a.mkv", numbered_frames(60, 180, 320), times=own.tolist())
    index = index_video(clip)
    painter = Painter(course(), 180, 320)
    redraw(index, tmp_path / "out.mp4", painter)
    again = index_video(tmp_path / "out.mp4")
    np.testing.assert_allclose(again.frame_times, own, atol=1e-3)  # Matroska's own unit
    frames = read_frames(again, np.arange(60))
    assert [read_number(frame) for frame in frames] == list(range(60))
    CANDIDATES[:] = [f"{time:.3f} s" for time in index.frame_times]
    gap = max(1, painter.text // 4)
    for frame, time in zip(frames, again.frame_times, strict=True):
        error, words, end = read_words(frame, painter, gap)
        assert words == f"{time:.3f} s" and error < 25, (words, time, error)
    CANDIDATES[:] = [f"risk {n / 100:.2f}" for n in range(100)] + ["risk -"]
    for frame, time in zip(frames, again.frame_times, strict=True):
        end = gap + label_of(f"{time:.3f} s", painter.text, "#FFFFFF", "#000000").shape[1]
        known = VALUES[int((time + 1e-4) / 0.25)]  # the latest by then, never the next
        assert read_words(frame, painter, end + gap)[1] == (
            "risk -" if np.isnan(known) else f"risk {known:.2f}"
        )


def test_an_alarm_shows_from_its_moment_on_and_in_words():
    frame, painter = np.full((180, 320, 3), 90, np.uint8), Painter(course(), 180, 320)
    first = float(TIMES[np.argmax(VALUES >= 0.6)])
    before, after = painter(frame, first - 0.01), painter(frame, first)
    middle = slice(30, 150)
    assert (before[middle] == frame[middle]).all()  # the road is left as it is
    assert share_of(before[:30], ALARM_PAPER) == 0 and share_of(after[:30], ALARM_PAPER) > 0.03
    assert (after[middle, 2:-2] == frame[middle, 2:-2]).all() and (frame == 90).all()
    quiet = Painter(course(is_on=VALUES > 9, threshold=None), 180, 320)
    assert share_of(quiet(frame, 2.9), ALARM_PAPER) == 0


def test_the_curve_is_bright_up_to_now_and_its_threshold_and_event_are_there():
    frame = np.zeros((360, 640, 3), np.uint8)
    painter = Painter(course(event_time=2.5), 360, 640)
    early, late = (painter(frame, time)[300:] for time in (0.6, 2.9))
    assert share_of(late, RISK) > 2 * share_of(early, RISK) > 0
    bare = Painter(course(threshold=None, is_on=VALUES > 9), 360, 640)(frame, 2.9)[300:]
    assert share_of(late, LEVEL) > share_of(bare, LEVEL) == 0
    own = [int(EVENT[i : i + 2], 16) for i in (1, 3, 5)]
    event = np.argwhere(np.abs(late.astype(int) - own).max(axis=2) < 12)[:, 1]
    assert len(event) and np.abs(event - 2.5 / 3 * 639).max() < 3
    # The cursor stands at now.
    white = np.flatnonzero((painter(frame, 1.5)[300:] == 255).all(axis=2).all(axis=0))
    assert len(white) and abs(white.mean() - 319.5) < 2


def test_what_is_from_part_of_a_window_is_dotted():
    frame = np.zeros((360, 640, 3), np.uint8)
    quiet = {"is_on": VALUES > 9, "threshold": None}
    whole = Painter(course(**quiet), 360, 640)(frame, 2.9)[300:]
    part = Painter(course(**quiet, from_part=TIMES < 1.5), 360, 640)(frame, 2.9)[300:]
    ours = slice(round(640 * 0.55 / 3), round(640 * 1.4 / 3)), slice(round(640 * 1.6 / 3), 580)

    def painted(picture, columns):
        """Say of each column whether the curve is in it."""
        own = [int(RISK[i : i + 2], 16) for i in (1, 3, 5)]
        near = np.abs(picture[:, columns].astype(int) - own).max(axis=2) < 60
        return near.any(axis=0)

    assert painted(whole, ours[0]).all() and painted(part, ours[1]).all()
    assert 0.2 < painted(part, ours[0]).mean() < 0.7
    starts = np.diff(painted(part, ours[0]).astype(int)) == 1
    assert starts.sum() > 10  # dots, from one moment to the next


@pytest.mark.parametrize(("height", "width"), [(48, 64), (2, 2), (7, 301), (720, 40), (1080, 1920)])
def test_any_size_can_be_painted(height, width):
    painter = Painter(course(), height, width)
    painted = painter(np.zeros((height, width, 3), np.uint8), 2.9)
    assert painted.shape == (height, width, 3) and painted.any()
