import csv
import dataclasses
import errno
import os
import re

import numpy as np
import pytest
import torch

from collision.errors import CacheMismatchError, CollisionError, ConfigError
from collision.features import clips
from collision.features.clips import (
    ClipDataset,
    WindowRequest,
    max_distinct_frames,
    split_long,
)
from collision.features.digest import VideoDigests
from collision.features.fingerprint import fingerprint
from collision.features.progress import ExtractionProgress
from collision.features.ranks import rank_part
from collision.features.source import FeatureSource
from collision.features.store import FeatureStore
from collision.features.workers import WorkerPool
from collision.types import View
from collision.video.frames import read_frames
from collision.video.index import index_video
from tests.kit import video as kit
from tests.kit.backbone import TinyBackbone
from tests.kit.extraction import (
    END_TIMES,
    Options,
    open_source,
    open_store,
    requests_of,
    run,
    write_videos,
)
from tests.kit.torchcodec import install
from tests.kit.video import numbered_frames, write_video
from tests.kit.zoo import Kind


@pytest.fixture
def folder(tmp_path):
    write_videos(tmp_path, 3)
    return tmp_path


def read_all(folder, backbone, requests=None):
    """Read the features of every video: id -> (features, available)."""
    store, digests = open_store(folder, backbone), VideoDigests(folder / "none.json")
    return {
        request.video: store.read(digests.digest(request.path), request.end_times)
        for request in requests or requests_of(folder)
    }


def failure_rows(folder, backbone):
    file = open_store(folder, backbone).folder / "failures.csv"
    return list(csv.DictReader(file.open(newline=""))) if file.exists() else []


def test_features_are_those_of_the_backbone_on_the_visible_frames(folder):
    backbone = TinyBackbone()
    report = run(folder, backbone)
    index = index_video(folder / "1.mp4")
    features, available = read_all(folder, backbone)["1"]
    # Frames at 20 per second over 2.5 s; four frames at 10 per second reach back 0.3 s.
    assert END_TIMES[available].tolist() == [0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.25, 2.5]
    assert (features[~available] == 0).all()
    for end_time, found in zip(END_TIMES[available], features[available], strict=True):
        backs = np.array([0.3, 0.2, 0.1, 0.0])
        wanted = np.floor((end_time - backs) * 20 + 1e-6).astype(int).clip(max=49)
        frames = torch.from_numpy(read_frames(index, wanted, 32, 48))[None]
        torch.testing.assert_close(torch.from_numpy(found), backbone(frames)[0])
    assert report.num_windows == 27 and report.num_unavailable == 15
    assert not report.failures and report.signal is None


@pytest.mark.parametrize("reader", ["decord", "pyav", "torchcodec"])
def test_readers_give_features_alike(folder, monkeypatch, reader):
    """All but PyAV have a folder of their own; what they are not trusted with is told."""
    backbone = TinyBackbone()
    run(folder, backbone, num_workers=0)
    usual = read_all(folder, backbone)
    install(monkeypatch)
    kit.rotate(folder / "0.mp4", folder / "turned.mp4", 180)
    (folder / "turned.mp4").replace(folder / "0.mp4")
    kind = fingerprint(backbone, reader=reader)
    store = FeatureStore(folder / "again", kind)
    source = FeatureSource(store, VideoDigests(folder / "b.json"), None, _backbone=backbone)
    report = source.extract(requests_of(folder), Options(reader=reader), progress=False)
    assert report.num_windows == 27 and not report.failures
    assert (kind == fingerprint(backbone)) == (reader == "pyav")
    turned = ("read by PyAV: the picture is to be shown turned or mirrored",)
    assert report.notes == ({} if reader == "pyav" else {"0": turned})
    for request in requests_of(folder)[1:]:
        found, _ = store.read(source.digests.digest(request.path), request.end_times)
        off = np.abs(found - usual[request.video][0]).mean()
        assert off < (0.02 if reader == "torchcodec" else 0.002) * np.abs(found).mean()


