"""Odd files that people have met, and the test that holds what is right for each.

A kind of the zoo is read by ``test_zoo.py::test_the_reader_is_right_or_refuses`` at its painted
numbers and its times, at random places, and by the copies' test in other containers.

=======================================================  ==========================================
case                                                     where it is held
=======================================================  ==========================================
*Which frames*
intra refresh: recovery points that are no key frames    zoo ``refresh``; single frames: here
open GOPs                                                zoo ``open``; ``test_frames.py``
all packets called key frames                            zoo ``allkeys``
B frames: pyramids, offsets below 0, no edit list        zoo ``pyramid``; here
interlaced, sliced, AV1, MJPEG, MPEG-1, 2 and 4, ProRes  zoo
XviD in avi                                              here
HEVC in mp4, mov, ts; 10 bit, 4:2:2, 4:4:4               zoo
VP8 and VP9 with frames that are never shown             zoo ``altref``; here
edit lists: a cut start, two parts                       zoo ``edit``, ``negative``, ``parts``
the picture's size changes                               here
one frame at the end of a long file                      here: how many are decoded
*When they are shown*
a clock that starts late: ts, a segment of a drive       zoo ``late`` and its copies
joined segments, a clock that wraps                      zoo ``joined``, ``spliced``, ``wrap``
gaps, variable rates                                     zoo ``hole``, ``variable``
sound that begins before the picture                     here
sound or subtitles that outlast the picture              zoo ``sound``, ``subtitles``
*Which picture, and how*
front and rear camera                                    zoo ``rear``; the note: here; the option:
                                                         ``features/test_looks.py``
a cover, an attached picture, a time code                here
turned and mirrored                                      zoo ``turn``; ``test_frames.py``
colours: BT.601 and 709, limited and full range          here
*Damage*
a key frame, or one that others refer to                 zoo ``key``, ``inner``, ``missing``
cut off, or with a hole of zeros                         zoo ``cut``, ``zeros``; ``test_frames.py``
*Names, folders and disks*
names that are no UTF-8, or in Chinese                   here; ``commands/test_verbs.py``;
                                                         pictures: ``report/test_names.py``
``._clip.mp4`` and ``.MP4``                              here; ``datasets/test_dad.py``; of images:
                                                         ``test_folder.py``
links into the cache of a hub                            ``records/test_annotations.py``,
                                                         ``datasets/test_manifest.py``
disks without locks                                      ``tests/test_files.py``
damaged files of the cache                               ``features/test_damaged_state.py``
=======================================================  ==========================================
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.container import OutputContainer
from av.stream import Disposition
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream

from collision.files import list_folder
from collision.video import decode
from collision.video.frames import read_frames
from collision.video.index import VideoIndex, index_video
from tests.kit.video import numbered_frames, read_numbers, write_video
from tests.kit.zoo import Kind
from tests.kit.zoo_check import Zoo

FPS = 20
TIMES = np.arange(60) / FPS
IS_SHOWN = 0x10  # in the first byte of a frame of VP8


def add_video(output: OutputContainer, codec: str = "libx264", **options: str) -> VideoStream:
    stream = output.add_stream(codec, rate=FPS)
    stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
    stream.codec_context.time_base, stream.codec_context.gop_size = Fraction(1, FPS), 12
    stream.options = options
    return stream


def coded(
    coder: VideoStream | av.VideoCodecContext, frames: np.ndarray, first: int = 0
) -> Iterator[av.Packet]:
    for number, array in enumerate(frames, first):
        frame = av.VideoFrame.from_ndarray(array, "rgb24")
        frame.pts, frame.time_base = number, Fraction(1, FPS)
        yield from coder.encode(frame)
    yield from coder.encode(None)


def check_whole(index: VideoIndex, times: np.ndarray = TIMES, noise: float = 1.5e-3) -> None:
    """All 60 frames come at their times, in a row and alone."""
    np.testing.assert_allclose(index.frame_times, times, atol=noise)
    assert read_numbers(read_frames(index, np.arange(60))) == list(range(60))
    for number in (59, 31, 7):
        assert read_numbers(read_frames(index, np.array([number]))) == [number]


# --- Which frames ---------------------------------------------------------------------------------


@pytest.mark.parametrize("tune", [{}, {"tune": "zerolatency"}], ids=["plain", "zerolatency"])
def test_single_frames_of_intra_refresh(tmp_path: Path, tune: dict[str, str]):
    options = tune | {"bf": "0", "x264-params": "intra-refresh=1:keyint=20"}
    path = tmp_path / "a.mp4"
    index = index_video(write_video(path, numbered_frames(120), FPS, encoder_options=options))
    wanted = [0, 30, 61, 73, 76, 77]
    assert read_numbers(read_frames(index, np.array(wanted))) == wanted
    for number in wanted:
        assert read_numbers(read_frames(index, np.array([number]))) == [number]


OFFSETS = {
    "below 0": {"movflags": "negative_cts_offsets"},
    "no edit list": {"use_editlist": "0"},
}


@pytest.mark.parametrize("options", OFFSETS.values(), ids=OFFSETS)
def test_b_frames_whatever_says_when_they_are_shown(tmp_path: Path, options: dict[str, str]):
    coding: Any = {"encoder_options": {"bf": "2"}, "muxer_options": options}
    path = write_video(tmp_path / "a.mp4", numbered_frames(60), FPS, **coding)
    check_whole(index_video(path))


@pytest.mark.parametrize("num_b_frames", ["0", "2"])
def test_xvid(tmp_path: Path, num_b_frames: str):
    with av.open(str(tmp_path / "a.avi"), "w") as output:
        stream = add_video(output, "mpeg4", bf=num_b_frames)
        stream.codec_context.codec_tag = "XVID"
        output.mux([*coded(stream, numbered_frames(60))])
    check_whole(index_video(tmp_path / "a.avi"))


def test_frames_of_vp8_that_are_never_shown(tmp_path: Path):
    """Before each key frame, one of its own that is hidden."""
    source, path = Zoo(tmp_path).path(Kind("vp8", "webm", "plain")), tmp_path / "a.webm"
    with av.open(str(source)) as given, av.open(str(path), "w") as output:
        stream = output.add_stream_from_template(given.streams.video[0])
        num_hidden = 0
        for packet in given.demux():
            if not packet.size:
                continue
            if packet.is_keyframe:
                data = bytes(packet)
                hidden = av.Packet(bytes([data[0] & ~IS_SHOWN]) + data[1:])
                hidden.pts, hidden.dts, hidden.time_base = packet.pts, packet.dts, packet.time_base
                hidden.stream, hidden.is_keyframe = stream, True
                output.mux(hidden)
                num_hidden += 1
            packet.stream = stream
            output.mux(packet)
    index = index_video(path)
    check_whole(index, np.arange(60) / 25)
    assert f"{num_hidden} packets share another's time: one frame is shown of them" in index.notes


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
@pytest.mark.parametrize("num_b_frames", ["0", "2"])
def test_a_picture_that_grows(tmp_path: Path, suffix: str, num_b_frames: str):
    """Each packet of the second half is another encoder's, with headers of its own."""
    path, options = tmp_path / f"a.{suffix}", {"x264-params": "repeat-headers=1"}
    options["bf"] = num_b_frames
    coder: Any = av.CodecContext.create("libx264", "w")
    coder.height, coder.width, coder.pix_fmt, coder.options = 96, 128, "yuv420p", options
    coder.time_base = Fraction(1, FPS)
    with av.open(str(path), "w") as output:
        stream = add_video(output, **options)
        output.mux([*coded(stream, numbered_frames(30))])
        for packet in coded(coder, numbered_frames(60, 96, 128)[30:], first=30):
            packet.stream = stream
            output.mux(packet)
    with av.open(str(path)) as given:
        assert len({(frame.height, frame.width) for frame in given.decode(video=0)}) == 2
    check_whole(index_video(path))


