"""A list of one's own videos, made from a folder of them and completed by hand."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from collision.errors import ConfigError
from collision.files import list_folder
from collision.records.near import SUFFIXES

COLUMNS = ("video", "label", "event_time", "group")
# What folders are called whose videos all have one label; `-`, `_` and blanks count alike.
_POSITIVE = {"positive", "crash", "collision", "accident", "near_collision", "near_miss", "event"}
_NEGATIVE = {"negative", "normal", "safe", "no_crash", "no_collision", "no_accident", "no_event"}


@dataclass(frozen=True)
class Listed:
    """Videos below ``root`` as rows, which are empty where a person has to say it."""

    root: Path
    rows: list[dict[str, str]]

    @property
    def num_unlabelled(self) -> int:
        """How many lack a label."""
        return sum(row["label"] == "" for row in self.rows)

    @property
    def num_untimed(self) -> int:
        """How many need an event time and lack it: the positives, all of which do."""
        return sum(row["label"] == "1" for row in self.rows)


def list_videos(folder: Path, list_file: Path) -> Listed:
    """List the videos in a folder and the folders below it, by path; none is opened.

    Labels come from folders that are called ``positive``, ``crash``, ``normal`` and the like, the
    nearest one first. The group of a video is its folder, unless that one gives a label or is the
    listed folder itself. Hidden files and folders are left out; links to folders are followed.
    Paths are relative to the folder of ``list_file``, if it holds the videos, else to ``folder``.
    """
    if not folder.is_dir():
        raise ConfigError(f"{str(folder)!r} is no folder; give the one that holds your videos.")
    folder, base = folder.absolute(), list_file.absolute().parent
    root = base if folder.is_relative_to(base) else folder
    found: list[Path] = []
    for place, below, _ in os.walk(folder, followlinks=True):
        below[:] = [name for name in below if not name.startswith(".")]
        found += list_folder(Path(place), SUFFIXES)
    if not found:
        raise ConfigError(f"{str(folder)!r} holds no video ({', '.join(SUFFIXES)}).")
    return Listed(root, [_row(folder, root, path) for path in sorted(found)])


def _row(folder: Path, root: Path, path: Path) -> dict[str, str]:
    above = [folder.name, *path.relative_to(folder).parts[:-1]]
    labels = [label for name in reversed(above) if (label := _label(name))]
    is_group = path.parent != folder and not _label(path.parent.name)
    return {
        "video": path.relative_to(root).as_posix(),
        "label": labels[0] if labels else "",
        "event_time": "",
        "group": path.parent.relative_to(folder).as_posix() if is_group else "",
    }


def _label(name: str) -> str:
    """Give the label that a folder's name says: 1, 0 or none."""
    word = name.lower().replace("-", "_").replace(" ", "_")
    for label, words in (("1", _POSITIVE), ("0", _NEGATIVE)):
        if {word, word.removesuffix("s"), word.removesuffix("es")} & words:
            return label
    return ""
