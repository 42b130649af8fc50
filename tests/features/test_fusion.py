"""Several backbones behind one name: which they are, their fingerprint, their caches."""

import json
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import collision
from collision.commands._compose import options_for
from collision.config import FUSION, Part, part, use_config_dirs
from collision.errors import CacheMismatchError, CheckpointError, ConfigError
from collision.features.extract import ExtractionReport
from collision.features.fingerprint import Fingerprint, check_same, fingerprint
from collision.features.fusion import Fusion, backbones_of, distinct_backbones
from collision.features.sources import (
    FusedSource,
    in_turn,
    source_of_fingerprint,
    source_of_part,
)
from collision.learning.alignment import load_features
from collision.options import as_config
from collision.sampling.index import DataIndex
from collision.sampling.policy import SamplingPolicy
from collision.types import Example, Failure, VideoRecord
from collision.untrusted import saved_part
from tests.kit.backbone import TinyBackbone
from tests.kit.experiments import compose
from tests.kit.extraction import Options, open_source, write_videos

NAMES = ["efficientnet_lite0", "optical_flow"]
SMALL = {
    "efficientnet_lite0": {"height": 32, "width": 48},
    "optical_flow": {"height": 32, "width": 48, "rows": 2, "columns": 2, "num_frames": 4},
}
CHOSEN = ("backbone=fusion", f"backbone.parts=[{','.join(NAMES)}]")


def small(**changes):
    options = {name: own | changes.get(name, {}) for name, own in SMALL.items()}
    return part("backbone", "fusion", parts=NAMES, options=options)


def test_the_class_is_the_one_that_is_known_by_name():
    assert f"{Fusion.__module__}.{Fusion.__qualname__}" == FUSION
    assert part("backbone", "fusion", parts=NAMES).target == FUSION


def test_options_belong_to_a_part_by_its_name():
    options = compose("train", *CHOSEN, "backbone.options.optical_flow.fps=5", "fusion=late")
    both = backbones_of(options.backbone)
    assert [one.name for one in both] == NAMES and both[1].options["fps"] == 5
    assert both[0] == part("backbone", "efficientnet_lite0")
    assert options.fusion.name == "late"
    assert (options.parts["backbone"], options.parts["fusion"]) == ("fusion", "late")
    plain = part("backbone", "optical_flow")
    assert backbones_of(plain) == (plain,)


def test_extraction_takes_each_backbone_once():
    options = compose("extract", *CHOSEN, "backbones=[fusion,optical_flow]")
    assert [one.name for one in distinct_backbones(options.backbones)] == NAMES


def test_a_single_backbone_has_no_fusion():
    options = compose("train")
    assert options.fusion is None and "fusion" not in options.parts
    assert compose("train", "fusion=concat").fusion is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("fusion=late",), r"fusion=late with backbone=efficientnet_lite0: there is nothing"),
        (("backbone=fusion",), r"backbone.parts must be given: backbone.parts=\[eff"),
        (("backbone=fusion", "backbone.parts=[optical_flow]"), "two backbones or more"),
        (("backbone=fusion", "backbone.parts=[]"), "two backbones or more"),
        (("backbone=fusion", "backbone.parts=vjepa2"), r"give a list, such as \[a,b\]"),
        (("backbone=fusion", "backbone.parts=[vjepa2,vjepa2]"), "vjepa2 is there twice"),
        (("backbone=fusion", "backbone.parts=[vjepa2,fusion]"), "fusion is itself several"),
        (("backbone=fusion", "backbone.parts=[vjepa2,flow]"), "No backbone is called 'flow'"),
        ((*CHOSEN, "backbone.options.vjepa2.size=h"), r"options.vjepa2: it is not in backbone.pa"),
        ((*CHOSEN, "backbone.options.optical_flow.fsp=5"), r"mean backbone.options.optical_flow.f"),
        ((*CHOSEN, "fusion=lat"), "No fusion is called 'lat'"),
        ((*CHOSEN, "fusion=gated", "fusion.dimm=3"), r"Did you mean fusion.dim\?"),
    ],
)
def test_what_can_not_be_fused_gets_a_sentence(given, message):
    with pytest.raises(ConfigError, match=message) as error:
        options_for("train", given)
    assert "\n" not in str(error.value)


