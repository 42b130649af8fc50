"""Folders of images are videos: the same frames, the same windows, and clear errors."""

import struct
import zlib
from fractions import Fraction

import av
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


# --- Kinds of images ------------------------------------------------------------------------------

# What lies at the first stored row and the first stored column of a picture (EXIF 2.3, 4.6.4).
SIDES = {
    1: ("top", "left"),
    2: ("top", "right"),
    3: ("bottom", "right"),
    4: ("bottom", "left"),
    5: ("left", "top"),
    6: ("right", "top"),
    7: ("right", "bottom"),
    8: ("left", "bottom"),
}


def stored(picture, orientation):
    """Give the picture as a camera stores it that was held otherwise."""
    row, column = SIDES[orientation]
    picture = picture.swapaxes(0, 1) if row in ("left", "right") else picture
    rows, columns = (-1 if side in ("bottom", "right") else 1 for side in (row, column))
    return np.ascontiguousarray(picture[::rows, ::columns])


def clear_in_part(picture):
    """Give a picture whose left half is clear, as if it were not there."""
    alpha = np.full(picture.shape[:2], 255, np.uint8)
    alpha[:, : alpha.shape[1] // 2] = 0
    return np.dstack([picture, alpha])


def palette(picture):
    """Colours in an order of their own: their numbers are no grey levels."""
    colours = np.unique(picture)[::-1]
    image = Image.fromarray(np.argmax(picture[..., :1] == colours, axis=2).astype(np.uint8), "P")
    image.putpalette(colours.repeat(3).tolist())
    return image


def deep_colour(picture, path):
    """Write a PNG of 3 x 16 bits, which Pillow cannot."""
    encoder = av.CodecContext.create("png", "w")
    encoder.height, encoder.width = picture.shape[:2]
    encoder.pix_fmt, encoder.time_base = "rgb48be", Fraction(1, 10)
    frame = av.VideoFrame.from_ndarray(picture.astype(np.uint16) * 257, "rgb48be")
    path.write_bytes(b"".join(map(bytes, [*encoder.encode(frame), *encoder.encode(None)])))


# How a picture is stored: suffix, what Pillow saves of it, and options.
KINDS = {
    "colour": (".png", Image.fromarray, {}),
    "grey": (".png", lambda p: Image.fromarray(p[..., 0]), {}),
    "grey and alpha": (
        ".png",
        lambda p: Image.fromarray(clear_in_part(p)[..., [0, 3]], "LA"),
        {},
    ),
    "alpha": (".png", lambda p: Image.fromarray(clear_in_part(p)), {}),
    "one clear colour": (".png", Image.fromarray, {"transparency": (30, 30, 30)}),
    "one clear grey": (".png", lambda p: Image.fromarray(p[..., 0]), {"transparency": 225}),
    "16 bits": (".png", lambda p: Image.fromarray(p[..., 0].astype(np.uint16) * 257), {}),
    "1 bit": (".png", lambda p: Image.fromarray(p[..., 0] > 128), {}),
    "palette": (".png", palette, {}),
    "palette, one clear": (".png", palette, {"transparency": 0}),
    "palette, half clear": (".png", palette, {"transparency": bytes([128, 7])}),
    "jpeg": (".jpg", Image.fromarray, {}),
    "grey jpeg": (".jpg", lambda p: Image.fromarray(p[..., 0]), {}),
    "cmyk jpeg": (".jpg", lambda p: Image.fromarray(p).convert("CMYK"), {}),
    "webp": (".webp", Image.fromarray, {}),
    "webp, alpha": (
        ".webp",
        lambda p: Image.fromarray(clear_in_part(p)),
        {"lossless": True, "exact": True},
    ),
    "mpo": (".jpg", Image.fromarray, {"format": "MPO", "save_all": True}),
    "bmp": (".bmp", Image.fromarray, {}),
    "bmp, alpha": (".bmp", lambda p: Image.fromarray(clear_in_part(p)), {}),
    "bmp, palette": (".bmp", palette, {}),
    "bmp, 1 bit": (".bmp", lambda p: Image.fromarray(p[..., 0] > 128), {}),
}


def save(picture, path, kind, orientation=1):
    _, make, options = KINDS[kind]
    if kind == "mpo":
        options = options | {"append_images": [Image.fromarray(255 - picture[::2, ::2])]}
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = options if orientation == 1 else options | {"exif": exif}
    make(stored(picture, orientation)).save(path, **options)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("kind", "orientation"),
    [
        (kind, orientation)
        for kind, (suffix, *_) in KINDS.items()
        for orientation in (SIDES if suffix != ".bmp" else [1])  # of which BMP has none
    ],
)
def test_each_kind_of_image_is_read_as_it_is_shown(tmp_path, kind, orientation):
    suffix = KINDS[kind][0]
    painted, numbers = numbered_frames(256), [11, 178, 3]
    for place, number in enumerate(numbers):
        save(painted[number], tmp_path / f"{place}{suffix}", kind, orientation)
    index = index_video(tmp_path, 10.0)
    assert (index.height, index.width) == painted.shape[1:3]
    assert index.revision == (2 if kind == "16 bits" or orientation > 1 else 1)
    shown = read_frames(index, np.array([2, 0, 1]))
    assert [read_number(frame) for frame in shown] == [3, 11, 178]
    noise = {".jpg": 16, ".webp": 16}.get(suffix, 30 if "1 bit" in kind else 0)
    assert np.abs(shown.astype(int) - painted[[3, 11, 178]]).max() <= noise
    assert read_number(read_frames(index, np.array([1]), 30, 100)[0]) == 178


