"""From scores to the numbers of ``metrics.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from collision.evaluation.scores import NEGATIVES_FROM
from collision.metrics.anticipation import anticipation_ap, mtta_at_false_alarm_rate
from collision.metrics.calibration import calibration
from collision.metrics.curves import Curve
from collision.metrics.rates import false_alarms_per_hour, recall_by_time
from collision.metrics.roc import auc_by_horizon
from collision.metrics.scored import Scored
from collision.metrics.summary import combine_seeds
from collision.metrics.threshold import rates_at
from collision.types import Dataset

# A tag with more values than this names videos rather than kinds of them.
MOST_SLICES = 12


def slices_in(scored: Scored) -> tuple[str, ...]:
    """Name the tags that are worth judging apart: those with a few values."""
    return tuple(
        name
        for name, values in scored.tags.items()
        if 2 <= len(set(values.tolist()) - {""}) <= MOST_SLICES
    )


def judge_curves(
    curves_by_seed: Sequence[Sequence[Curve]], thresholds: Sequence[float], num_resamples: int
) -> dict[str, Any]:
    """Give the numbers of scores along whole videos, plain data.

    Args:
        curves_by_seed: Of each seed.
        thresholds: Each seed's, chosen on validation.
        num_resamples: Of the bootstrap over groups.
    """
    first, threshold = curves_by_seed[0], thresholds[0]
    options: dict[str, Any] = {"num_resamples": num_resamples}
    return {
        **anticipation_ap(*curves_by_seed, **options),
        "at_false_alarm_rate": mtta_at_false_alarm_rate(*curves_by_seed, **options),
        "false_alarms_per_hour": false_alarms_per_hour(first, threshold),
        "recall_by_time": recall_by_time(first, threshold),
    }


def oracle_of(dataset: Dataset) -> dict[str, float] | None:
    """Give the oracle's AP on the test split by horizon, where the data set knows it."""
    if not hasattr(dataset, "oracle"):
        return None
    by_horizon = dataset.oracle()["scores"]["all"]["ap"]
    return {key: entry["value"] for key, entry in by_horizon.items() if key != "mean"}


def judge(
    best: Sequence[Scored],
    last: Sequence[Scored] | None,
    oracle: Mapping[str, Any] | None,
    num_resamples: int,
    slices: Sequence[str] | None = None,
    thresholds: Sequence[float] = (),
) -> dict[str, Any]:
    """Summarise the best epoch's scores, and the last epoch's AP beside them.

    Args:
        best: One per seed, of the epoch that validation chose.
        last: One per seed, of the last epoch.
        oracle: See ``collision.metrics.summary.summarise``.
        num_resamples: Of the bootstrap over groups.
        slices: Tags whose values are judged apart; None for all with a few values.
        thresholds: Each seed's, chosen on validation.
    """
    slices = slices_in(best[0]) if slices is None else slices
    if NEGATIVES_FROM in best[0].tags and NEGATIVES_FROM not in slices:
        slices = (*slices, NEGATIVES_FROM)
    options: dict[str, Any] = {"num_resamples": num_resamples}
    summary = combine_seeds(best, slices=slices, oracle=oracle, **options)
    summary["auc"] = auc_by_horizon(*best, **options)
    summary["calibration"] = calibration(*best, **options)
    summary["operating_points"] = [
        rates_at(one.label, one.judged_score, threshold)
        for one, threshold in zip(best, thresholds, strict=False)
    ]
    if last:
        summary["last_epoch"] = {"ap": combine_seeds(last, slices=(), oracle=None, **options)["ap"]}
    return summary
