"""Every verb as a person calls it: real video, real files."""

import csv
import json
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from collision.__main__ import main
from collision.features.fingerprint import Fingerprint
from collision.learning.predictor import load_predictor
from collision.learning.predictor_files import BASELINE_FOLDER, FILE_NAME
from tests.conftest import DATA, ROOT, SMALL, TIMEOUT, environment, runs_in
from tests.kit.video import numbered_frames, write_video


def test_train_leaves_what_it_promises(workshop):
    metrics = json.loads((workshop.run / "metrics.json").read_text())
    assert set(metrics["ap"]) == {"0.5", "1.0", "1.5", "mean"}
    for entry in metrics["ap"].values():
        assert 0 <= entry["value"] <= 1
        assert entry["low"] is None and "groups" in entry["reason"]  # 8 are too few
        assert len(entry["seeds"]) == 2
    assert metrics["seeds"] == [0, 1]
    assert metrics["selected_on"] == "the last step"
    assert metrics["counts"]["0.5"]["positive"] == metrics["counts"]["0.5"]["negative"] > 0
    assert metrics["oracle"]["mean"] > 0.5
    assert re.fullmatch("[0-9a-f]{16}", metrics["feature_fingerprint"])
    assert re.fullmatch("[0-9a-f]{16}", metrics["data_digest"])
    assert metrics["steps"]["0"]["last_step"] == 12
    assert "last_step" not in metrics  # nothing was selected
    assert {"variant=resolved", "variant=harmless"} <= set(metrics["slices"])
    assert "train.py" in metrics["provenance"]["command"]
    for name in ("config.yaml", "provenance.json", "results.md", "results.html"):
        assert (workshop.run / name).stat().st_size > 100
    for picture in (workshop.run / "plots").glob("*.png"):
        assert np.asarray(Image.open(picture)).std() > 1


def test_train_says_what_it_is_about_to_do(workshop):
    before = workshop.output.partition("seed 0: step")[0]
    for word in ("device cpu", "precision 32-true", "train", "val", "test", "hard negatives"):
        assert word in before


