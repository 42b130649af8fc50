"""What a command loads: torch and its like take seconds, and wait for a command that needs them."""

import subprocess
import sys

import pytest

from tests.conftest import DATA, ROOT, environment
from tests.kit.video import numbered_frames, write_video

HEAVY = (
    *("torch", "lightning", "torchmetrics", "timm", "transformers", "torchvision"),
    *("sklearn", "scipy", "pandas", "av", "cv2", "decord", "matplotlib", "wandb", "optuna"),
)
VERBS = ("compare", "data", "evaluate", "extract", "part", "predict", "search", "serve", "train")

# Each in turn in one process: "[verb, ...] code" and what was loaded by then.
PROGRAM = f"""
import ast, sys
from collision.__main__ import main
for arguments in ast.literal_eval(sys.argv[1]):
    code = main(list(arguments))
    loaded = [name for name in {HEAVY!r} if name in sys.modules]
    print("loaded", code, *loaded, flush=True)
"""

REFUSED = {
    ("predict", "nothing.mp4", "checkpoint=RUN"): "Cannot read 'nothing.mp4'",
    ("predict", "clip.mp4", "checkpoint=text.txt"): "is damaged or not a predictor",
    ("predict", "clip.mp4", "checkpoint=empty"): "No trained predictor in 'empty'",
    ("predict", "clip.mp4", "checkpoint=RUN", "every=-1"): "every=-1",
    ("predict", "-", "checkpoint=RUN", "heatmap=true"): "nothing of a stream is drawn",
    ("export", "empty"): "No trained predictor in 'empty'",
    ("evaluate", "empty"): "No trained predictor in 'empty'",
    ("evaluate", "RUN", "datasets=[nexar]", "data_root=nowhere"): "nowhere/nexar",
    ("serve", "nowhere"): "No trained predictor in 'nowhere'",
    ("serve", "RUN", "empty"): "No trained predictor in 'empty'",
    ("serve", "RUN", "port=70000"): "port=70000",
    ("compare", "empty", "RUN"): "holds no scores",
    ("compare", "nowhere", "RUN"): "There is no folder 'nowhere'",
    ("train", "heat=gru"): "Did you mean head?",
    ("train", "head=nope"): "No head is called 'nope'",
    ("train", "dataset=nexar", "data_root=nowhere"): "nowhere/nexar",
    ("train", "dataset=manifest", "dataset.csv=clips.csv"): "no video in the split 'train', only",
    ("train", "evaluate_on=[ccd]", "data_root=nowhere"): "nowhere/ccd",
    ("train", "init_from=empty"): "No trained predictor in 'empty'",
    ("train", "resume=empty"): "'empty' is not a run folder",
    ("train", "resume=nowhere"): "There is no folder 'nowhere'",
    ("train", "ensemble=true"): "ensemble=true needs several seeds",
    ("search", "space=offline"): "Say how long",
    ("search", "space=ofline", "budget=9"): "Did you mean offline?",
    ("search", "status", "nothing"): "There is no search 'nothing'",
    ("part", "check", "empty"): "one Python file and one YAML",
    ("part", "try", str(ROOT / "examples/new_head"), "runs_root=empty"): "have not been checked",
    ("extract", "datasets=[synthetic,dota]", "data_root=nowhere"): "nowhere/dota",
    ("data", "dataset=nexar", "data_root=nowhere"): "nowhere/nexar",
    ("data", "empty", "write=text.txt"): "it is there already",
}


def run_in_turn(folder, root, commands):
    """Give each command's exit code with what was loaded by then, and all that was said."""
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, repr(commands)],
        cwd=folder,
        env={**environment(root), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    lines = [line.split() for line in result.stdout.splitlines()]
    loaded = [line[1:] for line in lines if line[:1] == ["loaded"]]
    assert len(loaded) == len(commands), result.stderr
    return loaded, result.stderr


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "clips.csv").write_text("video,label,event_time\nclip.mp4,1,0.1\n")
    (tmp_path / "text.txt").write_text("no predictor")
    write_video(tmp_path / "clip.mp4", numbered_frames(4))
    return tmp_path


def test_help_loads_nothing_heavy(folder):
    commands = [("--help",), *((verb, "--help") for verb in VERBS)]
    loaded, _ = run_in_turn(folder, folder, commands)
    assert loaded == [["0"]] * len(commands)


def test_what_needs_no_model_is_refused_before_anything_heavy_is_loaded(folder, workshop):
    commands = [tuple(a.replace("RUN", str(workshop.run)) for a in one) for one in REFUSED]
    loaded, said = run_in_turn(folder, workshop.root, commands)
    assert dict(zip(REFUSED, loaded, strict=True)) == {one: ["2"] for one in REFUSED}
    errors = said.split("error: ")[1:]
    for error, words in zip(errors, REFUSED.values(), strict=True):
        assert words in error


def test_a_clip_whose_features_are_there_is_predicted_without_what_training_needs(
    workshop, tmp_path
):
    video = next((workshop.root / "data").glob("*/videos/*.mp4"))
    command = ("predict", str(video), f"checkpoint={workshop.run}", f"output={tmp_path}")
    workshop.command(*command)
    ((code, *loaded),), said = run_in_turn(ROOT, workshop.root, [command])
    assert code == "0", said
    assert set(loaded) <= {"torch", "av", "matplotlib", "scipy"}


def test_a_run_whose_features_are_there_is_evaluated_without_lightning(workshop):
    command = ("evaluate", str(workshop.run), "num_resamples=20")
    workshop.command(*command)
    ((code, *loaded),), said = run_in_turn(ROOT, workshop.root, [command])
    assert code == "0", said
    assert set(loaded) <= {"torch", "av", "matplotlib", "scipy", "sklearn"}


def test_a_data_set_is_reported_on_without_torch(workshop):
    command = ("data", *DATA, "limit=2", "shortcuts=false", "duplicates=false")
    ((code, *loaded),), said = run_in_turn(ROOT, workshop.root, [command])
    assert code == "0", said
    assert not {"torch", "lightning", "timm", "cv2"} & set(loaded)
