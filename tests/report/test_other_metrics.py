from __future__ import annotations

from copy import deepcopy

import pytest

from collision.evaluation.numbers import judge, judge_curves
from collision.metrics.curves import Curve
from collision.report.other_metrics import numbers_grid
from tests.kit.scores import made_up_scores

TEMPERATURE = {"value": 1.5, "nll_before": 0.6, "nll_after": 0.5, "at_bound": False}


@pytest.fixture(scope="module")
def summary() -> dict:
    curves = [
        Curve(str(n), str(n), n % 2, 4.0 if n % 2 else None, [0, 1, 2, 3], [0.1, 0.2, 0.3, 0.1 * n])
        for n in range(8)
    ]
    seeds = [made_up_scores(60, seed=seed) for seed in (0, 1)]
    thresholds = [0.6, 0.4]
    return {
        **judge(seeds, None, None, 100, (), thresholds),
        "temperatures": [TEMPERATURE, {**TEMPERATURE, "value": 2.5}],
        "anticipation": judge_curves([curves, curves], thresholds, 100),
    }


def test_what_hangs_on_one_threshold_is_said_to_be_of_one_seed(summary) -> None:
    rows = {name: (value, beside) for name, value, beside in numbers_grid(summary).rows}
    for name in ("precision", "recall", "false alarm rate"):
        assert rows[name][1] == "at the threshold .600 from validation; the first of 2 seeds"
    assert rows["temperature"][0] == "1.500"
    assert rows["temperature"][1].endswith("; the first of 2 heads")
    for name in ("normal videos", "before events"):
        assert rows[f"false alarms an hour, {name}"][1].endswith("of video; the first of 2 seeds")
    assert rows["AUC, mean of the horizons"][1] == "chance .500"
    assert "always on" in rows["mTTA (s)"][1]


def test_of_one_seed_nothing_is_said(summary) -> None:
    alone = deepcopy(summary)
    for name in ("temperatures", "operating_points"):
        alone[name] = alone[name][:1]
    assert not any("first of" in cell for row in numbers_grid(alone).rows for cell in row)
