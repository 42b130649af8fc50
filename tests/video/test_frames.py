"""Reading video: the right frames at the right times, or an error; never a stand-in."""

import csv
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collision.errors import VideoDecodeError
from collision.video.frames import (
    frame_checksums,
    latest_visible,
    newest_frames,
    read_frames,
    window_frame_indices,
)
from collision.video.index import index_video
from collision.video.readers import read_by
from tests.kit import video as kit
from tests.kit.real import REAL

CODECS = ["h264", "mpeg4"]
ROOT = Path(__file__).parents[2]
# A seek into such a file gives decord a picture or two from before the key frame.
OPEN_GOP = {"bf": "3", "x264-params": "open-gop=1:scenecut=0"}


@pytest.fixture(scope="module", params=CODECS)
def codec(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def plain(codec: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp(codec) / "plain.mp4"
    return kit.write_video(path, kit.numbered_frames(60), codec=codec, faststart=True)


@pytest.fixture(scope="module")
def h264(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("h264") / "whole.mp4"
    return kit.write_video(path, kit.numbered_frames(60))


def read_all(path: Path) -> list[int]:
    index = index_video(path)
    return kit.read_numbers(read_frames(index, np.arange(len(index.frame_times))))


# --- Time -----------------------------------------------------------------------------------------


@settings(max_examples=50)
@given(
    gaps=st.lists(st.floats(0.005, 2), min_size=1, max_size=30),
    start=st.floats(0, 5),
    times=st.lists(st.floats(-1, 80), min_size=1, max_size=20),
)
def test_latest_visible_is_the_floor(gaps: list[float], start: float, times: list[float]):
    frame_times = start + np.cumsum([0, *gaps])
    gap = np.median(np.diff(frame_times))
    for time, index in zip(times, latest_visible(frame_times, np.array(times)), strict=True):
        visible = np.flatnonzero(frame_times <= time + 1e-6)
        expected = visible[-1] if len(visible) else -1
        after = [*np.diff(frame_times), np.inf][expected]  # until the next frame
        is_old = time > frame_times[expected] + 1.5 * gap + 1e-6
        assert index == (-1 if after > max(5 * gap, 0.25) and is_old else expected)


def test_latest_visible_ignores_float_noise():
    frame_times = np.arange(100) * 0.1
    assert latest_visible(frame_times, np.arange(100) / 10 - 1e-12).tolist() == list(range(100))


def test_latest_visible_ends_with_the_video():
    frame_times = np.array([0.0, 0.1, 0.2])
    assert latest_visible(frame_times, np.array([0.34, 0.36, 9.0])).tolist() == [2, -1, -1]
    assert latest_visible(np.array([1.0]), np.array([0.9, 1.0, 1.1])).tolist() == [-1, 0, -1]


def test_in_a_hole_nothing_is_seen(tmp_path: Path):
    times = np.arange(60) / 20 + 2.0 * (np.arange(60) >= 30)
    index = index_video(
        kit.write_video(tmp_path / "hole.mkv", kit.numbered_frames(60), times=times)
    )
    assert "1 holes, the longest of 2.05 s: nothing is seen in them" in index.notes
    seen = latest_visible(index.frame_times, np.array([1.45, 1.5, 1.6, 2.5, 3.4, 3.5]))
    assert seen.tolist() == [29, 29, -1, -1, -1, 30]


def test_window_takes_the_floor_of_each_step():
    frame_times = np.arange(50) / 10
    indices = window_frame_indices(frame_times, np.array([2.05, 0.2]), num_frames=4, fps=8)
    assert indices.dtype == np.int64
    # 1.675, 1.8, 1.925, 2.05 and -0.175, -0.05, 0.075, 0.2
    assert indices.tolist() == [[16, 18, 19, 20], [-1, -1, 0, 2]]


@given(end=st.floats(0, 6), fps=st.sampled_from([4, 8, 10, 30]))
def test_windows_never_see_beyond_their_end(end: float, fps: float):
    frame_times = np.cumsum(np.random.default_rng(0).uniform(0.01, 0.2, 60))
    indices = window_frame_indices(frame_times, np.array([end]), 8, fps)[0]
    seen = indices[indices >= 0]
    assert (frame_times[seen] <= end + 1e-6).all()
    assert (np.diff(seen) >= 0).all()


# --- Whole files ----------------------------------------------------------------------------------


def test_index_of_a_plain_file(plain: Path, codec: str):
    index = index_video(plain)
    np.testing.assert_allclose(index.frame_times, np.arange(60) / 20, atol=1e-4)
    assert (index.height, index.width, index.codec) == (48, 64, codec)
    assert (index.native_fps, index.duration) == pytest.approx((20, 3.0), abs=1e-3)
    assert (index.reader, index.notes, index.not_by_decord) == ("pyav", (), "")
    assert index.pixels == "yuv420p"


@pytest.mark.parametrize("reader", ["decord", "pyav"])
def test_any_order_and_repeats(plain: Path, reader: str):
    index = replace(index_video(plain), reader=reader)
    wanted = np.array([40, 3, 3, 59, 0, 17])
    frames = read_frames(index, wanted)
    assert frames.dtype == np.uint8
    assert frames.shape == (6, 48, 64, 3)
    assert kit.read_numbers(frames) == wanted.tolist()


@pytest.mark.parametrize("size", [(None, None), (96, 160), (224, 224), (27, 48), (33, 35)])
def test_both_readers_give_the_same_frames(plain: Path, size: tuple[int | None, int | None]):
    index = index_video(plain)
    wanted = np.array([1, 12, 30, 58])
    by_decord = read_frames(read_by("decord", index, wanted), wanted, *size).astype(int)
    by_pyav = read_frames(index, wanted, *size).astype(int)
    assert by_decord.shape == (4, size[0] or 48, size[1] or 64, 3)
    assert np.abs(by_decord - by_pyav).mean() < 0.5


def test_without_decord_pyav_reads_all_files(plain: Path, tmp_path: Path):
    """In another process, in which ``import decord`` fails."""
    wanted = [1, 12, 30, 58]
    code = (
        "import sys; sys.modules['decord'] = None\n"
        "import numpy as np; from pathlib import Path\n"
        "from collision.video.index import index_video\n"
        "from collision.video.frames import read_frames\n"
        "from collision.video.readers import load_reader\n"
        "from collision.errors import ConfigError\n"
        "try:\n    load_reader('decord')\n    raise SystemExit('loaded')\n"
        "except ConfigError as error:\n    assert 'is not installed here' in str(error)\n"
        f"frames = read_frames(index_video(Path({str(plain)!r})), np.array({wanted}), 33, 35)\n"
        f"np.save({str(tmp_path / 'frames.npy')!r}, frames)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
    frames = np.load(tmp_path / "frames.npy")
    by_pyav = read_frames(index_video(plain), np.array(wanted), 33, 35)
    np.testing.assert_array_equal(frames, by_pyav)


def test_no_frames_wanted(plain: Path):
    assert read_frames(index_video(plain), np.array([], int), 20, 30).shape == (0, 20, 30, 3)


PLANES = [
    ("ffv1", "yuv420p10le", ".mkv"),
    ("rawvideo", "yuv420p", ".avi"),
    ("rawvideo", "bgr24", ".avi"),
    ("rawvideo", "yuyv422", ".avi"),
]


@pytest.mark.parametrize(("codec", "pixels", "suffix"), PLANES)
def test_equal_pictures_and_no_others_share_a_print(
    tmp_path: Path, codec: str, pixels: str, suffix: str
):
    frames = np.random.default_rng(0).integers(0, 256, (6, 50, 66, 3), dtype=np.uint8)
    frames[3] = frames[2]
    path = tmp_path / f"video{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 66, 50, pixels
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode())
    for rate in (None, 5.0):
        prints = frame_checksums(index_video(path, rate))
        assert prints.dtype == np.int64 and len(prints) == 6
        assert prints[2] == prints[3] and len(set(prints.tolist())) == 5


@pytest.mark.parametrize("wanted", [[-1, 3], [60]])
def test_frames_outside_the_file_are_a_bug_of_the_caller(plain: Path, wanted: list[int]):
    with pytest.raises(IndexError, match="of 60"):
        read_frames(index_video(plain), np.array(wanted))


def test_frames_of_changed_content_stay_until_the_change(tmp_path: Path, codec: str):
    """Plant a change after t = 1.5 s: nothing that is visible up to 1.5 s may move."""
    frames = kit.numbered_frames(60)
    changed = frames.copy()
    changed[31:] = 255 - changed[31:]
    index, other = (
        index_video(kit.write_video(tmp_path / name, array, codec=codec, encoder_options=options))
        for name, array, options in [
            # No look-ahead: else the encoder itself spends its bits by what comes later.
            ("a.mp4", frames, {"tune": "zerolatency"}),
            ("b.mp4", changed, {"tune": "zerolatency"}),
        ]
    )
    before = window_frame_indices(index.frame_times, np.array([0.9, 1.5]), 8, 8).ravel()
    np.testing.assert_array_equal(read_frames(index, before), read_frames(other, before))
    after = np.array([31])
    assert (read_frames(index, after) != read_frames(other, after)).any()


# --- Odd files that read right --------------------------------------------------------------------


@pytest.mark.parametrize("reader", ["decord", "pyav"])
def test_variable_rate(tmp_path: Path, codec: str, reader: str):
    times = np.cumsum(np.random.default_rng(0).uniform(0.02, 0.3, 60))
    path = kit.write_video(tmp_path / "v.mp4", kit.numbered_frames(60), times=times, codec=codec)
    index = index_video(path)
    assert not index.not_by_decord
    index = replace(index, reader=reader)
    times -= times[0]
    np.testing.assert_allclose(index.frame_times, times, atol=1e-3)
    assert index.native_fps == pytest.approx(1 / np.median(np.diff(times)), rel=1e-2)
    wanted = latest_visible(index.frame_times, np.array([times[7] + 0.001, times[41] - 0.001]))
    assert kit.read_numbers(read_frames(index, wanted)) == [7, 40]


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_times_count_from_the_first_shown_moment(tmp_path: Path, suffix: str):
    times = np.arange(30) / 20
    frames = kit.numbered_frames(30)
    path = kit.write_video(tmp_path / f"late.{suffix}", frames, times=times + 1.5)
    np.testing.assert_allclose(index_video(path).frame_times, times, atol=1e-3)
    assert any("its clock begins at" in note for note in index_video(path).notes)
    assert read_all(path) == list(range(30))


@pytest.mark.parametrize("hidden", [1, 6, 20])
def test_frames_before_the_edit_list_are_left_out(tmp_path: Path, hidden: int):
    times = (np.arange(60) - hidden) / 20
    path = kit.write_video(tmp_path / "edit.mp4", kit.numbered_frames(60), times=times)
    index = index_video(path)
    np.testing.assert_allclose(index.frame_times, times[hidden:], atol=1e-3)
    assert index.reader == "pyav"
    assert any("hidden by an edit list" in note for note in index.notes)
    assert read_all(path) == list(range(hidden, 60))


def test_frames_behind_the_edit_list_are_left_out(h264: Path, tmp_path: Path):
    path = kit.shorten_edit(h264, tmp_path / "short.mp4", 0.5)
    assert index_video(path).duration == pytest.approx(1.5)
    assert read_all(path) == list(range(30))


@pytest.mark.parametrize("options", [OPEN_GOP, {"bf": "2"}])
def test_open_gops_are_read_right(tmp_path: Path, codec: str, options: dict[str, str]):
    """decord is off by a frame or two behind a seek into such files."""
    frames = kit.numbered_frames(120)
    path = kit.write_video(
        tmp_path / "gop.mp4", frames, codec=codec, keyframe_every=25, encoder_options=options
    )
    index = index_video(path)
    generator = np.random.default_rng(0)
    for _ in range(8):
        wanted = generator.choice(120, 10)
        assert kit.read_numbers(read_frames(index, wanted)) == wanted.tolist()


def test_open_gop_is_noted(tmp_path: Path):
    frames = kit.numbered_frames(60)
    path = kit.write_video(tmp_path / "gop.mp4", frames, encoder_options=OPEN_GOP)
    index, wanted = index_video(path), np.arange(3)
    chosen = read_by("decord", index, wanted)
    assert chosen.reader == "pyav" and "open GOP" in chosen.notes[-1] and not index.notes


@pytest.mark.parametrize("suffix", ["mov", "mkv", "ts"])
def test_other_containers(tmp_path: Path, suffix: str):
    path = kit.write_video(tmp_path / f"video.{suffix}", kit.numbered_frames(40))
    assert read_all(path) == list(range(40))


def test_avi(tmp_path: Path):
    path = kit.write_video(tmp_path / "video.avi", kit.numbered_frames(40), codec="mpeg4")
    assert read_all(path) == list(range(40))


def test_avi_without_presentation_times_is_refused(tmp_path: Path):
    path = kit.write_video(
        tmp_path / "video.avi", kit.numbered_frames(40), encoder_options={"bf": "3"}
    )
    with pytest.raises(VideoDecodeError, match="times are wrong"):
        read_all(path)


def test_fragmented_mp4(tmp_path: Path):
    options = {"movflags": "frag_keyframe+empty_moov"}
    path = kit.write_video(tmp_path / "f.mp4", kit.numbered_frames(40), muxer_options=options)
    assert read_all(path) == list(range(40))
    assert "declares no length" in index_video(path).notes[0]


def test_one_frame(tmp_path: Path, codec: str):
    index = index_video(kit.write_video(tmp_path / "1.mp4", kit.numbered_frames(1), codec=codec))
    assert index.frame_times.tolist() == [0]
    assert (index.native_fps, index.duration) == pytest.approx((20, 0.05))
    assert kit.read_numbers(read_frames(index, np.array([0]))) == [0]


def test_odd_frame_size(tmp_path: Path):
    path = kit.write_video(tmp_path / "odd.mp4", kit.numbered_frames(30, 49, 67))
    assert (index_video(path).height, index_video(path).width) == (49, 67)
    assert read_all(path) == list(range(30))


@pytest.mark.parametrize(("degrees", "turns"), [(90, 3), (180, 2), (270, 1)])
def test_rotation_is_applied(h264: Path, tmp_path: Path, degrees: int, turns: int):
    index = index_video(kit.rotate(h264, tmp_path / "turned.mp4", degrees))
    frames = read_frames(index, np.array([5, 9]))
    assert frames.shape[1:3] == (index.height, index.width)
    upright = np.rot90(frames, -turns, axes=(1, 2))
    assert kit.read_numbers(upright) == [5, 9]
    assert read_frames(index, np.array([5]), 30, 80).shape == (1, 30, 80, 3)


def test_still_picture_is_read(tmp_path: Path):
    """Equal frames are no fault by themselves: PyAV confirms them."""
    frames = np.repeat(kit.numbered_frames(6)[5:], 30, axis=0)
    path = kit.write_video(tmp_path / "still.mp4", frames)
    assert read_all(path) == [5] * 30


@pytest.mark.parametrize("name", ["clip(1).mp4", "a,b:c.mp4", "日本 ü.mp4", "http:x.mp4", "%d.mp4"])
def test_file_names(h264: Path, tmp_path: Path, name: str):
    path = tmp_path / name
    path.write_bytes(h264.read_bytes())
    assert read_all(path) == list(range(60))


def test_metadata_in_another_encoding(h264: Path, tmp_path: Path):
    path = tmp_path / "gbk.mp4"
    path.write_bytes(h264.read_bytes().replace(b"Lavf", b"\xff\xfe\xc3\x28"))
    assert read_all(path) == list(range(60))


# --- Broken files ---------------------------------------------------------------------------------


@pytest.mark.parametrize("fraction", [0.0, 0.05, 0.3, 0.5, 0.7, 0.9, 0.99, 0.999])
def test_cut_media_data(plain: Path, tmp_path: Path, fraction: float):
    with pytest.raises(VideoDecodeError):
        index_video(kit.truncate_media(plain, tmp_path / "cut.mp4", fraction))


def test_cut_between_two_frames(plain: Path, tmp_path: Path):
    """No packet is incomplete then: only the file's own list tells what is missing."""
    with av.open(str(plain)) as container:
        place = container.streams.video[0].index_entries[40].pos
    path = tmp_path / "cut.mp4"
    path.write_bytes(plain.read_bytes()[:place])
    with pytest.raises(VideoDecodeError, match="20 of 60 frames lie beyond its end"):
        index_video(path)


@pytest.mark.parametrize("fraction", [0.01, 0.3, 0.6, 0.9])
def test_cut_before_the_index(tmp_path: Path, codec: str, fraction: float):
    whole = kit.write_video(tmp_path / "whole.mp4", kit.numbered_frames(60), codec=codec)
    with pytest.raises(VideoDecodeError):
        index_video(kit.truncate(whole, tmp_path / "cut.mp4", fraction))


@pytest.mark.parametrize("fraction", [0.3, 0.6, 0.9])
def test_cut_matroska(tmp_path: Path, fraction: float):
    whole = kit.write_video(tmp_path / "whole.mkv", kit.numbered_frames(60))
    with pytest.raises(VideoDecodeError, match=r"cut off|no frame"):
        index_video(kit.truncate(whole, tmp_path / "cut.mkv", fraction))


@pytest.mark.parametrize("fraction", [0.15, 0.3])  # the rest of so small a file is its index
def test_cut_avi(tmp_path: Path, fraction: float):
    whole = kit.write_video(tmp_path / "whole.avi", kit.numbered_frames(60), codec="mpeg4")
    with pytest.raises(VideoDecodeError, match=r"it declares 3\.00 s"):
        index_video(kit.truncate(whole, tmp_path / "cut.avi", fraction))


@pytest.mark.parametrize("fraction", [0.4, 0.6, 0.9])
def test_cut_fragment(tmp_path: Path, fraction: float):
    options = {"movflags": "frag_keyframe+empty_moov"}
    whole = kit.write_video(tmp_path / "w.mp4", kit.numbered_frames(60), muxer_options=options)
    with pytest.raises(VideoDecodeError):
        index_video(kit.truncate(whole, tmp_path / "cut.mp4", fraction))


@pytest.mark.parametrize(("begin", "end"), [(0.4, 0.6), (0.7, 1.0), (0.0, 0.5)])
def test_blank_media_data(plain: Path, tmp_path: Path, begin: float, end: float):
    """A file of full length whose download never filled a part."""
    path = kit.zero_media(plain, tmp_path / "hole.mp4", begin, end)
    with pytest.raises(VideoDecodeError):
        index_video(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"just some text\n" * 200, "no video"),
        (b"#EXTM3U\n#EXTINF:3,\n/etc/hostname\n#EXT-X-ENDLIST\n", "no video"),
        (np.random.default_rng(0).bytes(9000), "no video"),
    ],
)
@pytest.mark.parametrize("suffix", ["mp4", "txt"])
def test_no_video(tmp_path: Path, content: bytes, reason: str, suffix: str):
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(content)
    with pytest.raises(VideoDecodeError, match=reason):
        index_video(path)


def test_audio_only(tmp_path: Path):
    with pytest.raises(VideoDecodeError, match="no video stream"):
        index_video(kit.write_audio_only(tmp_path / "sound.mp4"))


def test_unknown_codec(h264: Path, tmp_path: Path):
    path = tmp_path / "x.mp4"
    path.write_bytes(h264.read_bytes().replace(b"avc1", b"xxzz").replace(b"avcC", b"xxzz"))
    with pytest.raises(VideoDecodeError, match="codec"):
        index_video(path)


def test_what_is_not_a_file(tmp_path: Path):
    with pytest.raises(VideoDecodeError, match="no such file"):
        index_video(tmp_path / "missing.mp4")
    with pytest.raises(VideoDecodeError, match="holds no image"):
        index_video(tmp_path)
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(VideoDecodeError, match="not a file"):  # and does not wait for a writer
        index_video(tmp_path / "pipe.mp4")


@pytest.mark.parametrize("reader", ["decord", "pyav"])
def test_file_that_breaks_after_indexing(plain: Path, tmp_path: Path, reader: str):
    path = tmp_path / "x.mp4"
    path.write_bytes(plain.read_bytes())
    index = replace(index_video(path), reader=reader)
    kit.zero_media(plain, path, 0.5, 1.0)
    with pytest.raises(VideoDecodeError):
        read_frames(index, np.array([2, 55]))
    path.unlink()
    with pytest.raises(VideoDecodeError, match="no such file"):
        read_frames(index, np.array([2, 55]))


@pytest.mark.parametrize("reader", ["decord", "pyav"])
def test_a_file_that_is_another_since_it_was_indexed(
    plain: Path, tmp_path: Path, codec: str, reader: str
):
    """No repeated tail, and no frame of the other file."""
    index = replace(index_video(plain), reader=reader)
    shorter = kit.write_video(tmp_path / "s.mp4", kit.numbered_frames(40), codec=codec)
    index = replace(index, path=shorter)
    with pytest.raises(VideoDecodeError, match="not found where they were"):
        read_frames(index, np.array([10, 45, 50]))


def test_nothing_is_printed(plain: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    read_all(plain)
    with pytest.raises(VideoDecodeError):
        index_video(kit.truncate_media(plain, tmp_path / "cut.mp4", 0.5))
    assert capfd.readouterr() == ("", "")


# --- The kit itself -------------------------------------------------------------------------------


def test_numbers_are_read_from_no_other_picture():
    for picture in (np.zeros((48, 64, 3), np.uint8), np.full((48, 64, 3), 128, np.uint8)):
        with pytest.raises(ValueError, match="no number"):
            kit.read_number(picture)


# --- Real clips -----------------------------------------------------------------------------------


def real_videos() -> list[str]:
    if REAL is None:
        return []
    with (REAL / "clips.csv").open() as file:
        return [row["video"] for row in csv.DictReader(file)]


@pytest.mark.parametrize("name", real_videos() or [None])
def test_real_clip(name: str | None):
    """Frames by time equal a full decode's frames of that time."""
    if REAL is None or name is None:
        pytest.skip("the real clips are not here")
    index = index_video(REAL / name)
    wanted = window_frame_indices(
        index.frame_times, np.array([0.6, index.frame_times[-1]]), num_frames=5, fps=8
    ).ravel()
    frames = read_frames(index, wanted, 72, 128).astype(int)

    times, pictures = [], []
    with av.open(str(REAL / name)) as container:
        stream = container.streams.video[0]
        for frame in container.decode(stream):
            times.append(float(frame.pts * stream.time_base))
            picture = frame.reformat(128, 72, "rgb24", interpolation="BILINEAR").to_ndarray()
            pictures.append(picture.astype(int))
    np.testing.assert_allclose(index.frame_times, times, atol=1e-6)
    for number, frame in zip(wanted, frames, strict=True):
        differences = [np.abs(frame - picture).mean() for picture in pictures]
        assert differences[number] < 0.5
        assert differences[number] == min(differences)


@pytest.mark.skipif(REAL is None, reason="the real clips are not here")
@pytest.mark.parametrize(("number", "shown"), [(1, 88), (2, 100)])
def test_real_clips_with_edit_lists(number: int, shown: int):
    assert REAL is not None
    index = index_video(REAL / "clips" / "normal" / f"udacity_test_small{number}.mp4")
    assert (len(index.frame_times), index.reader) == (shown, "pyav")
    assert any("edit list" in note for note in index.notes)


def test_newest_frames_are_counted_back_to_the_first_gap():
    indices = np.array([[0, 1, 2], [-1, 0, 1], [3, -1, 4], [0, 1, -1], [-1, -1, -1]])
    assert newest_frames(indices).tolist() == [3, 2, 1, 0, 0]
