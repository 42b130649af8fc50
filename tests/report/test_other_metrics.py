from __future__ import annotations

from dataclasses import replace

import pytest

from collision.evaluation.numbers import Numbers, judge, judge_curves
from collision.metrics.calibration import Temperature
from collision.metrics.curves import Curve
from collision.metrics.scored import Scored
from collision.report.tables import numbers_grid
from tests.kit.scores import made_up_scores

TEMPERATURE = Temperature(1.5, 0.6, 0.5, at_bound=False)


@pytest.fixture(scope="module")
def numbers() -> Numbers:
    curves = [
        Curve(str(n), str(n), n % 2, 4.0 if n % 2 else None, [0, 1, 2, 3], [0.1, 0.2, 0.3, 0.1 * n])
        for n in range(8)
    ]
    seeds = [made_up_scores(60, seed=seed) for seed in (0, 1)]
    thresholds = [0.6, 0.4]
    return replace(
        judge(seeds, num_resamples=100, slices=(), thresholds=thresholds),
        temperatures=[TEMPERATURE, replace(TEMPERATURE, value=2.5)],
        anticipation=judge_curves([curves, curves], thresholds, 100),
    )


def test_what_hangs_on_one_threshold_is_said_to_be_of_one_seed(numbers) -> None:
    rows = {name: (value, beside) for name, value, beside in numbers_grid(numbers).rows}
    for name in ("precision", "recall", "false alarm rate"):
        assert rows[name][1] == "at the threshold .600 from validation; the first of 2 seeds"
    assert rows["temperature"][0] == "1.500"
    assert rows["temperature"][1].endswith("; the first of 2 heads")
    for name in ("normal videos", "before events"):
        assert rows[f"false alarms per hour, {name}"][1].endswith("of video; the first of 2 seeds")
    assert rows["AUC, mean of the horizons"][1] == "chance .500"
    assert "always alarms" in rows["mTTA (s)"][1]


def test_of_one_seed_nothing_is_said(numbers) -> None:
    alone = replace(
        numbers,
        temperatures=numbers.temperatures[:1],
        operating_points=numbers.operating_points[:1],
    )
    assert not any("first of" in cell for row in numbers_grid(alone).rows for cell in row)


def test_a_number_that_is_not_defined_gives_its_reason() -> None:
    alone = judge([Scored(["a"], ["g"], [1], [0.5], [0.3])], num_resamples=5)
    rows = {name: (value, beside) for name, value, beside in numbers_grid(alone).rows}
    assert rows["Brier score"] == (
        "–",
        "1 positive and 0 negative examples; calibration needs both",
    )
    assert rows["AUC, mean of the horizons"][1].endswith("not defined at every horizon")
