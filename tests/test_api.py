"""The library as its page shows it, and what it promises: no torch until it is needed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import collision
from collision.config import part
from collision.errors import ConfigError
from collision.learning.head import build_model
from collision.prediction import Prediction
from tests.conftest import ROOT
from tests.kit.video import numbered_frames, write_video
from tests.kit.zoo import Kind

PAGE = (ROOT / "docs/library.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def somewhere_else(workshop, tmp_path_factory):
    """A folder that holds a run and two clips, and no data set."""
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "runs").mkdir()
    (folder / "runs" / "latest").symlink_to(workshop.run)
    (folder / "examples").symlink_to(ROOT / "examples")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("COLLISION_CACHE", str(workshop.root / "cache"))
        yield folder


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_of_the_page_runs_as_printed(number, somewhere_else, capsys):
    code = EXAMPLES[number]
    if "FeatureStore.open" in code:  # the page names a cache of its reader's
        folder = collision.load("runs/latest").source.store.folder
        code = re.sub(r'open\("[^"]*"\)', f"open({str(folder)!r})", code)
    exec(compile(code, f"docs/library.md, example {number}", "exec"), {})
    assert capsys.readouterr().out.strip()


def test_a_prediction_says_where_it_saw_less_than_it_looks_at(somewhere_else):
    prediction = collision.load("runs/latest").predict("examples/drive.mp4")
    known = prediction.probabilities
    assert ((known >= 0) & (known <= 1)).all()
    # 8 frames, 0.25 s apart
    assert prediction.from_part.tolist() == [time < 1.75 for time in prediction.times]
    for alarm in prediction.alarms:
        assert alarm.start <= alarm.peak <= alarm.end
    assert prediction._repr_png_().startswith(b"\x89PNG")


def test_a_clip_with_a_hole_is_drawn(tmp_path):
    clip = Kind("h264", "mp4", clock="hole").write(tmp_path)
    moments = np.array([0.5, 1.0, 2.0, 4.0])
    drawn = Prediction(clip, moments, np.array([np.nan, 0.2, 0.3, 0.4]), 1.0).plot(
        tmp_path / "a.png"
    )
    assert drawn.stat().st_size > 10_000


def test_features_are_those_of_the_windows_asked_for(somewhere_else):
    windows = collision.features("examples/drive.mp4", end_times=[2.0, 1.0, 99.0])
    assert windows.times.tolist() == [1.0, 2.0]
    assert windows.values.shape == (2, 1, 1280)
    again = collision.features("examples/drive.mp4", end_times=[2.0])
    assert np.array_equal(again.values[0], windows.values[1])


def test_what_a_part_is_and_gives_is_told_without_its_weights(monkeypatch, tmp_path):
    def refuse(*_):
        raise AssertionError("weights were read")

    monkeypatch.setattr("collision.backbones.timm_image.read_weights", refuse)
    monkeypatch.setattr("collision.backbones.vjepa2.read_weights", refuse)
    backbones = {one.name: one for one in collision.list_backbones()}
    assert backbones["efficientnet_lite0"].spec() == {
        **{"num_frames": 1, "fps": 1.0, "height": 128, "width": 224},
        **{"num_steps": 1, "feature_dim": 1280},
    }
    vjepa2 = backbones["vjepa2"].spec(num_frames=8, num_layers=1)
    assert vjepa2["num_frames"] == 8 and vjepa2["num_steps"] == 4
    assert vjepa2["feature_dim"] == 1024
    assert backbones["timm_image"].options["model"] == "???"
    assert backbones["timm_image"].spec(model="resnet18")["feature_dim"] == 512
    with pytest.raises(ConfigError, match=r"backbone\.model must be given"):
        backbones["timm_image"].spec()

    heads = {one.name: one for one in collision.list_heads()}
    built = build_model(part("head", "gru"), part("pooling", "last"), 96)
    assert heads["gru"].num_parameters(96) == built.num_parameters
    assert heads["linear"].num_parameters(96) == 97

    datasets = {one.name: one for one in collision.list_datasets()}
    monkeypatch.chdir(tmp_path)
    assert not any(dataset.is_there() for dataset in datasets.values())
    assert not list(tmp_path.iterdir())  # nothing is painted to find out
    write_video(tmp_path / "0.mp4", numbered_frames(4, 32, 32), fps=10)
    (tmp_path / "clips.csv").write_text("video,label,event_time\n0.mp4,1,0.2\n")
    assert datasets["manifest"].is_there(csv="clips.csv")
    (tmp_path / "0.mp4").unlink()
    assert not datasets["manifest"].is_there(csv="clips.csv")


def test_import_takes_no_torch():
    code = (
        "import sys, collision, collision.types, collision.errors, collision.options, "
        "collision.config; assert 'torch' not in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, cwd=Path("/"))


def test_what_there_is_not_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        collision.nothing  # noqa: B018
    assert {"load", "features", "evaluate"} <= set(dir(collision))