def test_what_is_saved_names_the_parts_with_all_their_options():
    chosen = small()
    saved = json.loads(json.dumps(chosen.as_saved()))
    assert saved["name"] == "fusion"
    assert [one["name"] for one in saved["options"]["parts"]] == NAMES
    again = saved_part(saved, "backbone", "x")
    assert again == chosen and backbones_of(again) == backbones_of(chosen)
    changed = again.changed({"options.optical_flow.fps": 5})  # as a resumed run does
    assert [one.options.get("fps") for one in backbones_of(changed)] == [None, 5]
    # An option that its YAML has today, and had not then, stays out.
    del saved["options"]["parts"][1]["options"]["min_frames"]
    assert "min_frames" not in backbones_of(saved_part(saved, "backbone", "x"))[1].options


@pytest.mark.parametrize(
    "nested",
    [
        {"target": "os.system", "options": {"command": "true"}},
        {"target": "collision.untrusted.Path", "options": {}},
        {"_target_": "their_package.Net"},
        {"name": "gone", "options": {}},
        {"name": "optical_flow", "options": {"_target_": "os.system"}},
        "optical_flow",
        None,
    ],
)
def test_what_a_file_names_inside_a_fusion_is_checked_like_a_part(nested):
    saved = {"name": "fusion", "options": {"parts": [{"name": "vjepa2", "options": {}}, nested]}}
    with pytest.raises(CheckpointError):
        saved_part(saved, "backbone", "x")


