"""A list of one's own videos, made from a folder of them and completed by hand."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from collision.errors import ConfigError
from collision.files import list_folder
from collision.records.near import SUFFIXES
from collision.types import UNLABELLED, VideoRecord

COLUMNS = ("video", "label", "event_time", "group")
# What folders are called whose videos all have one label; `-`, `_` and blanks count alike.
_POSITIVE = {"positive", "crash", "collision", "accident", "near_collision", "near_miss", "event"}
_NEGATIVE = {"negative", "normal", "safe", "no_crash", "no_collision", "no_accident", "no_event"}
# Words that say it within a longer name, such as `ccd_crash`; `event_12` may be of either label.
_POSITIVE_WORDS = _POSITIVE - {"event"}
_NEGATIVE_WORDS = {"negative", "normal", "safe"}
_NOT = {"no", "non", "not", "without"}


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
    def groups(self) -> Counter[str]:
        """How many videos each group has that a folder gave."""
        return Counter(row["group"] for row in self.rows if row["group"])

    @property
    def num_untimed(self) -> int:
        """How many need an event time and lack it: the positives, all of which do."""
        return sum(row["label"] == "1" for row in self.rows)


def list_videos(folder: Path, list_file: Path) -> Listed:
    """List the videos in a folder and the folders below it, by path; none is opened.

    Labels come from folders that are called ``positive``, ``crash``, ``normal`` and the like, or
    below the listed one have such a word in their names, the nearest first. The group of a video is
    its folder, unless that is the listed one, or gives a label and is not one of several whose
    names differ in their numbers (``crash_01``, ``crash_02``). Hidden files and folders are left
    out; links to folders are followed. Paths are relative to the folder of ``list_file``, if it
    holds the videos, else to ``folder``.
    """
    found = find_videos(folder)
    folder, base = folder.absolute(), list_file.absolute().parent
    root = base if folder.is_relative_to(base) else folder
    numbered = Counter(_without_numbers(place) for place in {path.parent for path in found})
    series = {place for place in numbered if numbered[place] > 1}
    return Listed(root, [_row(folder, root, path, series) for path in found])


def find_videos(folder: Path) -> list[Path]:
    """Give the videos in a folder and those below it, sorted; ConfigError: there are none."""
    if not folder.is_dir():
        raise ConfigError(f"{str(folder)!r} is no folder; give the one that holds your videos.")
    found: list[Path] = []
    for place, below, _ in os.walk(folder.absolute(), followlinks=True):
        below[:] = [name for name in below if not name.startswith(".")]
        found += list_folder(Path(place), SUFFIXES)
    if not found:
        raise ConfigError(f"{str(folder)!r} holds no video ({', '.join(SUFFIXES)}).")
    return sorted(found)


def unlabelled_records(folder: Path) -> list[VideoRecord]:
    """Give a record of each video in a folder, of which nothing is known but the file."""
    names = {path: path.relative_to(folder.absolute()).as_posix() for path in find_videos(folder)}
    return [VideoRecord(name, path, UNLABELLED, "test", name) for path, name in names.items()]


def _row(folder: Path, root: Path, path: Path, series: Collection[str]) -> dict[str, str]:
    below = path.relative_to(folder).parts[:-1]
    said = [*(_label_within(name) for name in reversed(below)), _label(folder.name)]
    labels = [label for label in said if label]
    is_one_of_several = _without_numbers(path.parent) in series
    is_group = bool(below) and (is_one_of_several or not _label_within(below[-1]))
    return {
        "video": path.relative_to(root).as_posix(),
        "label": labels[0] if labels else "",
        "event_time": "",
        "group": path.parent.relative_to(folder).as_posix() if is_group else "",
    }


def _without_numbers(folder: Path) -> str:
    return str(folder.with_name(re.sub(r"\d+", "#", folder.name)))


def _label(name: str) -> str:
    """Give the label that a folder's name says: 1, 0 or none."""
    word = "_".join(_words(name))
    for label, words in (("1", _POSITIVE), ("0", _NEGATIVE)):
        if _forms(word) & words:
            return label
    return ""


def _label_within(name: str) -> str:
    """Give the label that a folder's name, or a word in it, says; none if words contradict."""
    if label := _label(name):
        return label
    words, said = _words(name), set()
    for place, word in enumerate(words):
        pair = "_".join(words[place : place + 2])
        if (_forms(word) | _forms(pair)) & _POSITIVE_WORDS:
            said.add("0" if place and words[place - 1] in _NOT else "1")
        elif _forms(word) & _NEGATIVE_WORDS:
            said.add("0")
    return said.pop() if len(said) == 1 else ""


def _words(name: str) -> list[str]:
    return re.split("[-_ ]", name.lower())


def _forms(word: str) -> set[str]:
    return {word, word.removesuffix("s"), word.removesuffix("es")}
