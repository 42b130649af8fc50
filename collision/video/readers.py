"""Who decodes a file's frames: PyAV, or where it is asked for and can be trusted, another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from collision.video.decord import load_decord
from collision.video.index import VideoIndex
from collision.video.torchcodec import load_torchcodec, why_not_torchcodec


def load_reader(reader: str) -> None:
    """Load what ``extraction.reader`` names; ConfigError where it does not."""
    {"decord": load_decord, "torchcodec": load_torchcodec}.get(reader, lambda: None)()


def read_by(reader: str, index: VideoIndex, wanted: np.ndarray) -> VideoIndex:
    """Say in a file's index who reads frames [M] (increasing), and why not who was asked for.

    VideoDecodeError: a frame to compare is damaged.
    """
    if reader == "pyav" or index.images or not len(wanted):
        return index
    by_decord = reader == "decord"
    why = index.not_by_decord if by_decord else why_not_torchcodec(index, wanted)
    if why:
        return replace(index, notes=(*index.notes, f"read by PyAV: {why}"))
    return replace(index, reader=reader)
