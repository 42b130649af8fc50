"""Which clips a person means by files, folders, patterns and addresses, and what each is called.

Nothing is opened here, so that what is not there is told early.
"""

from __future__ import annotations

import glob
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from collision.checks import user_path
from collision.errors import CollisionError, ConfigError, VideoDecodeError
from collision.files import list_folder
from collision.records.annotations import parse_csv, reject_repeated, seconds
from collision.records.near import SUFFIXES
from collision.types import Seconds
from collision.video.addresses import is_live, shown

_ADDRESSES = ("http://", "https://")


@dataclass(frozen=True)
class Clip:
    """A clip to predict.

    Attributes:
        given: A path, or an http(s) address.
        name: Its own below the output folder, with ``/`` and without a suffix.
    """

    given: str
    name: str

    @property
    def is_address(self) -> bool:
        """Whether it has to be downloaded."""
        return self.given.startswith(_ADDRESSES)

    @property
    def source(self) -> str:
        """What it is known by: its address, or its absolute path."""
        return self.given if self.is_address else os.path.abspath(user_path(self.given))  # noqa: PTH100


def check_clips(arguments: Sequence[str]) -> None:
    """Refuse arguments of which none is there (of several, the others are predicted).

    Also a stream beside anything else.
    """
    live = [argument for argument in arguments if is_live(argument)]
    if live and len(arguments) > 1:
        raise ConfigError(
            f"{shown(live[0])} is a stream: predict it alone, in a command of its own, "
            f"not with {len(arguments) - 1} more."
        )
    absent = [argument for argument in arguments if not live and not _is_there(argument)]
    if len(absent) < len(arguments):
        return
    if len(absent) == 1:
        is_pattern = glob.has_magic(absent[0])
        what = "no file matches this pattern" if is_pattern else "there is no such file"
        raise VideoDecodeError(absent[0], what)
    raise CollisionError(f"None of the clips is there: {', '.join(absent)}.")


def _is_there(argument: str) -> bool:
    if argument.startswith(_ADDRESSES) or _exists(argument):
        return True
    return next(_matches(argument), None) is not None


def _exists(argument: str) -> bool:
    try:
        return user_path(argument).exists()
    except (OSError, ValueError):  # too long for a name, a NUL
        return False


def _matches(pattern: str) -> Iterator[str]:
    if glob.has_magic(pattern):
        yield from glob.iglob(str(user_path(pattern)), recursive=True)  # noqa: PTH207


def clips_of(arguments: Sequence[str]) -> list[Clip]:
    """List the clips behind arguments, each once, no two of one name.

    A folder stands for the videos in it and below, by path, or, where it holds images and no video,
    for the video that these are. A pattern, such as ``'cams/**/*.mp4'``, for what it matches.

    ConfigError: A folder holds neither.
    """
    found: dict[str, Clip] = {}
    for argument in arguments:
        for clip in _clips(argument):
            found.setdefault(clip.source, clip)
    return _named_apart(found.values())


def _clips(argument: str) -> Iterator[Clip]:
    if argument.startswith(_ADDRESSES):
        last = unquote(urlsplit(argument).path).replace("\\", "/").rpartition("/")[2]
        yield Clip(argument, _plain(Path(last).stem))
    elif not _exists(argument) and glob.has_magic(argument):
        yield from _of_pattern(argument)
    elif (path := user_path(argument)).is_dir():
        yield from _of_folder(path)
    else:  # one that is not there is told as any that cannot be read
        yield Clip(argument, _plain(path.stem))


def _of_pattern(pattern: str) -> Iterator[Clip]:
    root = Path(re.split(r"[*?[]", str(user_path(pattern)))[0] + "x").parent
    for match in sorted(_matches(pattern)):
        path = Path(match)
        if path.is_dir():
            if not pattern.endswith("**"):  # which means what lies below, too
                yield from _of_folder(path)
        elif path.suffix.lower() in SUFFIXES:
            yield Clip(match, _below(path, root))


