"""A backbone's cache, used with and without the backbone."""

import builtins
import errno
import io
import json
import os
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from collision.backbones.optical_flow import OpticalFlow
from collision.config import Part, part
from collision.errors import CacheMismatchError, CollisionError, ConfigError, VideoDecodeError
from collision.features import source as source_module
from collision.features.digest import VideoDigests
from collision.features.fingerprint import fingerprint
from collision.features.source import FeatureSource, _as_saved
from collision.sampling.index import Selection, index_records
from collision.sampling.policy import SamplingPolicy
from collision.types import VideoRecord
from tests.kit.backbone import TinyBackbone
from tests.kit.extraction import END_TIMES, Options, requests_of, write_videos
from tests.kit.torchcodec import install


@dataclass
class TinyPart:
    """As ``collision.config.Part``, of the tiny backbone; counts how often it is built."""

    options: dict[str, Any] = field(default_factory=dict)
    target: str = "tests.kit.backbone.TinyBackbone"
    may_build: bool = True
    num_built: int = 0
    bias: float = 0.0

    def build(self):
        assert self.may_build, "the backbone was built"
        self.num_built += 1
        options = {name: value for name, value in self.options.items() if name != "weights"}
        backbone = TinyBackbone(**options)
        backbone.projection.bias += self.bias
        return backbone

    def imported(self):
        return TinyBackbone

    def changed(self, changes):
        return replace(self, options={**self.options, **changes})

    def as_saved(self):
        return {"target": self.target, "options": self.options}


def record(name, path, label, **times):
    return VideoRecord(name, path, label, "val", name, **times)


def source_of(folder, part, precision="32-true"):
    return FeatureSource.of_part(part, folder / "cache", precision)


def fill(folder, part):
    source = source_of(folder, part)
    source.extract(requests_of(folder), Options(num_workers=0), progress=False)
    return source


@pytest.fixture
def folder(tmp_path):
    write_videos(tmp_path, 2)
    return tmp_path


@pytest.fixture
def read_only(monkeypatch):
    """Take a folder's write permission away, from root too."""

    def apply(folder):
        def refuse(path):
            if Path(path).is_relative_to(folder):
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

        def guarded(function, writes):
            def call(path, *arguments, **options):
                if not isinstance(path, int) and writes(*arguments, **options):
                    refuse(os.fsdecode(path))
                return function(path, *arguments, **options)

            return call

        def mode_writes(mode="r", *_, **__):
            return not set(mode).isdisjoint("wax+")

        for module in (io, builtins):
            monkeypatch.setattr(module, "open", guarded(open, mode_writes))
        monkeypatch.setattr(os, "open", guarded(os.open, lambda flags, *_: flags & os.O_RDWR))
        monkeypatch.setattr(os, "mkdir", guarded(os.mkdir, lambda *_: True))

    return apply


def test_a_missing_file_of_which_nothing_is_wanted_stops_nothing(tmp_path):
    (tmp_path / "calm.mp4").write_bytes(b"calm")
    records = [record(f"p{i}", tmp_path / f"{i}.mp4", 1, event_time=5.0) for i in range(2)]
    records.append(record("calm", tmp_path / "calm.mp4", 0, mock_event_time=5.0))
    index = index_records("few", records, SamplingPolicy(), Selection(["val"]))
    assert len({example.video for example in index.examples["val"]}) == 2
    source = FeatureSource(None, VideoDigests(tmp_path / "videos.json"), None)
    assert list(source.digest_of(index, [])) == ["calm"]


def test_a_full_cache_needs_no_backbone(folder, monkeypatch):
    fill(folder, TinyPart())
    monkeypatch.setattr(source_module, "fingerprint", None)  # no weights are hashed
    source = source_of(folder, TinyPart(may_build=False))
    assert source.spec == TinyBackbone().spec
    assert source.look(requests_of(folder)) == (0, [])
    report = source.extract(requests_of(folder), Options(), progress=False)
    assert (report.num_windows, report.num_reused) == (0, 28)
    planned = source.plan(requests_of(folder), Options())
    assert planned.is_done and planned.num_reused == 28
    digest = source.digests.digest(folder / "0.mp4")
    assert source.store.read(digest, END_TIMES)[1].sum() == 9


