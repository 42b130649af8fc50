"""Several backbones, as a person uses them: train, evaluate elsewhere, predict, go on, extract."""

import json
import re
import shutil

import numpy as np
import pytest

import collision
from collision.features.store import FeatureStore
from collision.learning.predictor import load_predictor
from collision.learning.predictor_files import FILE_NAME
from tests.conftest import DATA, Workshop, runs_in

QUICK = (
    *(*DATA, "trainer.max_steps=6", "trainer.validations=1", "num_resamples=50", "audit=false"),
    *("head=gru", "extraction.num_workers=0"),
)
FUSION = ("backbone=fusion", "backbone.parts=[efficientnet_lite0,optical_flow]")
SMALL = (
    *(
        "backbone.options.efficientnet_lite0.height=32",
        "backbone.options.efficientnet_lite0.width=48",
    ),
    *("backbone.options.optical_flow.height=48", "backbone.options.optical_flow.width=66"),
    *("backbone.options.optical_flow.rows=2", "backbone.options.optical_flow.columns=3"),
)
FLOW = ("backbone=optical_flow", *(one.replace("options.optical_flow.", "") for one in SMALL[2:]))


class Shop(Workshop):
    """Folders without a run."""

    def stores(self):
        """Give the folders of features by the backbone's name, each with its files' times."""
        folders = sorted((self.root / "cache").glob("*-*"))
        files = {f.name.partition("-")[0]: sorted(f.rglob("*.safetensors")) for f in folders}
        return {name: {p: p.stat().st_mtime_ns for p in own} for name, own in files.items()}

    def trained(self, *options, code=0):
        before = set(runs_in(self.root)) if (self.root / "runs").exists() else set()
        said = self.command("train", *QUICK, *FUSION, *SMALL, *options, code=code)
        made = set(runs_in(self.root)) - before
        return (made.pop() if made else None), said


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return Shop(tmp_path_factory.mktemp("fusion"), None, "")


@pytest.fixture(scope="module")
def late(shop):
    """Train with one backbone's features already there; give the run and the stores before."""
    shop.command("extract", *DATA, *FLOW, "extraction.num_workers=0")
    before = shop.stores()
    run, said = shop.trained("fusion=late")
    assert re.search(r"fusion late, head gru.* on 15 steps of 1313 features", said)
    assert re.search(r"optical_flow/\S+: Too short: .* backbone.options.optical_flow.min_fr", said)
    return run, before


def test_a_run_takes_the_caches_as_they_are_and_adds_what_is_missing(shop, late):
    run, before = late
    after = shop.stores()
    assert set(before) == {"optical_flow"} and set(after) == {"optical_flow", "timm"}
    assert before["optical_flow"] == after["optical_flow"] and after["timm"]
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["parts"]["backbone"] == "fusion" and metrics["parts"]["fusion"] == "late"
    predictor = load_predictor(run / "seed_0" / FILE_NAME)
    assert len(predictor.fingerprint.parts) == 2 and "efficientnet_lite0+optical_flow" in run.name


def test_what_was_lost_of_one_is_computed_anew_and_nothing_else(shop, late):
    """As after a kill: what is there stays, of both."""
    stores = shop.stores()
    lost = sorted(stores["timm"])[:2]
    for path in lost:
        path.unlink()
    with pytest.raises(AssertionError, match="windows are not in"):
        shop.trained("extract=false")
    said = shop.command("extract", *DATA, *FUSION, *SMALL, "extraction.num_workers=0")
    (computed, reused), none = re.findall(r"(\d+) windows computed, (\d+) reused", said)
    assert int(computed) > 0 and int(reused) > int(computed) and none[0] == "0"
    after = shop.stores()
    assert after["optical_flow"] == stores["optical_flow"]
    changed = {path for path in after["timm"] if after["timm"][path] != stores["timm"][path]}
    assert changed == set(lost)


def test_evaluate_predict_and_the_library_take_it(shop, late):
    run, _ = late
    night = ("dataset=synthetic_night", *(one for one in DATA if "num_scenes" not in one))
    said = shop.command("evaluate", run, *night, "dataset.num_scenes=6", "num_resamples=50")
    assert "mAP" in said
    clip = next((shop.root / "data").rglob("*.mp4"))
    output = shop.root / "predicted"
    shop.command("predict", clip, f"checkpoint={run}", f"output={output}")
    rows = np.genfromtxt(output / f"{clip.stem}.csv", delimiter=",", skip_header=1, usecols=(0, 1))
    model = collision.load(run, cache_root=shop.root / "cache")
    prediction = model.predict(clip)
    known = ~np.isnan(prediction.probabilities)
    assert known.sum() > 5 and prediction.first_time == pytest.approx(rows[known][0, 0], abs=0.3)
    np.testing.assert_allclose(rows[:, 1], prediction.probabilities, atol=1e-6)


@pytest.mark.slow
def test_going_on_keeps_what_is_fused(shop, late):
    run, _ = late
    scores = (run / "predictions_seed0.csv").read_text()
    shop.command("train", f"resume={run}", "num_resamples=50")
    assert (run / "predictions_seed0.csv").read_text() == scores
    said = shop.command("train", f"resume={run}", "fusion=gated", code=2)
    assert "fusion=gated swaps one" in said
    said = shop.command("train", f"resume={run}", "backbone.options.optical_flow.fps=5", code=2)
    assert "feature_fingerprint was" in said


def test_other_features_of_either_are_refused(shop, late):
    run, _ = late
    said = shop.trained(f"init_from={run}", "backbone.options.optical_flow.rows=3", code=2)[1]
    assert re.search(r"optical_flow/\S+, feature_dim: 48 here, 33 there", said)
    assert "timm" not in said


def late_by_a_stride(folder):
    """Let every window of a store show what ended one stride before."""
    store = FeatureStore.open(folder)
    for path in sorted(folder.rglob("*.safetensors")):
        video = store.stored(path.stem)
        shifted = np.roll(video.features, 1, axis=0)
        store.write(path.stem, video.end_times, shifted, num_steps=video.num_steps)


def test_one_backbone_late_by_a_stride_gives_other_scores(shop, late):
    run, _ = late
    expected = (run / "predictions_seed0.csv").read_text()
    shutil.copytree(shop.root / "cache", shop.root / "copy")
    copy = ("fusion=late", "extract=false", f"cache_root={shop.root / 'copy'}")
    again, _ = shop.trained(*copy)
    assert (again / "predictions_seed0.csv").read_text() == expected
    late_by_a_stride(next((shop.root / "copy").glob("optical_flow-*")))
    shifted, _ = shop.trained(*copy)
    assert (shifted / "predictions_seed0.csv").read_text() != expected


def test_kinds_are_compared(shop, late):
    run, _ = late
    gated, said = shop.trained("fusion=gated")
    assert "fusion gated, head gru" in said
    assert "fusion=gated" in shop.command("compare", run, gated, "num_resamples=50")


def test_one_kind_alone_needs_several_backbones(shop):
    said = shop.command("train", *QUICK, "fusion=late", code=2)
    assert "there is nothing to fuse" in said
    said = shop.trained("fusion=late", "head=logistic", code=2)[1]
    assert "a head that is solved sees all features side by side" in said
    said = shop.trained("fusion=gated", "components=8", code=2)[1]
    assert "principal components mix the features" in said