LONG = [("libx265", "mp4"), ("libx265", "ts"), ("libx264", "ts"), ("libx264", "mkv")]


@pytest.mark.parametrize(("codec", "suffix"), LONG)
def test_one_frame_of_a_long_file_does_not_cost_all_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: str, suffix: str
):
    path, frames = tmp_path / f"a.{suffix}", np.tile(numbered_frames(200), (5, 1, 1, 1))
    with av.open(str(path), "w") as output:
        stream = add_video(
            output, codec, **{"preset": "ultrafast", "x265-params": "log-level=none"}
        )
        output.mux([*coded(stream, frames)])
    index = index_video(path)
    count, all_frames = 0, decode._Decoder._all_frames

    def counted(decoder: decode._Decoder) -> Iterator[tuple[int, av.VideoFrame]]:
        nonlocal count
        for one in all_frames(decoder):
            count += 1
            yield one

    monkeypatch.setattr(decode._Decoder, "_all_frames", counted)
    assert read_numbers(read_frames(index, np.array([610, 985]))) == [10, 185]
    assert count < 60


# --- When they are shown --------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_sound_begins_before_the_picture(tmp_path: Path, suffix: str):
    path = tmp_path / f"a.{suffix}"
    with av.open(str(path), "w") as output:
        stream = add_video(output)
        sound = output.add_stream("aac", rate=8000, layout="mono")
        packets = [*coded(stream, numbered_frames(60), first=2 * FPS)]
        for start in range(0, 5 * 8000, 1000):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1000), np.float32), "fltp", "mono")
            frame.sample_rate, frame.pts, frame.time_base = 8000, start, Fraction(1, 8000)
            packets += sound.encode(frame)
        packets += sound.encode(None)
        output.mux(sorted(packets, key=lambda packet: packet.dts * packet.time_base))
    # AAC begins by 1,024 samples before its sound, which ts cannot hide.
    check_whole(index_video(path), TIMES + 2, noise=0.13 if suffix == "ts" else 1.5e-3)