def test_a_second_run_builds_no_backbone_and_overwrites_nothing(workshop, monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("the backbone was built")

    monkeypatch.setattr("collision.backbones.timm_image.TimmImage.__init__", refuse)
    monkeypatch.setattr("collision.features.fingerprint.weights_digest", refuse)
    before = runs_in(workshop.root)
    output = workshop.command("train", *SMALL, "head=gru", "extract=false")
    new = [run for run in runs_in(workshop.root) if run not in before]
    assert len(new) == 1
    assert new[0].name.endswith("synthetic_efficientnet_lite0_gru")
    assert "Painting" not in output
    assert (workshop.root / "runs" / "latest").resolve() == new[0]
    shutil.rmtree(new[0])


def test_resume_goes_on_where_the_run_stopped(workshop, tmp_path):
    run = tmp_path / "moved"
    shutil.copytree(workshop.run, run)
    more = (
        "trainer.max_steps=20",
        "trainer.validations=5",
        "seeds=1",
        "evaluate_on=[examples/clips.csv]",
    )
    output = workshop.command("train", f"resume={run}", *more)
    assert output.index("Results:") < output.index("clips, split test")
    with (run / "seed_0" / "log.csv").open() as file:
        steps = [int(row["step"]) for row in csv.DictReader(file)]
    assert steps == [4, 8, 12, 16, 20]
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["steps"]["0"]["last_step"] == 20
    output = workshop.command("train", f"resume={run}", "head=gru", code=2)
    assert "keeps its parts" in output
    output = workshop.command("train", f"resume={run}", "sampling.balanced=true", code=2)
    assert "keeps what it learns from" in output and "'sampling'" in output
    output = workshop.command("train", f"resume={run}", f"init_from={workshop.run}", code=2)
    assert "keeps what it learns from" in output and "'init_from'" in output
    config = (run / "config.yaml").read_text()
    made = json.loads((run / "provenance.json").read_text())
    assert made["learned_from"]["data_digest"] == metrics["data_digest"]
    made["learned_from"]["data_digest"] = "of other videos"
    (run / "provenance.json").write_text(json.dumps(made))
    output = workshop.command("train", f"resume={run}", "seeds=1", code=2)
    assert "its data_digest was of other videos when it began" in output
    assert (run / "config.yaml").read_text() == config


@pytest.fixture(scope="module")
def folds(workshop):
    """A run of three folds that starts from the workshop's head."""
    before = runs_in(workshop.root)
    few = ("folds=3", "trainer.max_steps=4", "trainer.validations=1")
    workshop.command("train", *SMALL, *few, f"init_from={workshop.run}")
    (run,) = [run for run in runs_in(workshop.root) if run not in before]
    return run


def test_folds_score_every_video_once_and_start_from_a_trained_head(workshop, folds):
    metrics = json.loads((folds / "metrics.json").read_text())
    assert metrics["counts"]["0.5"]["positive"] == metrics["counts"]["0.5"]["negative"] == 14
    assert metrics["oracle"] is None  # it knows the test split alone
    assert set(metrics["steps"]) == {"0 fold_0", "0 fold_1", "0 fold_2"}
    assert "learned_from_judged" in {warning["name"] for warning in metrics["warnings"]}
    (known,) = json.loads((folds / "clips.json").read_text())["datasets"].values()
    own = [clip["threshold"] for clip in known["clips"].values()]
    assert metrics["warned"][0]["threshold_range"] == [min(own), max(own)] and len(set(own)) == 3
    assert (
        "At each fold&#x27;s own threshold from validation" in (folds / "results.html").read_text()
    )
    with (folds / "predictions_seed0.csv").open() as file:
        rows = [(row["video"], row["horizon"]) for row in csv.DictReader(file)]
    assert len(set(rows)) == len(rows) == 28 * 3
    output = workshop.command("train", *SMALL, "head=gru", f"init_from={workshop.run}", code=2)
    assert "another head" in output


@pytest.mark.slow
def test_the_oracle_of_fixed_cuts_does_not_judge_cuts_within_clips(workshop):
    before = runs_in(workshop.root)
    # Nothing is learned, so the first validation stays the best.
    selecting = ("trainer.selection=map", "trainer.validations=6", "optimizer.lr=1e-12")
    workshop.command("train", *SMALL, "sampling=within_clip", "audit=false", *selecting)
    (run,) = [run for run in runs_in(workshop.root) if run not in before]
    metrics = json.loads((run / "metrics.json").read_text())
    steps = metrics["steps"]["0"]
    assert steps["best_step"] < steps["last_step"] == 12 and steps["val_groups"] > 0
    assert metrics["selected_on"] == "val/nexar_map" and metrics["last_step"]["ap"]["mean"]["value"]
    assert metrics["oracle"] is None and metrics["ap"]["0.5"]["value"] > 0


def test_extract_twice_computes_nothing(workshop):
    output = workshop.command("extract", *DATA)
    assert re.search(r"synthetic with .*: 0 windows computed", output)


def test_extract_plan_runs_nothing(workshop, tmp_path):
    output = workshop.command("extract", *DATA, "plan=true", f"cache_root={tmp_path}", "limit=2")
    for word in ("windows", "frames", "MiB", "time"):
        assert word in output
    assert re.search(r"Time of synthetic with .*: at [\d.,]+ windows a second: measured", output)
    assert not list(tmp_path.glob("*/??/*.safetensors"))


def test_evaluate_on_the_runs_own_data_repeats_its_number(workshop):
    output = workshop.command("evaluate", workshop.run, "num_resamples=200")
    folder = re.search(r"Results: (.*)", output).group(1).strip()
    again = json.loads((ROOT / folder / "metrics.json").read_text())["datasets"]["synthetic"]
    metrics = json.loads((workshop.run / "metrics.json").read_text())
    assert again["ap"]["mean"]["seeds"] == pytest.approx(metrics["ap"]["mean"]["seeds"])
    assert again["data_digest"] != metrics["data_digest"]  # the test split alone
    assert again["oracle"] == metrics["oracle"]
    theirs, own = again["baseline"]["difference"], metrics["baseline"]["difference"]
    assert theirs["value"] == pytest.approx(own["value"])
    assert own["first"] == pytest.approx(metrics["ap"]["mean"]["value"])


def test_the_baseline_is_a_predictor_like_any_other(workshop):
    metrics = json.loads((workshop.run / "metrics.json").read_text())
    assert "logistic" in (workshop.run / "results.md").read_text()
    baseline = load_predictor(workshop.run / BASELINE_FOLDER / FILE_NAME)
    assert baseline.parts["head"].name == "logistic"
    heads = [load_predictor(workshop.run / f"seed_{seed}" / FILE_NAME) for seed in (0, 1)]
    wanted = baseline.model.state_dict()
    for head in heads:  # they began as it
        made_by = head.origin.parts["optimizer"], head.origin.parts["scheduler"]
        assert made_by == ("adamw", "cosine")
        for name, value in head.model.prior.state_dict().items():
            torch.testing.assert_close(value, wanted[name])
    before = runs_in(workshop.root)
    workshop.command("train", *SMALL, "head=logistic", "extract=false", "audit=false")
    (run,) = [run for run in runs_in(workshop.root) if run not in before]
    alone = json.loads((run / "metrics.json").read_text())
    value = metrics["baseline"]["baseline"]["value"]
    assert alone["ap"]["mean"]["value"] == pytest.approx(value) and "baseline" not in alone
    shutil.rmtree(run)


@pytest.mark.slow
def test_an_ensemble_is_scored_and_used_as_one(workshop):
    before = runs_in(workshop.root)
    options = (*SMALL, "extract=false", "audit=false", "seeds=2", "ensemble=true")
    workshop.command("train", *options)
    (run,) = [run for run in runs_in(workshop.root) if run not in before]
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["ensemble_of"] == 2 and metrics["seeds"] == [0]
    assert set(metrics["steps"]) == {"0", "1"}
    output = workshop.command("evaluate", run, "num_resamples=50")
    folder = re.search(r"Results: (.*)", output).group(1).strip()
    again = json.loads((ROOT / folder / "metrics.json").read_text())["datasets"]["synthetic"]
    assert again["ap"]["mean"]["value"] == pytest.approx(metrics["ap"]["mean"]["value"])
    output = workshop.command("train", *SMALL, f"init_from={run}", code=2)
    assert "is an ensemble" in output
    output = workshop.command("train", *SMALL, "ensemble=true", code=2)
    assert "seeds=1" in output
    output = workshop.command("train", *SMALL, *options[-2:], "trainer.refit=true", code=2)
    assert "nothing would be left to calibrate the ensemble on" in output
    shutil.rmtree(run)


def test_what_a_predictor_has_seen_is_told(workshop, folds):
    """On its own validation split, and a fold's head on the whole set."""

    def warnings_of(*arguments):
        output = workshop.command("evaluate", *arguments, "num_resamples=50")
        folder = re.search(r"Results: (.*)", output).group(1).strip()
        (metrics,) = json.loads((ROOT / folder / "metrics.json").read_text())["datasets"].values()
        return metrics, {warning["name"]: warning for warning in metrics["warnings"]}

    metrics, found = warnings_of(workshop.run, "split=val")
    assert "judged_on_validation" in found
    seen = found["learned_from_judged"]["numbers"]
    assert seen == {"seen": {"val": metrics["videos"]}, "videos": metrics["videos"]}
    _, found = warnings_of(workshop.run)
    assert "learned_from_judged" not in found
    fold = folds / "fold_0" / "seed_0" / "predictor.safetensors"
    metrics, found = warnings_of(fold, "dataset=synthetic", *DATA)
    seen = found["learned_from_judged"]["numbers"]["seen"]
    assert 0 < sum(seen.values()) < metrics["videos"]


def write_own_videos(folder):
    """Write eight clips and their CSV, one of them garbage."""
    rows = ["file,crash,when"]
    for number in range(8):
        write_video(folder / f"{number}.mp4", numbered_frames(60, 90, 160), fps=10)
        rows.append(f"{number}.mp4,{number % 2},{5.0 if number % 2 else ''}")
    (folder / "bad.mp4").write_bytes(b"not a video")
    rows.append("bad.mp4,1,4.0")
    (folder / "clips.csv").write_text("\n".join(rows))
    return [
        "dataset=manifest",
        f"dataset.csv={folder / 'clips.csv'}",
        "dataset.columns.video=file",
        "dataset.columns.label=crash",
        "dataset.columns.event_time=when",
    ]


def test_a_predictor_of_other_features_is_refused_with_the_difference(workshop, tmp_path):
    predictor = load_predictor(workshop.run / "seed_0" / "predictor.safetensors")
    fields = {**predictor.fingerprint.fields, "weights_digest": "of other weights"}
    predictor.fingerprint = Fingerprint(fields)
    predictor.save(tmp_path / "predictor.safetensors")
    output = workshop.command("predict", "examples/drive.mp4", f"checkpoint={tmp_path}", code=2)
    assert "weights_digest" in output and "of other weights" in output


def test_evaluate_own_videos_and_a_broken_one(workshop, tmp_path):
    options = write_own_videos(tmp_path)
    output = workshop.command("evaluate", workshop.run, *options, "num_resamples=200", code=2)
    assert "bad.mp4" in output and "skip_failures=true" in output
    output = workshop.command(
        "evaluate", workshop.run, *options, "num_resamples=200", "skip_failures=true"
    )
    folder = re.search(r"Results: (.*)", output).group(1).strip()
    metrics = json.loads((ROOT / folder / "metrics.json").read_text())["datasets"]["manifest"]
    assert metrics["failures"] == 1
    assert metrics["counts"]["0.5"] == {
        "positive": 5,
        "negative": 4,
        "positive_groups": 5,
        "negative_groups": 4,
        "missing": 1,
        "missing_positive": 1,
        "missing_negative": 0,
    }


def test_predict_awkward_names(workshop, tmp_path):
    gbk = b"\xd0\xd0\xb3\xb5".decode(errors="surrogateescape")
    names = ["clip(1)", "a,b=c", "行车", gbk]
    video = write_video(tmp_path / "v.mp4", numbered_frames(60, 90, 160), fps=10).read_bytes()
    for name in names:
        (tmp_path / f"{name}.mp4").write_bytes(video)
    (tmp_path / "empty.mp4").touch()
    paths = [tmp_path / f"{name}.mp4" for name in (*names, "empty", "none")]
    output = workshop.command(
        "predict", *paths, f"checkpoint={workshop.run}", f"output={tmp_path / 'out'}", code=2
    )
    assert "2 of 6 clip(s) gave no prediction" in output
    for name in names:
        with (tmp_path / "out" / f"{name}.csv").open() as file:
            rows = list(csv.DictReader(file))
        times = [float(row["time"]) for row in rows]
        assert times == pytest.approx(np.arange(0, 5.91, 0.25))
        assert all(0 <= float(row["probability"]) <= 1 for row in rows)
        # 2 s of frames every 0.25 s: from 1.75 s on they are all there.
        assert [row["window"] == "whole" for row in rows] == [t >= 1.75 - 1e-9 for t in times]
        assert np.asarray(Image.open(tmp_path / "out" / f"{name}.png")).std() > 1


def test_predict_agrees_with_evaluate(workshop, tmp_path):
    """The same moment of the same clip has the same probability by both ways."""
    with (workshop.run / "predictions_seed0.csv").open() as file:
        row = next(r for r in csv.DictReader(file) if r["horizon"] in ("0.5", "1.0"))
    (data,) = (workshop.root / "data").glob("synthetic-*")
    (clip,) = data.rglob(f"{row['video']}.mp4")
    with (data / "index.csv").open() as file:
        facts = next(r for r in csv.DictReader(file) if r["id"] == row["video"])
    event = float(facts["event_time"] or facts["mock_event_time"])
    cut = round(event - float(row["horizon"]), 6)
    workshop.command(
        "predict",
        clip,
        f"checkpoint={workshop.run / 'seed_0' / 'predictor.safetensors'}",
        f"output={tmp_path}",
        f"every={cut}",
    )
    with (tmp_path / f"{row['video']}.csv").open() as file:
        curve = {round(float(r["time"]), 3): r["probability"] for r in csv.DictReader(file)}
    assert float(curve[round(cut, 3)]) == pytest.approx(float(row["score"]), abs=2e-3)


@pytest.mark.slow
def test_sigterm_during_extraction_exits_143_and_keeps_what_is_done(workshop, tmp_path):
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "collision",
            "extract",
            *DATA,
            f"cache_root={tmp_path}",
            "extraction.batch_size=1",
        ],
        cwd=ROOT,
        env=environment(workshop.root),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and len(list(tmp_path.glob("*/??/*.safetensors"))) < 3:
        time.sleep(0.1)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(TIMEOUT) == 143
    done = len(list(tmp_path.glob("*/??/*.safetensors")))
    assert 3 <= done < 28
    for number in (1, 2):  # two tasks of an array, one after the other
        output = workshop.command("extract", *DATA, f"cache_root={tmp_path}", f"shard={number}/2")
        assert f"synthetic shard {number}/2: 14 videos" in output
        assert re.search(rf"synthetic shard {number}/2 with .*: [1-9]\d* windows computed", output)
    assert len(list(tmp_path.glob("*/??/*.safetensors"))) == 28
    output = workshop.command("extract", *DATA, f"cache_root={tmp_path}")
    assert re.search(r": 0 windows computed", output)
    reports = [json.loads(f.read_text()) for f in sorted(tmp_path.glob("*/reports/*.json"))]
    assert [(r["exit_code"], r["shard"], r["videos"]) for r in reports] == [
        (143, None, 28), (0, "1/2", 14), (0, "2/2", 14), (0, None, 28),
    ]  # fmt: skip
    assert reports[0]["windows_computed"] > 0 and reports[3]["windows_computed"] == 0
    assert reports[1]["device"] == "cpu" and reports[1]["workers"] > 0


