"""Caches as earlier versions left them."""

import json
import shutil
from pathlib import Path

import pytest

from collision.features import hashing
from collision.features.digest import VideoDigests
from collision.features.hashing import stamp, whole_hash


def take_for_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash the videos of tests in parts, as if they were large."""
    for name, value in (("WHOLE_UP_TO", 1000), ("_END", 300), ("_BLOCK", 4)):
        monkeypatch.setattr(hashing, name, value)


def made_by_an_earlier_version(folder: Path, with_index: bool = True) -> dict[Path, str]:
    """Fill the cache of a folder of videos, and put it as it would have been; give digests."""
    paths = sorted(folder.glob("*.mp4"))
    names = {VideoDigests(folder / "none.json").digest(path): whole_hash(path) for path in paths}
    cache, text = folder / "cache", "latin-1"
    for file in [*cache.rglob("*.safetensors"), *cache.rglob("*.json")]:
        content = file.read_bytes().decode(text)
        if file.parent.name == file.name[:2]:  # names are of equal length
            for parts, whole in names.items():
                content = content.replace(parts, whole)
            file.unlink()
            file = file.parent.parent / file.name.replace(file.name[:32], names[file.name[:32]])
        file.write_bytes(content.encode(text))
    for manifest in cache.glob("*/manifest.json"):
        manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"version": 2}))
    shutil.rmtree(cache / "videos")
    files = {str(path): [*stamp(path), whole_hash(path)] for path in paths}
    if with_index:
        (cache / "videos.json").write_text(json.dumps({"version": 3, "files": files}))
    return {path: whole_hash(path) for path in paths}
