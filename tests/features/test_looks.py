"""One look at each file: kept by content, the same as a new one, and never trusted if damaged."""

import errno
import shutil
from dataclasses import replace

import numpy as np
import pytest

from collision.errors import VideoDecodeError
from collision.features import looks as module
from collision.features.digest import VideoDigests
from collision.features.looks import VideoLooks
from collision.video import index as reader
from collision.video.frames import read_frames
from collision.video.index import index_video
from tests.kit.backbone import TinyBackbone
from tests.kit.extraction import open_source, requests_of, run, write_videos
from tests.kit.video import read_numbers
from tests.kit.zoo import Kind

KINDS = [
    Kind("h264", "mp4"),
    Kind("h264", "mp4", "refresh"),
    Kind("h264", "mp4", "open", clock="edit"),
    Kind("h264", "ts", clock="late"),
    Kind("hevc", "mkv", "open"),
    Kind("h264", "mp4", clock="hole"),
    Kind("mpeg2video", "mpg"),
    Kind("h264", "mp4", extra="rear"),
]


@pytest.fixture
def looks(tmp_path):
    return VideoLooks(VideoDigests(tmp_path / "cache" / "videos.json"))


def once_more(looks):
    """Another process, later."""
    return VideoLooks(VideoDigests(looks.digests.index_file))


def same(one, two):
    """Whether two indices say the same of their frames."""
    left, right = vars(one) | vars(one.coded), vars(two) | vars(two.coded)
    return all(
        np.array_equal(left[name], right[name]) if isinstance(left[name], np.ndarray)
        else left[name] == right[name]
        for name in left.keys() - {"coded", "number_of", "number_at"}
    )  # fmt: skip


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_what_is_kept_is_what_a_new_look_finds(kind, looks, tmp_path, monkeypatch):
    path = kind.write(tmp_path)
    assert same(looks.index(path), index_video(path))
    monkeypatch.setattr(module, "index_video", lambda *_, **__: pytest.fail("looked again"))
    found = once_more(looks).index(path)
    assert same(found, index_video(path))
    chosen = np.array([30, 3, 25])
    assert read_numbers(read_frames(found, chosen)) == [kind.numbers[n] for n in chosen]


def test_a_copy_and_another_clock_need_no_second_look(looks, tmp_path, monkeypatch):
    path = Kind("h264", "mp4").write(tmp_path)
    looks.index(path)
    copy = shutil.copy(path, tmp_path / "copy.mp4")
    monkeypatch.setattr(module, "index_video", lambda *_, **__: pytest.fail("looked again"))
    assert looks.index(copy).path == copy
    assert looks.index(path, frame_rate=5.0).frame_times[:3].tolist() == [0, 0.2, 0.4]


def test_streams_have_looks_of_their_own(looks, tmp_path):
    path = Kind("h264", "mp4", extra="rear").write(tmp_path)
    front, rear = looks.index(path, video_stream=0), looks.index(path, video_stream=1)
    assert (front.width, front.height) != (rear.width, rear.height)
    assert "of its 2 video streams, number 1 is read" in " ".join(rear.notes)
    again = once_more(looks).index(path, video_stream=1)
    assert np.array_equal(read_frames(again, [7]), read_frames(rear, [7]))
    with pytest.raises(VideoDecodeError, match="it has 2 video streams, counted from 0"):
        looks.index(path, video_stream=2)


def test_a_look_of_an_earlier_version_is_used(looks, tmp_path, monkeypatch):
    path = Kind("h264", "mp4").write(tmp_path)
    right = looks.index(path)
    (file,) = looks.folder.glob("*/*.safetensors")
    file.rename(looks.folder / file.name)
    monkeypatch.setattr(module, "index_video", lambda *_, **__: pytest.fail("looked again"))
    assert same(once_more(looks).index(path), right)


@pytest.mark.parametrize("damage", ["cut", "bit", "empty", "text"])
def test_a_damaged_look_is_made_anew(damage, looks, tmp_path):
    path = Kind("h264", "mp4").write(tmp_path)
    right = looks.index(path)
    (file,) = looks.folder.glob("*/*.safetensors")
    data = bytearray(file.read_bytes())
    data[-9] ^= damage == "bit"
    file.write_bytes({"cut": data[:-20], "bit": data, "empty": b"", "text": b"{}"}[damage])
    assert same(once_more(looks).index(path), right)
    assert len(file.read_bytes()) == len(data)