def test_a_predictor_finds_its_features_by_their_fingerprint(folder):
    made = fill(folder, TinyPart())
    part = TinyPart(may_build=False)
    source = FeatureSource.of_fingerprint(made.fingerprint, part, folder / "cache")
    assert source.extract(requests_of(folder), Options(), progress=False).num_reused == 28
    other = FeatureSource.of_fingerprint(
        made.fingerprint, TinyPart(bias=1e-3), folder / "elsewhere"
    )
    with pytest.raises(CacheMismatchError, match=r"features of the predictor.*\n.*weights_digest"):
        other.extract(requests_of(folder), Options(), progress=False)
    with pytest.raises(CollisionError, match=r"extraction\.precision=bf16-mixed"):
        source.extract(requests_of(folder), Options(precision="bf16-mixed"), progress=False)


def test_a_reader_with_pixels_of_its_own_has_its_own_features(folder, monkeypatch):
    install(monkeypatch)
    cache, requests = folder / "cache", requests_of(folder)
    usual = fill(folder, TinyPart())
    assert FeatureSource.of_part(TinyPart(may_build=False), cache, "32-true", "pyav").store.folder
    other = FeatureSource.of_part(TinyPart(), cache, "32-true", "torchcodec")
    assert other.fingerprint.difference(usual.fingerprint) == [
        "reader: torchcodec here, (nothing) there"
    ]
    options = Options(num_workers=0, reader="torchcodec")
    assert other.extract(requests, options, progress=False).num_windows == 18
    found = FeatureSource.of_part(TinyPart(may_build=False), cache, "32-true", "torchcodec")
    assert found.store.folder == other.store.folder
    for source, reader, made in ((usual, "torchcodec", "pyav"), (found, "pyav", "torchcodec")):
        words = rf"extraction\.reader={reader}, but these features are made with reader={made}"
        with pytest.raises(ConfigError, match=words):
            source.extract(requests, Options(reader=reader), progress=False)
    # A predictor's fingerprint says who reads; without it nothing is decoded by another.
    predictor = FeatureSource.of_fingerprint(other.fingerprint, TinyPart(), folder / "elsewhere")
    monkeypatch.setitem(sys.modules, "torchcodec", None)
    assert found.extract(requests, Options(), progress=False).num_reused == 28
    for begin in (
        lambda: predictor.extract(requests, Options(), progress=False),
        lambda: FeatureSource.of_part(TinyPart(may_build=False), cache, "32-true", "torchcodec"),
    ):
        with pytest.raises(ConfigError, match="reader=torchcodec does not load here"):
            begin()


def test_missing_windows_build_the_backbone_once(folder):
    fill(folder, TinyPart())
    part = TinyPart()
    source = source_of(folder, part)
    assert part.num_built == 0
    for ends in (END_TIMES, END_TIMES + 0.1, END_TIMES + 0.2):
        source.extract(requests_of(folder, ends), Options(), progress=False)
    assert part.num_built == 1


@pytest.mark.parametrize("changes", [{"num_frames": 2}, {"fps": 5.0}, {"dtype": "float16"}])
def test_other_options_lead_to_another_folder(folder, changes):
    made = fill(folder, TinyPart())
    part = TinyPart(changes)
    source = source_of(folder, part)
    assert part.num_built == 1 and source.store.folder != made.store.folder
    assert source.look(requests_of(folder))[0] > 0
    precise = source_of(folder, TinyPart(), "bf16-mixed")
    assert precise.store.folder != made.store.folder


def test_a_changed_file_of_weights_is_noticed(folder):
    weights = folder / "weights.pth"
    weights.write_bytes(b"first")
    options = {"weights": str(weights)}
    first = fill(folder, TinyPart(options))
    assert source_of(folder, TinyPart(options, may_build=False)).store.folder == first.store.folder
    os.utime(weights, ns=(0, 0))  # copied: built to be sure, and known from then on
    part = TinyPart(options)
    assert source_of(folder, part).store.folder == first.store.folder and part.num_built == 1
    source_of(folder, TinyPart(options, may_build=False))
    weights.write_bytes(b"other")
    part = TinyPart(options, bias=1.0)
    assert source_of(folder, part).store.folder != first.store.folder and part.num_built == 1
    weights.unlink()  # a cache goes to a machine without the weights
    assert source_of(folder, TinyPart(options, may_build=False)).look(requests_of(folder))[0] == 0


@pytest.mark.parametrize("changed", ["_source_hash", "installed_version"])
def test_changed_code_or_libraries_are_noticed(folder, monkeypatch, changed):
    fill(folder, TinyPart())
    part = TinyPart()
    monkeypatch.setattr(f"collision.features.manifest.{changed}", lambda name: "2")
    assert source_of(folder, part).look(requests_of(folder)) == (0, [])
    assert part.num_built == 1


