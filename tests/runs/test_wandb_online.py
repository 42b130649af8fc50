"""W&B online, against a server of this machine that answers W&B's own client."""

import json
import subprocess
import sys

import pytest
from rich.console import Console

from collision.errors import ConfigError
from collision.learning.fit import Place, fit_head
from collision.learning.scoring import MONITOR
from collision.runs.logged_cards import COLUMNS, logged_cards
from collision.runs.sweep import sweep, sweep_name
from collision.runs.wandb_tracker import WandbTracker
from tests.kit.features import SETUP, planted_splits
from tests.kit.report import made_up_clips, numbers_of, trained_run
from tests.kit.scores import made_up_scores
from tests.kit.video import numbered_frames, write_video
from tests.kit.wandb_server import KEY, wandb_server
from tests.runs.conftest import CONFIG

pytestmark = pytest.mark.usefixtures("wandb_home")
ORIGIN = {"feature_fingerprint": "abc", "seed": 0}


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    with wandb_server() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.address)
        yield server


def log_head(tracker, folder, part="seed_0"):
    """Log two values and a file, without training."""
    logger = tracker.logger(folder, part, CONFIG)
    for step in (1, 2):
        logger.log_metrics({"val/loss": 1 / step}, step=step)
    where = tracker.where(logger)
    predictor = folder / f"{part}.safetensors"
    predictor.write_bytes(b"weights")
    tracker.finish(logger, predictor, ORIGIN)
    return where


def named(server, part):
    (run,) = [one for one in server.runs.values() if one.facts["displayName"].endswith(part)]
    return run


def test_a_trained_head_comes_through(server, run_folder):
    tracker = WandbTracker("some-project", "online", tags=["night"])
    logger = tracker.logger(run_folder, "seed_0", CONFIG)
    place = run_folder / "seed_0"
    fit_head(SETUP, planted_splits(), Place(place, 0, Console(quiet=True), [logger]))
    (place / "predictor.safetensors").write_bytes(b"weights")
    assert tracker.where(logger) == f"W&B: {logger.experiment.url}"
    tracker.finish(logger, place / "predictor.safetensors", ORIGIN)
    run = named(server, "seed_0")
    assert run.facts["project"] == "some-project" and run.facts["tags"] == ["night"]
    assert run.facts["groupName"] == run_folder.name and run.facts["jobType"] == "train"
    assert run.config["head"] == CONFIG["head"]
    curve = [row[MONITOR] for row in run.history if MONITOR in row]
    assert len(curve) == SETUP.trainer.validations
    assert run.summary[MONITOR] == {"max": max(curve)}
    assert run.exit_code == 0
    (artifact,) = server.artifacts.values()
    assert artifact.is_committed and artifact.facts["artifactTypeName"] == "model"
    assert json.loads(artifact.facts["metadata"]) == ORIGIN
    (entry,) = artifact.manifest["contents"].items()
    assert entry[0] == "predictor.safetensors" and entry[1]["size"] == len(b"weights")
    assert artifact.files == {"predictor.safetensors": b"weights"}


def test_the_result_comes_through_with_tables_cards_and_files(server, run_folder):
    path = write_video(run_folder.parent / "a.mp4", numbered_frames(50, 48, 64), fps=10)
    scores = made_up_scores(num_groups=8)
    trained_run(run_folder, scores, clips=made_up_clips(scores, [path]))
    facts = {"commit": "c0ffee", "learned_from": {"data_digest": "d", "feature_fingerprint": "f"}}
    (run_folder / "provenance.json").write_text(json.dumps(facts))
    numbers = numbers_of([scores])
    WandbTracker("p", "online").summary(run_folder, numbers)
    run = named(server, "summary")
    assert run.summary["test/nexar_map"] == pytest.approx(numbers.summary.ap["mean"].value)
    assert run.exit_code == 0
    by_kind = {}
    for artifact in server.artifacts.values():
        assert artifact.is_committed and set(artifact.manifest["contents"]) == set(artifact.files)
        by_kind.setdefault(artifact.facts["artifactTypeName"], []).append(artifact)
    (results,) = by_kind["results"]
    assert json.loads(results.facts["metadata"])["feature_fingerprint"] == "f"
    sent = results.files["metrics.json"]
    assert sent == (run_folder / "metrics.json").read_bytes()
    (cards,) = [one for one in by_kind["run_table"] if "test/cards.table.json" in one.files]
    table = json.loads(cards.files["test/cards.table.json"])
    rows = [card.row for card in logged_cards(run_folder)]
    assert [row[: len(COLUMNS)] for row in table["data"]] == rows and len(rows) > 10
    pictures = [cell["path"] for row in table["data"] for cell in row[len(COLUMNS) :]]
    assert set(pictures) <= set(cards.files) and len(pictures) == 3 * len(rows)


