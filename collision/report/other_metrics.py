"""The numbers beside average precision, each with its interval and what to hold it against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from collision.report.tables import ABSENT, Grid, number, with_interval


def numbers_grid(summary: Mapping[str, Any]) -> Grid:
    """AUC, calibration, the operating point and, where there are curves, anticipation.

    Of several seeds these are means, but a threshold and a temperature belong to one head: what
    hangs on them is of the first.
    """
    calibration = summary["calibration"]
    base_rate = calibration["brier_of_base_rate"]
    rows = [
        ["AUC, mean of the horizons", with_interval(summary["auc"]["mean"]), "chance .500"],
        [
            "Brier score",
            with_interval(calibration["brier"]),
            f"always the base rate: {number(base_rate)}",
        ],
        ["calibration error (ECE)", number(calibration["ece"]["value"]), "0: as often as said"],
    ]
    for fitted in summary.get("temperatures", ())[:1]:
        before, after = number(fitted["nll_before"]), number(fitted["nll_after"])
        on = f"validation log loss {before} without, {after} with it"
        on += "; at the limit of what is tried: no estimate" if fitted.get("at_bound") else ""
        on += _first_of(len(summary["temperatures"]), "heads")
        rows.append(["temperature", number(fitted["value"]), on])
    points = summary["operating_points"]
    of_first = _first_of(len(points), "seeds")
    if points:
        rows += _operating_rows(points[0], of_first)
    if "anticipation" in summary:
        rows += _anticipation_rows(summary["anticipation"], of_first)
    for row, entry in ((0, summary["auc"]["mean"]), (1, calibration["brier"])):
        if entry["value"] is None:
            rows[row][2] = entry["reason"]
    return Grid("More numbers", ["number", "value [95 % interval]", "to hold it against"], rows)


def datasets_grid(metrics: Sequence[Mapping[str, Any]]) -> Grid:
    """One line for each data set that a run was evaluated on."""
    keys = list(dict.fromkeys(key for one in metrics for key in one["ap"] if key != "mean"))
    with_seeds = any(one["ap"]["mean"].get("sd") is not None for one in metrics)
    header = ["data set", "mAP [95 % interval]"]
    header += ["sd over\nseeds"] if with_seeds else []
    header += ["chance", *(f"{key} s" for key in keys), "AUC", "videos", "warnings"]
    rows = []
    for one in metrics:
        row = [f"{one['dataset']} ({one['split']})", with_interval(one["ap"]["mean"])]
        row += [number(one["ap"]["mean"].get("sd"))] if with_seeds else []
        row += [number(one["chance"]["mean"])]
        row += [number(one["ap"].get(key, {}).get("value")) for key in keys]
        row += [number(one["auc"]["mean"]["value"]), str(one["videos"]), str(len(one["warnings"]))]
        rows.append(row)
    return Grid("Data sets", header, rows)


def _first_of(count: int, what: str) -> str:
    return f"; the first of {count} {what}" if count > 1 else ""


def _operating_rows(point: Mapping[str, float | None], of_first: str) -> list[list[str]]:
    threshold = f"at the threshold {number(point['threshold'])} from validation{of_first}"
    names = ("precision", "recall", "false_alarm_rate")
    return [[name.replace("_", " "), number(point[name]), threshold] for name in names]


def _anticipation_rows(along: Mapping[str, Any], of_first: str) -> list[list[str]]:
    """Of scores along whole videos."""
    at_rate = along["at_false_alarm_rate"]
    rate = f"at a false-alarm rate of at most {at_rate['rate']:g}"
    recall = number(along["tta_at_r80"].get("recall"))
    rows = [
        ["anticipation AP", with_interval(along["anticipation_ap"]), "a video's highest score"],
        [
            "mTTA (s)",
            with_interval(along["mtta"]),
            f"always on: {number(along['always_on_mtta'])}",
        ],
        ["TTA@R80 (s)", with_interval(along["tta_at_r80"]), f"at recall {recall}"],
        [f"mTTA (s) {rate}", with_interval(at_rate["mtta_all"]), "missed positives count 0 s"],
        [f"recall {rate}", with_interval(at_rate["recall"]), "videos"],
    ]
    for name, words in (("normal_videos", "normal videos"), ("before_events", "before events")):
        entry = along["false_alarms_per_hour"][name]
        value = ABSENT
        if entry["per_hour"] is not None:
            value = f"{entry['per_hour']:.0f} [{entry['low']:.0f}, {entry['high']:.0f}]"
        hours = entry["hours"]
        length = f"{hours:.2f} h" if hours >= 0.1 else f"{3600 * hours:.0f} s"
        rows.append([f"false alarms an hour, {words}", value, f"{length} of video{of_first}"])
    return rows