def test_a_backbone_that_no_longer_fits_its_folder_gets_another(folder):
    """Its options are the same, and nothing that is looked at tells the change."""
    made = fill(folder, TinyPart())
    requests = requests_of(folder, END_TIMES + 0.1)
    changed = TinyPart(bias=1.0)
    with pytest.raises(CacheMismatchError, match=r"weights_digest(.*\n)*.*uses another folder"):
        source_of(folder, changed).extract(requests, Options(), progress=False)
    again = source_of(folder, changed)
    assert again.store.folder != made.store.folder
    assert again.extract(requests, Options(), progress=False).num_windows > 0


def test_folders_of_others_are_passed_over(folder):
    made = fill(folder, TinyPart())
    for name, content in {"a": "{", "b": "[]", "c": '{"version": 9}', "d": '{"name": 1}'}.items():
        (folder / "cache" / name).mkdir()
        (folder / "cache" / name / "manifest.json").write_text(content)
    found = source_of(folder, TinyPart(may_build=False))
    assert found.store.folder == made.store.folder


def test_a_cache_of_the_first_version_is_used_and_learns_what_made_it(folder):
    made = fill(folder, TinyPart())
    manifest = made.store.folder / "manifest.json"
    manifest.write_text(json.dumps(dict(made.fingerprint.fields)))
    part = TinyPart()
    assert source_of(folder, part).look(requests_of(folder)) == (0, []) and part.num_built == 1
    source_of(folder, TinyPart(may_build=False))


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_complete_cache_may_be_read_only(folder, read_only):
    (folder / "bad.mp4").write_bytes(b"bad")
    made = fill(folder, TinyPart())
    (made.store.folder / "manifest.json").write_text(json.dumps(dict(made.fingerprint.fields)))
    before = contents(folder / "cache")
    read_only(folder / "cache")
    source = source_of(folder, TinyPart())
    report = source.extract(requests_of(folder)[:2], Options(), progress=False)
    assert report.num_reused == 28 and not report.failures
    assert [failure.video for failure in source.look(requests_of(folder))[1]] == ["bad"]
    (folder / "new.mp4").write_bytes(b"new")
    assert source.digests.digest(folder / "new.mp4")
    source.digests.save()  # remembered, not written
    with pytest.raises(CollisionError, match=r"Read-only.*cache_root=FOLDER"):
        source.extract(requests_of(folder, END_TIMES + 0.1), Options(), progress=False)
    assert contents(folder / "cache") == before


def test_a_mended_file_has_not_failed(folder):
    good = (folder / "1.mp4").read_bytes()
    (folder / "1.mp4").write_bytes(good[:-2000])
    source = fill(folder, TinyPart())
    failed = [failure.video for failure in source.look(requests_of(folder))[1]]
    assert failed == ["1"] and source.look(requests_of(folder))[0] == 0
    list_of_old = source.store.folder / "failures.csv"
    list_of_old.write_text(f"video,path,reason\n1,{folder / '1.mp4'},odd\n")
    assert [f.reason for f in source.look(requests_of(folder))[1]] == ["odd"]
    fill(folder, TinyPart())
    (folder / "1.mp4").write_bytes(good)
    assert source.look(requests_of(folder)) == (len(END_TIMES), [])
    (folder / "1.mp4").unlink()
    with pytest.raises(VideoDecodeError):
        source.digests.digest(folder / "1.mp4")
    assert [f.video for f in source.look([*requests_of(folder)])[1]] == []


def test_a_part_saved_before_min_frames_gives_the_windows_of_then(tmp_path):
    """The option's default is another since: a predictor's features tell which it was."""
    small = {"height": 32, "width": 48, "rows": 2, "columns": 2, "num_frames": 8}
    then = fingerprint(OpticalFlow(**small, min_frames=None))
    saved = Part("backbone", "optical_flow", "collision.backbones.optical_flow.OpticalFlow", small)
    assert saved.build().spec.min_frames == 4
    source = FeatureSource.of_fingerprint(then, saved, tmp_path)
    assert source.backbone().spec.min_frames is None
    frames = part("backbone", "efficientnet_lite0")  # of which no window can be cut short
    assert "min_frames" not in _as_saved(frames, source.spec).options
