"""Streams as they come: pipes, UDP, TCP and RTSP on the loopback, with painted frame numbers."""

import contextlib
import os
import socket
import struct
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from collision.video import live
from collision.video.addresses import is_live, shown
from collision.video.live import LiveVideo, Reading
from tests.kit.senders import FPS, encoded, free_port, sending
from tests.kit.video import numbered_frames, read_number, write_video

SIZE = (48, 64)
EVERY = 0.25


def follow(name, reading, every=EVERY, most=200, keep=2.0, told=None):
    """Give (moment, painted number of the frame that is shown then) and the last answer."""
    seen, last = [], None
    told = [] if told is None else told
    with LiveVideo(str(name), [SIZE], keep, reading, told.append) as video:
        while len(seen) < most:
            moment = round(len(seen) * every, 6)
            frames = video.wait_for(moment)
            if frames is None:
                break
            place = int(np.searchsorted(frames.times, moment + 1e-6, side="right")) - 1
            seen.append((moment, read_number(frames.pictures[place][0])))
            last = frames
    return seen, last, video


@pytest.fixture
def pipe(tmp_path):
    """A named pipe into which a thread writes an MPEG-TS of 200 numbered frames."""
    data = encoded(tmp_path / "sent.ts", 200)
    os.mkfifo(tmp_path / "pipe")

    def write():
        try:
            with (tmp_path / "pipe").open("wb") as file:
                file.write(data)
        except BrokenPipeError:
            pass

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    return tmp_path / "pipe", writer


def test_a_pipe_waits_and_nothing_of_it_is_lost(pipe):
    name, writer = pipe
    with LiveVideo(str(name), [SIZE], 1.0, Reading(drop=False), print) as video:
        numbers = []
        for count in range(200):
            frames = video.wait_for(count / FPS)
            assert abs(frames.times[-1] - count / FPS) < 1e-4  # no further than is asked for
            assert len(frames.times) <= FPS + 1  # and no more is kept than a second
            numbers.append(read_number(frames.pictures[-1][0]))
        assert numbers == list(range(200)) and frames.num_dropped == 0
        assert video.wait_for(200 / FPS) is None and video.reason == ""
    writer.join(10)


