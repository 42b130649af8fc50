"""A copy of the tree whose data sets and trainings are small, in which commands are typed."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT, environment
from tests.test_house import tracked

# What a reader has: a checkout with its environment. `make` finds it ready.
SHELL = f"""
set -euo pipefail
python() {{ {sys.executable} "$@"; }}
collision() {{ {sys.executable} -m collision "$@"; }}
make() {{ command make -o .venv/.ready PY={sys.executable} "$@"; }}
source() {{ test "$1" = .venv/bin/activate; }}
"""
SMALLER = {
    "dataset/synthetic.yaml": {"num_scenes": "14", "width": "160", "height": "92"},
    "dataset/synthetic_night.yaml": {"num_scenes": "14", "width": "160", "height": "92"},
    "trainer/default.yaml": {"max_steps": "12", "validations": "3"},
    "train.yaml": {"num_resamples": "200"},
    "evaluate.yaml": {"num_resamples": "200"},
    "compare.yaml": {"num_resamples": "200"},
}


def copy_tree(folder: Path) -> Path:
    """Copy what git tracks, and make its defaults small."""
    for name in tracked():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    for name, changes in SMALLER.items():
        path = folder / "configs" / name
        text = path.read_text()
        for key, value in changes.items():
            text, count = re.subn(rf"^( *{key}:) \S+", rf"\1 {value}", text, flags=re.M)
            assert count == 1, (name, key)
        path.write_text(text)
    return folder


def surroundings(folder: Path) -> dict[str, str]:
    """Give the environment of a command there: a home of its own, and no network."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    own = {"HOME": str(home), "PYTHONPATH": str(folder), "HF_HUB_OFFLINE": "1"}
    return {**kept, **environment(folder), **own}


def typed(folder: Path, *blocks: str) -> subprocess.CompletedProcess[str]:
    """Run what is typed into a shell."""
    return subprocess.run(
        ["bash", "-c", SHELL + "\n".join(blocks)],
        cwd=folder,
        env=surroundings(folder),
        capture_output=True,
        text=True,
    )


def run(folder: Path, *blocks: str) -> str:
    """Run what must go well; give what it said."""
    done = typed(folder, *blocks)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr
