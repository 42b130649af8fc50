"""Every public data set, in the form in which people download it: the whole way in small.

Fake data of each layout are extracted from, trained on, evaluated and cross-evaluated, by the verbs
that a person would type.
"""

import csv
import importlib
import json
import shutil
from pathlib import Path

import pytest

from collision.__main__ import main
from collision.config import part
from collision.records.files import VideosNotFoundError, prepare
from collision.sampling.durations import Durations
from tests.conftest import runs_in

KIT = Path(__file__).resolve().parents[1] / "kit" / "layouts"
CONFIGS = {
    path.stem for path in (Path(__file__).resolve().parents[2] / "configs/dataset").glob("*.yaml")
}
LAYOUTS = sorted({path.stem for path in KIT.glob("*.py")} & CONFIGS)
ALL_CRASHES = ("dota", "dada2000")
# Positives and negatives of each layout's test split by horizon.
JUDGED = {
    "ccd": {"0.5": (6, 6), "1.0": (6, 6), "1.5": (6, 6)},
    "dad": {"0.5": (6, 6), "1.0": (6, 6), "1.5": (6, 6)},
    "dada2000": {"0.5": (8, 8)},
    "dota": {"0.5": (8, 8)},
    "nexar": {"0.5": (2, 2), "1.0": (2, 2), "1.5": (2, 2)},
}
FAST = (
    "backbone=efficientnet_lite0",
    "backbone.height=32",
    "backbone.width=48",
    "extraction.num_workers=1",
)


def run(*arguments):
    """Run a verb in this process; gives its exit code."""
    return main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """Folders with every layout's data, where the configurations expect them."""
    root = tmp_path_factory.mktemp("bench")
    with pytest.MonkeyPatch.context() as patch:
        for name, folder in (("DATA", "data"), ("CACHE", "cache"), ("RUNS", "runs")):
            patch.setenv(f"COLLISION_{name}", str(root / folder))
        for layout in LAYOUTS:
            writer = importlib.import_module(f"tests.kit.layouts.{layout}")
            writer.write(root / "data" / layout)
        yield root


def newest_run(root, part):
    return max((p for p in runs_in(root) if part in p.name), key=lambda p: p.stat().st_mtime_ns)


def sampling_of(layout):
    return "within_clip" if layout in ALL_CRASHES else "nexar"


def test_every_public_data_set_has_a_layout():
    assert {"nexar", "ccd", "dad", "dota", "dada2000"} <= set(LAYOUTS)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_extract_train_evaluate(layout, bench, capsys):
    options = (f"dataset={layout}", *FAST)
    sampling = f"sampling={sampling_of(layout)}"
    assert run("extract", *options, sampling) == 0
    audit = f"audit={layout == 'nexar'}".lower()
    training = (
        "trainer.max_steps=4",
        "trainer.validations=1",
        "num_resamples=50",
        "head=gru",
        "extract=false",
        audit,
    )
    assert run("train", *options, sampling, *training) == 0
    trained = newest_run(bench, f"{layout}_efficientnet_lite0")
    metrics = json.loads((trained / "metrics.json").read_text())
    counts = {key: (n["positive"], n["negative"]) for key, n in metrics["counts"].items()}
    assert counts == JUDGED[layout]
    assert 0 < metrics["ap"]["mean"]["value"] <= 1
    assert metrics["failures"] == 0
    assert all(count["missing"] == 0 for count in metrics["counts"].values())
    assert run("evaluate", trained, "num_resamples=50") == 0
    evaluated = json.loads((newest_run(bench, "evaluate") / "metrics.json").read_text())
    again = evaluated["datasets"][metrics["dataset"]]
    assert again["ap"]["mean"]["value"] == pytest.approx(metrics["ap"]["mean"]["value"])
    assert "Data sets" not in capsys.readouterr().out


@pytest.mark.slow
def test_one_checkpoint_on_all_data_sets_is_one_table(bench, capsys):
    options = (
        "dataset=ccd",
        *FAST,
        "head=linear",
        "trainer.max_steps=4",
        "trainer.validations=1",
        "num_resamples=50",
    )
    assert run("train", *options, "audit=false") == 0
    trained = newest_run(bench, "ccd_efficientnet_lite0")
    capsys.readouterr()
    everything = f"datasets=[{','.join(LAYOUTS)}]"
    assert run("evaluate", trained, everything, "num_resamples=50", "dense=1") == 0
    output = capsys.readouterr().out
    folder = newest_run(bench, "evaluate")
    metrics = json.loads((folder / "metrics.json").read_text())["datasets"]
    assert set(metrics) == set(LAYOUTS)
    for layout in LAYOUTS:
        assert layout in output
        warned = {warning["name"] for warning in metrics[layout]["warnings"]}
        if layout in ALL_CRASHES:  # no negatives: nothing is made up, and the way out is told
            assert metrics[layout]["ap"]["mean"]["value"] is None
            assert "class_missing" in warned and "within=" in output
        else:
            assert 0 <= metrics[layout]["ap"]["mean"]["value"] <= 1
            assert metrics[layout]["anticipation"]["anticipation_ap"]["value"] is not None
            assert warned <= {"learned_from_judged"}  # the kit writes some clips for several
        assert (folder / f"curves_{layout}_seed0.csv").is_file()
    assert (folder / "results.html").is_file()
    assert run("evaluate", trained, everything, "num_resamples=50", "within=[0.5,2.0]") == 0
    metrics = json.loads((newest_run(bench, "evaluate") / "metrics.json").read_text())["datasets"]
    judged = {name: one["ap"]["mean"]["value"] for name, one in metrics.items()}
    assert all(judged[name] is not None for name in (*ALL_CRASHES, "ccd", "dad"))