def test_a_resumed_head_goes_on_in_its_run(server, run_folder):
    tracker = WandbTracker("p", "online")
    log_head(tracker, run_folder)
    log_head(tracker, run_folder)
    run = named(server, "seed_0")
    assert [row["val/loss"] for row in run.history] == [1, 0.5, 1, 0.5]
    assert [row["_step"] for row in run.history] == [0, 1, 2, 3]


def test_the_runs_of_a_sweep_are_one_group(server, run_folder, tmp_path):
    tracker = WandbTracker("p", "online")
    other = tmp_path / "other"
    other.mkdir()
    with sweep():
        name = sweep_name()
        log_head(tracker, run_folder)
        log_head(tracker, other)
    assert [run.facts["groupName"] for run in server.runs.values()] == [name, name]


@pytest.mark.slow
def test_an_offline_run_is_uploaded_by_the_command_that_is_told(server, run_folder):
    where = log_head(WandbTracker("p", "offline"), run_folder)
    folder = where.partition("wandb sync ")[2]
    command = [sys.executable, "-m", "wandb", "sync", folder]
    subprocess.run(command, check=True, timeout=120, cwd=run_folder)  # its log goes to ./wandb
    run = named(server, "seed_0")
    assert [row["val/loss"] for row in run.history] == [1, 0.5]
    assert run.facts["groupName"] == run_folder.name
    (artifact,) = server.artifacts.values()
    assert artifact.is_committed and artifact.files == {"seed_0.safetensors": b"weights"}


def test_a_server_that_is_down_is_told_before_any_work(monkeypatch, capfd):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    with pytest.raises(ConfigError, match=r"^W&B cannot be used: .*logger\.mode=offline") as told:
        WandbTracker("p", "online")
    assert "\n" not in str(told.value)
    output = capfd.readouterr()
    assert output.out == output.err == ""


@pytest.mark.parametrize("when", ["while a head trains", "between two heads", "before the result"])
def test_a_server_that_refuses_later_costs_no_training(server, run_folder, capfd, when):
    tracker = WandbTracker("p", "online", timeout=5)
    if when == "while a head trains":
        logger = tracker.logger(run_folder, "seed_0", CONFIG)
        server.closed = True
        predictor = run_folder / "first.safetensors"
        predictor.write_bytes(b"weights")
        tracker.finish(logger, predictor, ORIGIN)
    else:
        log_head(tracker, run_folder)
        server.closed = True
    if when != "before the result":
        assert "offline; upload with: wandb sync" in log_head(tracker, run_folder, "seed_1")
    scores = made_up_scores(num_groups=4)
    trained_run(run_folder, scores, clips=made_up_clips(scores))
    tracker.summary(run_folder, numbers_of([scores]))
    told = capfd.readouterr().out
    assert told.count("W&B fails: ") == told.count("wandb sync FOLDER") == 1
    assert "Training goes on" in told and told.count("\n") == 1
    number = 1 if when == "before the result" else 2
    assert len(list(run_folder.glob("wandb/offline-run-*/*.wandb"))) == number
    assert ("curves are, too" in told) == (when == "while a head trains")


@pytest.mark.slow
def test_a_server_that_goes_away_costs_no_training(monkeypatch, run_folder, capfd):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    with wandb_server() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.address)
        tracker = WandbTracker("p", "online", timeout=3)
        logger = tracker.logger(run_folder, "seed_0", CONFIG)
    predictor = run_folder / "first.safetensors"
    predictor.write_bytes(b"weights")
    tracker.finish(logger, predictor, ORIGIN)
    assert "offline; upload with: wandb sync" in log_head(tracker, run_folder, "seed_1")
    assert capfd.readouterr().out.count("W&B fails: ") == 1


@pytest.mark.parametrize("timeout", [0, -1])
def test_a_wrong_timeout_is_refused(timeout):
    with pytest.raises(ConfigError, match=r"logger\.timeout=.*above 0"):
        WandbTracker("p", "offline", timeout=timeout)
