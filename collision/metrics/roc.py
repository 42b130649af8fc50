"""The area under the ROC curve: the chance that a positive scores higher than a negative.

Ties count one half. Like ``nexar_map`` it is taken for each horizon on that horizon's own examples,
and averaged. Shapes: N examples.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import roc_auc_score

from collision.errors import MetricError
from collision.metrics.bootstrap import Ranking
from collision.metrics.estimate import Bootstrap, Estimate
from collision.metrics.horizons import Statistic, by_horizon
from collision.metrics.nexar import average_precision
from collision.metrics.scored import Scored, align, ranked_rows


def area_under_roc(labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> float:
    """AUC of ``[N]`` labels (0 or 1), scores and weights, as scikit-learn defines it.

    Raises:
        MetricError: No examples, only one class, or NaN among the scores.
    """
    try:
        average_precision(labels, scores)  # the same demands
    except MetricError as error:
        raise MetricError(f"The area under the ROC curve has the same demands. {error}") from None
    labels, scores = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    return float(roc_auc_score(labels, scores, sample_weight=weights))


AUC = Statistic("the area under the ROC curve", area_under_roc, Ranking.area_under_roc)


def auc_by_horizon(
    *scored_by_seed: Scored, num_resamples: int = 10_000, seed: int = 0
) -> dict[str, Estimate]:
    """AUC by horizon key (``"0.5"``) and ``"mean"``, of the seeds of one recipe.

    Raises:
        MetricError: There are no examples, or the seeds hold different ones.
    """
    aligned = align(scored_by_seed)
    everything = {"": np.ones(len(aligned[0]), dtype=bool)}
    bootstrap = Bootstrap(num_resamples, seed)
    return by_horizon(aligned, everything, ranked_rows(aligned), AUC, bootstrap)[""]
