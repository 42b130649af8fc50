"""What is handed on holds nothing of the machine, and scores as the run does."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from collision import api
from collision.errors import ConfigError
from collision.export.card import model_card
from collision.export.folder import _is_run_alone, without_paths, write_folder
from collision.export.onnx import Exported
from collision.learning.predictor import load_predictor
from collision.report.headline import sentence
from collision.report.saved import numbers_from
from collision.untrusted import read_config
from tests.conftest import DATA, TIMEOUT


def files_in(folder):
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def handed(workshop, tmp_path_factory):
    """The workshop's run, exported without ONNX: two seeds and their baseline."""
    model = api.load(workshop.run, cache_root=workshop.root / "cache")
    output = tmp_path_factory.mktemp("handed") / "folder"
    files, left_out = write_folder(model, output, onnx=[])
    assert not files and not left_out
    return output


def test_it_is_whole_and_holds_no_place_of_this_machine(handed, workshop):
    assert files_in(handed) == {
        *("README.md", "config.json", "config.yaml", "metrics.json"),
        *("seed_0/predictor.safetensors", "seed_1/predictor.safetensors"),
        "baseline/predictor.safetensors",
    }
    for name in files_in(handed):
        content = (handed / name).read_bytes()
        for place in (workshop.root, workshop.run.name, "site-packages"):
            assert str(place).encode() not in content, (name, place)
    config = yaml.safe_load((handed / "config.yaml").read_text())
    assert config["seeds"] == 2 and not {"data_root", "cache_root", "extraction"} & set(config)
    root = read_config(workshop.run)["dataset"]["options"]["root"]
    assert config["dataset"]["options"]["root"] == f"data/{Path(root).name}" != root
    metrics = json.loads((handed / "metrics.json").read_text())
    assert "provenance" not in metrics
    own = json.loads((workshop.run / "metrics.json").read_text())
    assert metrics["ap"] == own["ap"]
    said = sentence(numbers_from(own).warned, [one["name"] for one in own["warnings"]])
    assert said in (handed / "README.md").read_text() and "and near-collisions" in said
    assert said in (workshop.run / "results.html").read_text()
    assert said in (workshop.run / "results.md").read_text()
    card = (handed / "README.md").read_text()
    for horizon, value in own["ap"].items():
        assert f"| {horizon} | {value['value']:.3f} |" in card
    assert "apache-2.0" in card and "painted scenes alone" in card


def test_it_scores_as_the_run_does(handed, workshop):
    clip = next((workshop.root / "data").rglob("*.mp4"))
    before, after = (
        api.load(path, cache_root=workshop.root / "cache") for path in (workshop.run, handed)
    )
    assert len(after.predictors) == 2 and len(after.baselines) == len(before.baselines) == 1
    assert after.val_fraction == before.val_fraction
    said = [model.predict(clip) for model in (before, after)]
    np.testing.assert_array_equal(said[0].probabilities, said[1].probabilities)


def test_evaluate_takes_it(handed, workshop, tmp_path):
    given = ("dataset=synthetic", *DATA, "num_resamples=100", "clips=none", f"runs_root={tmp_path}")
    workshop.command("evaluate", handed, *given)
    (folder,) = tmp_path.glob("*evaluate*")
    judged = json.loads((folder / "metrics.json").read_text())["datasets"]["synthetic"]
    own = json.loads((workshop.run / "metrics.json").read_text())
    values = [{k: v["value"] for k, v in one["ap"].items()} for one in (judged, own)]
    assert values[0] == pytest.approx(values[1], abs=1e-3)


