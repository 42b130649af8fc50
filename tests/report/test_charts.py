from __future__ import annotations

import re

import numpy as np
import pytest

from collision.report.charts import UNITS, Axis, Scale, chart, dots, score_scale, short, steps


def test_a_scale_puts_its_ends_at_the_ends_and_what_lies_beyond_on_them():
    scale = Scale(10, 1000, log=True)
    assert [scale.at(v) for v in (10, 100, 1000, 1, 0, 9999)] == pytest.approx([0, 0.5, 1, 0, 0, 1])
    assert Scale(0, 4).at(1) == 0.25


@pytest.mark.parametrize("values", [[0.5], [0.0, 0.0], [3, 9], [1e-5, 1e-2]])
@pytest.mark.parametrize("log", [False, True])
def test_a_scale_over_values_holds_them_with_room(values, log):
    if log and min(values) <= 0:
        return
    scale = Scale.over(values, log=log)
    assert scale.low < min(values) <= max(values) < scale.high
    ticks = scale.ticks(5)
    assert ticks == sorted(ticks) and all(scale.low <= t <= scale.high * 1.001 for t in ticks)


def test_the_ticks_of_powers_of_ten_are_powers_of_ten():
    assert Scale(1e-5, 1e-2, log=True).ticks(6) == pytest.approx([1e-5, 1e-4, 1e-3, 1e-2])


def test_far_scores_stand_on_the_edge_and_the_best_never_does():
    scores = [0.01, *np.linspace(0.80, 0.90, 50)]
    scale = score_scale(scores)
    assert scale.at(0.01) == 0 and scale.at(0.80) > 0 and scale.at(0.90) < 1


def test_marks_lie_where_their_values_are():
    x, y = Scale(0, 10), Scale(0, 1)
    assert f'd="M{UNITS // 2} {UNITS}h0M{UNITS} 0h0"' in dots(x, y, [(5, 0), (10, 1)], "s0")
    assert f'd="M0 {UNITS}H{UNITS // 2}V0H{UNITS}"' in steps(x, y, [(0, 0), (5, 1)])
    drawn = chart(
        Axis(x, "<trial>", "number"), Axis(y, "mAP", "map", "score"), [], "9rem", about="a"
    )
    assert "&lt;trial&gt;" in drawn and 'data-x="0 10 0 number"' in drawn
    assert re.findall(r'bottom:([\d.]+)%">([.\d]+)<', drawn)[1:3] == [
        ("20.00", ".2"),
        ("40.00", ".4"),
    ]


def test_numbers_in_few_letters():
    said = [short(v) for v in (0, 0.00012, 5, 1281, 36e6, 2e9)]
    assert said == ["0", "0.00012", "5", "1.28 k", "36 M", "2 G"]