def test_backbones_of_the_users_own(tmp_path, monkeypatch):
    """Several YAML files over one class, and a class of another package."""
    folder = tmp_path / "own" / "backbone"
    folder.mkdir(parents=True)
    for name, model in (("small", "resnet18"), ("large", "resnet34")):
        text = f"_target_: collision.backbones.timm_image.TimmImage\nmodel: {model}\n"
        (folder / f"{name}.yaml").write_text(text)
    (folder / "net.yaml").write_text("_target_: fused_test_package.Net\nsize: 3\n")
    (tmp_path / "fused_test_package.py").write_text("class Net:\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    use_config_dirs([tmp_path / "own"])
    try:
        chosen = part("backbone", "fusion", parts=["small", "large", "net"])
    finally:
        use_config_dirs([])
    both = backbones_of(chosen)
    assert [one.options.get("model") for one in both] == ["resnet18", "resnet34", None]
    assert both[2] == Part("backbone", "", "fused_test_package.Net", {"size": 3})
    with pytest.raises(CheckpointError, match=r"trust=\[fused_test_package\]"):
        saved_part(chosen.as_saved(), "backbone", "x")
    assert backbones_of(saved_part(chosen.as_saved(), "backbone", "x", ("fused_test_package",)))


def of_tiny(**options):
    return fingerprint(TinyBackbone(**options))


def test_the_fingerprint_is_of_all_in_their_order():
    one, other = of_tiny(), of_tiny(num_frames=6)
    both = Fingerprint.of_parts([one, other])
    assert both.parts == (one, other) and one.parts == (one,)
    assert len({both.key, Fingerprint.of_parts([other, one]).key, one.key, other.key}) == 4
    assert Fingerprint(json.loads(json.dumps(dict(both.fields)))).key == both.key
    assert both.spec.feature_dim == 10 and both.spec.name == "test/tiny + test/tiny"
    assert both.precision == "32-true" and both.reader == "pyav"


@pytest.mark.parametrize("place", [0, 1])
def test_a_difference_in_either_is_spelled_out(place):
    parts = [of_tiny(), of_tiny(num_frames=6)]
    wanted = Fingerprint.of_parts(parts)
    parts[place] = Fingerprint({**parts[place].fields, "height": 64, "name": "test/mine"})
    with pytest.raises(CacheMismatchError) as error:
        check_same(wanted, Fingerprint.of_parts(parts), "'a run'")
    assert "  test/tiny, height: 32 here, 64 there\n" in str(error.value)
    with pytest.raises(CacheMismatchError, match=r"backbones: test/tiny \+ test/tiny here, test/m"):
        check_same(wanted, parts[place], "'a run'")


@pytest.mark.parametrize(
    "fields", [{"parts": [{}, {}]}, {"parts": [3, 4]}, {"parts": []}, {"parts": "ab"}, {}]
)
def test_a_damaged_fingerprint_is_told(fields):
    with pytest.raises(CacheMismatchError):
        assert Fingerprint(fields).spec


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    return cache, source_of_part(small(), cache, "32-true")


def test_each_keeps_its_own_store_and_one_memory_of_files(made):
    cache, source = made
    alone = [source_of_part(one, cache, "32-true") for one in backbones_of(small())]
    assert [part.store.folder for part in source.parts] == [one.store.folder for one in alone]
    assert source.parts[0].digests is source.parts[1].digests is source.digests
    assert source.spec.feature_dim == sum(one.spec.feature_dim for one in alone)


@pytest.mark.parametrize("place", [0, 1])
def test_a_predictor_refuses_either_with_the_difference(made, place):
    cache, source = made
    parts = list(source.fingerprint.parts)
    parts[place] = Fingerprint({**parts[place].fields, "weights_digest": "other"})
    found = source_of_fingerprint(Fingerprint.of_parts(parts), small(), cache)
    name = parts[place].spec.name
    with pytest.raises(CacheMismatchError) as error:
        found.parts[place].backbone()
    assert f"The features of the predictor, {name}, were made differently" in str(error.value)
    assert "weights_digest: " in str(error.value) and "other there" in str(error.value)
    assert found.parts[1 - place].backbone()


def test_a_wrong_option_says_whose_it_is(tmp_path):
    chosen = small(optical_flow={"fps": "abc"})
    with pytest.raises(ConfigError, match=r"^optical_flow of backbone.parts: backbone.fps=abc: g"):
        source_of_part(chosen, tmp_path, "32-true")
    with pytest.raises(ConfigError, match=r"^backbone.fps=abc: give"):
        source_of_part(backbones_of(chosen)[1], tmp_path, "32-true")


def test_a_fingerprint_of_other_backbones_than_are_named_is_refused(made):
    cache, source = made
    with pytest.raises(CheckpointError, match=r"is of 1 backbone\(s\), and 2 are named"):
        source_of_fingerprint(source.fingerprint.parts[0], small(), cache)


def test_one_is_extracted_after_the_other(made):
    """The reports are one; what fails with either has failed; a signal ends it."""
    _, source = made
    failures = [Failure(name, Path(name), "torn") for name in "ab"]
    reports = {
        id(source.parts[0]): ExtractionReport(3, 1, failures=failures[:1], seconds=2, signal=None),
        id(source.parts[1]): ExtractionReport(4, 2, failures=failures, seconds=5, device="cpu"),
    }
    whole = in_turn(source, lambda one: reports[id(one)])
    assert (whole.num_windows, whole.num_reused, whole.seconds) == (7, 3, 7)
    assert {one.video for one in whole.failures} == {"a", "b"} and whole.device == "cpu"
    stopped = replace(reports[id(source.parts[0])], signal=signal.SIGTERM)
    asked = []
    found = in_turn(source, lambda one: asked.append(one) or stopped)
    assert found.signal == signal.SIGTERM and asked == [source.parts[0]]


def test_the_library_has_no_features_of_a_fusion(tmp_path):
    with pytest.raises(ConfigError, match="features of each backbone by its own name"):
        collision.features("a.mp4", small(), cache_root=tmp_path)
    assert "fusion" not in [one.name for one in collision.list_backbones()]


def test_a_run_remembers_both():
    saved = as_config(compose("train", *CHOSEN))
    assert saved["backbone"]["name"] == "fusion" and saved["fusion"]["name"] == "concat"
    assert as_config(compose("train"))["fusion"] is None


def test_a_video_that_fails_with_one_has_no_features_of_any(tmp_path):
    write_videos(tmp_path, 2)
    broken = TinyBackbone(num_frames=6)
    sources = [open_source(tmp_path, TinyBackbone()), open_source(tmp_path, broken)]
    records = {n: VideoRecord(n, tmp_path / f"{n}.mp4", 0, "val", n) for n in "01"}
    index = DataIndex("two", records, {"val": [Example(n, 2.0, 0, 0.5) for n in "01"]})
    both, policy = FusedSource(tuple(sources)), SamplingPolicy()

    def extracted():
        report = in_turn(
            both, lambda one: one.extract(one.requests(index, policy), Options(), progress=False)
        )
        return report, load_features(index, both, policy, report.failures)["val"]

    report, data = extracted()
    assert report.num_windows == 4 and len(data) == 2 and data[0]["features"].shape == (1, 3, 10)
    broken.projection.bias.fill_(torch.nan)
    for path in both.parts[1].store.folder.rglob("*.safetensors"):
        path.unlink()
    report, data = extracted()
    assert {failure.video for failure in report.failures} == {"0", "1"}
    assert report.num_reused == 2 and len(data) == 0 and len(data.dropped) == 2
