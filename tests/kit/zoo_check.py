"""Holds the files of the zoo against FFmpeg's sequential decode, the oracle, and our reader."""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import av
import numpy as np
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from collision.errors import VideoDecodeError
from collision.video.frames import read_frames
from collision.video.index import VideoIndex, index_video
from tests.kit.video import read_number, read_numbers
from tests.kit.zoo import Kind
from tests.kit.zoo_files import FORMATS

# Matroska counts in milliseconds.
TIME_NOISE = 1.5e-3
# Grey levels, mean of 8 x 8 pixels: readers differ by rounding, damage by far more.
PICTURE_NOISE = 12
_FILTERS = {("h264", "avi"): "h264_mp4toannexb", ("mpeg4", "ts"): "dump_extra"}


@dataclass(frozen=True)
class Decoded:
    """What FFmpeg gives if it decodes a file from its start to its end.

    Attributes:
        pictures: uint8 RGB [H, W, 3], as coded.
        times: Seconds by the file's clock; None where FFmpeg gives none.
        is_flagged: Whether FFmpeg says that it is damaged.
        num_refused: How many packets FFmpeg's decoder refused.
        matrix: Points (x right, y down) are shown at (a x + c y, b x + d y).
    """

    pictures: list[np.ndarray]
    times: list[float | None]
    is_flagged: list[bool]
    num_refused: int
    matrix: tuple[int, ...]


class Zoo:
    """Writes and decodes each kind once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._paths: dict[Kind, Path] = {}
        self._decoded: dict[Kind, Decoded] = {}

    def path(self, kind: Kind) -> Path:
        if kind not in self._paths:
            # decord brings a libvpx of its own: once it has run, this process cannot encode.
            is_vpx = kind.codec in ("vp8", "vp9")
            write = _writer().submit if is_vpx else _now
            self._paths[kind] = write(kind.write, self.folder).result()
        return self._paths[kind]

    def decoded(self, kind: Kind) -> Decoded:
        if kind not in self._decoded:
            self._decoded[kind] = decode(self.path(kind))
        return self._decoded[kind]


@cache
def _writer() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))


def _now(write: Callable[[Path], Path], folder: Path) -> Future[Path]:
    done: Future[Path] = Future()
    done.set_result(write(folder))
    return done


def decode(path: Path) -> Decoded:
    """Decode the first video stream of a file: no seeking, no threads, on behind each error."""
    pictures, times, flags, matrix = [], [], [], (1, 0, 0, 1)
    reformatter, num_refused = VideoReformatter(), 0
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for frame in _frames(container, stream):
            if frame is None:
                num_refused += 1
                continue
            pictures.append(reformatter.reformat(frame, format="rgb24").to_ndarray())
            times.append(frame.time)
            flags.append(frame.is_corrupt)
            for data in frame.side_data:
                if data.type.name == "DISPLAYMATRIX":
                    a, b, _, c, d = (np.frombuffer(data, np.int32)[:5] // 0x10000).tolist()
                    matrix = a, b, c, d
    return Decoded(pictures, times, flags, num_refused, matrix)


def _frames(container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame | None]:
    for packet in container.demux(stream):
        try:
            yield from packet.decode()
        except av.InvalidDataError:
            yield None


def remux(source: Path, target: Path, container: str) -> Path:
    """Copy the packets of a file's first video stream into another container."""
    with av.open(str(source)) as given, av.open(str(target), "w", FORMATS[container]) as output:
        main = given.streams.video[0]
        codec = main.codec_context.codec.canonical_name
        # The AV1 decoder has no encoder of its name; opaque streams keep a tag that others refuse.
        stream = output.add_stream_from_template(main, opaque=codec == "av1")
        if container == "avi":  # its frames have no times but a rate
            stream.time_base = 1 / main.average_rate
        # What the ffmpeg command does by itself: headers move from the container into the stream.
        name = _FILTERS.get((codec, container))
        bits = BitStreamFilterContext(name, main, stream) if name else None
        for packet in given.demux(main):
            if packet.size:
                for moved in bits.filter(packet) if bits else [packet]:
                    moved.stream = stream
                    output.mux(moved)
    return target