def test_views_are_the_backbones_on_mirrored_and_on_stretched_frames(folder):
    backbone = TinyBackbone()
    views = [View(), View(flip=True), View(stride=2.0), View(flip=True, stride=2.0)]
    ends = np.array([0.5, 1.0, 2.0])
    requests = [WindowRequest("1", folder / "1.mp4", ends, view=view) for view in views]
    report = run(folder, backbone, requests)
    assert (report.num_windows, report.num_unavailable) == (4 * 3 - 2, 2)  # 0.6 s before 0.5 s
    store, index = open_store(folder, backbone), index_video(folder / "1.mp4")
    digest = VideoDigests(folder / "none.json").digest(folder / "1.mp4")
    for view in views:
        features, available = store.read(digest + view.suffix, ends)
        assert available.tolist() == [view.stride == 1, True, True]
        for end_time, found in zip(ends[available], features[available], strict=True):
            backs = np.array([0.3, 0.2, 0.1, 0.0]) * view.stride
            wanted = np.floor((end_time - backs) * 20 + 1e-6).astype(int)
            frames = read_frames(index, wanted, 32, 48)
            frames = np.ascontiguousarray(frames[:, :, ::-1] if view.flip else frames)
            torch.testing.assert_close(
                torch.from_numpy(found), backbone(torch.from_numpy(frames)[None])[0]
            )
    assert run(folder, backbone, requests).num_windows == 0


def in_views(requests):
    """Ask for every window as it is and mirrored, video by video."""
    return [
        dataclasses.replace(request, view=view)
        for request in requests
        for view in (View(), View(flip=True))
    ]


def test_a_mirrored_view_is_not_decoded_again(folder, monkeypatch):
    decoded, shown = [], []
    decode, advance = ClipDataset.decode, ExtractionProgress.advance

    def counted(dataset, request):
        decoded.append((request.video, request.view))
        return decode(dataset, request)

    def noted(display, video, units):
        advance(display, video, units)
        task = display._progress.tasks[0]
        shown.append((task.fields["videos"], task.fields["num_videos"], task.completed))

    monkeypatch.setattr(ClipDataset, "decode", counted)
    monkeypatch.setattr(ExtractionProgress, "advance", noted)
    backbone, both = TinyBackbone(), in_views(requests_of(folder))
    options = Options(num_workers=0)
    planned = open_source(folder, backbone).plan(both, options)
    once = open_source(folder, backbone).plan(requests_of(folder), options)
    assert (planned.num_videos, planned.num_windows) == (3, 2 * once.num_windows)
    assert planned.num_frames == once.num_frames
    decoded.clear()
    report = run(folder, backbone, both, num_workers=0)
    assert report.num_windows == 2 * 27
    assert sorted(decoded, key=str) == [(name, View()) for name in ("0", "1", "2")]
    assert shown[-1] == (3, 3, 2 * 3 * len(END_TIMES)) and shown[-6:] == sorted(shown[-6:])


@pytest.mark.parametrize("num_processes", [1, 2, 3])
def test_views_of_a_file_stay_in_one_process(folder, num_processes):
    both = in_views(requests_of(folder))
    shares = [rank_part(both, rank, num_processes) for rank in range(num_processes)]
    assert sorted(map(id, both)) == sorted(id(request) for share in shares for request in share)
    files = [{request.path for request in share} for share in shares]
    assert sum(map(len, files)) == 3 and max(map(len, files)) - min(map(len, files)) <= 1


def test_a_bad_video_fails_once_for_all_its_views(folder):
    (folder / "1.mp4").write_bytes((folder / "1.mp4").read_bytes()[:-2000])
    report = run(folder, TinyBackbone(), in_views(requests_of(folder)))
    assert [failure.video for failure in report.failures] == ["1"]
    assert [row["video"] for row in failure_rows(folder, TinyBackbone())] == ["1"]
    assert report.num_windows == 2 * 18


def test_done_twice_it_computes_nothing(folder, monkeypatch):
    backbone = TinyBackbone()
    run(folder, backbone)
    assert backbone.num_forwards == 7  # 27 windows in batches of 4
    monkeypatch.setattr("collision.features.pipeline.WorkerPool", None)
    report = run(folder, backbone)
    assert (report.num_windows, report.num_reused, backbone.num_forwards) == (0, 42, 7)


def test_only_missing_windows_are_computed(folder):
    backbone = TinyBackbone()
    run(folder, backbone, requests_of(folder, np.array([1.0, 2.0])))
    report = run(folder, backbone, requests_of(folder, np.array([1.0, 1.5, 2.0])))
    assert (report.num_windows, report.num_reused) == (3, 6)