def test_equal_pictures_share_a_print_however_they_are_stored(tmp_path):
    exact = [kind for kind, (suffix, *_) in KINDS.items() if suffix == ".png" and kind != "1 bit"]
    places = [(kind, orientation) for kind in exact for orientation in SIDES]
    for place, (kind, orientation) in enumerate(places):
        save(numbered_frames(12)[11], tmp_path / f"{place}.png", kind, orientation)
    deep_colour(numbered_frames(12)[11], tmp_path / f"{len(places)}.png")
    save(numbered_frames(12)[10], tmp_path / f"{len(places) + 1}.png", "colour")
    prints = frame_checksums(index_video(tmp_path, 10.0)).tolist()
    assert len(set(prints[:-1])) == 1 and prints[-1] != prints[0]


def test_16_bits_are_scaled_and_not_clipped(tmp_path):
    levels = np.arange(2**16, dtype=np.uint16).reshape(256, 256)
    Image.fromarray(levels).save(tmp_path / "0.png")
    (frame,) = read_frames(index_video(tmp_path, 10.0), np.array([0]))
    assert (frame == (levels // 256)[..., None]).all()


def test_no_colour_is_taken_for_another(tmp_path):
    patches = np.zeros((16, 48, 3), np.uint8)
    patches[:, :16], patches[:, 16:32], patches[:, 32:] = (200, 0, 0), (0, 200, 0), (0, 0, 200)
    for place, suffix in enumerate((".png", ".jpg", ".bmp", ".webp")):
        Image.fromarray(patches).save(tmp_path / f"{place}{suffix}")
    Image.fromarray(patches).convert("CMYK").save(tmp_path / "4.jpg")
    Image.fromarray(patches).quantize(8).save(tmp_path / "5.png")
    deep_colour(patches, tmp_path / "6.png")
    frames = read_frames(index_video(tmp_path, 10.0), np.arange(7))
    centres = frames[:, 8, 8::16].astype(int)
    assert np.abs(centres - patches[8, 8::16]).max() < 16


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_an_image_of_several_pictures_is_refused_by_name(tmp_path, suffix):
    pictures = [Image.fromarray(frame) for frame in numbered_frames(4)]
    for place in (0, 1):
        pictures[place].save(tmp_path / f"{place}{suffix}")
    moving = {"save_all": True, "append_images": pictures[1:], "lossless": True}
    pictures[0].save(tmp_path / f"1{suffix}", **moving)
    index = index_video(tmp_path, 10.0)
    assert read_number(read_frames(index, np.array([0]))[0]) == 0
    for read in (lambda: read_frames(index, np.array([1])), lambda: frame_checksums(index)):
        with pytest.raises(VideoDecodeError, match=rf"'1{suffix}': it holds 4 pictures"):
            read()


@pytest.mark.parametrize("odd", ["small", "on its side"])
def test_an_image_of_another_size_is_refused_by_name(tmp_path, odd):
    folder = write_folder(tmp_path / "images", numbered_frames(6), "{}.png")
    if odd == "small":
        save(numbered_frames(6, 24, 32)[4], folder / "4.png", "colour")
    else:
        save(numbered_frames(6, 64, 48)[4], folder / "4.png", "colour", orientation=6)
    index = index_video(folder, 10.0)
    assert read_number(read_frames(index, np.array([5]))[0]) == 5
    said = r"'4.png': it is (32x24|48x64), the first is 64x48"
    for read in (lambda: read_frames(index, np.array([4]), 8, 8), lambda: frame_checksums(index)):
        with pytest.raises(VideoDecodeError, match=said):
            read()


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def test_the_turn_of_a_png_may_lie_behind_its_picture(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    save(stored(numbered_frames(12)[11], 6), tmp_path / "0.png", "colour")
    data, end = (tmp_path / "0.png").read_bytes(), chunk(b"IEND", b"")
    assert data.endswith(end)
    behind = chunk(b"eXIf", exif.tobytes()[6:])
    (tmp_path / "0.png").write_bytes(data.removesuffix(end) + behind + end)
    index = index_video(tmp_path, 10.0)
    assert (index.height, index.width) == (48, 64)
    assert read_number(read_frames(index, np.array([0]))[0]) == 11


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_damaged_exif_data_say_nothing(tmp_path, suffix):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 1, "camera"
    whole, random = exif.tobytes(), np.random.default_rng(0)
    for place in range(40):
        data = bytearray(whole)
        data[random.integers(6, 24)] = 0xFE
        data = bytes(data if place % 2 else data[: random.integers(7, len(data))])
        Image.fromarray(numbered_frames(12)[11]).save(tmp_path / f"{place}{suffix}", exif=data)
    frames = read_frames(index_video(tmp_path, 10.0), np.arange(40))
    assert {read_number(frame) for frame in frames} == {11}


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