def check_oracle(kind: Kind, zoo: Zoo) -> None:
    """An undamaged file holds, by FFmpeg, what the kind says."""
    decoded = zoo.decoded(kind)
    assert read_numbers(np.stack(decoded.pictures)) == list(kind.numbers)
    assert not any(decoded.is_flagged) and not decoded.num_refused
    picture = decoded.pictures[0]
    expected = orient(picture, *kind.orientation)
    np.testing.assert_array_equal(show(picture, decoded.matrix), expected)
    # FFmpeg's own times start again where two files were joined.
    if not kind.may_be_refused and kind.clock not in ("joined", "spliced"):
        times = np.array(decoded.times, float)
        np.testing.assert_allclose(times - times[0], kind.times, atol=TIME_NOISE)


def show(picture: np.ndarray, matrix: tuple[int, ...]) -> np.ndarray:
    """Move each pixel of a picture to where a display matrix wants it."""
    a, b, c, d = matrix
    y, x = np.indices(picture.shape[:2])
    rows, columns = b * x + d * y, a * x + c * y
    rows, columns = rows - rows.min(), columns - columns.min()
    shown = np.empty((rows.max() + 1, columns.max() + 1, 3), np.uint8)
    shown[rows, columns] = picture
    return shown


def orient(picture: np.ndarray, quarters: int, is_mirrored: bool) -> np.ndarray:
    """Mirror a painted picture left to right, then turn it counterclockwise."""
    return np.rot90(np.fliplr(picture) if is_mirrored else picture, quarters)


def check_damage(kind: Kind, zoo: Zoo) -> None:
    """Only pictures that the kind calls damaged differ from those of the whole file, but some do.

    A file that is cut or has a hole calls none damaged; a frame that is missing is not there.
    """
    changed = changed_numbers(kind, zoo)
    assert changed
    if kind.damaged:
        missing = set(kind.whole.numbers) - set(kind.numbers)
        assert changed <= kind.damaged | late_numbers(kind) | missing, changed


def late_numbers(kind: Kind) -> set[int]:
    """The frame before the damage, which decoders of MPEG-1 and 2 keep back and lose with it."""
    return {min(kind.damaged) - 1} if kind.codec.startswith("mpeg") else set()


def changed_numbers(kind: Kind, zoo: Zoo) -> set[int]:
    """List what FFmpeg shows otherwise than in the whole file, or not at all."""
    given, whole = zoo.decoded(kind), zoo.decoded(kind.whole)
    pictures = dict(zip(given.times, given.pictures, strict=True))
    expected = zip(kind.whole.numbers, whole.times, whole.pictures, strict=True)
    return {
        number
        for number, time, picture in expected
        if time not in pictures or not is_same_picture(picture, pictures[time])
    }


