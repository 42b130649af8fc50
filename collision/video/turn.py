"""How a picture is turned and mirrored when it is shown: the display matrix of mp4 and others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from av.sidedata.sidedata import Type


@dataclass(frozen=True)
class Turn:
    """Rows become columns first, if at all; then left and right, top and bottom change places."""

    is_transposed: bool = False
    flips_columns: bool = False
    flips_rows: bool = False

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """Turn ``[H, W, ...]``."""
        if self.is_transposed:
            picture = picture.swapaxes(0, 1)
        return picture[:: -1 if self.flips_rows else 1, :: -1 if self.flips_columns else 1]


def turn_of(frame: av.VideoFrame) -> Turn:
    """Read the matrix that a frame carries; angles between are taken for the next right one."""
    beside: Any = frame.side_data  # PyAV's stub has another type
    try:
        data = beside[Type.DISPLAYMATRIX]
    except KeyError:
        return Turn()
    # x is shown at a x + c y, y at b x + d y; rows of the matrix are (a, b, u), (c, d, v).
    (a, b, _), (c, d, _), _ = np.frombuffer(memoryview(data), np.int32).reshape(3, 3).tolist()
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Turn(False, a < 0, d < 0)
    return Turn(True, c < 0, b < 0)
