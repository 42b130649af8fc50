"""Where a number comes from: command, commit, versions, machine."""

from __future__ import annotations

import contextlib
import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import collision
from collision.features.manifest import installed_version

_LIBRARIES = (
    *("torch", "torchvision", "lightning", "torchmetrics", "timm", "transformers"),
    *("decord", "av", "torchcodec"),
    *("numpy", "scikit-learn", "opencv-python-headless", "hydra-core", "safetensors", "wandb"),
)


def provenance() -> dict[str, Any]:
    """Say what is running: command, commit, versions, machine."""
    return {
        "command": shlex.join([Path(sys.orig_argv[0]).name, *sys.orig_argv[1:]]),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": collision.__version__,
        **git_state(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu_cores": os.cpu_count(),
        "device": _device(),
        "libraries": {name: v for name in _LIBRARIES if (v := installed_version(name))},
    }


def _device() -> str:
    """Name the GPU; what has not loaded torch, which takes seconds, computes on the CPU."""
    torch = sys.modules.get("torch")
    return torch.cuda.get_device_name() if torch and torch.cuda.is_available() else "cpu"


def git_state() -> dict[str, Any]:
    """Give the checkout's commit and whether files differ from it; None outside a checkout."""
    root = Path(collision.__file__).resolve().parent.parent

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.check_output(
            command, stderr=subprocess.DEVNULL, text=True, timeout=10
        ).strip()

    if (root / ".git").exists():
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    return {"commit": None, "dirty": None}
