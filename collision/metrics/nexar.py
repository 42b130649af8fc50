"""The metric of the Nexar collision benchmark (arXiv 2503.03848).

Average precision is taken apart for each horizon, on that horizon's own positives and negatives;
``nexar_map`` is the plain mean over the horizons (``collision.metrics.summary``).

Shapes: N examples.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import average_precision_score

from collision.errors import MetricError


def round_horizons(horizons: ArrayLike) -> np.ndarray:
    """Round seconds to whole milliseconds, so that 1.5 and 1.4999999 are one horizon.

    Raises:
        MetricError: A horizon is not a finite number.
    """
    horizons = np.asarray(horizons, dtype=np.float64)
    if not np.isfinite(horizons).all():
        raise MetricError(
            f"{np.sum(~np.isfinite(horizons))} of {horizons.size} examples have no finite horizon. "
            "Give every example, negatives too, its seconds to the event or mock event."
        )
    return np.round(horizons, 3)


def horizon_key(horizon: float) -> str:
    """Name a horizon as it is written in result files: ``"0.5"``, ``"1.0"``."""
    return repr(round(float(horizon), 3))


def average_precision(
    labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None
) -> float:
    """Area under the precision-recall steps, as scikit-learn defines it; equal scores are one step.

    Args:
        labels: ``[N]`` of 0 and 1.
        scores: ``[N]``, higher means rather a collision.
        weights: ``[N]``; without them every example counts once.

    Raises:
        MetricError: AP is not defined: no examples, only one class, or a score that is NaN.
    """
    labels, scores = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    if labels.shape != scores.shape or labels.ndim != 1:
        raise MetricError(
            f"Labels of shape {labels.shape} and scores of shape {scores.shape} do not belong "
            "together. Give one label and one score for each example."
        )
    if not np.isin(labels, (0, 1)).all():
        raise MetricError(
            f"Labels must be 0 or 1, got {sorted(set(labels.tolist()) - {0, 1})[:5]}."
        )
    num_positive = int(np.sum(labels == 1))
    if num_positive in (0, labels.size):
        raise MetricError(
            f"Average precision needs both classes, got {num_positive} positive and "
            f"{labels.size - num_positive} negative examples. Score more examples or look at the "
            "sampling of this split."
        )
    if np.isnan(scores).any():
        raise MetricError(
            f"{np.sum(np.isnan(scores))} of {scores.size} scores are NaN. "
            "Score a missing positive 0 and leave a missing negative out, or mend the model."
        )
    return float(average_precision_score(labels, scores, sample_weight=weights))
