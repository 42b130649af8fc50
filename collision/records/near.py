"""Which file a table means: names change on their way between cameras, spreadsheets and disks."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from functools import lru_cache
from pathlib import Path

from collision.files import list_folder

# Of video files, in any case.
SUFFIXES = (
    *(".mp4", ".mov", ".m4v", ".3gp", ".3g2", ".mkv", ".webm"),
    *(".avi", ".ts", ".m2ts", ".mpg", ".mpeg"),
)


def meant(root: Path, text: str) -> Path:
    """Give the path that a table's text means, which may be missing, or lie outside the root.

    Raises:
        ValueError: Several files may be meant, or it is a path of another machine.
    """
    if "\0" in text:
        raise ValueError(f"video {text!r} is no path: it holds a NUL")
    path = Path(os.path.normpath(root / text))
    if "\\" in text and not os.path.lexists(path):
        if re.match(r"[A-Za-z]:", text):
            raise ValueError(f"video {text!r} is a path of Windows: write it relative to the root")
        path = Path(os.path.normpath(root / text.replace("\\", "/")))
    found = alike(path, root) if path.is_relative_to(root) else []
    if len(found) > 1:
        names = " or ".join(repr(one.relative_to(root).as_posix()) for one in found)
        raise ValueError(f"video {text!r} may be {names}: write the one that is meant")
    return found[0] if found else path


def alike(path: Path, root: Path) -> list[Path]:
    """List what a path below the root may mean: itself if it is there, else what is like it.

    Alike are names that differ in case or Unicode form alone; if there are none, videos of that
    name with a suffix.
    """
    if path == root or os.path.lexists(path):
        return [path]
    found: list[Path] = []
    for folder in alike(path.parent, root):
        name, there = _same(path.name), _names(folder)
        found += there.get(name) or [one for s in SUFFIXES for one in there.get(name + s, [])]
    return found


def with_other_suffix(path: Path) -> list[str]:
    """List the files beside a missing one that differ from it in the suffix."""
    stem, there = _same(path.stem), _names(path.parent)
    return [one.name for name, found in there.items() if Path(name).stem == stem for one in found]


def _same(name: str) -> str:
    """Give what names have in common that look alike to people."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _names(folder: Path) -> dict[str, list[Path]]:
    try:
        return _names_at(folder, folder.stat().st_mtime_ns)
    except OSError:
        return {}


@lru_cache(maxsize=1024)  # tables name thousands of files of one folder
def _names_at(folder: Path, changed: int) -> dict[str, list[Path]]:
    by_name = defaultdict(list)
    for path in list_folder(folder):
        by_name[_same(path.name)].append(path)
    return dict(by_name)
