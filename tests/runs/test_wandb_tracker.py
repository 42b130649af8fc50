import json
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from rich.console import Console

from collision.errors import ConfigError
from collision.evaluation.numbers import judge
from collision.learning.fit import Place, fit_head
from collision.learning.scoring import MONITOR
from collision.report import plots
from collision.runs.sweep import sweep, sweep_name
from collision.runs.wandb_tracker import WandbTracker
from tests.kit.features import SETUP, planted_splits
from tests.kit.scores import ORACLE, made_up_scores
from tests.kit.wandb_log import read_offline_run
from tests.runs.conftest import CONFIG

ROOT = Path(__file__).resolve().parents[2]


pytestmark = pytest.mark.usefixtures("wandb_home")


def train(tracker, folder, part="seed_0"):
    logger = tracker.logger(folder, part, CONFIG)
    place = folder / part
    fit_head(SETUP, planted_splits(), Place(place, 0, Console(quiet=True), [logger]))
    (place / "predictor.safetensors").write_bytes(b"weights")
    origin = {"feature_fingerprint": "abc", "spec": {"num_frames": 16}, MONITOR: 0.9, "seed": 0}
    tracker.finish(logger, place / "predictor.safetensors", origin)


def logged(folder):
    return [read_offline_run(path) for path in sorted(folder.glob("wandb/offline-run-*"))]


def final_numbers():
    scores = [made_up_scores(seed=seed) for seed in (0, 1)]
    return judge(scores, scores, oracle=ORACLE, num_resamples=50)


def test_a_trained_head_is_one_run_with_config_curves_and_artifact(run_folder):
    tracker = WandbTracker("some-project", "offline", tags=["night"])
    train(tracker, run_folder)
    (run,) = logged(run_folder)
    assert run.facts["project"] == "some-project" and run.facts["job_type"] == "train"
    assert run.facts["run_group"] == run_folder.name
    assert run.facts["display_name"] == f"{run_folder.name} seed_0"
    assert run.config["head"] == CONFIG["head"] and run.config["trainer"] == CONFIG["trainer"]
    keys = {key for row in run.history for key in row}
    assert {"train/loss", "val/loss", MONITOR, "val/ap_0.5", "trainer/global_step"} <= keys
    curve = [row[MONITOR] for row in run.history if MONITOR in row]
    assert len(curve) == SETUP.trainer.validations
    assert run.summary[MONITOR] == {"max": max(curve)}
    (artifact,) = run.artifacts
    assert artifact.type == "model" and artifact.name == f"predictor-{run.facts['run_id']}"
    metadata = json.loads(artifact.metadata)
    assert metadata["feature_fingerprint"] == "abc" and metadata["seed"] == 0
    assert metadata["spec"] == {"num_frames": 16} and metadata[MONITOR] == 0.9
    (content,) = artifact.manifest.contents
    assert content.path == "predictor.safetensors"
    assert Path(content.local_path).samefile(run_folder / "seed_0/predictor.safetensors")
    assert run.exit_code == 0


def test_the_summary_holds_tables_map_and_plots(run_folder):
    numbers = final_numbers()
    summary = numbers.summary
    (run_folder / "plots").mkdir()
    plots.ap_by_horizon(summary, run_folder / "plots/ap_by_horizon.png")
    WandbTracker("p", "offline").summary(run_folder, numbers)
    (run,) = logged(run_folder)
    assert run.facts["job_type"] == "summary" and run.facts["run_group"] == run_folder.name
    assert run.config["loss"] == CONFIG["loss"]
    mean = summary.ap["mean"]
    assert run.summary["test/nexar_map"] == mean.value
    assert run.summary["test/nexar_map_low"] == mean.low
    assert run.summary["test/ap_0.5"] == summary.ap["0.5"].value
    (row,) = [row for row in run.history if "test/ap" in row]
    files = run.folder / "files"
    table = json.loads((files / row["test/ap"]["path"]).read_text())
    assert table["columns"] == ["horizon", "value", "low", "high", "chance", "lift", "oracle"]
    assert [line[0] for line in table["data"]] == ["0.5", "1.0", "1.5", "mean"]
    assert table["data"][-1][1:4] == [mean.value, mean.low, mean.high]
    assert [line[6] for line in table["data"]][:3] == [0.98, 0.95, 0.92]
    slices = json.loads((files / row["test/slices"]["path"]).read_text())
    assert [line[0] for line in slices["data"]] == list(summary.slices)
    picture = files / row["plots/ap_by_horizon"]["path"]
    assert picture.read_bytes() == (run_folder / "plots/ap_by_horizon.png").read_bytes()