def test_one_predictor_alone_and_a_folder_that_is_taken(handed, tmp_path, workshop):
    file = handed / "seed_1" / "predictor.safetensors"
    model = api.load(file, cache_root=workshop.root / "cache")
    backbone = model.predictors[0].parts["backbone"].changed({"weights": "/home/me/my weights.pth"})
    parts = {**model.predictors[0].parts, "backbone": backbone}
    model.predictors[0] = replace(model.predictors[0], parts=parts)
    write_folder(model, tmp_path / "one", onnx=[])
    assert files_in(tmp_path / "one") == {"README.md", "config.json", "predictor.safetensors"}
    again = load_predictor(tmp_path / "one" / "predictor.safetensors")
    assert again.parts["backbone"].options["weights"] == "my weights.pth"
    assert "Nothing: the run's folder held no" in (tmp_path / "one" / "README.md").read_text()
    with pytest.raises(ConfigError, match="it is there already"):
        write_folder(model, tmp_path / "one", onnx=[])


def test_paths_become_names():
    given = {
        "root": "/data/of me/nexar",
        "text": "12 videos of /mnt/x/clips.csv have no group; 3/4 of them, see https://a.b/c",
        "windows": "C:\\Users\\me\\a.mp4",
        "rest": [1, None, "data/synthetic", "and/or", {"/a/b": "~/c/d.mp4"}],
    }
    assert without_paths(given) == {
        "root": "nexar",
        "text": "12 videos of clips.csv have no group; 3/4 of them, see https://a.b/c",
        "windows": "a.mp4",
        "rest": [1, None, "data/synthetic", "and/or", {"b": "d.mp4"}],
    }


def test_names_of_others_are_no_markup(handed):
    predictor = load_predictor(handed / "seed_0" / "predictor.safetensors")
    hostile = "<script>`x`|\n# Title"
    origin = replace(predictor.origin, dataset=hostile)
    metrics = {"ap": {hostile: {"value": 0.5, "low": None, "high": None}}, "dataset": hostile}
    metrics["warnings"] = [{"name": "x", "message": hostile}]
    made = Exported("head.onnx", 1e-7, {"times": "float32"})
    card = model_card(replace(predictor, origin=origin), metrics, [made], [hostile], "1")
    assert "<script>" not in card and "\n# Title" not in card
    assert card.count("\\<script\\>\\`x\\`\\|") == 5


@pytest.mark.slow
def test_its_onnx_files_are_run_without_the_package(workshop, tmp_path):
    pytest.importorskip("onnxruntime")
    model = api.load(workshop.run, cache_root=workshop.root / "cache")
    write_folder(model, tmp_path / "made")
    clip = next((workshop.root / "data").rglob("*.mp4"))
    command = [sys.executable, "run_onnx.py", clip]
    said = subprocess.run(
        command, cwd=tmp_path / "made", capture_output=True, text=True, timeout=TIMEOUT
    )
    assert said.returncode == 0, said.stderr
    curve = np.array([line.split() for line in said.stdout.splitlines()], float)
    (tmp_path / "bad.mp4").write_text("no video")
    for name in ("bad.mp4", "gone.mp4"):
        command[-1] = tmp_path / name
        said = subprocess.run(
            command, cwd=tmp_path / "made", capture_output=True, text=True, timeout=TIMEOUT
        )
        assert said.returncode == 1 and said.stderr.startswith("error: cannot read")
        assert len(said.stderr.splitlines()) == 1
    wanted = model.predict(clip)
    known = ~wanted.from_part & np.isfinite(wanted.probabilities)
    np.testing.assert_allclose(curve[:, 0], wanted.times[known], atol=0.006)
    np.testing.assert_allclose(curve[:, 1], wanted.probabilities[known], atol=2e-3)


def test_what_the_script_cannot_do_it_is_not_there_for(handed):
    assert not (handed / "run_onnx.py").exists()
    predictor = load_predictor(handed / "seed_0" / "predictor.safetensors")
    both = [Exported(name, 0.0, {}) for name in ("head.onnx", "backbone.onnx")]
    assert _is_run_alone(predictor, both) and not _is_run_alone(predictor, both[:1])
    flipped = replace(predictor, policy=replace(predictor.policy, flip=True))
    assert not _is_run_alone(flipped, both)
    assert "python run_onnx.py" in model_card(predictor, None, both, [], "1", has_script=True)
    steps = json.loads((handed / "config.json").read_text())["steps"]
    assert len(steps["times"]) == steps["windows"] == 8 and steps["times"][-1] == 0
