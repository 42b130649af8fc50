"""The numbers beside average precision, each with its interval and what to hold it against."""

from __future__ import annotations

from collision.evaluation.numbers import AlongVideos, Numbers
from collision.metrics.estimate import Estimate
from collision.metrics.threshold import Rates
from collision.report.tables import ABSENT, Grid, number, with_interval


def numbers_grid(numbers: Numbers) -> Grid:
    """AUC, calibration, the operating point and, where there are curves, anticipation.

    Of several seeds these are means, but a threshold and a temperature belong to one head: what
    hangs on them is of the first.
    """
    calibration, auc = numbers.calibration, numbers.auc["mean"]
    base_rate = number(calibration.brier_of_base_rate)
    rows = [
        _row("AUC, mean of the horizons", auc, "chance .500"),
        _row("Brier score", calibration.brier, f"of the base rate alone: {base_rate}"),
        _row("expected calibration error (ECE)", calibration.ece, "perfectly calibrated: 0"),
    ]
    for fitted in numbers.temperatures[:1]:
        beside = f"validation log loss {number(fitted.nll_before)} without, "
        beside += f"{number(fitted.nll_after)} with it"
        beside += "; at the bound of the search: no estimate" if fitted.at_bound else ""
        beside += _first_of(len(numbers.temperatures), "heads")
        rows.append(["temperature", number(fitted.value), beside])
    points = numbers.operating_points
    of_first = _first_of(len(points), "seeds")
    if points:
        rows += _operating_rows(points[0], of_first)
    if numbers.anticipation:
        rows += _anticipation_rows(numbers.anticipation, of_first)
    return Grid("Other metrics", ["metric", "value [95 % interval]", "reference"], rows)


def _row(name: str, entry: Estimate, reference: str) -> list[str]:
    """A number beside its reference, or beside the reason why there is none."""
    return [
        name,
        with_interval(entry),
        reference if entry.value is not None else entry.reason or "",
    ]


def _first_of(count: int, what: str) -> str:
    return f"; the first of {count} {what}" if count > 1 else ""


def _operating_rows(point: Rates, of_first: str) -> list[list[str]]:
    threshold = f"at the threshold {number(point.threshold)} from validation{of_first}"
    shares = {
        "precision": point.precision,
        "recall": point.recall,
        "false alarm rate": point.false_alarm_rate,
    }
    return [[name, number(share), threshold] for name, share in shares.items()]


def _anticipation_rows(along: AlongVideos, of_first: str) -> list[list[str]]:
    """Of scores along whole videos."""
    literature, at_rate = along.anticipation, along.at_false_alarm_rate
    rate = f"at a false-alarm rate of at most {at_rate.rate:g}"
    always_on = f"a model that always alarms: {number(literature.always_on_mtta)}"
    recall = f"at recall {number(literature.tta_at_r80.recall)}"
    rows = [
        _row("anticipation AP", literature.anticipation_ap, "videos, any score before the event"),
        _row("mTTA (s)", literature.mtta, always_on),
        _row("TTA@R80 (s)", literature.tta_at_r80, recall),
        _row(f"mTTA (s) {rate}", at_rate.mtta_all, "missed positives count 0 s"),
        _row(f"recall {rate}", at_rate.recall, "videos"),
    ]
    alarms = along.false_alarms_per_hour
    kinds = (("normal videos", alarms.normal_videos), ("before events", alarms.before_events))
    for words, one in kinds:
        value = ABSENT
        if one.per_hour is not None:
            value = f"{one.per_hour:.0f} [{one.low:.0f}, {one.high:.0f}]"
        length = f"{one.hours:.2f} h" if one.hours >= 0.1 else f"{3600 * one.hours:.0f} s"
        rows.append([f"false alarms per hour, {words}", value, f"{length} of video{of_first}"])
    return rows
