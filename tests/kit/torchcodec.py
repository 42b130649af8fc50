"""A stand-in of torchcodec, which tests have not got everywhere: PyAV decodes."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from collision.video.frames import read_frames
from collision.video.index import index_video


class FakeDecoder:
    """As ``torchcodec.decoders.VideoDecoder``, with the faults that its class is given."""

    instead: Path | None = None  # reads this file
    num_more = 0
    late = 0.0
    error: Exception | None = None
    change: Callable[[np.ndarray], np.ndarray] | None = None
    num_asked = 0
    options: ClassVar[dict[str, Any]] = {}

    def __init__(self, source: str | Path, **options: Any):
        type(self).options = options
        index = index_video(type(self).instead or Path(source))
        times = index.coded.times
        pyav = replace(index, reader="pyav")
        self.pictures = read_frames(pyav, np.arange(len(times)))
        self.times = torch.from_numpy(times + self.late * (np.arange(len(times)) > 0))
        self.metadata = SimpleNamespace(begin_stream_seconds=float(times[0]))

    def __len__(self) -> int:
        return len(self.pictures) + self.num_more

    def get_frames_at(self, numbers: list[int]) -> SimpleNamespace:
        if self.error:
            raise self.error
        type(self).num_asked += len(numbers)
        change = type(self).change or (lambda frames: frames)
        data = torch.from_numpy(change(self.pictures[numbers]))
        return SimpleNamespace(data=data, pts_seconds=self.times[numbers])


def install(monkeypatch: pytest.MonkeyPatch) -> type[FakeDecoder]:
    """Let ``import torchcodec`` find the stand-in; give its decoder."""

    class Decoder(FakeDecoder):
        pass

    package: Any = ModuleType("torchcodec")
    package.ffmpeg_major_version, package.decoders = 7, ModuleType("torchcodec.decoders")
    package.decoders.VideoDecoder = Decoder
    monkeypatch.setitem(sys.modules, "torchcodec", package)
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", package.decoders)
    return Decoder
