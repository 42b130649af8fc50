"""A statistic at each horizon and their mean, of all examples and of parts of them.

Shapes: N examples, R resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from collision.metrics.bootstrap import Ranking, resample
from collision.metrics.estimate import Bootstrap, Estimate, estimate
from collision.metrics.nexar import area_under_roc, average_precision, horizon_key
from collision.metrics.scored import Scored, align, ranked_rows, smaller_class, stand_in_weights


@dataclass(frozen=True)
class Statistic:
    """How well scores rank: of labels, scores and weights ``[N]``, and of a weighted ranking."""

    name: str
    of_scores: Callable[[np.ndarray, np.ndarray, np.ndarray], float]
    of_ranking: Callable[[Ranking, np.ndarray], np.ndarray]


AVERAGE_PRECISION = Statistic("average precision", average_precision, Ranking.average_precision)
AUC = Statistic("the area under the ROC curve", area_under_roc, Ranking.area_under_roc)


def by_horizon(
    aligned: Sequence[Scored],
    parts: Mapping[str, np.ndarray],
    ranked: np.ndarray,
    statistic: Statistic,
    bootstrap: Bootstrap,
) -> dict[str, dict[str, Estimate]]:
    """Estimate a statistic by part and horizon, and averaged over the horizons (``"mean"``).

    A horizon that holds one class alone has no value, nor then has the mean, but a reason. Seeds
    are aligned; parts, given by their rows (``[N]`` bool), share the draws of groups; which rows
    are ranked is said by ``ranked_rows``.
    """
    first = aligned[0]
    horizons = {
        horizon_key(horizon): first.horizon == horizon for horizon in np.unique(first.horizon)
    }
    cells = {
        (part, key): rows & own for part, rows in parts.items() for key, own in horizons.items()
    }
    num_groups = {cell: smaller_class(first, rows & ranked) for cell, rows in cells.items()}
    judged = [cell for cell, groups in num_groups.items() if groups]
    column_of = {cell: column for column, cell in enumerate(judged)}
    rows_of_judged = [cells[cell] for cell in judged]
    values, samples = resampled(aligned, rows_of_judged, ranked, statistic, bootstrap)

    def mean_of(*averaged: tuple[str, str]) -> Estimate:
        columns = [column_of[cell] for cell in averaged]
        by_seed, by_resample = (table[:, columns].mean(axis=1) for table in (values, samples))
        return estimate(by_seed, by_resample, min(num_groups[cell] for cell in averaged))

    def undefined(cell: tuple[str, str]) -> Estimate:
        positive, negative = (np.sum(first.label[cells[cell]] == label) for label in (1, 0))
        unscored = ", none of them scored" if negative else ""
        reason = f"{positive} positive and {negative} negative examples{unscored}; "
        return Estimate(None, reason=f"{reason}{statistic.name} needs both")

    result: dict[str, dict[str, Estimate]] = {}
    for part in parts:
        own = [(part, key) for key in horizons]
        block = {cell[1]: mean_of(cell) if cell in column_of else undefined(cell) for cell in own}
        block["mean"] = Estimate(None, reason=f"{statistic.name} is not defined at every horizon")
        if all(cell in column_of for cell in own):
            block["mean"] = mean_of(*own)
        result[part] = block
    return result


def auc_by_horizon(
    *scored_by_seed: Scored, num_resamples: int = 10_000, seed: int = 0
) -> dict[str, Estimate]:
    """AUC by horizon key (``"0.5"``) and ``"mean"``, of one recipe's seeds; raises as ``align``."""
    aligned = align(scored_by_seed)
    everything = {"": np.ones(len(aligned[0]), dtype=bool)}
    bootstrap = Bootstrap(num_resamples, seed)
    return by_horizon(aligned, everything, ranked_rows(aligned), AUC, bootstrap)[""]


def resampled(
    aligned: Sequence[Scored],
    cells: Sequence[np.ndarray],
    ranked: np.ndarray,
    statistic: Statistic,
    bootstrap: Bootstrap,
) -> tuple[np.ndarray, np.ndarray]:
    """A statistic of ``[N]`` rows: ``[seeds, cells]``, and its mean over seeds, ``[R, cells]``.

    MetricError: a cell holds one class.
    """
    first = aligned[0]
    names, group = np.unique(first.group[ranked], return_inverse=True)
    values, rankings = [], []
    for one in aligned:
        for cell in cells:
            weight, rows = stand_in_weights(first.label[cell], ranked[cell]), cell & ranked
            label, score = first.label[rows], one.judged_score[rows]
            values.append(statistic.of_scores(label, score, weight))
            rankings.append(Ranking.of(label, score, group[rows[ranked]], weight))
    samples = resample(
        rankings,
        max(1, names.size),
        num_resamples=bootstrap.num_resamples,
        seed=bootstrap.seed,
        statistic=statistic.of_ranking,
    )
    shape = len(aligned), len(cells)
    samples = samples.reshape(bootstrap.num_resamples, *shape).mean(axis=1)
    return np.array(values).reshape(shape), samples