# --- Which picture, and how -----------------------------------------------------------------------


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts"])
def test_which_of_two_cameras_is_read_is_noted(tmp_path: Path, container: str):
    notes = index_video(Kind("h264", container, extra="rear").write(tmp_path)).notes
    assert "of its 2 video streams, number 0 is read" in notes


def test_a_cover_is_not_the_video(tmp_path: Path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as output:
        cover = output.add_stream("mjpeg", rate=1)
        cover.height, cover.width, cover.pix_fmt = 300, 300, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        stream = add_video(output)
        output.mux([*coded(cover, np.zeros((1, 300, 300, 3), np.uint8))])
        output.mux([*coded(stream, numbered_frames(60))])
    with av.open(str(path)) as given:
        assert len(given.streams.video) == 2
    check_whole(index_video(path))


@pytest.mark.parametrize("suffix", ["mkv", "mov"])
def test_what_else_lies_beside_the_video(tmp_path: Path, suffix: str):
    """An attached picture, which FFmpeg takes for a video stream, and a track of time codes."""
    path = tmp_path / f"a.{suffix}"
    with av.open(str(path), "w") as output:
        if suffix == "mkv":
            output.add_attachment("cover.jpg", "image/jpeg", b"\xff\xd8" + bytes(100))
        stream = add_video(output)
        stream.metadata["timecode"] = "01:00:00:00"
        output.mux([*coded(stream, numbered_frames(60))])
    with av.open(str(path)) as given:
        assert len(given.streams) == 2
    check_whole(index_video(path))


PATCHES = np.array(
    [
        *((200, 0, 0), (0, 200, 0), (0, 0, 200), (200, 200, 0), (0, 200, 200), (200, 0, 200)),
        *((20, 20, 20), (128, 128, 128), (235, 235, 235), (180, 120, 90)),
    ],
    np.uint8,
)
SPACES = {"709": (1, Colorspace.ITU709), "601": (6, Colorspace.ITU601)}  # as H.264 numbers them
RANGES = {
    "limited": (1, ColorRange.MPEG, "yuv420p"),
    "full": (2, ColorRange.JPEG, "yuvj420p"),
}


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("levels", RANGES)
def test_colours_are_those_that_were_filmed(tmp_path: Path, codec: str, space: str, levels: str):
    picture = PATCHES[None].repeat(64, 0).repeat(32, 1)
    code, colours = SPACES[space]
    levels_code, levels_of, pixels = RANGES[levels]
    with av.open(str(tmp_path / "a.mp4"), "w") as output:
        stream = add_video(output, codec, **{"crf": "4", "x265-params": "log-level=none"})
        stream.height, stream.width, stream.pix_fmt = *picture.shape[:2], pixels
        stream.codec_context.colorspace, stream.codec_context.color_range = code, levels_code
        for _ in range(12):
            frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(
                format=pixels, dst_colorspace=colours, dst_color_range=levels_of
            )
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    index = index_video(tmp_path / "a.mp4")
    for reader in ("pyav",) if index.not_by_decord else ("pyav", "decord"):
        (frame,) = read_frames(replace(index, reader=reader), np.array([5]))
        assert np.abs(frame[32, 16::32].astype(int) - PATCHES).max() <= 4


# --- Names, folders and disks ---------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_name_that_is_no_utf_8(tmp_path: Path, suffix: str):
    """As a Chinese camera writes it, in GBK; decord takes no such name."""
    path = tmp_path / f"a.{suffix}"
    write_video(path, numbered_frames(60), FPS)
    path = path.rename(path.with_stem(b"\xd0\xd0\xb3\xb5".decode(errors="surrogateescape")))
    check_whole(index_video(path))


def test_which_files_of_a_folder_are_clips(tmp_path: Path):
    for name in ("._a.mp4", "a.mp4", "b.MP4", ".DS_Store", "c.txt", "._b.MP4"):
        (tmp_path / name).touch()
    assert [path.name for path in list_folder(tmp_path, (".mp4",))] == ["a.mp4", "b.MP4"]
