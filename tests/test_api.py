"""The library as its page shows it, and what it promises: no torch until it is needed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import collision
from tests.conftest import ROOT

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
def test_an_example_of_the_page_runs_as_printed(number, somewhere_else, workshop, capsys):
    code = EXAMPLES[number]
    if "FeatureStore.open" in code:  # the page names a cache of its reader's
        (folder,) = {path.parent for path in (workshop.root / "cache").glob("timm-*/manifest.json")}
        code = re.sub(r'open\("[^"]*"\)', f"open({str(folder)!r})", code)
    exec(compile(code, f"docs/library.md, example {number}", "exec"), {})
    assert capsys.readouterr().out.strip()


def test_a_prediction_says_where_there_is_not_enough_video(somewhere_else):
    prediction = collision.load("runs/latest").predict("examples/drive.mp4")
    early = prediction.times < prediction.first_time - 1e-6
    assert early.any() and np.isnan(prediction.probabilities[early]).all()
    known = prediction.probabilities[~early]
    assert ((known >= 0) & (known <= 1)).all()
    for alarm in prediction.alarms:
        assert alarm.start <= alarm.peak <= alarm.end
    assert prediction._repr_png_().startswith(b"\x89PNG")


def test_features_are_those_of_the_windows_asked_for(somewhere_else):
    windows = collision.features("examples/drive.mp4", end_times=[2.0, 1.0, 99.0])
    assert windows.times.tolist() == [1.0, 2.0]
    assert windows.values.shape == (2, 1, 1280)
    again = collision.features("examples/drive.mp4", end_times=[2.0])
    assert np.array_equal(again.values[0], windows.values[1])


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