def test_a_pipe_that_is_no_video_ends_with_a_reason(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    threading.Thread(
        target=lambda: (tmp_path / "pipe").write_bytes(b"no video " * 9999), daemon=True
    ).start()
    seen, _, video = follow(tmp_path / "pipe", Reading(drop=False))
    assert seen == [] and "cannot be read as it comes" in video.reason


def test_a_plain_mp4_in_a_pipe_gets_a_way_out(tmp_path):
    clip = write_video(tmp_path / "a.mp4", numbered_frames(40, 48, 64), fps=20)
    content = clip.read_bytes()
    place = content.index(b"moov") - 4  # its index, which lies at its end
    assert place > content.index(b"mdat")
    size = 2**20  # of an empty box: more than FFmpeg keeps to go back to
    content = (
        content[:place] + struct.pack(">I4s", size, b"free") + bytes(size - 8) + content[place:]
    )
    os.mkfifo(tmp_path / "pipe")
    threading.Thread(target=lambda: fill(tmp_path / "pipe", content), daemon=True).start()
    seen, _, video = follow(tmp_path / "pipe", Reading(drop=False))
    assert seen == [] and "its index lies at its end: give the file's name" in video.reason


def fill(pipe, content):
    with contextlib.suppress(BrokenPipeError):  # the reader may have seen enough
        pipe.write_bytes(content)


def test_udp():
    """The receiver comes first: what is sent before it listens is nobody's."""
    port = free_port(socket.SOCK_DGRAM)
    place = f"udp://127.0.0.1:{port}?pkt_size=1316"
    with sending(place, "mpegts", count=250):
        seen, last, _ = follow(
            f"udp://127.0.0.1:{port}", Reading(reconnects=0, timeout=60), most=12
        )
    first = seen[0][1]
    assert [number - first for _, number in seen] == [5 * n for n in range(12)]
    assert np.allclose(np.diff(last.times), 1 / FPS, atol=1e-4) and len(last.times) <= 2 * FPS + 1


def test_a_stream_that_gives_nothing_is_given_up():
    place, told = f"udp://127.0.0.1:{free_port(socket.SOCK_DGRAM)}", []
    seen, _, video = follow(place, Reading(timeout=0.3, reconnects=1), told=told)
    assert seen == [] and video.reason == "nothing came for 0.3 s (stream.reconnects=1)"
    assert told == [f"{place}: nothing came for 0.3 s. Opening it again (number 1)."]


def test_tcp_is_listened_to_and_a_sender_that_comes_back_goes_on():
    place, told = f"tcp://127.0.0.1:{free_port()}", []
    reading = Reading(listen=True, timeout=60)
    frames_of_second = {}

    def senders():
        for first in (0, 100):
            with sending(place, "mpegts", count=30, first=first) as process:
                process.wait(60)

    thread = threading.Thread(target=senders, daemon=True)
    thread.start()
    with LiveVideo(place, [SIZE], 60.0, reading, told.append) as video:
        moment = 0.0
        while 129 not in frames_of_second:
            frames = video.wait_for(moment)
            frames_of_second = {
                read_number(p[0]): t for t, p in zip(frames.times, frames.pictures, strict=True)
            }
            moment = float(frames.times[-1]) + 1e-3
    thread.join(60)
    assert [n for n in frames_of_second] == [*range(30), *range(100, 130)]
    times = list(frames_of_second.values())
    assert times[29] == pytest.approx(29 / FPS, abs=1e-3)
    assert times[30] - times[29] > 1 / FPS  # the gap is a hole, as long as it took to come back
    assert np.allclose(np.diff(times[30:]), 1 / FPS, atol=1e-3)
    assert len(told) >= 1 and "it ended. Opening it again (number 1)" in told[0]


def test_rtsp_is_pushed_to_a_reader_that_listens():
    place = f"rtsp://127.0.0.1:{free_port()}/live"
    with sending(place, "rtsp", count=60):
        _, last, _ = follow(place, Reading(listen=True, timeout=60, reconnects=0), keep=9.0)
    numbers = [read_number(one[0]) for one in last.pictures]
    assert numbers == list(range(numbers[0], numbers[-1] + 1)) and last.num_dropped == 0
    assert numbers[0] <= 10 and numbers[-1] >= 50  # the last moment is before the last frame


def test_a_reader_that_is_too_slow_drops_frames_and_stays_near_the_newest(monkeypatch):
    """Each picture takes as long as four are filmed in; the whole would take 12 s of 3."""
    slow = live._shrunk

    def shrunk(*given):
        time.sleep(4 / FPS)
        return slow(*given)

    monkeypatch.setattr(live, "_shrunk", shrunk)
    place = f"tcp://127.0.0.1:{free_port()}"
    reading = Reading(listen=True, timeout=60, reconnects=0)
    arrived_late = []
    with sending(place, "mpegts", count=100), LiveVideo(place, [SIZE], 9, reading, print) as video:
        moment = 0.0
        while (frames := video.wait_for(moment)) is not None:
            arrived_late.append(time.monotonic() - frames.arrived[-1])
            moment, last = float(frames.times[-1]) + 1e-3, frames
    numbers = [read_number(one[0]) for one in last.pictures]
    assert last.num_dropped > 20 and len(numbers) < 60
    assert numbers == sorted(numbers) and numbers[-1] > 60
    # What arrives a second late is dropped; one key frame's decoding and waiting may come on top.
    assert np.median(arrived_late) < 3


def test_what_means_a_stream_and_what_may_be_printed(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for name in ("-", "rtsp://x/y", "RTSP://x", "udp://1.2.3.4:5", "tcp://a:1", tmp_path / "fifo"):
        assert is_live(str(name)), name
    for name in ("a.mp4", "http://x/y.mp4", "", "x" * 9999, str(tmp_path)):
        assert not is_live(name), name
    assert shown("rtsp://me:secret@host:554/main?x=1") == "rtsp://***@host:554/main?x=1"
    assert shown("-") == "standard input" and shown("/dev/video0") == "/dev/video0"


def times_of(clock, stamps, arrived=0.0):
    return [
        round(clock.time_of(SimpleNamespace(pts=pts, time_base=0.1), arrived), 3) for pts in stamps
    ]


def test_the_clock_counts_from_the_first_frame_and_survives_leaps():
    clock = live._Clock(None)
    clock.begin(0)
    assert times_of(clock, [70, 71, 72]) == [0, 0.1, 0.2]
    assert times_of(clock, [10, 11]) == [0.3, 0.4]  # set anew, backwards
    assert times_of(clock, [12, 20]) == [0.5, 1.3]  # a hole
    assert times_of(clock, [5000, 5001]) == [1.4, 1.5]  # set anew, forwards: as far as the last gap
    clock.begin(9)
    assert times_of(clock, [3, 4], arrived=9.0) == [9.0, 9.1]  # after a connection: its arrival
    assert times_of(clock, [None, None]) == [9.2, 9.3]  # without times: at the last gap
    counted = live._Clock(10.0)
    counted.begin(0)
    assert times_of(counted, [0, 900, None]) == [0, 0.1, 0.2]
