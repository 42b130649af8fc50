"""Parts from a person's own package: trained, saved, and loaded by those who trust it."""

import sys
import textwrap

import pytest

import collision
from collision.errors import CheckpointError
from tests.conftest import SMALL

PACKAGE = {
    "my_package/__init__.py": "",
    "my_package/heads.py": """
        from torch import nn

        class MyHead(nn.Module):
            def __init__(self, input_dim: int, dim: int = 4):
                super().__init__()
                self.project = nn.Linear(input_dim, dim)
                self.output_dim = dim

            def forward(self, features, times, mask):
                return self.project(features)
        """,
    "my_package/backbones.py": """
        import torch
        from collision.types import BackboneSpec

        class MyNet(torch.nn.Module):
            def __init__(self, width: int = 32):
                super().__init__()
                self.spec = BackboneSpec(
                    "my_net", "my_library 1.2", num_frames=1, fps=8.0, height=16, width=width,
                    mean=(0.5,) * 3, std=(0.5,) * 3, num_steps=1, feature_dim=3,
                )

            def forward(self, frames):
                return frames.float().div(255).mean(dim=(2, 3))
        """,
    "my_package/datasets.py": """
        from pathlib import Path
        from collision.types import VideoRecord

        class MySet:
            name = "my_set"

            def __init__(self, root: str):
                self.root = Path(root)

            def prepare(self, splits=None):
                pass

            def records(self):
                return [
                    VideoRecord(path.stem, path, int(path.stem[-1] in "a"), "test", path.stem[:4],
                                event_time=4.0 if path.stem[-1] == "a" else None,
                                mock_event_time=None if path.stem[-1] == "a" else 4.0)
                    for path in sorted(self.root.glob("*.mp4"))[:8]
                ]
        """,
    "my_configs/head/my_head.yaml": "_target_: my_package.heads.MyHead\ndim: 4\n",
    "my_configs/backbone/my_net.yaml": "_target_: my_package.backbones.MyNet\nwidth: 32\n",
    "my_configs/dataset/my_set.yaml": "_target_: my_package.datasets.MySet\nroot: ???\n",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    for name, text in PACKAGE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(textwrap.dedent(text))
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [one for one in sys.modules if one.partition(".")[0] == "my_package"]:
        del sys.modules[name]


def test_own_parts_are_trained_saved_and_loaded_by_trust(workshop, package):
    configs = ("--config-dir", package / "my_configs")
    parts = ("backbone=my_net", "head=my_head", "audit=false")
    output = workshop.command("train", *configs, *parts, *SMALL, f"runs_root={package}/runs")
    assert "head my_head" in output
    run = (package / "runs" / "latest").resolve()
    with pytest.raises(CheckpointError, match=r"trust=\[my_package\]"):
        collision.load(run)
    assert collision.load(run, trust=["my_package"]).predictors[0].model.encoder.output_dim == 4
    videos = sorted((workshop.root / "data").glob("synthetic-*/videos"))[0]
    evaluate = ("evaluate", *configs, run, "dataset=my_set", f"dataset.root={videos}")
    assert "my_package" in workshop.command(*evaluate, code=2)
    assert "my_set" in workshop.command(*evaluate, "trust=[my_package]", "num_resamples=50")