def finished(run_folder):
    """Put into a run folder what `train` leaves there before it logs the result."""
    scores = [made_up_scores(seed=seed) for seed in (0, 1)]
    for seed, one in enumerate(scores):
        one.to_csv(run_folder / f"predictions_seed{seed}.csv")
    facts = {"commit": "c0ffee", "learned_from": {"data_digest": "d", "feature_fingerprint": "f"}}
    (run_folder / "provenance.json").write_text(json.dumps(facts))
    (run_folder / "results.html").write_text("<p>page</p>")
    return scores


def test_the_summary_holds_scores_curves_and_files_with_their_fingerprints(run_folder):
    first, second = finished(run_folder)
    WandbTracker("p", "offline").summary(run_folder, final_numbers())
    (run,) = logged(run_folder)
    (row,) = [row for row in run.history if "test/predictions" in row]

    def table(name):
        return json.loads((run.folder / "files" / row[name]["path"]).read_text())

    shown = table("test/predictions")
    assert shown["columns"][:6] == ["seed", "video", "group", "label", "horizon", "score"]
    assert len(shown["data"]) == len(first) + len(second)
    by_key = {(line[0], line[1], line[4]): line[5] for line in shown["data"]}
    for seed, one in enumerate((first, second)):
        for video, horizon, score in zip(one.video, one.horizon, one.score, strict=True):
            assert by_key[seed, video, horizon] == pytest.approx(score, nan_ok=True)
    assert "Brier score" in {line[0] for line in table("test/numbers")["data"]}
    (curve,) = [json.loads(p.read_text()) for p in run.folder.glob("files/**/*roc*.json")]
    assert {line[0] for line in curve["data"]} == {"0.5 s", "1.0 s", "1.5 s"}
    assert curve["data"][0][1:] == [0, 0] and curve["data"][-1][1:] == [1, 1]
    (artifact,) = [one for one in run.artifacts if one.type == "results"]  # tables are some, too
    metadata = json.loads(artifact.metadata)
    assert metadata["feature_fingerprint"] == "f" and metadata["run"] == run_folder.name
    names = {content.path for content in artifact.manifest.contents}
    assert names == {
        *("results.html", "config.yaml", "provenance.json"),
        *("predictions_seed0.csv", "predictions_seed1.csv"),
    }


def test_the_runs_of_a_sweep_share_a_group(run_folder):
    tracker = WandbTracker("p", "offline")
    with sweep():
        name = sweep_name()
        tracker.logger(run_folder, "seed_0", CONFIG).experiment.finish()
    tracker.logger(run_folder, "seed_1", CONFIG).experiment.finish()
    groups = {run.facts["display_name"][-6:]: run.facts["run_group"] for run in logged(run_folder)}
    assert groups == {"seed_0": name, "seed_1": run_folder.name} and name.startswith("sweep_")


def test_metrics_without_oracle_slices_or_interval_are_logged(run_folder):
    scores = made_up_scores(num_groups=2)
    numbers = judge([scores], num_resamples=50, slices=())
    WandbTracker("p", "offline").summary(run_folder, numbers)
    (run,) = logged(run_folder)
    assert run.summary["test/nexar_map"] == numbers.summary.ap["mean"].value
    assert not any("test/slices" in row for row in run.history)


def test_every_part_of_a_run_is_its_own_run_in_one_group(run_folder):
    tracker = WandbTracker("p", "offline")
    for part in ("fold_0/seed_0", "fold_1/seed_0"):
        tracker.logger(run_folder, part, CONFIG).experiment.finish()
    first, second = sorted(logged(run_folder), key=lambda run: run.facts["display_name"])
    assert first.facts["run_id"] != second.facts["run_id"]
    assert first.facts["run_group"] == second.facts["run_group"]
    assert first.facts["display_name"].endswith("fold_0/seed_0")


