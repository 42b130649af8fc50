"""Dense optical flow as a backbone: how the picture moves, cell by cell. It has no weights.

The honest baseline: learned features should beat what plain geometry tells. The flow is OpenCV's
DIS (https://arxiv.org/abs/1603.03590), on the CPU whatever the device of the frames.

Units do not depend on resolution or rate: lengths are frame widths, times are seconds. Pixels are
taken as square; the default size has the shape of 16:9 video.

Shapes: B windows, T frames a window, S steps a window (one for each pair of neighbours, T - 1),
R rows and C columns of cells, F features a cell, P sampled points, D feature dim, H W image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from collision.errors import ConfigError
from collision.types import BackboneSpec

Array: TypeAlias = NDArray[np.floating]

# Of each cell, in this order; then the focus, for the whole frame.
CELL_FEATURES = ("right", "down", "divergence", "rotation", "residual")
FOCUS_FEATURES = ("focus_right", "focus_down", "focus_ahead")

# Raise it when the same frames give other features.
_VERSION = 1
_POINT_SPACING = 8  # pixels between the points that the focus of expansion is fitted to
_FIT_ROUNDS = 5
_TINY = 1e-9


@dataclass(eq=False, repr=False)
class OpticalFlow(nn.Module):
    """Flow between neighbouring frames, summarised over a grid of cells.

    Each cell has five numbers: its mean flow to the right and down (frame widths/s); its divergence
    (1/s), which is above 0 where things loom: twice the inverse of the time to contact of what is
    driven straight at; its rotation (rad/s, clockwise above 0); and the mean length of its residual
    (frame widths/s), the part of the flow that does not lead away from the focus of expansion, so
    that no straight drive through a rigid scene explains it. Three more are of the whole frame: the
    direction of the focus, times the mean speed.

    Args:
        rows: Of the grid; must divide ``height``, as ``columns`` the ``width``, in pixels.
        min_frames: So few frames a window may have that the beginning of its file cuts short, 2 or
            more: each pair has its flow, whatever came before. null: none is cut short.
        fps: Of the window's frames. Where it does not divide the video's own rate, the time
            between frames differs from what is asked for, and speeds are off by as much.
        dtype: Of the stored features, ``float16`` or ``float32``.
    """

    rows: int = 4
    columns: int = 6
    num_frames: int = 16
    min_frames: int | None = 4
    fps: int | float = 10  # 10 and 10.0 have different fingerprints: it stays as it is given
    height: int = 144
    width: int = 252
    dtype: str = "float16"

    def __post_init__(self) -> None:
        super().__init__()
        rows, columns = self.rows, self.columns
        num_frames, min_frames = self.num_frames, self.min_frames
        _check_options(rows, columns, num_frames, self.fps, self.height, self.width)
        if min_frames is not None and min_frames < 2:
            raise ConfigError(
                f"backbone.min_frames={min_frames}: give 2 or more, as flow is between two frames; "
                "or null for whole windows alone."
            )
        self.eval()
        self.spec = BackboneSpec(
            name=f"optical_flow/dis-medium-{rows}x{columns}",
            implementation=f"opencv {cv2.__version__}, features {_VERSION}",
            num_frames=num_frames,
            fps=self.fps,
            height=self.height,
            width=self.width,
            mean=(0.0, 0.0, 0.0),
            std=(1.0, 1.0, 1.0),
            num_steps=num_frames - 1,
            feature_dim=rows * columns * len(CELL_FEATURES) + len(FOCUS_FEATURES),
            token_pooling=f"{', '.join(CELL_FEATURES)} of each cell; focus",
            dtype=self.dtype,
            source="computed, no weights",
            min_frames=min_frames if min_frames and min_frames < num_frames else None,
        )

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Turn ``uint8 [B, T, H, W, 3]`` into ``float [B, T - 1, D]``."""
        spec, num_frames = self.spec, frames.shape[1]
        assert frames.dtype == torch.uint8, frames.dtype
        assert spec.least_frames <= num_frames <= spec.num_frames, frames.shape
        windows = frames.cpu().numpy()
        features = [[self._describe(flow) for flow in self._flows(window)] for window in windows]
        shape = (len(frames), num_frames - 1, spec.feature_dim)
        return torch.from_numpy(np.array(features, np.float32).reshape(shape)).to(frames.device)

    def _flows(self, window: NDArray[np.uint8]) -> list[Array]:
        """Give the flow of each pair of neighbours, ``[H, W, 2]`` in frame widths/s."""
        greys = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in window]
        # Made here: it keeps buffers, and cannot be copied to another process.
        method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        scale = np.float32(self.spec.fps / self.spec.width)
        return [
            method.calc(before, after, None) * scale  # type: ignore[call-overload] # no first guess
            for before, after in zip(greys, greys[1:], strict=False)
        ]

    def _describe(self, flow: Array) -> Array:
        """Summarise one flow ``[H, W, 2]`` as ``[D]``."""
        lattice = (slice(_POINT_SPACING // 2, None, _POINT_SPACING),) * 2
        points = _positions(*flow.shape[:2])[lattice]
        focus = fit_focus(points.reshape(-1, 2), flow[lattice].reshape(-1, 2))
        maps = np.dstack([flow, *_derivatives(flow), residual_speed(flow, focus)])
        # Shrinking by area averages over each cell: [R, C, F].
        cells = cv2.resize(maps, (self.columns, self.rows), interpolation=cv2.INTER_AREA)
        return np.concatenate([cells.ravel(), focus * _length(flow).mean()])


def fit_focus(points: Array, flow: Array) -> Array:
    """Fit the point that the flow leads away from, robustly: ``(x, y, w)`` of length 1.

    Driving straight through a rigid scene makes every point of the picture move along the line
    through the focus of expansion, ``(x / w, y / w)``. In homogeneous coordinates such a line holds
    the focus if their product is zero, also when it lies at infinity because the picture only
    shifts. The smallest eigenvector of the weighted sum of the lines' squares is the focus; points
    that do not fit, such as those on other road users, lose weight from round to round. The flow
    points from the focus to the points: w is above 0 when driving forward, below 0 when driving
    back.

    Args:
        points: ``[P, 2]`` in frame widths from the middle.
        flow: ``[P, 2]`` at these points, in frame widths/s.
    """
    x, y = points.T.astype(np.float64)
    right, down = flow.T.astype(np.float64)
    lines = np.stack([-down, right, down * x - right * y], axis=1)
    weights = np.ones(len(points))
    for _ in range(_FIT_ROUNDS):
        focus = np.linalg.eigh((lines * weights[:, None]).T @ lines)[1][:, 0]
        outward = _outward(points, focus)
        across = np.abs(outward[:, 0] * down - outward[:, 1] * right)
        weights = 1 / (1 + (across / (2 * np.median(across) + _TINY)) ** 2)
    sign = np.sign((weights * _dot(flow, _outward(points, focus))).sum())
    return (focus * (sign or 1)).astype(np.float32)


def residual_speed(flow: Array, focus: Array) -> Array:
    """Give the length of the flow's part that does not lead away from ``focus``, ``[H, W]``.

    What moves towards the focus is all residual.
    """
    outward = _outward(_positions(*flow.shape[:2]), focus)
    speed = np.maximum(_dot(flow, outward), 0)
    return _length(flow - speed[..., None] * outward)


def _outward(points: Array, focus: Array) -> Array:
    """Give unit vectors from the focus to points ``[..., 2]``."""
    away = (points * focus[2] - focus[:2]).astype(np.float32)
    return away / (_length(away)[..., None] + np.float32(_TINY))


def _dot(first: Array, second: Array) -> Array:
    # Several times as fast as a sum over an axis of two.
    return first[..., 0] * second[..., 0] + first[..., 1] * second[..., 1]


def _length(vectors: Array) -> Array:
    return np.sqrt(_dot(vectors, vectors))


def _positions(height: int, width: int) -> Array:
    """Give where pixels lie, ``[H, W, 2]`` in frame widths from the middle, right and down."""
    columns = (np.arange(width, dtype=np.float32) + 0.5 - width / 2) / width
    rows = (np.arange(height, dtype=np.float32) + 0.5 - height / 2) / width
    return np.stack(np.meshgrid(columns, rows), axis=-1)


def _derivatives(flow: Array) -> tuple[Array, Array]:
    """Give divergence (1/s) and rotation (rad/s), ``[H, W]`` each."""
    by_row, by_column = np.asarray(np.gradient(flow, 1 / flow.shape[1], axis=(0, 1)))
    divergence = by_column[..., 0] + by_row[..., 1]
    rotation = (by_column[..., 1] - by_row[..., 0]) / 2
    return divergence, rotation


def _check_options(
    rows: int, columns: int, num_frames: int, fps: float, height: int, width: int
) -> None:
    if num_frames < 2:
        raise ConfigError(f"backbone.num_frames={num_frames}: give 2 or more; 16 is the default.")
    if not fps > 0:
        raise ConfigError(f"backbone.fps={fps}: give frames a second, above 0.")
    for side, pixels, count, of in (
        ("height", height, rows, "rows"),
        ("width", width, columns, "columns"),
    ):
        if pixels < 32:  # DIS needs room for its coarser scales
            raise ConfigError(f"backbone.{side}={pixels}: give at least 32 pixels.")
        if count < 1 or pixels % count:
            raise ConfigError(
                f"backbone.{of}={count} does not divide backbone.{side}={pixels}: cells must be "
                f"equal. Give a {side} that is a multiple of {of}."
            )