def test_a_reader_that_leaves_early():
    """As in ``collision train --help | head -1``."""
    process = subprocess.Popen(
        [sys.executable, "-m", "collision", "train", "--help"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(30) == 128 + signal.SIGPIPE


# What the door cannot know: tests/commands/test_door.py has the rest.
WRONG = {
    "wrong value": (["sampling.stride=0.3"], ["stride", "0.25"]),
    "wrong head option": (["head.dropout=2"], ["dropout"]),
    "no list": (["sampling.horizons=abc"], ["sampling.horizons=abc", "list"]),
    "no gpu": (["trainer.accelerator=gpu"], ["CUDA"]),
    "csv not there": (["dataset=manifest", "dataset.csv=no.csv"], ["no.csv"]),
    "no such csv, with a comma": (["dataset=manifest", "dataset.csv=a, b.csv"], ["  a, b.csv"]),
    "unwritable": (["cache_root=/proc/x", *DATA], ["/proc/x"]),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_a_person_can_mend_is_a_sentence(name, workshop):
    arguments, words = WRONG[name]
    if name == "no gpu" and torch.cuda.is_available():
        pytest.skip("there is one")
    output = workshop.command("train", *arguments, code=2)
    assert "Traceback" not in output
    for word in words:
        assert word in output


def test_resuming_runs_no_code_that_a_config_names(workshop, tmp_path, monkeypatch, capfd):
    run = tmp_path / "run"
    run.mkdir()
    planted = tmp_path / "planted"
    config = yaml.safe_load((workshop.run / "config.yaml").read_text())
    config["sampling"] = {"target": "os.makedirs", "options": {"name": str(planted)}}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.chdir(ROOT)
    assert main(["train", f"resume={run}"]) == 2
    assert "'os.makedirs' as its sampling, which is not a class" in capfd.readouterr().err
    assert not planted.exists()


def test_a_predictor_of_painted_scenes_says_so_where_it_meets_footage(workshop, tmp_path):
    told = "learned from painted scenes alone"
    own = workshop.command("evaluate", workshop.run, "num_resamples=20")
    assert told not in own and re.search(r"mAP 0\.\d+ \(chance 0\.500, lift -?\d+%\)", own)
    listed = ("dataset=manifest", "dataset.csv=examples/clips.csv", "num_resamples=20")
    assert told in re.sub(r"\s+", " ", workshop.command("evaluate", workshop.run, *listed))
    clips = ("examples/drive.mp4", "examples/drive.mp4")
    where = (f"checkpoint={workshop.run}", f"output={tmp_path}")
    assert workshop.command("predict", *clips, *where).count(told) == 1
