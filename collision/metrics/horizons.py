"""A statistic at each horizon and their mean, of all examples and of parts of them.

Shapes: N examples, R resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from collision.metrics.bootstrap import Ranking, resample
from collision.metrics.estimate import Bootstrap, Estimate, estimate
from collision.metrics.nexar import average_precision, horizon_key
from collision.metrics.scored import Scored, stand_in_weights


@dataclass(frozen=True)
class Statistic:
    """How well scores rank: of labels, scores and weights ``[N]``, and of a weighted ranking."""

    name: str
    of_scores: Callable[[np.ndarray, np.ndarray, np.ndarray], float]
    of_ranking: Callable[[Ranking, np.ndarray], np.ndarray]


AVERAGE_PRECISION = Statistic("average precision", average_precision, Ranking.average_precision)


def by_horizon(
    aligned: Sequence[Scored],
    parts: Mapping[str, np.ndarray],
    ranked: np.ndarray,
    statistic: Statistic,
    bootstrap: Bootstrap,
) -> dict[str, dict[str, Estimate]]:
    """Estimate a statistic for every part, at each horizon and averaged over them (``"mean"``).

    Args:
        aligned: The scores of each seed, all in one row order.
        parts: ``[N]`` bool by name, the rows of each part; all share the draws of groups.
        ranked: ``[N]`` bool, as ``ranked_rows`` gives them.
        statistic: What is estimated.
        bootstrap: How many draws, and their seed.

    Returns:
        By part and horizon key. A horizon that holds one class alone has no value, nor then has
        the mean, but a reason.
    """
    first = aligned[0]
    cells = {
        (part, horizon_key(horizon)): rows & (first.horizon == horizon)
        for part, rows in parts.items()
        for horizon in np.unique(first.horizon)
    }
    num_groups = {cell: smaller_class(first, rows & ranked) for cell, rows in cells.items()}
    column_of = {cell: n for n, cell in enumerate(c for c, groups in num_groups.items() if groups)}
    judged = [cells[cell] for cell in column_of]
    values, samples = resampled(aligned, judged, ranked, statistic, bootstrap)
    result: dict[str, dict[str, Estimate]] = {part: {} for part in parts}
    for cell, rows in cells.items():
        part, key = cell
        if cell in column_of:
            column = column_of[cell]
            entry = estimate(values[:, column], samples[:, column], num_groups[cell])
        else:
            positive, negative = (int((first.label[rows] == label).sum()) for label in (1, 0))
            unscored = ", none of them scored" if negative else ""
            reason = f"{positive} positive and {negative} negative examples{unscored}; "
            entry = Estimate(None, reason=f"{reason}{statistic.name} needs both")
        result[part][key] = entry
    for part, block in result.items():
        own = [(part, key) for key in block]
        columns = [column_of[cell] for cell in own if cell in column_of]
        if len(columns) < len(own):
            reason = f"{statistic.name} is not defined at every horizon"
            block["mean"] = Estimate(None, reason=reason)
        else:
            block["mean"] = estimate(
                values[:, columns].mean(axis=1),
                samples[:, columns].mean(axis=1),
                min(num_groups[cell] for cell in own),
            )
    return result


def resampled(
    aligned: Sequence[Scored],
    cells: Sequence[np.ndarray],
    ranked: np.ndarray,
    statistic: Statistic,
    bootstrap: Bootstrap,
) -> tuple[np.ndarray, np.ndarray]:
    """A statistic of ``[N]`` rows: ``[seeds, cells]``, and its mean over seeds, ``[R, cells]``.

    Raises:
        MetricError: A cell holds one class.
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


def smaller_class(scored: Scored, rows: np.ndarray) -> int:
    """Groups of the class that has fewer of them, among some ``[N]`` rows."""
    return min(np.unique(scored.group[rows & (scored.label == label)]).size for label in (0, 1))
