from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from collision.evaluation.numbers import judge, judge_curves, slices_in
from collision.metrics.calibration import Temperature
from tests.golden.make_numbers_golden import GOLDEN, numbers
from tests.kit.curves import made_up_curves
from tests.kit.scores import ORACLE, made_up_scores

# What numbers have had since they have types, beside what they had before.
ADDED = {
    *("missing_positive", "missing_negative", "first", "second", "temperatures", "warned"),
    *("hysteresis", "min_length"),  # of the rule behind false alarms an hour
}


def flat(data: Any, place: str = "") -> dict[str, Any]:
    """Numbers and texts by their place; of a reason only that there is one."""
    if isinstance(data, dict):
        items = [(key, value) for key, value in data.items() if key not in ADDED]
        return {k: v for key, value in items for k, v in flat(value, f"{place}/{key}").items()}
    if isinstance(data, list):
        return {
            k: v for i, value in enumerate(data) for k, v in flat(value, f"{place}/{i}").items()
        }
    if place.endswith("/reason"):
        return {place: bool(data)}
    return {} if data is None else {place: data}


def test_types_have_changed_no_number() -> None:
    """``numbers.json`` is from before: ties, missing positives, one class, several seeds."""
    found, golden = numbers(), json.loads(GOLDEN.read_text())
    assert list(found) == list(golden)
    for case in golden:
        before, after = flat(golden[case]), flat(found[case])
        assert sorted(after) == sorted(before)
        for place, value in before.items():
            expected = value if isinstance(value, str) else pytest.approx(value, abs=1e-12)
            assert after[place] == expected, (case, place)
    json.dumps(found, allow_nan=False)


def test_a_page_of_json_has_every_part_on_top() -> None:
    scored = made_up_scores(30)
    bare = judge([scored], num_resamples=20)
    assert "last_step" not in bare.as_json() and "anticipation" not in bare.as_json()
    curves = judge_curves([made_up_curves(6)], [0.5], 20)
    full = replace(
        judge([scored], [scored], oracle=ORACLE, num_resamples=20, thresholds=[0.5]),
        anticipation=curves,
        temperatures=[Temperature(1.5, 0.6, 0.5, False)],
    )
    data = full.as_json()
    assert data["ap"]["mean"] == full.summary.ap["mean"].as_json()
    assert data["last_step"]["ap"]["mean"]["value"] == data["ap"]["mean"]["value"]
    assert data["auc"]["bootstrap"] == {"num_resamples": 20, "seed": 0, "level": 0.95}
    assert data["anticipation"]["mtta"] == curves.anticipation.mtta.as_json()
    assert data["temperatures"][0]["nll_after"] == 0.5
    assert data["calibration"]["reliability"][0]["from"] == 0
    assert json.loads(json.dumps(data, allow_nan=False)) == data


def test_tags_of_a_few_values_are_slices_and_names_are_not() -> None:
    scored = made_up_scores(30)
    tags = {**scored.tags, "video": scored.video, "constant": np.full(len(scored), "x")}
    scored = replace(scored, tags={"id" if n == "video" else n: t for n, t in tags.items()})
    assert slices_in(scored) == ("variant",)


def test_an_unscored_negative_is_no_true_negative() -> None:
    """At a threshold it would lower the rate of false alarms."""
    scored = made_up_scores(30)
    high = replace(scored, score=np.where(scored.label == 0, 0.9, scored.score))
    half = np.char.startswith(scored.video, "1") & (scored.label == 0)
    unscored = replace(high, score=np.where(half, np.nan, high.score))
    (point,) = judge([unscored], num_resamples=5, thresholds=[0.5]).operating_points
    assert point.false_alarm_rate == 1
    (before,) = judge([high], num_resamples=5, thresholds=[0.5]).operating_points
    assert point.precision == pytest.approx(before.precision)
