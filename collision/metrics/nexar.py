"""How well scores rank: average precision, and the area under the ROC curve.

In the metric of the Nexar collision benchmark (arXiv 2503.03848) both are taken apart for each
horizon, on that horizon's own positives and negatives; ``nexar_map`` is the plain mean of AP over
the horizons (``collision.metrics.summary``).

Shapes: N examples.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from collision.errors import MetricError


def round_horizons(horizons: ArrayLike) -> np.ndarray:
    """Round seconds to whole milliseconds, so that 1.5 and 1.4999999 are one horizon.

    MetricError: a horizon is not a finite number.
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

    Of ``[N]`` labels (0 or 1), scores and, if not every example counts once, weights.

    Raises:
        MetricError: AP is not defined: no examples, only one class, or a score that is NaN.
    """
    from sklearn.metrics import average_precision_score  # a second: only where it is computed

    labels, scores = rankable(labels, scores, "Average precision")
    return float(average_precision_score(labels, scores, sample_weight=weights))


def area_under_roc(labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> float:
    """The chance that a positive scores higher than a negative, where ties count one half.

    Takes and raises what ``average_precision`` does.
    """
    from sklearn.metrics import roc_auc_score  # a second: only where it is computed

    labels, scores = rankable(labels, scores, "The area under the ROC curve")
    return float(roc_auc_score(labels, scores, sample_weight=weights))


def rankable(labels: ArrayLike, scores: ArrayLike, what: str) -> tuple[np.ndarray, np.ndarray]:
    """Check the ``[N]`` labels and scores of ``what`` is to be computed.

    MetricError: there are not both classes, or a score is NaN.
    """
    labels, scores = labelled(labels, scores)
    num_positive = int(np.sum(labels == 1))
    if num_positive in (0, labels.size):
        raise MetricError(
            f"{what} needs both classes, got {num_positive} positive and "
            f"{labels.size - num_positive} negative examples. Score more examples or look at the "
            "sampling of this split."
        )
    if np.isnan(scores).any():
        raise MetricError(
            f"{np.sum(np.isnan(scores))} of {scores.size} scores are NaN. "
            "Score a missing positive 0 and leave a missing negative out, or mend the model."
        )
    return labels, scores


def labelled(labels: ArrayLike, values: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Check that ``[N]`` values have a label each, 0 or 1; gives both as arrays.

    MetricError: there are none, they do not belong together, or a label is another.
    """
    labels, values = np.asarray(labels), np.asarray(values, dtype=np.float64)
    if not labels.size and not values.size:
        raise MetricError("0 positive and 0 negative examples: give at least one example.")
    if labels.shape != values.shape or labels.ndim != 1:
        raise MetricError(
            f"Labels of shape {labels.shape} and values of shape {values.shape} do not belong "
            "together. Give one label and one value for each example."
        )
    if wrong := sorted(set(labels.tolist()) - {0, 1}):
        raise MetricError(f"Labels must be 0 or 1, got {wrong[:5]}.")
    return labels, values
