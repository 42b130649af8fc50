"""Whether a painted clip is whole: its sidecar says so; without what painting needs."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from collision.datasets.synthetic.scene import Clip


def digest_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_complete(folder: Path, clip: Clip) -> bool:
    """Whether a clip and its sidecar are there and whole."""
    try:
        sidecar = json.loads((folder / f"{clip.stem}.state.json").read_text())
        return digest_of(folder / f"{clip.stem}.mp4") == sidecar["video_sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
