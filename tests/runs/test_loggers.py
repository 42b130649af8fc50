"""TensorBoard and Trackio: what is logged is read back with their own readers."""

import json
import subprocess
import sys

import pytest
from rich.console import Console

from collision.config import part
from collision.errors import ConfigError
from collision.evaluation.numbers import judge
from collision.learning.fit import Place, fit_head
from collision.learning.scoring import MONITOR
from collision.report import plots
from collision.runs.folder import write_config
from collision.runs.logged import MOST_ROWS, tables_of
from collision.runs.sweep import sweep, sweep_name
from tests.conftest import ROOT
from tests.kit.features import SETUP, planted_splits
from tests.kit.scores import ORACLE, made_up_scores

CONFIG = {"head": {"name": "transformer"}, "loss": {"name": "bce"}, "trainer": {"max_steps": 4}}
ORIGIN = {"feature_fingerprint": "abc", MONITOR: 0.9, "seed": 0}
SCORES = [made_up_scores(seed=seed) for seed in (0, 1)]


@pytest.fixture
def run_folder(tmp_path):
    """What `train` leaves before it logs the result."""
    folder = tmp_path / "2026-01-31_12-00-00_made_up"
    (folder / "plots").mkdir(parents=True)
    write_config(folder, CONFIG)
    facts = {"commit": "c0ffee", "learned_from": {"data_digest": "d", "feature_fingerprint": "f"}}
    (folder / "provenance.json").write_text(json.dumps(facts))
    for seed, one in enumerate(SCORES):
        one.to_csv(folder / f"predictions_seed{seed}.csv")
    return folder


@pytest.fixture(scope="module")
def numbers():
    return judge(SCORES, SCORES, oracle=ORACLE, num_resamples=50)


def train(tracker, folder):
    logger = tracker.logger(folder, "seed_0", CONFIG)
    place = folder / "seed_0"
    fit_head(SETUP, planted_splits(), Place(place, 0, Console(quiet=True), [logger]))
    (place / "predictor.safetensors").write_bytes(b"weights")
    where = tracker.where(logger)
    tracker.finish(logger, place / "predictor.safetensors", ORIGIN)
    return where


def read_events(folder):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"tensors": 0, "scalars": 0, "images": 0})
    return events.Reload()


def text_of(events, name):
    (tensor,) = events.Tensors(f"{name}/text_summary")
    return tensor.tensor_proto.string_val[0].decode()


def test_tensorboard_reads_the_curves_of_a_head_and_what_it_is(run_folder):
    where = train(part("logger", "tensorboard").build(), run_folder)
    assert where == f"TensorBoard: tensorboard --logdir {run_folder / 'tensorboard'}"
    events = read_events(run_folder / "tensorboard/seed_0")
    curve = [point.value for point in events.Scalars(MONITOR)]
    assert len(curve) == SETUP.trainer.validations
    assert {"train/loss", "val/loss"} <= set(events.Tags()["scalars"])
    assert "transformer" in text_of(events, "configuration")
    assert '"feature_fingerprint": "abc"' in text_of(events, "predictor")


def test_tensorboard_reads_the_result(run_folder, numbers):
    plots.ap_by_horizon(numbers.summary, run_folder / "plots/ap_by_horizon.png")
    part("logger", "tensorboard").build().summary(run_folder, numbers)
    events = read_events(run_folder / "tensorboard/summary")
    (point,) = events.Scalars("test/ap_0.5")
    assert point.value == pytest.approx(numbers.summary.ap["0.5"].value, abs=1e-6)
    table = text_of(events, "test/ap")
    assert "| horizon |" in table and f"{numbers.summary.ap['mean'].value:.4g}" in table
    assert str(SCORES[0].video[0]) in text_of(events, "test/predictions")
    (picture,) = events.Images("plots/ap_by_horizon")
    assert (picture.width, picture.height) > (300, 200)
    assert '"feature_fingerprint": "f"' in text_of(events, "provenance")
    assert {"precision_recall/0.5 s"} <= set(events.Tags()["tensors"])


def test_trackio_keeps_curves_and_result(run_folder, numbers, monkeypatch, tmp_path, capfd):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    pytest.importorskip("trackio")
    from trackio.sqlite_storage import SQLiteStorage

    plots.ap_by_horizon(numbers.summary, run_folder / "plots/ap_by_horizon.png")
    tracker = part("logger", "trackio", project="some-project").build()
    with sweep():
        name = sweep_name()
        assert "trackio show --project some-project" in train(tracker, run_folder)
        tracker.summary(run_folder, numbers)
    assert capfd.readouterr().out == ""
    head, summary = f"{run_folder.name} seed_0", f"{run_folder.name} summary"
    assert set(SQLiteStorage.get_runs("some-project")) == {head, summary}
    logged = SQLiteStorage.get_logs("some-project", head)
    assert len([row for row in logged if MONITOR in row]) == SETUP.trainer.validations
    (row,) = SQLiteStorage.get_logs("some-project", summary)
    assert row["test/nexar_map"] == pytest.approx(numbers.summary.ap["mean"].value)
    assert row["test/predictions"]["_value"] and row["plots/ap_by_horizon"]["file_path"]
    config = SQLiteStorage.get_run_config("some-project", head)
    assert config["head"] == CONFIG["head"] and config["_Group"] == name


@pytest.mark.parametrize(
    ("name", "module"), [("tensorboard", "torch.utils.tensorboard"), ("trackio", "trackio")]
)
def test_without_its_package_a_logger_is_a_sentence(name, module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=rf"^logger={name} needs .*pip install '{name}>=") as told:
        part("logger", name).build()
    assert "\n" not in str(told.value)


def test_of_too_many_predictions_the_worst_are_kept(run_folder, numbers, monkeypatch):
    monkeypatch.setattr("collision.runs.logged.MOST_ROWS", 5)
    table = tables_of(run_folder, numbers)["test/predictions"]
    errors = [abs(row[3] - row[5]) for row in table.rows if row[5] is not None]
    every = sorted(
        abs(label - score)
        for one in SCORES
        for label, score in zip(one.label, one.score, strict=True)
        if score == score
    )
    assert len(table.rows) == 5 < MOST_ROWS
    assert min(errors, default=1) >= every[-5]


def test_what_no_logger_needs_is_not_loaded():
    code = (
        "import sys, collision.commands._entry, collision.runs.tracker, collision.runs.sweep;"
        "sys.exit(any(m in sys.modules for m in ('tensorboard', 'trackio', 'wandb', 'torch')))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
