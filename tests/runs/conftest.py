import os

import pytest


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