def test_a_resumed_part_keeps_its_id(run_folder):
    tracker = WandbTracker("p", "offline")
    ids = []
    for _ in range(2):
        logger = tracker.logger(run_folder, "seed_0", CONFIG)
        ids.append(logger.experiment.id)
        logger.experiment.finish()
    assert ids[0] == ids[1]


def test_a_run_that_broke_off_is_marked_and_not_written_to_by_the_next(run_folder, tmp_path):
    tracker = WandbTracker("p", "offline")
    broken = tracker.logger(run_folder, "seed_0", CONFIG)
    other = tmp_path / "other"
    other.mkdir()
    following = tracker.logger(other, "seed_0", CONFIG)
    assert broken.experiment.id != following.experiment.id
    following.experiment.finish()
    assert [run.exit_code for run in logged(run_folder) + logged(other)] == [1, 0]


def test_one_line_says_where_to_look_and_wandb_says_nothing(run_folder, capfd):
    tracker = WandbTracker("p", "offline")
    logger = tracker.logger(run_folder, "seed_0", CONFIG)
    place = tracker.where(logger)
    logger.experiment.finish()
    folder = Path(place.rpartition(" ")[2])
    assert "\n" not in place and "wandb sync" in place and list(folder.glob("*.wandb"))
    output = capfd.readouterr()
    assert output.out == output.err == ""


def test_disabled_leaves_nothing(run_folder):
    tracker = WandbTracker("p", "disabled")
    train(tracker, run_folder)
    tracker.summary(run_folder, final_numbers())
    assert sorted(path.name for path in run_folder.iterdir()) == ["config.yaml", "seed_0"]
    home = Path(os.environ["HOME"])
    assert not [path for path in home.rglob("*") if path.is_file() and path.suffix != ".log"]


def test_the_progress_bar_stays(run_folder, monkeypatch):
    """W&B may replace sys.stdout, and a bar is only drawn where that is a terminal."""
    import lightning

    seen = []
    fit = lightning.Trainer.fit
    monkeypatch.setattr(
        lightning.Trainer,
        "fit",
        lambda trainer, *a, **k: (
            seen.extend(type(c).__name__ for c in trainer.callbacks),
            fit(trainer, *a, **k),
        ),
    )
    stdout = sys.stdout
    logger = WandbTracker("p", "offline").logger(run_folder, "seed_0", CONFIG)
    assert sys.stdout is stdout
    console = Console(force_terminal=True, file=(run_folder / "terminal").open("w"))
    fit_head(SETUP, planted_splits(), Place(run_folder / "s", 0, console, [logger]))
    logger.experiment.finish()
    assert "RichProgressBar" in seen and "LearningRateMonitor" in seen


@pytest.mark.parametrize("mode", ["dryrun", False, None, "Online"])
def test_an_unknown_mode_is_refused(mode):
    with pytest.raises(ConfigError, match=r"logger\.mode=.*online, offline, disabled"):
        WandbTracker("p", mode)


@pytest.fixture
def server(monkeypatch):
    """A W&B server that refuses every key."""

    class Refusing(BaseHTTPRequestHandler):
        def do_POST(self):
            self.send_response(401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.server_port}")
        yield server
        server.shutdown()


@pytest.mark.parametrize("mode", [None, "offline"])
def test_online_without_a_key_is_refused_without_asking(monkeypatch, capfd, mode):
    if mode:
        monkeypatch.setenv("WANDB_MODE", mode)
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("it asked"))
    with pytest.raises(ConfigError, match=r"no API key.*`wandb login`.*logger\.mode=offline"):
        WandbTracker("p", "online")
    output = capfd.readouterr()
    assert output.out == output.err == ""


@pytest.mark.parametrize("key", ["short", "0" * 40])
def test_a_key_that_the_server_refuses_is_told(monkeypatch, server, capfd, key):
    monkeypatch.setenv("WANDB_API_KEY", key)
    with pytest.raises(ConfigError, match=r"^W&B cannot be used: .*logger\.mode=offline") as told:
        WandbTracker("p", "online")
    assert "\n" not in str(told.value)
    output = capfd.readouterr()
    assert output.out == output.err == ""


@pytest.mark.slow
def test_without_the_logger_wandb_is_not_loaded():
    code = "import sys, collision.commands.train; sys.exit('wandb' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
