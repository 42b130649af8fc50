"""One look at each video file, remembered by its content: nobody reads its packets twice.

    <root>/looks/v<VERSION>/<2 digits>/<digest>.safetensors

What ``index_video`` finds is kept there as plain arrays and JSON. A damaged file is made anew.

Shapes: N frames of a file, P packets.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from collision.checks import STRICT, typed
from collision.errors import CacheMismatchError
from collision.features.digest import VideoDigests
from collision.features.folders import FannedFolder
from collision.features.saved import kept_in_cache, pack, unpack
from collision.files import write_whole
from collision.video.index import CodedFrames, VideoIndex, at_rate, index_video
from collision.video.packets import Entry

# Raise it whenever a look at the same file finds, or keeps, other things.
VERSION: Literal[3] = 3

_OF_FRAMES = {"frame_times": np.float64, "sizes": np.int64, "times": np.float64}  # [N]
_OF_PACKETS = dict.fromkeys(("ranks", "places", "clock"), np.int64)  # [P]


@dataclass(frozen=True)
class _Header:
    """What of an index, and of its ``CodedFrames``, is no array."""

    __pydantic_config__ = STRICT

    height: int
    width: int
    codec: str
    native_fps: float
    duration: float
    reader: str
    notes: tuple[str, ...]
    video_stream: int
    revision: int
    pixels: str
    not_by_decord: str
    is_seekable: bool
    num_flagged: int
    gaps: tuple[int, ...]
    entries: tuple[Entry, ...]
    version: Literal[3] = VERSION


_KEPT = {field.name for field in fields(_Header)} & {field.name for field in fields(VideoIndex)}


class VideoLooks:
    """Looks at files, in the cache folder in which their digests are."""

    def __init__(self, digests: VideoDigests):
        self.digests = digests
        self.folder = digests.index_file.parent / "looks" / f"v{VERSION}"
        self.files = FannedFolder(self.folder, ".safetensors")
        self._unkept: dict[str, VideoIndex] = {}

    def index(
        self, path: Path, frame_rate: float | None = None, video_stream: int | None = None
    ) -> VideoIndex:
        """As ``collision.video.index.index_video``, from what is remembered if it is.

        VideoDecodeError: there is no such file, it is no video, or part of it is missing.
        """
        path = Path(path).absolute()
        if path.is_dir():  # it has no packets
            return index_video(path, frame_rate)
        name = self.digests.digest(path, video_stream=video_stream)
        found = self._unkept.get(name) or _load(self.files.find(name), path)
        if found is None:
            found = index_video(path, video_stream=video_stream)
            with kept_in_cache(self.files.place(name), self.folder) as file:
                write_whole(file, _encode(found))
                self.files.settle(name)
            if not file.exists():
                self._unkept[name] = found
        return at_rate(replace(found, path=path), frame_rate)


def _encode(index: VideoIndex) -> bytes:
    coded = index.coded
    assert coded is not None
    header = {name: getattr(index, name) for name in _KEPT}
    entries = [asdict(entry) for entry in coded.entries]
    header |= {
        "is_seekable": coded.is_seekable,
        "num_flagged": coded.num_flagged,
        "gaps": coded.gaps,
        "entries": entries,
        "version": VERSION,
    }
    arrays = {name: getattr(coded, name) for name in ("times", *_OF_PACKETS)}
    arrays |= {"frame_times": index.frame_times, "sizes": index.sizes}
    return pack(arrays, {"look": json.dumps(header)})


def _load(file: Path, path: Path) -> VideoIndex | None:
    """Read what was found in a file; None where nothing is kept, or it is damaged."""
    try:
        arrays, metadata = unpack(file)
        header: Any = typed(
            _Header, json.loads(metadata["look"]), where="look", error=CacheMismatchError
        )
        _check(header, arrays)
    except (OSError, KeyError, ValueError, CacheMismatchError):
        return None
    shown: dict[str, Any] = {name: getattr(header, name) for name in _KEPT}
    shown |= {"frame_times": arrays["frame_times"], "sizes": arrays["sizes"]}
    times, ranks = arrays["times"], arrays["ranks"]
    where = arrays["places"], arrays["clock"], np.maximum.accumulate(ranks), header.gaps
    how = header.entries, header.is_seekable, header.num_flagged
    coded = CodedFrames(times, ranks, *where, *how)
    return VideoIndex(path=path, **shown, coded=coded)


def _check(header: _Header, arrays: dict[str, np.ndarray]) -> None:
    """ValueError: the arrays do not fit together."""
    num_frames, num_packets = len(arrays["frame_times"]), len(arrays["ranks"])
    for lengths, count in ((_OF_FRAMES, num_frames), (_OF_PACKETS, num_packets)):
        for name, kind in lengths.items():
            if arrays[name].shape != (count,) or arrays[name].dtype != kind:
                raise ValueError(f"{name} has another shape")
    numbers = [entry.number for entry in header.entries]
    if not numbers or not 0 <= min(numbers) <= max(numbers) < num_packets:
        raise ValueError("it has no entries")
    if arrays["ranks"].max() != num_frames - 1:
        raise ValueError("its frames are not numbered")
