from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collision.errors import MetricError
from collision.metrics.scored import Scored, ranked_rows

# What a CSV cannot carry: NUL, lone surrogates, and the different line ends it makes one.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r"), max_size=8)
SCORE = st.one_of(st.floats(0, 1), st.just(float("nan")))


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(TEXT, TEXT, st.integers(0, 1), st.sampled_from([0.5, 1.0]), SCORE, TEXT),
        min_size=1,
        max_size=8,
    )
)
def test_csv_gives_back_what_was_written(tmp_path_factory, rows) -> None:
    video, group, label, horizon, score, light = (
        list(column) for column in zip(*rows, strict=True)
    )
    scored = Scored(video, group, label, horizon, score, {"light, sky": light})
    path = tmp_path_factory.mktemp("scored") / "predictions.csv"
    scored.to_csv(path)
    again = Scored.from_csv(path)
    for name in ("video", "group", "label", "horizon"):
        assert getattr(again, name).tolist() == getattr(scored, name).tolist()
    np.testing.assert_array_equal(again.score, scored.score)
    assert again.tags["light, sky"].tolist() == light


def test_a_missing_score_is_counted_and_judged_as_zero() -> None:
    scored = Scored(["a", "b"], ["g", "g"], [1, 0], [0.5, 0.5], [np.nan, 0.3])
    assert scored.missing.tolist() == [True, False]
    assert scored.judged_score.tolist() == [0.0, 0.3]


def test_a_negative_that_a_seed_has_no_score_for_is_not_ranked() -> None:
    one = Scored(["a", "b", "c"], ["g", "g", "h"], [1, 0, 0], [0.5] * 3, [np.nan, np.nan, 0.3])
    other = replace(one, score=[0.2, 0.1, np.nan])
    assert ranked_rows([one]).tolist() == [True, False, True]
    assert ranked_rows([one, other]).tolist() == [True, False, False]
    assert one.take(ranked_rows([one])).video.tolist() == ["a", "c"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score": [1.2, 0.1]}, "outside 0..1"),
        ({"score": [0.1]}, "differ in shape"),
        ({"label": [1, 2]}, r"got \[2\]"),
        ({"horizon": [0.5, np.inf]}, "no finite horizon"),
        ({"tags": {"score": ["a", "b"]}}, "cannot be called score"),
        ({"tags": {"light": ["a"]}}, "differ in shape"),
    ],
)
def test_columns_that_make_no_table(change, message) -> None:
    good = {"video": ["a", "b"], "group": ["g", "h"], "label": [1, 0], "horizon": [0.5, 0.5]}
    with pytest.raises(MetricError, match=message):
        Scored(**{**good, "score": [0.2, 0.4], **change})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("video,label\na,1\n", "no column group, horizon, score"),
        ("", "no column video"),
        ("video,group,label,horizon,score\na,g,1,0.5,high\n", "row 2: score is 'high'"),
        ("video,group,label,horizon,score\na,g,,0.5,0.1\n", "row 2: label is ''"),
        ("video,group,label,horizon,score\na,g,1\n", "row 2: the number of cells"),
        ("video,group,label,horizon,score\na,g,1,1,1,1\n", "row 2: the number of cells"),
    ],
)
def test_csv_that_cannot_be_read_names_the_cell(tmp_path, text, message) -> None:
    path = tmp_path / "predictions.csv"
    path.write_text(text)
    with pytest.raises(MetricError, match=message):
        Scored.from_csv(path)


def test_csv_that_is_not_there(tmp_path) -> None:
    for path in (tmp_path, tmp_path / "predictions.csv"):
        with pytest.raises(MetricError, match="There is no file"):
            Scored.from_csv(path)


def test_rows_are_matched_by_video_and_horizon() -> None:
    first = Scored(["a", "b"], ["g", "h"], [1, 0], [0.5, 0.5], [0.9, 0.1])
    turned = Scored(["b", "a"], ["h", "g"], [0, 1], [0.5, 0.5], [0.2, 0.8], {"light": ["x", "y"]})
    aligned = turned.aligned_to(first)
    assert aligned.score.tolist() == [0.8, 0.2]
    assert aligned.tags["light"].tolist() == ["y", "x"]
    with pytest.raises(MetricError, match="2 examples are in one set"):
        replace(turned, video=["b", "c"]).aligned_to(first)
    with pytest.raises(MetricError, match="different labels or groups"):
        replace(turned, label=[1, 1]).aligned_to(first)
    with pytest.raises(MetricError, match="several scores at one horizon"):
        replace(turned, video=["a", "a"]).aligned_to(first)
