"""Every file of configs/experiment composes and names parts that exist; one is run, small."""

import json

import pytest
import wandb

from collision.config import config_dir
from collision.errors import ConfigError
from tests.conftest import Workshop, runs_in
from tests.kit.experiments import compose
from tests.kit.layouts import nexar

EXPERIMENTS = sorted(path.stem for path in (config_dir() / "experiment").glob("*.yaml"))
NEXAR = "nexar_vjepa2_zipformer"
TINY = (
    "backbone.size=tiny",
    "backbone.pretrained=false",
    "trainer.max_steps=4",
    "trainer.validations=1",
    "seeds=1",
    "num_resamples=50",
    "extraction.num_workers=1",
    "logger=wandb",
    "logger.mode=offline",
)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_composes_from_parts_that_exist(name):
    config = compose("train", f"experiment={name}")
    for part in ("sampling", "loss", "optimizer", "scheduler", "pooling", "dataset"):
        options = {"dim": 8} if part == "pooling" else {}
        getattr(config, part).build(**options)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_opens_with_its_command(name):
    lines = (config_dir() / "experiment" / f"{name}.yaml").read_text().splitlines()
    assert lines[0] == "# @package _global_"
    assert any(line.startswith(f"#   python train.py experiment={name}") for line in lines)


def test_the_nexar_experiment_overrides_the_defaults():
    config = compose("train", f"experiment={NEXAR}", "data_root=/somewhere")
    assert config.parts["backbone"] == "vjepa2" and config.parts["pooling"] == "attention"
    assert (
        config.seeds == 3
        and config.feature_dropout == 0.1
        and config.loss.options["pos_weight"] == 2.8
    )
    assert config.trainer.validations == 60 and config.scheduler.options["warmup"] == 0.08
    assert config.dataset.options["root"] == "/somewhere/nexar"
    assert config.parts["dataset"] == "nexar"


def test_its_head_can_be_swapped():
    config = compose("train", f"experiment={NEXAR}", "head=gru")
    assert config.head.build(input_dim=6).output_dim


def test_the_nexar_experiment_runs_small_and_is_logged(tmp_path):
    nexar.write(tmp_path / "data" / "nexar", "kaggle", num_train=24, num_sources=0)
    workshop = Workshop(tmp_path, tmp_path, "")
    arguments = (f"experiment={NEXAR}", f"data_root={tmp_path / 'data'}", *TINY)
    output = workshop.command("train", *arguments)
    wandb.teardown()
    assert output.count("W&B: offline; upload with: wandb sync") == 1
    (run,) = runs_in(tmp_path)
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["dataset"] == "nexar" and set(metrics["ap"]) == {"0.5", "1.0", "1.5", "mean"}
    assert len(list(run.glob("wandb/offline-run-*"))) == 2


def test_without_the_data_the_experiment_says_what_is_missing(tmp_path):
    arguments = (f"experiment={NEXAR}", f"data_root={tmp_path / 'data'}", *TINY)
    output = Workshop(tmp_path, tmp_path, "").command("train", *arguments, code=2)
    assert "Hugging Face: train/positive/*.mp4" in output and "docs/nexar.md" in output


def test_an_experiment_that_does_not_exist_is_refused():
    """An `optional` entry in the defaults would go on without it."""
    with pytest.raises(ConfigError, match=NEXAR):
        compose("train", "experiment=nope")
