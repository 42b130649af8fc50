"""What a run says against its predictor is found beside it, whatever lies there."""

import json
from types import SimpleNamespace

import pytest

from collision.metrics.threshold import OperatingPoint
from collision.runs.doubts import Doubts

POINT = OperatingPoint(0.4, 0.6, 0.9, 0.25, 0.7)


def doubts_of(path, point=POINT):
    return Doubts.of(SimpleNamespace(threshold=point), path)


@pytest.fixture
def run(tmp_path):
    found = [
        {"name": "no_better_than_chance", "message": "Nothing shows it."},
        {"name": "unknown_groups", "message": "Every clip counts."},
    ]
    (tmp_path / "metrics.json").write_text(json.dumps({"warnings": found}))
    (tmp_path / "config.yaml").write_text("threshold: {false_alarm_rate: 0.1, precision: null}\n")
    (tmp_path / "seed_0").mkdir()
    (tmp_path / "seed_0" / "predictor.safetensors").write_bytes(b"")
    return tmp_path


def test_it_is_found_from_the_run_a_seed_and_a_file(run):
    first, fallback = doubts_of(run).texts
    assert first == "Of the predictor's own test: Nothing shows it."
    assert "none has a false-alarm rate of 0.1 or less" in fallback and "has 0.250" in fallback
    for path in (run / "seed_0", run / "seed_0" / "predictor.safetensors"):
        assert doubts_of(path) == doubts_of(run) and doubts_of(path).is_fallback


def test_a_threshold_that_does_what_was_wanted_is_none(run):
    assert not doubts_of(run, OperatingPoint(0.4, 0.6, 0.9, 0.1, 0.7)).is_fallback
    assert not doubts_of(run, None).is_fallback
    (run / "config.yaml").write_text("threshold: {false_alarm_rate: null, precision: 0.7}\n")
    assert "none has a precision of 0.7" in doubts_of(run).texts[1]
    (run / "config.yaml").write_text("threshold: {precision: 0.6}\n")
    assert not doubts_of(run).is_fallback


@pytest.mark.parametrize("content", ["[]", '{"warnings": 3}', '{"warnings": [[], "x", {}]}'])
def test_what_is_no_list_of_warnings_says_nothing(tmp_path, content):
    assert doubts_of(tmp_path) == Doubts()
    (tmp_path / "metrics.json").write_text(content)
    assert doubts_of(tmp_path) == Doubts()


def test_a_damaged_file_is_told_and_stops_nothing(tmp_path):
    (tmp_path / "metrics.json").write_text("{")
    (told,) = doubts_of(tmp_path).texts
    assert "is not known" in told and "is damaged" in told
