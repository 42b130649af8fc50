import os

import pytest

from collision.runs.folder import write_config


@pytest.fixture
def wandb_home(tmp_path, monkeypatch):
    """No account of whoever runs the tests, and nothing of theirs is written to."""
    wandb = pytest.importorskip("wandb")
    home = tmp_path / "home"
    home.mkdir()
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("WANDB_DATA_DIR", str(home / "data"))
    monkeypatch.setenv("WANDB_CACHE_DIR", str(home / "cache"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(home / "config"))
    # Port 9 answers nobody: no test may reach the real server.
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    yield home
    if wandb.run is not None:
        wandb.run.finish()
    wandb.teardown()  # it remembers settings and accounts


# What is in the configuration of a run does not matter here.
CONFIG = {"head": {"name": "transformer"}, "loss": {"name": "bce"}, "trainer": {"max_steps": 4}}


@pytest.fixture
def run_folder(tmp_path):
    """A run folder that holds its configuration alone."""
    folder = tmp_path / "2026-01-31_12-00-00_made_up"
    folder.mkdir()
    write_config(folder, CONFIG)
    return folder
