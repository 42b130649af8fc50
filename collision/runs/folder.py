"""Run folders: unique, and telling all that is needed to repeat the run."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
import yaml

import collision
from collision.errors import CheckpointError, ConfigError
from collision.types import VideoRecord

_LIBRARIES = (
    "torch",
    "torchvision",
    "lightning",
    "torchmetrics",
    "timm",
    "transformers",
    "decord",
    "av",
    "numpy",
    "scikit-learn",
    "opencv-python-headless",
    "hydra-core",
    "safetensors",
    "wandb",
)


def create_run_folder(root: Path, name: str) -> Path:
    """Make a new folder ``root/<time>_<name>``; never one that exists.

    Raises:
        ConfigError: The root can't be written to.
    """
    stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    try:
        root.mkdir(parents=True, exist_ok=True)
        for attempt in range(1, 1000):
            folder = root / (f"{stamp}_{name}" + (f"-{attempt}" if attempt > 1 else ""))
            try:
                folder.mkdir()
                return folder
            except FileExistsError:
                continue
    except OSError as error:
        raise ConfigError(
            f"Cannot make a run folder in {str(root)!r}: {error.strerror}. Give runs_root=FOLDER."
        ) from error
    raise ConfigError(f"Too many runs called {stamp}_{name} in {str(root)!r}.")


def mark_latest(run: Path) -> None:
    """Let ``latest`` beside a finished run point to it, where the file system has links."""
    with contextlib.suppress(OSError):
        link = run.parent / f".latest.{os.getpid()}"
        link.symlink_to(run.name)
        link.replace(run.parent / "latest")


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
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "libraries": {
            name: importlib.metadata.version(name) for name in _LIBRARIES if _is_installed(name)
        },
    }


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def git_state() -> dict[str, Any]:
    """Give the checkout's commit and whether files differ from it; None outside a checkout."""
    root = Path(collision.__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return {"commit": None, "dirty": None}
    try:
        commit, status = (
            subprocess.run(
                ["git", "-C", str(root), *arguments],
                capture_output=True,
                text=True,
                check=True,
                timeout=10,
            ).stdout.strip()
            for arguments in (("rev-parse", "HEAD"), ("status", "--porcelain"))
        )
    except (OSError, subprocess.SubprocessError):
        return {"commit": None, "dirty": None}
    return {"commit": commit, "dirty": bool(status)}


def data_digest(records: Iterable[VideoRecord], digest_of: Mapping[str, str]) -> str:
    """Hash what was learned from and scored on: each video's content, label, times and split.

    ``digest_of`` gives the digest of a video's content by id; an unreadable file has none.
    """
    rows = sorted(
        json.dumps(
            [
                r.id,
                digest_of.get(r.id),
                r.label,
                r.split,
                r.group,
                r.event_time,
                r.alert_time,
                r.mock_event_time,
                r.cut_horizon,
            ]
        )
        for r in records
    )
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]


def write_json(path: Path, data: Any) -> None:
    """Write whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(data, indent=2, allow_nan=False) + "\n")
    temporary.replace(path)


def write_config(run: Path, config: Mapping[str, Any]) -> None:
    """Save the resolved configuration."""
    (run / "config.yaml").write_text(yaml.safe_dump(dict(config), sort_keys=False))


def read_config(run: Path) -> dict[str, Any]:
    """Read a run's resolved configuration.

    Raises:
        CheckpointError: The folder is not a run.
    """
    path = run / "config.yaml"
    if not path.is_file():
        found = ", ".join(sorted(p.name for p in run.iterdir())[:8]) if run.is_dir() else "nothing"
        raise CheckpointError(
            f"{str(run)!r} is not a run folder: no config.yaml there (found: {found}). "
            "Give a folder that `train` made, such as runs/latest."
        )
    try:
        config = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise CheckpointError(f"{str(path)!r} is not valid YAML: {error}") from None
    if not isinstance(config, dict):
        raise CheckpointError(f"{str(path)!r} holds no configuration.")
    return config
