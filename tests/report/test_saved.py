"""What a run's files say is what the page was made of: numbers, curves, clips."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from collision.errors import CheckpointError
from collision.metrics.curves import curves_to_csv
from collision.metrics.scored import Scored
from collision.report.clips import FORMAT, read_clips, write_clips
from collision.report.judged import read_curves, read_judged, read_metrics
from collision.report.saved import numbers_from
from tests.kit.curves import made_up_curves
from tests.kit.report import evaluated_run, made_up_clips, numbers_of, trained_run
from tests.kit.scores import made_up_scores


@pytest.mark.parametrize("seeds", [1, 2])
def test_numbers_come_back_as_they_were(seeds) -> None:
    scores = [made_up_scores(30, seed=seed) for seed in range(seeds)]
    numbers = numbers_of(scores, made_up_curves(30), scores)
    again = numbers_from(json.loads(json.dumps(numbers.as_json())))
    assert again.as_json() == numbers.as_json()
    assert again.summary == numbers.summary and again.warned == list(numbers.warned)


def test_numbers_of_what_cannot_be_judged_come_back_too() -> None:
    one_class = Scored(["a"], ["g"], [1], [0.5], [0.5])
    numbers = numbers_of([one_class])
    assert numbers_from(json.loads(json.dumps(numbers.as_json()))).as_json() == numbers.as_json()


def test_curves_come_back_as_they_were(tmp_path) -> None:
    curves = [replace(one, tags={"light": "dark"}) for one in made_up_curves(3)]
    empty = replace(curves[0], video="none", times=np.zeros(0), scores=np.zeros(0))
    curves_to_csv([*curves, empty], tmp_path / "curves.csv")
    again = read_curves(tmp_path / "curves.csv")
    for one, other in zip([*curves, empty], again, strict=True):
        assert (one.video, one.group, one.label) == (other.video, other.group, other.label)
        assert one.event_time == other.event_time and dict(one.tags) == dict(other.tags)
        assert one.times.tolist() == other.times.tolist()
        assert one.scores.tolist() == other.scores.tolist()


def test_a_run_is_read_with_its_seeds_curves_baseline_and_clips(tmp_path) -> None:
    scores = [made_up_scores(24, seed=seed) for seed in range(2)]
    clips = made_up_clips(scores[0])
    metrics = trained_run(tmp_path, *scores, clips=clips, curves=made_up_curves(24))
    (judged,) = read_judged(tmp_path, read_metrics(tmp_path))
    assert list(judged.scores) == [0, 1] and judged.threshold == 0.6
    assert judged.first.score.tolist() == scores[0].score.tolist()
    assert len(judged.curves[0]) == 48 and judged.clips == clips
    assert judged.baseline.as_json() == metrics["baseline"]


def test_an_evaluation_is_read_data_set_by_data_set(tmp_path) -> None:
    day, night = [made_up_scores(24)], [made_up_scores(24, seed=1)]
    evaluated_run(tmp_path, day=day, night=night)
    first, second = read_judged(tmp_path, read_metrics(tmp_path))
    assert (first.name, second.name) == ("day", "night")
    assert second.first.score.tolist() == night[0].score.tolist()
    assert not first.clips.clips  # as of an earlier version


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m.pop("ap"), None),  # secret labels: no numbers
        (lambda m: m.pop("counts"), "NoneType|expected|None"),
        (lambda m: m["ap"]["mean"].update(value="high"), "'high'"),
        (lambda m: m.update(dataset="../up/x"), "no file name|no file"),
        (lambda m: m.update(seeds=[7]), "predictions_seed7"),
    ],
)
def test_damaged_results_are_one_sentence(change, words, tmp_path) -> None:
    metrics = trained_run(tmp_path, made_up_scores(24))
    change(metrics)
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    if words is None:
        assert read_judged(tmp_path, read_metrics(tmp_path))[0].numbers is None
    elif "file name" in words:  # of a run's own data set the name is in no file's name
        assert read_judged(tmp_path, read_metrics(tmp_path))[0].name == "../up/x"
    else:
        with pytest.raises(CheckpointError, match=words):
            read_judged(tmp_path, read_metrics(tmp_path))


def test_a_data_set_cannot_lead_out_of_the_folder(tmp_path) -> None:
    metrics = evaluated_run(tmp_path, day=[made_up_scores(24)])
    metrics["datasets"] = {"/../../secret": metrics["datasets"]["day"]}
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    with pytest.raises(CheckpointError, match="no file name"):
        read_judged(tmp_path, read_metrics(tmp_path))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "damaged"),
        ("[]", "lists no data sets"),
        (json.dumps({"format": FORMAT + 1, "datasets": {}}), "newer version"),
        (
            json.dumps({"format": 1, "datasets": {"a": {"clips": {"v": {"video": 3}}}}}),
            "str is expected",
        ),
    ],
)
def test_a_damaged_list_of_clips_is_one_sentence(text, words, tmp_path) -> None:
    (tmp_path / "clips.json").write_text(text)
    with pytest.raises(CheckpointError, match=words):
        read_clips(tmp_path, ["a"])


def test_clips_come_back_as_they_were(tmp_path) -> None:
    clips = made_up_clips(made_up_scores(3))
    write_clips(tmp_path, {"a": clips})
    assert read_clips(tmp_path, ["a", "b"])["a"] == clips
    assert not read_clips(tmp_path, ["b"])["b"].clips