def test_features_do_not_depend_on_how_they_are_computed(folder, monkeypatch):
    backbone = TinyBackbone()
    run(folder, backbone, batch_size=100)
    wanted = read_all(folder, backbone)
    for options in ({"batch_size": 1}, {"num_workers": 0}, {"num_workers": 3}, None):
        (folder / "cache").rename(folder / f"before {options}")
        if options is None:  # in pieces, as a long video
            monkeypatch.setattr(clips, "MAX_PIECE_BYTES", 32 * 48 * 3 * 12)
            assert len(list(split_long(requests_of(folder)[0], backbone.spec))) > 3
        assert run(folder, backbone, **options or {}).num_windows == 27
        for video, (features, available) in read_all(folder, backbone).items():
            np.testing.assert_allclose(features, wanted[video][0], atol=1e-6)
            assert (available == wanted[video][1]).all()


@pytest.mark.parametrize("num_frames", [2, 4])
def test_no_window_sees_what_comes_after_its_end(tmp_path, num_frames):
    lossless = {"encoder_options": {"qp": "0"}}
    frames = numbered_frames(60)
    write_video(tmp_path / "before.mp4", frames, **lossless)
    change = 1.5
    repainted = frames.copy()
    repainted[int(change * 20) + 1 :] = 255 - repainted[int(change * 20) + 1 :]
    write_video(tmp_path / "after.mp4", repainted, **lossless)
    backbone = TinyBackbone(num_frames=num_frames)
    ends = np.sort(np.concatenate([np.arange(0.5, 2.75, 0.25), [change + 0.049, change + 0.05]]))
    requests = requests_of(tmp_path, ends)
    run(tmp_path, backbone, requests)
    found = read_all(tmp_path, backbone, requests)
    moved = np.abs(found["before"][0] - found["after"][0]).max(axis=(1, 2))
    assert (moved[ends < change + 0.05] == 0).all()
    assert (moved[ends >= change + 0.05] > 0.01).all()