def test_nexar_without_labels_gives_a_submission(bench, tmp_path, capsys):
    writer = importlib.import_module("tests.kit.layouts.nexar")
    overrides = writer.write(tmp_path / "nexar", layout="kaggle", with_solution=False)
    options = (
        *overrides,
        *FAST,
        "head=linear",
        "trainer.max_steps=4",
        "trainer.validations=1",
        "num_resamples=50",
    )
    assert run("train", *options, "audit=false") == 0
    trained = newest_run(bench, "nexar_efficientnet_lite0")
    metrics = json.loads((trained / "metrics.json").read_text())
    assert metrics["split"] == "val"
    assert "judged_on_validation" in {warning["name"] for warning in metrics["warnings"]}
    capsys.readouterr()
    assert run("evaluate", trained) == 0
    assert "labels are secret" in capsys.readouterr().out
    folder = newest_run(bench, "evaluate")
    for where in (trained, folder):
        with (where / "submission_nexar.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        wanted = sorted(path.stem for path in (tmp_path / "nexar" / "test").glob("*.mp4"))
        assert sorted(row["id"].zfill(5) for row in rows) == wanted
        assert all(0 <= float(row["score"]) <= 1 for row in rows)
        assert len({row["score"] for row in rows}) > 1


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_wrong_root_lists_what_is_expected(layout, bench, tmp_path, capsys):
    code = run("data", f"dataset={layout}", f"dataset.root={tmp_path / 'nowhere'}")
    output = capsys.readouterr().err
    assert code == 2
    assert "Expected there" in output and str(tmp_path / "nowhere") in output
    assert "Traceback" not in output


@pytest.mark.parametrize("layout", sorted({*LAYOUTS} - {"dad"}))  # which lists what is there
def test_a_missing_video_stops_the_others_only_if_nobody_skips_it(layout, bench, tmp_path):
    root = shutil.copytree(bench / "data" / layout, tmp_path / layout)
    dataset = part("dataset", layout, root=str(root)).build()
    *_, gone = dataset.records()
    place = gone.path.parent if gone.path.name == "images" else gone.path
    place.rename(tmp_path / "elsewhere")
    with pytest.raises(VideosNotFoundError, match=place.name):
        prepare(dataset, None)
    prepare(dataset, None, skip_missing=True)
    assert gone.id in {record.id for record in dataset.records()}
    (failure,) = Durations()(dataset.records())[1]
    assert failure.video == gone.id


def test_a_precomputed_cache_with_broken_and_missing_videos_is_trained_on(bench, tmp_path, capsys):
    """The night's job extracts; the training after it computes no feature."""
    writer = importlib.import_module("tests.kit.layouts.dad")
    overrides = writer.write(tmp_path / "dad")
    broken = tmp_path / "dad" / "videos" / "testing" / "positive" / "000009.mp4"
    broken.write_bytes(broken.read_bytes()[:2000])
    missing = broken.with_name("000010.mp4")
    missing.unlink()
    frames = tmp_path / "frames.csv"  # names it
    frames.write_text(f"Video Name,Crash Frame\n{missing.relative_to(tmp_path / 'dad')},75\n")
    overrides = [*overrides, f"dataset.crash_frames={frames}"]
    cache = (*overrides, *FAST, f"cache_root={tmp_path / 'cache'}")
    training = (
        "head=linear",
        "trainer.max_steps=4",
        "trainer.validations=1",
        "num_resamples=50",
        "extract=false",
    )
    training = (*training, "audit=false")
    assert run("extract", *cache) == 2
    assert "000010.mp4" in capsys.readouterr().err
    assert run("train", *cache, *training, "skip_failures=true") == 2
    assert "windows are not in" in capsys.readouterr().err
    assert run("extract", *cache, "skip_failures=true") == 0
    assert run("train", *cache, *training) == 2
    assert "000010.mp4" in capsys.readouterr().err
    assert run("train", *cache, *training, "skip_failures=true") == 0
    metrics = json.loads((newest_run(bench, "dad_") / "metrics.json").read_text())
    assert metrics["failures"] == 2
    assert {count["missing"] for count in metrics["counts"].values()} == {2}
    made = newest_run(bench, "dad_")
    assert run("evaluate", made, f"cache_root={tmp_path / 'cache'}", "num_resamples=50") == 2
    assert "skip_failures=true" in capsys.readouterr().err
    options = (f"cache_root={tmp_path / 'cache'}", "num_resamples=50", "skip_failures=true")
    assert run("evaluate", made, *options) == 0
