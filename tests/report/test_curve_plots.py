from __future__ import annotations

import numpy as np

from collision.metrics.calibration import calibration
from collision.metrics.curves import Curve
from collision.metrics.rates import false_alarms_per_hour, recall_by_time
from collision.metrics.scored import Scored
from collision.report import plots
from collision.report.plots import BLUE
from tests.kit.curves import made_up_curves
from tests.kit.pages import share_of
from tests.kit.scores import made_up_scores


def test_reliability_draws_bins_and_counts(tmp_path) -> None:
    plots.reliability(calibration(made_up_scores(60), num_resamples=20), tmp_path / "a.png")
    one_class = Scored(["a"], ["g"], [1], [0.5], [0.3])
    plots.reliability(calibration(one_class, num_resamples=20), tmp_path / "b.png")
    assert share_of(tmp_path / "a.png", BLUE) > 0.02 > share_of(tmp_path / "b.png", BLUE)


def test_recall_by_time_draws_what_there_is(tmp_path) -> None:
    curves = made_up_curves(30)
    nothing: list[Curve] = []
    for name, some in (("a", curves), ("b", nothing), ("c", [c for c in curves if c.label])):
        recall, rates = recall_by_time(some, 0.5), false_alarms_per_hour(some, 0.5)
        plots.recall_by_time(recall, rates, tmp_path / f"{name}.png")
    blue = [share_of(tmp_path / f"{name}.png", BLUE) for name in "abc"]
    assert blue[0] > 2 * blue[1] and blue[2] > 2 * blue[1]


def test_false_alarms_are_told_with_their_hours() -> None:
    times = np.arange(3600.0)
    scores = np.where(times == 100, 0.9, 0.1)
    rates = false_alarms_per_hour([Curve("n", "g", 0, None, times, scores)], 0.5)
    assert plots._false_alarms(rates) == (
        "False alarms per hour in normal videos: 1.0 [0.0, 5.6] in 1.00 h\n"
        "and before events: none scored"
    )
