"""Occlusion: by how much a score falls when a part of the picture is hidden.

https://arxiv.org/abs/1311.2901. It asks nothing of a backbone but features; from several backbones
the same part is hidden. Captum has it, too, for one input after the other; here a window that many
moments share is embedded once for each cell.

Shapes: N moments, R rows and C columns of cells.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from lightning.fabric import Fabric
from numpy.typing import NDArray
from scipy.special import logit

from collision.features.hidden import Cells, hidden_stores
from collision.features.source import FeatureSource
from collision.learning.alignment import features_of_stores
from collision.learning.predictor import Predictor
from collision.sampling.index import DataIndex

_EDGE = 1e-7  # probabilities are kept so far from 0 and 1


def of_occlusion(
    predictor: Predictor,
    parts: Sequence[tuple[FeatureSource, Fabric]],
    about: DataIndex,
    how: tuple[int | None, int],
    on_share: Callable[[float], None],
) -> NDArray[np.float64]:
    """Say by how much the log-odds fall at each moment when a cell is hidden: ``[N, R, C]``.

    Args:
        predictor: Whose they are.
        parts: The features of each backbone, and the device and precision.
        about: One video, and its moments as the split ``test``, each of which can be scored.
        how: The batch size (None: what suits the device), and cells along the longer side.
        on_share: Told which share of the windows is done.
    """
    batch_size, longer = how
    (record,) = about.records.values()
    looks = parts[0][0].looks
    index = looks.index(record.path, record.frame_rate, record.video_stream)
    cells = Cells.along(longer, index.height, index.width)
    requests = [part.requests(about, predictor.policy) for part, _ in parts]
    total, done = sum(len(one.end_times) for own in requests for one in own), 0

    def on_window() -> None:
        nonlocal done
        done += 1
        on_share(done / total)

    stores = [
        hidden_stores(part, own, fabric, batch_size, cells, on_window)
        for (part, fabric), own in zip(parts, requests, strict=True)
    ]
    examples, names = about.examples["test"], {record.id: record.id}
    found = []
    for version in zip(*stores, strict=True):
        data = features_of_stores(examples, about.records, version, names, predictor.policy)
        assert not data.dropped, data.dropped
        probabilities = predictor.probabilities(data, torch.device("cpu"))
        found.append(logit(probabilities.clip(_EDGE, 1 - _EDGE)))
    odds = np.stack(found)  # nothing hidden, then each cell: [1 + R * C, N]
    return (odds[0] - odds[1:]).T.reshape(-1, cells.rows, cells.columns)