def is_same_picture(picture: np.ndarray, other: np.ndarray) -> bool:
    if picture.shape != other.shape:
        return False
    difference = np.abs(picture.astype(np.int16) - other).mean(axis=2)
    height, width = difference.shape
    blocks = difference[: height // 8 * 8, : width // 8 * 8]
    return blocks.reshape(height // 8, 8, width // 8, 8).mean(axis=(1, 3)).max() < PICTURE_NOISE


def check_kind(kind: Kind, zoo: Zoo, effort: int = 1) -> VideoIndex | None:
    """Give the index of a kind that is read as it should be, None if it is refused as it may be."""
    if kind.damage:
        return check_reader_of_damaged(kind, zoo, count=4 * effort)
    return check_reader(kind, zoo.path(kind), draws=4 * effort)


def check_reader(kind: Kind, path: Path, draws: int) -> VideoIndex | None:
    """Our reader gives the painted numbers at their times, or refuses where it may: None."""
    try:
        index = index_video(path)
    except VideoDecodeError as error:
        assert kind.may_be_refused, error
        assert len(str(error).split()) > 5, f"no sentence: {error}"
        return None
    times = index.frame_times
    assert len(times) == len(kind.times), f"{len(times)} frames instead of {len(kind.times)}"
    if (kind.container, kind.extra) == ("ts", "sound"):  # AAC begins by 1,024 samples before 0 s
        times = times - 0.128
    np.testing.assert_allclose(times, kind.times, atol=TIME_NOISE)
    random = np.random.default_rng(list(kind.name.encode()))
    for draw in range(draws):
        # One frame alone hangs on a seek that others may hide.
        wanted = random.integers(0, len(times), 1 if draw % 4 < 2 else 8)
        # Stretched, not shrunk: the number stays legible, and height and width cannot be swapped.
        size = (None, None) if draw % 2 else (index.height * 2, index.width * 3)
        frames = read_frames(index, wanted, *size)
        assert frames.shape[1:3] == (size[0] or index.height, size[1] or index.width)
        shown = [unturned_number(kind, frame) for frame in frames]
        expected = [kind.numbers[place] for place in wanted]
        assert shown == expected, f"{expected} are shown as {shown}"
    return index


def unturned_number(kind: Kind, frame: np.ndarray) -> int | str:
    """Read the number of a frame that is shown as the kind says."""
    quarters, is_mirrored = kind.orientation
    painted = np.rot90(frame, -quarters)
    with contextlib.suppress(ValueError):
        return read_number(np.fliplr(painted) if is_mirrored else painted)
    return "illegible"


def check_reader_of_damaged(kind: Kind, zoo: Zoo, count: int) -> VideoIndex | None:
    """Each frame that our reader hands out is that of the whole file; damaged ones are errors."""
    try:
        index = index_video(zoo.path(kind))
    except VideoDecodeError as error:
        assert kind.damage in ("cut", "zeros"), f"the whole file is refused: {error}"
        return None
    whole = dict(zip(kind.whole.numbers, zoo.decoded(kind.whole).pictures, strict=True))
    numbers = numbers_of(kind, index)
    told, wrong = set(), set()
    for place in chosen_places(kind, numbers, count):
        number = numbers[place]
        try:
            (frame,) = read_frames(index, np.array([place]))
        except VideoDecodeError:
            told.add(number)
            continue
        if number in kind.damaged or not is_same_picture(frame, whole[number]):
            wrong.add(number)
    wrong -= kind.damaged if kind.cannot_tell else set()
    assert not wrong, f"handed out without a word: {sorted(wrong)} (told: {sorted(told)})"
    if kind.damage not in ("cut", "zeros"):
        lost = told - kind.damaged - late_numbers(kind)
        assert not lost, f"sound frames that are refused: {sorted(lost)}"
    return index


def numbers_of(kind: Kind, index: VideoIndex) -> list[int]:
    """Find the frames of a damaged file by their times; its first frame is never damaged."""
    expected = np.array(kind.whole.times)
    times = index.frame_times - index.frame_times[0]
    places = np.abs(times[:, None] - expected).argmin(axis=1)
    np.testing.assert_allclose(times, expected[places], atol=TIME_NOISE)
    return [kind.whole.numbers[place] for place in places]


def chosen_places(kind: Kind, numbers: list[int], count: int) -> list[int]:
    """Give some damaged and some sound frames, the first and last of each among them, shuffled.

    Where nobody knows which are damaged, all.
    """
    random = np.random.default_rng(list(kind.name.encode()))
    chosen: set[int] = set() if kind.damaged else set(range(len(numbers)))
    for is_damaged in (True, False):
        places = [n for n, number in enumerate(numbers) if (number in kind.damaged) == is_damaged]
        if places:
            some = random.choice(places, min(count, len(places)), replace=False)
            chosen |= {places[0], places[-1], *some.tolist()}
    return random.permutation(sorted(chosen)).tolist()