def test_a_bad_video_is_one_line_and_is_tried_again(folder):
    backbone = TinyBackbone()
    good = (folder / "1.mp4").read_bytes()
    (folder / "1.mp4").write_bytes(good[: len(good) // 2])
    requests = [*requests_of(folder), WindowRequest("gone", folder / "gone,x.mp4", END_TIMES)]
    report = run(folder, backbone, requests)
    assert sorted(failure.video for failure in report.failures) == ["1", "gone"]
    assert report.num_windows == 18
    rows = failure_rows(folder, backbone)
    assert sorted(row["video"] for row in rows) == ["1", "gone"]
    assert {row["path"] for row in rows} == {str(folder / "1.mp4"), str(folder / "gone,x.mp4")}
    assert all(row["reason"] for row in rows)

    (folder / "1.mp4").write_bytes(good)
    report = run(folder, backbone)
    assert report.num_windows == 9 and not report.failures
    assert [row["video"] for row in failure_rows(folder, backbone)] == ["gone"]


def test_copies_of_a_file_are_computed_once_and_fail_together(folder):
    backbone = TinyBackbone()
    (folder / "copy.mp4").write_bytes((folder / "1.mp4").read_bytes())
    assert run(folder, backbone).num_windows == 27
    assert read_all(folder, backbone)["copy"][1].sum() == 9
    (folder / "x.mp4").write_bytes(b"bad")
    (folder / "y.mp4").write_bytes(b"bad")
    report = run(folder, backbone)
    assert sorted(failure.video for failure in report.failures) == ["x", "y"]


class NotFinite(TinyBackbone):
    def forward(self, frames):
        features = super().forward(frames)
        return torch.where(features[:, :1, :1] > self.limit, torch.nan, features)


def test_features_that_are_not_finite_fail_their_video(folder):
    backbone = NotFinite()
    tiny = TinyBackbone()
    run(folder, tiny)
    largest = {video: f[:, 0, 0].max() for video, (f, _) in read_all(folder, tiny).items()}
    (folder / "cache").rename(folder / "other")
    worst, second = sorted(largest.values(), reverse=True)[:2]
    assert worst > second
    backbone.limit = (worst + second) / 2
    report = run(folder, backbone)
    assert [largest[failure.video] for failure in report.failures] == [worst]
    assert "finite" in report.failures[0].reason
    assert report.num_windows == 18


def test_features_of_another_shape_than_promised_stop_with_a_sentence(folder):
    backbone = TinyBackbone()
    backbone.spec = dataclasses.replace(backbone.spec, feature_dim=backbone.spec.feature_dim + 1)
    with pytest.raises(ConfigError, match=r"gives features of shape .* its spec promises"):
        run(folder, backbone)


def test_a_full_disk_stops_with_a_sentence(folder, monkeypatch):
    backbone = TinyBackbone()
    run(folder, backbone, requests_of(folder)[:1])

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(CollisionError, match="no space left"):
            run(folder, backbone)
    assert run(folder, backbone).num_reused == 14


def test_a_store_of_other_weights_is_refused(folder):
    class Part:
        def build(self):
            backbone = TinyBackbone()
            backbone.projection.weight[0, 0] += 1
            return backbone

    source = open_source(folder, TinyBackbone())
    source = dataclasses.replace(source, part=Part(), _backbone=None)
    with pytest.raises(CacheMismatchError, match="weights_digest"):
        source.extract(requests_of(folder), Options(), progress=False)


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 0},
        {"num_workers": -1},
        {"timeout": 0},
        {"precision": "16-mixed"},
        {"devices": 0},
        {"devices": -1},
        {"num_nodes": 0},
    ],
)
def test_options_that_cannot_work(folder, options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        run(folder, TinyBackbone(), **options)


@pytest.mark.parametrize("most", [0, 1, 2, 3])
def test_a_batch_too_large_for_the_memory_is_halved(folder, most):
    class Greedy(TinyBackbone):
        def forward(self, frames):
            if len(frames) > most:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().forward(frames)

    if not most:
        with pytest.raises(ConfigError, match="Not even one window"):
            run(folder, Greedy())
        return
    assert run(folder, Greedy()).num_windows == 27
    found = read_all(folder, TinyBackbone())
    (folder / "cache").rename(folder / "before")
    run(folder, TinyBackbone())
    for video, (features, _) in read_all(folder, TinyBackbone()).items():
        np.testing.assert_allclose(features, found[video][0], atol=1e-6)


def test_plan_counts_what_extract_does(folder):
    backbone = TinyBackbone(dtype="float16")
    source = open_source(folder, backbone)
    ends = np.array([0.5, 1.0, 1.5, 2.0])
    (folder / "empty.mp4").write_bytes(b"")
    requests = [*requests_of(folder, ends), WindowRequest("gone", folder / "gone.mp4", ends)]
    before = source.plan(requests, Options())
    assert (before.num_videos, before.num_windows, before.num_reused) == (4, 16, 0)
    assert before.num_frames == 4 * 16  # windows reach 0.3 s back and lie 0.5 s apart
    assert before.num_bytes == 16 * 2 * 5 * 2
    assert 0 < before.expected_seconds < 60
    assert re.fullmatch(
        r"[\d,.]+ windows a second: measured now on the last 12 missing windows of 3 videos, on .+",
        before.rate,
    )
    assert [failure.video for failure in before.failures] == ["gone"]
    assert not before.is_done and not source.store.folder.exists()
    run(folder, backbone, requests)
    after = source.plan(requests[:3], Options())
    assert (after.num_windows, after.num_reused, after.expected_seconds) == (0, 12, 0)
    assert after.is_done and after.rate == ""


def test_a_plan_measures_with_the_options_of_the_extraction(folder, monkeypatch):
    """What an extraction with other options took says nothing."""
    backbone = TinyBackbone()
    run(folder, backbone, num_workers=0, batch_size=3)
    source, more = open_source(folder, backbone), requests_of(folder, END_TIMES + 0.1)
    before = sorted(source.store.folder.iterdir())
    num_forwards = backbone.num_forwards
    known = source.plan(more, Options(num_workers=0, batch_size=3))
    assert "the last extraction into this cache with the same options" in known.rate
    assert backbone.num_forwards == num_forwards  # the speed is known
    seen = []

    class Noted(WorkerPool):
        def __init__(self, work, num_workers, timeout):
            seen.append(num_workers)
            super().__init__(work, 0, timeout)

    monkeypatch.setattr("collision.features.pipeline.WorkerPool", Noted)
    planned = source.plan(more, Options(num_workers=2, batch_size=3))
    assert planned.expected_seconds > 0 and seen == [1, 2]  # of one piece, of three
    assert sorted(source.store.folder.iterdir()) == before


def test_a_clip_holds_each_frame_once(folder):
    spec = dataclasses.replace(TinyBackbone().spec, num_frames=4, fps=20.0)
    request = WindowRequest("0", folder / "0.mp4", np.array([0.1, 1.0, 1.05, 9.0]))
    clip = ClipDataset([request], spec)[0]
    assert clip.windows.tolist() == [[0, 1, 2, 3], [1, 2, 3, 4]]
    assert clip.frames.shape == (5, 32, 48, 3) and clip.frames.dtype == np.uint8
    assert clip.end_times.tolist() == [1.0, 1.05] and clip.unavailable.tolist() == [0.1, 9.0]


def test_a_window_cut_short_by_the_beginning_has_its_newest_frames(folder):
    """As many as there are, down to ``min_frames``; whole windows are as without the option."""
    backbone = TinyBackbone(num_frames=6, min_frames=3)
    ends = np.array([0.0, 0.1, 0.2, 0.3, 0.45, 0.5, 1.0, 9.0])
    requests = [WindowRequest("1", folder / "1.mp4", ends)]
    report = run(folder, backbone, requests)
    assert (report.num_windows, report.num_unavailable) == (5, 3)
    store, index = open_store(folder, backbone), index_video(folder / "1.mp4")
    digest = VideoDigests(folder / "none.json").digest(folder / "1.mp4")
    features, available = store.read(digest, ends)
    assert available.tolist() == [False, False, True, True, True, True, True, False]
    assert store.num_steps(digest, ends).tolist() == [0, 0, 1, 2, 2, 3, 3, 0]
    for end_time, count, found in zip(ends[2:7], [2, 4, 4, 6, 6], features[2:7], strict=True):
        backs = np.arange(count - 1, -1, -1) / 10
        wanted = np.floor((end_time - backs) * 20 + 1e-6).astype(int)
        frames = torch.from_numpy(read_frames(index, wanted, 32, 48))[None]
        expected = backbone(frames)[0]
        torch.testing.assert_close(torch.from_numpy(found[-len(expected) :]), expected)
        assert (found[: -len(expected)] == 0).all()
    whole = TinyBackbone(num_frames=6)
    run(folder, whole, requests)
    old, there = open_store(folder, whole).read(digest, ends)
    assert there.tolist() == [False] * 5 + [True] * 2 + [False]
    np.testing.assert_array_equal(old[there], features[5:7])


def test_windows_of_few_frames_see_no_others(folder):
    """A view of the newest frames alone is not a whole window with steps taken away."""
    backbone = TinyBackbone(num_frames=6, min_frames=2)
    ends = np.array([0.1, 0.3, 1.0])
    request = WindowRequest("1", folder / "1.mp4", ends, view=View(frames=4))
    assert run(folder, backbone, [request]).num_windows == 3
    store = open_store(folder, backbone)
    digest = VideoDigests(folder / "none.json").digest(folder / "1.mp4")
    key = digest + request.view.suffix
    assert key != digest and store.num_steps(key, ends).tolist() == [1, 2, 2]
    assert max_distinct_frames(request, backbone.spec) == 10  # two are the same


def test_nothing_after_the_cut_shortens_a_window(tmp_path):
    """A window that ends in a hole is none; one that ends after it begins after it."""
    clip = Kind("h264", "mp4", clock="hole").write(tmp_path)  # nothing is shown from 1 to 3 s
    spec = TinyBackbone(num_frames=6, min_frames=3).spec
    ends = np.array([0.8, 2.0, 3.1, 3.3, 3.6, index_video(clip).duration + 1])
    found = ClipDataset([WindowRequest("a", clip, ends)], spec)[0]
    assert found.unavailable.tolist() == [2.0, 3.1, ends[-1]]
    assert (found.windows >= 0).sum(axis=1).tolist() == [6, 4, 6]
    assert (np.diff((found.windows >= 0).astype(int), axis=1) >= 0).all()


def test_a_backbone_that_gives_no_step_for_fewer_frames_is_told(folder):
    backbone = TinyBackbone(num_frames=6, min_frames=1)  # one frame makes no step of two
    with pytest.raises(ConfigError, match=r"gives features of shape \(4, 0, 5\)"):
        run(folder, backbone, [WindowRequest("1", folder / "1.mp4", np.array([0.0]))])