def _of_folder(folder: Path) -> Iterator[Clip]:
    videos = list(_videos_below(folder))
    root = folder.absolute()
    for path in videos:
        yield Clip(str(path), f"{root.name or 'root'}/{_below(path, folder)}")
    if videos:
        return
    if not list_folder(folder, (".jpg", ".jpeg", ".png", ".bmp", ".webp")):
        raise ConfigError(
            f"{str(folder)!r} holds no video ({', '.join(SUFFIXES)}) and no images. Give a folder "
            "of videos, a video file, or a folder of images."
        )
    yield Clip(str(folder), _plain(root.name))


def _videos_below(folder: Path) -> Iterator[Path]:
    """List videos by path; links to folders are followed, each folder once."""
    seen: set[str] = set()
    for place, below, _ in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        below[:] = sorted(name for name in below if not name.startswith("."))
        if real in seen:
            below[:] = []
            continue
        seen.add(real)
        yield from list_folder(Path(place), SUFFIXES)


def _below(path: Path, root: Path) -> str:
    inside = path.relative_to(root) if path.is_relative_to(root) else Path(path.name)
    return "/".join(_plain(part) for part in (*inside.parts[:-1], inside.stem))


def _plain(part: str) -> str:
    """Give a part of a name that stays in its folder, and in sight."""
    return f"_{part}" if part.startswith(".") else part or "video"


def _named_apart(clips: Iterable[Clip]) -> list[Clip]:
    """Give clips of one name longer ones: with their suffixes, their folders, at last numbers."""
    found = list(clips)
    for level in range(1, 40):
        for members in _same(found):
            for number, clip in members:
                found[number] = replace(clip, name=_longer(clip, level))
    for members in _same(found):
        for count, (number, clip) in enumerate(members[1:], start=2):
            found[number] = replace(clip, name=f"{clip.name}-{count}")
    return found


def _same(clips: Sequence[Clip]) -> list[list[tuple[int, Clip]]]:
    by_name = defaultdict(list)
    for number, clip in enumerate(clips):
        by_name[clip.name.casefold()].append((number, clip))  # as some disks have it
    return [members for members in by_name.values() if len(members) > 1]


def _longer(clip: Clip, level: int) -> str:
    path = urlsplit(clip.source).path if clip.is_address else clip.source
    *folders, last = [part for part in path.split("/") if part not in ("", ".", "..")] or ["video"]
    if level == 1:  # a.mp4 beside a.avi
        return clip.name if clip.name.endswith(Path(last).suffix) else clip.name + Path(last).suffix
    above = folders[-(level - 1) :]
    return "/".join(map(_plain, (*above, last)))


def read_event_times(file: Path, clips: Sequence[Clip]) -> dict[str, Seconds]:
    """Read a CSV file of event times (columns ``video`` and ``event_time``): by a clip's source.

    ``video`` is a path (of the file's folder, or of where the command runs), an address, or as much
    of the end of one, with or without suffix, as tells the clip apart. Rows of other videos are
    left out, and those without a time.

    AnnotationError: A line cannot be read, or names several clips, or one twice.
    """

    def read(row: dict[str, str]) -> tuple[str, Seconds | None]:
        return _meant(file, row["video"], clips), seconds("event_time", row["event_time"])

    rows = parse_csv(file, ("video", "event_time"), read)
    known = {line: value for line, value in rows.items() if value[0]}
    reject_repeated(file, ((line, source) for line, (source, _) in known.items()))
    return {source: time for source, time in known.values() if time is not None}


def _meant(file: Path, text: str, clips: Sequence[Clip]) -> str:
    """Give the source of the clip that a table names; ValueError: it may be several."""
    sources = [clip.source for clip in clips]
    if not text:
        raise ValueError("the field 'video' is empty")
    for full in (text, os.path.abspath(file.parent / text), os.path.abspath(user_path(text))):  # noqa: PTH100
        if full in sources:
            return full
    wanted = tuple(part for part in text.replace("\\", "/").split("/") if part not in ("", "."))
    found = [source for source in sources if _ends_with(source, wanted)]
    if len(found) > 1:
        raise ValueError(f"video {text!r} may be {found[0]!r} or {found[1]!r}: write more of it")
    return found[0] if found else ""


def _ends_with(source: str, wanted: tuple[str, ...]) -> bool:
    parts = source.partition("?")[0].split("/")
    ends = [tuple(parts), (*parts[:-1], Path(parts[-1]).stem)]
    return any(end[-len(wanted) :] == wanted for end in ends)