@pytest.mark.parametrize(
    "changed", [{"ranks": np.zeros(3, np.int64)}, {"frame_times": np.zeros(2)}, {"clock": None}]
)
def test_arrays_that_do_not_fit_are_no_look(changed, looks, tmp_path):
    path = Kind("h264", "mp4").write(tmp_path)
    looks.index(path)
    (file,) = looks.folder.glob("*/*.safetensors")
    arrays, metadata = module.unpack(file)
    arrays = {name: value for name, value in (arrays | changed).items() if value is not None}
    file.write_bytes(module.pack(arrays, {"look": metadata["look"]}))
    assert len(once_more(looks).index(path).frame_times) == 60


def test_a_cache_that_may_only_be_read_is_looked_at_in_memory(looks, tmp_path, monkeypatch):
    def refuse(path, content):
        raise OSError(errno.EROFS, "Read-only file system")

    path = Kind("h264", "mp4").write(tmp_path)
    monkeypatch.setattr(module, "write_whole", refuse)
    first = looks.index(path)
    monkeypatch.setattr(module, "index_video", lambda *_, **__: pytest.fail("looked again"))
    assert same(looks.index(path), first)


def test_extraction_looks_at_no_file_twice(tmp_path, monkeypatch):
    write_videos(tmp_path, 2)
    run(tmp_path, TinyBackbone())
    monkeypatch.setattr(module, "index_video", lambda *_, **__: pytest.fail("looked again"))
    later = requests_of(tmp_path, np.array([0.6, 1.3]))
    assert run(tmp_path, TinyBackbone(), later, num_workers=0).num_windows == 4


@pytest.fixture
def stored_by_1(tmp_path):
    """A source whose features an older reader made: of an ordinary and of a late video."""
    Kind("h264", "mkv").write(tmp_path).rename(tmp_path / "0.mp4")
    late = Kind("h264", "ts", clock="late").write(tmp_path)
    late.rename(tmp_path / "late.mp4")
    source = open_source(tmp_path, TinyBackbone())
    requests = requests_of(tmp_path)
    run(tmp_path, TinyBackbone(), requests)
    for file in source.store.folder.glob("*/*.safetensors"):
        arrays, metadata = module.unpack(file)
        arrays["features"][:] = 7
        del metadata["reader"], metadata["checksum"]  # files of version 1 had none
        file.write_bytes(module.pack(arrays, metadata))
    return source, requests


def test_features_of_other_frames_are_computed_anew(stored_by_1, tmp_path):
    source, requests = stored_by_1
    ordinary, late = (len(np.unique(request.end_times)) for request in requests)
    assert source.look(requests) == (late, [])
    report = run(tmp_path, TinyBackbone(), requests)
    assert report.num_outdated == 1 and report.num_reused == ordinary
    keys = [module_key(source, request) for request in requests]
    values = [
        source.store.read(key, request.end_times)[0]
        for key, request in zip(keys, requests, strict=True)
    ]
    assert (values[0] == 7).any() and not (values[1] == 7).any()
    assert run(tmp_path, TinyBackbone(), requests).num_outdated == 0


def module_key(source, request):
    return source.digests.digest(request.path)


def test_windows_that_are_added_leave_none_of_an_older_reader(stored_by_1, tmp_path):
    source, requests = stored_by_1
    few = [replace(request, end_times=np.array([0.55])) for request in requests]
    assert run(tmp_path, TinyBackbone(), few).num_windows == 2
    ordinary, late = (module_key(source, request) for request in requests)
    assert source.store.reader(ordinary) == source.store.reader(late) == reader.VERSION
    assert len(source.store.missing(ordinary, requests[0].end_times)) == 0
    assert len(source.store.missing(late, requests[1].end_times)) == len(requests[1].end_times)


REVISIONS = {
    Kind("h264", "mp4"): 3,
    Kind("h264", "mkv"): 1,
    Kind("h264", "mkv", damage="missing"): 2,
    Kind("hevc", "mkv", "open"): 1,
    Kind("mpeg4", "avi"): 2,
    Kind("mpeg4", "avi", "plain"): 1,
    Kind("h264", "mp4", "refresh"): 2,
    Kind("h264", "ts", clock="late"): 2,
    Kind("h264", "ts", clock="spliced"): 2,
    Kind("h264", "mkv", clock="hole"): 2,
    Kind("h264", "mp4", turn="m"): 2,
    Kind("h264", "mp4", turn="1"): 1,
    Kind("h264", "mp4", extra="rear"): 2,
}


@pytest.mark.parametrize("kind", REVISIONS, ids=lambda kind: kind.name)
def test_which_files_were_read_otherwise(kind, tmp_path):
    assert index_video(kind.write(tmp_path)).revision == REVISIONS[kind]
