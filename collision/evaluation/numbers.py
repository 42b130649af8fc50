"""From scores to the numbers of ``metrics.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from collision.metrics.anticipation import (
    Anticipation,
    AtFalseAlarmRate,
    anticipation_ap,
    mtta_at_false_alarm_rate,
)
from collision.metrics.calibration import Calibration, Temperature, calibration
from collision.metrics.curves import Curve
from collision.metrics.estimate import Estimate, Plain, plain
from collision.metrics.horizons import auc_by_horizon
from collision.metrics.rates import FalseAlarms, RecallByTime, false_alarms_per_hour, recall_by_time
from collision.metrics.scored import NEGATIVES_FROM, Scored, ranked_rows, stand_in_weights
from collision.metrics.summary import Summary, summarise
from collision.metrics.threshold import Rates, Threshold, levels, middle_and_range, rates_at
from collision.metrics.warned import Warned, warned
from collision.types import Dataset

# A tag with more values than this names videos rather than kinds of them.
MAX_SLICES = 12


@dataclass(frozen=True)
class AlongVideos(Plain):
    """The numbers of scores along whole videos; the last two are of the first seed."""

    anticipation: Anticipation
    at_false_alarm_rate: AtFalseAlarmRate
    false_alarms_per_hour: FalseAlarms
    recall_by_time: RecallByTime

    def as_json(self) -> dict[str, Any]:
        """Plain data, the anticipation literature's numbers on top."""
        return _unfolded(super().as_json(), "anticipation")


@dataclass(frozen=True)
class Numbers(Plain):
    """All numbers of one recipe's scores on one data set, of the weights that validation chose.

    ``auc`` and the AP of ``last_step`` are by horizon and ``"mean"``. Operating points are what
    each seed's threshold does on these examples, ``warned`` what it does to whole clips;
    temperatures are of each head.
    """

    summary: Summary
    auc: dict[str, Estimate]
    calibration: Calibration
    operating_points: list[Rates]
    last_step: dict[str, Estimate] | None = None
    anticipation: AlongVideos | None = None
    temperatures: Sequence[Temperature] = ()
    warned: Sequence[Warned] = ()

    def as_json(self) -> dict[str, Any]:
        """Plain data as in ``metrics.json``: the summary's parts on top, absent parts left out."""
        parts = {name: part for name, part in super().as_json().items() if part is not None}
        parts["auc"]["bootstrap"] = plain(self.calibration.bootstrap)
        if self.last_step is not None:
            parts["last_step"] = {"ap": parts["last_step"]}
        return _unfolded(parts, "summary")


def judge(
    best: Sequence[Scored],
    last: Sequence[Scored] | None = None,
    *,
    oracle: Mapping[str, Any] | None = None,
    num_resamples: int = 10_000,
    slices: Sequence[str] | None = None,
    thresholds: Sequence[Threshold] = (),
) -> Numbers:
    """Judge the scores of each seed's selected weights, with the AP of the last ones beside them.

    Thresholds and weights were chosen on validation. For the oracle see ``summarise``.
    Tags whose values are judged apart (``slices``) are all with a few values if None.
    """
    slices = slices_in(best[0]) if slices is None else slices
    if NEGATIVES_FROM in best[0].tags and NEGATIVES_FROM not in slices:
        slices = (*slices, NEGATIVES_FROM)
    return Numbers(
        summarise(*best, slices=slices, oracle=oracle, num_resamples=num_resamples),
        auc_by_horizon(*best, num_resamples=num_resamples),
        calibration(*best, num_resamples=num_resamples),
        [_rates(one, threshold) for one, threshold in zip(best, thresholds, strict=False)],
        summarise(*last, slices=(), num_resamples=num_resamples).ap if last else None,
        warned=[warned(one, threshold) for one, threshold in zip(best, thresholds, strict=False)],
    )


def judge_curves(
    curves_by_seed: Sequence[Sequence[Curve]], thresholds: Sequence[Threshold], num_resamples: int
) -> AlongVideos:
    """Judge scores along whole videos, with each seed's threshold from validation."""
    return AlongVideos(
        anticipation_ap(*curves_by_seed, num_resamples=num_resamples),
        mtta_at_false_alarm_rate(*curves_by_seed, num_resamples=num_resamples),
        false_alarms_per_hour(curves_by_seed[0], thresholds[0]),
        recall_by_time(curves_by_seed[0], thresholds[0]),
    )


def slices_in(scored: Scored) -> tuple[str, ...]:
    """Name the tags that are worth judging apart: those with a few values."""
    return tuple(
        name
        for name, values in scored.tags.items()
        if 2 <= len(set(values.tolist()) - {""}) <= MAX_SLICES
    )


def oracle_of(dataset: Dataset) -> dict[str, float] | None:
    """Give the oracle's AP on the test split by horizon, where the data set knows it."""
    if not hasattr(dataset, "oracle"):
        return None
    by_horizon = dataset.oracle()["scores"]["all"]["ap"]
    return {key: entry["value"] for key, entry in by_horizon.items() if key != "mean"}


def _rates(scored: Scored, threshold: Threshold) -> Rates:
    rows = ranked_rows([scored])
    weights = stand_in_weights(scored.label, rows)
    own = levels(threshold, scored.video[rows])
    found = rates_at(scored.label[rows], scored.judged_score[rows], own, weights)
    middle, spread = middle_and_range(threshold)
    return replace(found, threshold=middle, threshold_range=spread)


def _unfolded(parts: dict[str, Any], name: str) -> dict[str, Any]:
    """Put the entries of one part in its place."""
    return {**parts.pop(name), **parts}
