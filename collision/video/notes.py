"""What is odd about files, as a person wants to read it: each kind once, with its number."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_NAMED = 3


def counted(notes: Mapping[str, Iterable[str]]) -> list[str]:
    """Say each kind of note once, the most common first: how many videos, and which.

    ``notes`` are by the video's id; those that differ in numbers alone are of one kind.
    """
    videos: dict[str, dict[str, str]] = {}
    for video, said in notes.items():
        for note in said:
            videos.setdefault(_NUMBER.sub("0", note), {}).setdefault(video, note)
    lines = []
    for of_kind in sorted(videos.values(), key=len, reverse=True):
        named = ", ".join(list(of_kind)[:_NAMED]) + ", ..." * (len(of_kind) > _NAMED)
        first = next(iter(of_kind.values()))
        same = "" if len({*of_kind.values()}) == 1 else ", the first: "
        count = "1 video" if len(of_kind) == 1 else f"{len(of_kind)} videos"
        lines.append(f"{count} ({named}){same or ': '}{first}")
    return lines
