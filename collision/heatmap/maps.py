"""A heat map over a video's time, kept, and laid over its pictures.

Shapes: N moments, R rows and C columns of cells, H W image.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError
from safetensors.numpy import load, save

from collision.errors import CheckpointError
from collision.files import write_whole
from collision.types import Seconds

_LEAST_SCALE = 1.0  # a fall of the log-odds by less than this is never shown at full strength
_COLOUR = np.array([208, 0, 208], np.uint16)  # on a road nothing shines in magenta
_MOST_COVER = 170  # of 255: what is there can still be seen
_NOISE: Seconds = 1e-6


@dataclass(frozen=True, eq=False)
class HeatMap:
    """How much of the log-odds of a collision hangs on each cell of the picture.

    Attributes:
        times: Seconds, float64 ``[N]``, rising: moments at which there was something to see.
        falls: float32 ``[N, R, C]``: by how much they fall without it; below 0 where they rise.
    """

    times: NDArray[np.float64]
    falls: NDArray[np.float32]

    @property
    def scale(self) -> float:
        """What is shown at full strength: the largest fall of the video, at least 1."""
        return max(_LEAST_SCALE, float(self.falls.max(initial=0.0)))

    def at(self, time: Seconds) -> NDArray[np.float32] | None:
        """Give the strengths ``[R, C]``, 0 to 1, known at a time; None before the first."""
        place = int(np.searchsorted(self.times, time + _NOISE, side="right")) - 1
        return None if place < 0 else (self.falls[place] / self.scale).clip(0, 1)

    def lay_over(self, picture: NDArray[np.uint8], time: Seconds) -> NDArray[np.uint8]:
        """Colour a copy of a picture ``[H, W, 3]`` magenta where the predictor looked."""
        strengths = self.at(time)
        if strengths is None:
            return picture.copy()
        cover = _cover(strengths.tobytes(), strengths.shape, *picture.shape[:2])
        mixed = picture.astype(np.uint16) * (255 - cover) + _COLOUR * cover
        return (mixed // 255).astype(np.uint8)

    def save(self, path: Path) -> None:
        """Write whole or not at all, as safetensors."""
        held: dict[str, np.ndarray] = {
            "times": self.times,
            "falls": np.ascontiguousarray(self.falls),
        }
        write_whole(path, save(held))

    @classmethod
    def load(cls, path: Path) -> HeatMap:
        """Read what ``save`` wrote; CheckpointError: it is damaged."""
        again = "Remove it, and run the same again."
        try:
            held = load(path.read_bytes())
            times, falls = held["times"], held["falls"]
        except (SafetensorError, KeyError, ValueError) as error:
            raise CheckpointError(f"{str(path)!r} is no heat map ({error}). {again}") from None
        if times.ndim != 1 or falls.ndim != 3 or len(times) != len(falls):
            shapes = f"times {times.shape} and maps {falls.shape}"
            raise CheckpointError(
                f"{str(path)!r} holds {shapes}, which do not go together. {again}"
            )
        return cls(times, falls)


@lru_cache(maxsize=4)
def _cover(held: bytes, shape: tuple[int, int], height: int, width: int) -> NDArray[np.uint16]:
    """Give how much of each pixel is covered, of 255: ``[H, W, 1]``; one map lasts some frames."""
    strengths = Image.fromarray(np.frombuffer(held, np.float32).reshape(shape))
    smooth = np.asarray(strengths.resize((width, height), Image.Resampling.BILINEAR))
    return (smooth.clip(0, 1) * _MOST_COVER).round().astype(np.uint16)[..., None]
