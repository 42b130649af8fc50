"""Folders of images are videos: the same frames, the same windows, and clear errors."""

import numpy as np
import pytest
from PIL import Image

from collision.errors import VideoDecodeError
from collision.features.clips import ClipDataset, WindowRequest
from collision.features.digest import VideoDigests
from collision.types import BackboneSpec, Failure, View
from collision.video.frames import frame_checksums, read_frames
from collision.video.index import index_video
from tests.kit.video import numbered_frames, read_number, write_video

SPEC = BackboneSpec("k", "kit 1", 4, 5.0, 48, 64, (0.0,) * 3, (1.0,) * 3, 2, 4)


def write_folder(folder, frames, name="{:06d}.jpg", first=0):
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames, start=first):
        Image.fromarray(frame).save(folder / name.format(number))
    return folder


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "images", numbered_frames(20))


def test_frames_are_timed_by_count_and_come_back_in_order(folder):
    index = index_video(folder, 10.0)
    assert index.frame_times.tolist() == pytest.approx(np.arange(20) / 10)
    assert (index.height, index.width, index.reader) == (48, 64, "images")
    assert (index.duration, index.native_fps) == (2.0, 10.0)
    frames = read_frames(index, np.array([7, 0, 19, 7]))
    assert [read_number(frame) for frame in frames] == [7, 0, 19, 7]


def test_equal_images_and_no_others_share_a_print(tmp_path):
    frames = numbered_frames(6)
    frames[3] = frames[2]
    folder = write_folder(tmp_path / "images", frames, "{:06d}.png")
    prints = frame_checksums(index_video(folder, 10.0))
    assert prints.dtype == np.int64
    assert prints[2] == prints[3] and len(set(prints.tolist())) == 5
    (folder / "000004.png").write_bytes((folder / "000004.png").read_bytes()[:-30])
    with pytest.raises(VideoDecodeError, match=r"000004\.png"):
        frame_checksums(index_video(folder, 10.0))


@pytest.mark.parametrize("name", ["{}.jpg", "img_{}.png", "frame{:04d}_left.jpeg", "{}.BMP"])
def test_numbers_order_the_frames_not_names(tmp_path, name):
    folder = write_folder(tmp_path / "images", numbered_frames(12), name, first=1)
    (folder / "notes.txt").write_text("not an image")
    (folder / f"._{name.format(3)}").write_bytes(b"of macOS")
    frames = read_frames(index_video(folder, 10.0), np.arange(12))
    assert [read_number(frame) for frame in frames] == list(range(12))


def test_images_are_squashed_as_videos_are(tmp_path):
    frames = numbered_frames(12, 90, 160)
    video = write_video(tmp_path / "a.mp4", frames, fps=10, codec="h264")
    folder = write_folder(tmp_path / "images", frames, "{:03d}.png")
    one = read_frames(index_video(video), np.arange(12), 32, 48).astype(int)
    two = read_frames(index_video(folder, 10.0), np.arange(12), 32, 48).astype(int)
    assert np.abs(one - two).mean() < 3


def test_a_clock_of_its_own_takes_the_place_of_a_files(tmp_path):
    video = write_video(tmp_path / "a.mp4", numbered_frames(20), fps=20)
    index = index_video(video, 10.0)
    assert index.frame_times.tolist() == pytest.approx(np.arange(20) / 10)
    assert index.duration == 2.0
    for reader in ("decord", "pyav"):
        other = index_video(video, 10.0)
        object.__setattr__(other, "reader", reader)
        frames = read_frames(other, np.array([3, 17]))
        assert [read_number(frame) for frame in frames] == [3, 17]


def test_windows_of_a_folder_and_a_stretched_view(folder):
    ends = np.array([0.5, 1.0, 1.9])
    plain, wide = (
        ClipDataset([WindowRequest("a", folder, ends, 10.0, view)], SPEC)[0]
        for view in (View(), View(stride=2.0))
    )
    numbers = [read_number(frame) for frame in plain.frames]
    # 4 frames 0.2 s apart: the window that ends at 0.5 s would begin at -0.1 s.
    assert plain.unavailable.tolist() == [0.5]
    assert [[numbers[i] for i in window] for window in plain.windows] == [
        [4, 6, 8, 10],
        [13, 15, 17, 19],
    ]
    numbers = [read_number(frame) for frame in wide.frames]
    assert [[numbers[i] for i in window] for window in wide.windows] == [[7, 11, 15, 19]]


def test_a_folder_without_a_rate_is_told(folder):
    with pytest.raises(VideoDecodeError, match="frame_rate"):
        index_video(folder)


def test_broken_folders_are_told(folder, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(VideoDecodeError, match="no image"):
        index_video(empty, 10.0)
    with pytest.raises(VideoDecodeError, match="no such file"):
        index_video(tmp_path / "absent", 10.0)
    (folder / "7.png").write_bytes(b"")
    with pytest.raises(VideoDecodeError, match=r"000007.jpg.*7.png|7.png.*000007.jpg"):
        index_video(folder, 10.0)
    (folder / "7.png").unlink()
    (folder / "cover.jpg").write_bytes(b"")
    with pytest.raises(VideoDecodeError, match=r"cover.jpg.*number"):
        index_video(folder, 10.0)
    (folder / "cover.jpg").unlink()
    (folder / "000007.jpg").unlink()
    (folder / "000009.jpg").unlink()
    with pytest.raises(VideoDecodeError, match=r"2 of 20 frames are missing, the first is 7"):
        index_video(folder, 10.0)


@pytest.mark.parametrize("content", [b"", b"no picture", None])
def test_a_broken_image_fails_its_video_and_no_other_frame_takes_its_place(folder, content):
    image = folder / "000005.jpg"
    data = image.read_bytes()
    image.write_bytes(data[: len(data) // 2] if content is None else content)
    index = index_video(folder, 10.0)
    with pytest.raises(VideoDecodeError, match=r"000005.jpg"):
        read_frames(index, np.array([5]))
    request = WindowRequest("a", folder, np.array([1.0]), 10.0)
    result = ClipDataset([request], SPEC)[0]
    assert not isinstance(result, Failure)  # its frames are 4, 6, 8 and 10
    request = WindowRequest("a", folder, np.array([1.1]), 10.0)
    result = ClipDataset([request], SPEC)[0]
    assert isinstance(result, Failure) and "000005.jpg" in result.reason


def test_the_digest_is_of_the_images_and_the_clock(folder, tmp_path):
    digests = VideoDigests(tmp_path / "videos.json")
    copy = write_folder(tmp_path / "copy", numbered_frames(20))
    digest = digests.digest(folder, 10.0)
    (copy / ".DS_Store").write_bytes(b"of macOS")
    assert digest == digests.digest(copy, 10.0) != digests.digest(folder, 25.0)
    digests.save()
    again = VideoDigests(tmp_path / "videos.json")
    assert again.digest(folder, 10.0) == digest
    (folder / "000003.jpg").write_bytes(b"other")
    assert again.digest(folder, 10.0) != digest
