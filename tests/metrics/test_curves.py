from __future__ import annotations

import csv

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collision.errors import MetricError
from collision.metrics.curves import Curve, curves_to_csv

# What a CSV cannot carry: NUL, lone surrogates, and the different line ends it makes one.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r"), max_size=8)


@st.composite
def any_curves(draw) -> list[Curve]:
    curves = []
    for video in draw(st.lists(TEXT, min_size=1, max_size=4, unique=True)):
        times = draw(st.lists(st.floats(-1, 1e4), max_size=5, unique=True).map(sorted))
        scores = [draw(st.floats(0, 1)) for _ in times]
        event = draw(st.one_of(st.none(), st.floats(0, 1e4)))
        tags = {"light, sky": draw(TEXT)}
        curves.append(Curve(video, draw(TEXT), int(event is not None), event, times, scores, tags))
    return curves


@settings(max_examples=25)
@given(any_curves())
def test_csv_holds_a_row_for_each_score(tmp_path_factory, curves) -> None:
    path = tmp_path_factory.mktemp("curves") / "curves.csv"
    curves_to_csv(curves, path)
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for curve in curves:
        own = [row for row in rows if row["video"] == curve.video]
        event = "" if curve.event_time is None else repr(float(curve.event_time))
        facts = [curve.group, str(curve.label), event, curve.tags["light, sky"]]
        for row in own:
            assert [row[n] for n in ("group", "label", "event_time", "light, sky")] == facts
        known = [row for row in own if row["time"]]
        assert [float(row["time"]) for row in known] == curve.times.tolist()
        assert [float(row["score"]) for row in known] == curve.scores.tolist()
        assert len(own) == max(1, len(known))


def test_only_what_lies_before_the_event_counts() -> None:
    curve = Curve("a", "g", 1, 10.0, [9.0, 9.9996, 10.0, 11.0], [0.1, 0.2, 0.3, 0.4])
    assert curve.leads.tolist() == [1.0, 0.0, 0.0, -1.0]  # to the millisecond
    assert curve.before_event().times.tolist() == [9.0]
    assert curve.before_event(gap=1.0).times.size == 0
    negative = Curve("b", "g", 0, None, [9.0, 10.0], [0.1, 0.2])
    assert negative.before_event(gap=3.0).times.tolist() == [9.0, 10.0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": 2}, "its label is 2"),
        ({"times": [0, 1, 2]}, "do not belong together"),
        ({"times": [1, 1]}, "do not rise"),
        ({"times": [2, 1]}, "do not rise"),
        ({"times": [0, np.nan]}, "do not rise"),
        ({"scores": [0.5, 1.5]}, r"within 0\.\.1"),
        ({"scores": [0.5, np.nan]}, r"within 0\.\.1"),
        ({"event_time": None}, "positive with event time None"),
        ({"event_time": np.nan}, "positive with event time nan"),
        ({"label": 0}, r"negative with an event at 3\.0 s"),
    ],
)
def test_what_is_no_curve(change, message) -> None:
    good = {"video": "v", "group": "g", "label": 1, "event_time": 3.0, "times": [0, 1]}
    with pytest.raises(MetricError, match=message) as error:
        Curve(**{**good, "scores": [0.1, 0.2], **change})
    assert "'v'" in str(error.value)


def test_curves_that_cannot_be_written(tmp_path) -> None:
    curve = Curve("a", "g", 0, None, [0], [0.1], {"score": "x"})
    with pytest.raises(MetricError, match="cannot be called score"):
        curves_to_csv([curve], tmp_path / "a.csv")
    with pytest.raises(MetricError, match="'a' has two curves"):
        curves_to_csv([curve, curve], tmp_path / "a.csv")
