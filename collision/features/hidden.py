"""Features of windows of which a cell of the picture is hidden: what occlusion asks of a backbone.

Any backbone will do: it is given frames, and nothing of its inside is asked. What is hidden is
painted over in every frame of the window, with that frame's mean colour.

Shapes: N windows, C cells, V = C + 1 versions of a window, the first with nothing hidden; T frames
a window, S steps a window, D feature dim, H W image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from lightning.fabric import Fabric
from numpy.typing import NDArray

from collision.errors import CacheMismatchError, VideoDecodeError
from collision.features.clips import Clip, ClipDataset, WindowRequest
from collision.features.embedding import suitable_batch_size
from collision.features.manifest import Manifest
from collision.features.pack_file import Pack, PackedVideo
from collision.features.source import FeatureSource
from collision.features.store import FeatureStore
from collision.features.stored import StoredVideo, positions_of
from collision.types import Backbone


@dataclass(frozen=True)
class Cells:
    """Cells of equal size that cover a picture."""

    rows: int
    columns: int

    @classmethod
    def along(cls, longer: int, height: int, width: int) -> Cells:
        """Lay so many along the longer side of a picture, as square as that allows."""
        share = min(height, width) / max(height, width)
        shorter = max(1, round(longer * share))
        return cls(shorter, longer) if width >= height else cls(longer, shorter)

    def __len__(self) -> int:
        return self.rows * self.columns

    def place(self, number: int, height: int, width: int) -> tuple[slice, slice]:
        """Give the pixels of a cell, counted row by row."""
        row, column = divmod(number, self.columns)
        down = [round(height * edge / self.rows) for edge in (row, row + 1)]
        across = [round(width * edge / self.columns) for edge in (column, column + 1)]
        return slice(*down), slice(*across)


class HeldStore(FeatureStore):
    """Features in memory, read like those on disk; nothing is written."""

    def __init__(self, like: FeatureStore, videos: Mapping[str, StoredVideo]):
        """Hold videos by their keys: digest and view."""
        self._take(like.folder, Manifest(dict(like.fingerprint.fields), version=0))
        self.videos = videos

    def take(self, digest: str, end_times: object) -> tuple[StoredVideo, NDArray[np.int64]]:
        """As ``FeatureStore.take``; a window that is not held does not exist."""
        if digest not in self.videos:
            raise CacheMismatchError(f"Nothing is held of {digest}.")
        stored = self.videos[digest]
        return stored, positions_of(stored.end_times, np.asarray(end_times, np.float64))

    def packed(self, digest: str) -> tuple[Pack, PackedVideo] | None:
        """Nothing lies in a pack."""
        return None


def hidden_stores(
    source: FeatureSource,
    requests: Sequence[WindowRequest],
    fabric: Fabric,
    batch_size: int | None,
    cells: Cells,
    on_window: Callable[[], None],
) -> list[HeldStore]:
    """Embed windows of one video ``V`` times each; a store for nothing hidden, then for each cell.

    Args:
        source: Of the backbone, which is built.
        requests: All of one video; its key in the stores is its id with the view's suffix.
        fabric: Of the device and precision.
        batch_size: Pictures that the backbone sees at once; None: what suits the device.
        cells: What is hidden, one after the other.
        on_window: Called after each window.

    Raises:
        VideoDecodeError: A frame cannot be read.
    """
    backbone = fabric.to_device(source.backbone())
    size = batch_size or suitable_batch_size(backbone, fabric)
    clips = ClipDataset(requests, source.spec, source.looks.index, source.fingerprint.reader)
    found: list[dict[str, StoredVideo]] = [{} for _ in range(len(cells) + 1)]
    for number, request in enumerate(requests):
        clip = clips[number]
        if not isinstance(clip, Clip):
            raise VideoDecodeError(Path(request.path), clip.reason)
        values, num_steps = _embedded(
            backbone, fabric, clip, request.view.flip, (size, cells, source.store.dtype), on_window
        )
        for own, one in zip(found, values, strict=True):
            times = clip.end_times, clip.unavailable
            own[request.video + request.view.suffix] = StoredVideo(one, *times, num_steps=num_steps)
    return [HeldStore(source.store, own) for own in found]


def _embedded(
    backbone: Backbone,
    fabric: Fabric,
    clip: Clip,
    is_mirrored: bool,
    how: tuple[int, Cells, np.dtype],
    on_window: Callable[[], None],
) -> tuple[NDArray[np.floating], NDArray[np.int64]]:
    """Give features ``[V, N, S, D]`` and how many steps of each window are real, ``[N]``."""
    batch_size, cells, dtype = how
    spec = backbone.spec
    shape = len(cells) + 1, len(clip.windows), spec.num_steps, spec.feature_dim
    values, num_steps = np.zeros(shape, dtype), np.zeros(len(clip.windows), np.int64)
    for number, window in enumerate(clip.windows):
        frames = clip.frames[window[window >= 0]]
        versions = [
            _forward(backbone, fabric, hidden(frames, cells, part, is_mirrored))
            for part in np.array_split(np.arange(shape[0]), -(-shape[0] // batch_size))
        ]
        features = np.concatenate(versions)
        num_steps[number] = features.shape[1]
        values[:, number, shape[2] - features.shape[1] :] = features
        on_window()
    return values, num_steps


def hidden(
    frames: NDArray[np.uint8], cells: Cells, versions: Sequence[int] | np.ndarray, flip: bool
) -> torch.Tensor:
    """Copy a window ``[T, H, W, 3]`` once a version: 0 hides nothing, n the cell n - 1.

    Mirrored copies hide the same part of the scene.
    """
    made = np.repeat(frames[None], len(versions), axis=0)
    colour = frames.mean(axis=(1, 2), keepdims=True).round().astype(np.uint8)
    for copy, version in zip(made, versions, strict=True):
        if version:
            copy[(slice(None), *cells.place(int(version) - 1, *frames.shape[1:3]))] = colour
    return torch.from_numpy(np.ascontiguousarray(made[:, :, :, ::-1] if flip else made))


@torch.inference_mode()
def _forward(backbone: Backbone, fabric: Fabric, windows: torch.Tensor) -> NDArray[np.float32]:
    with fabric.autocast():
        found: torch.Tensor = backbone(windows.to(fabric.device)).float().cpu()
    return found.numpy()
