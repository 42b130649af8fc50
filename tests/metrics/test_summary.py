from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from collision.errors import MetricError
from collision.metrics.nexar import nexar_ap, nexar_map
from collision.metrics.scored import Scored
from collision.metrics.summary import combine_seeds, fraction_to_oracle, summarise
from tests.kit.scores import ORACLE, made_up_scores


def test_numbers_of_a_summary_are_those_of_the_plain_functions() -> None:
    scored = made_up_scores(40)
    summary = summarise(scored, oracle=ORACLE, num_resamples=500)
    assert json.loads(json.dumps(summary)) == summary
    by_horizon = nexar_ap(scored.label, scored.score, scored.horizon)
    assert list(summary["ap"]) == ["0.5", "1.0", "1.5", "mean"]
    for horizon, value in by_horizon.items():
        assert summary["ap"][str(horizon)]["value"] == pytest.approx(value)
    mean = summary["ap"]["mean"]
    assert mean["value"] == pytest.approx(nexar_map(scored.label, scored.score, scored.horizon))
    assert mean["low"] < mean["value"] < mean["high"]
    assert summary["chance"] == {"0.5": 0.5, "1.0": 0.5, "1.5": 0.5, "mean": 0.5}
    assert summary["oracle"] == pytest.approx({**ORACLE, "mean": 0.95})
    for end in ("value", "low", "high"):
        assert summary["fraction_to_oracle"][end] == pytest.approx((mean[end] - 0.5) / 0.45)
    assert summary["counts"]["0.5"] == {
        "positive": 40,
        "negative": 40,
        "positive_groups": 40,
        "negative_groups": 40,
        "missing": 0,
    }


def test_a_mean_over_horizons_is_surer_than_one_horizon() -> None:
    ap = summarise(made_up_scores(60), oracle=None, num_resamples=1000)["ap"]
    width = {key: entry["high"] - entry["low"] for key, entry in ap.items()}
    assert width["mean"] < min(width["0.5"], width["1.0"], width["1.5"])


def test_a_slice_of_negatives_is_judged_against_all_positives() -> None:
    scored = made_up_scores(60)
    part = summarise(scored, oracle=None, num_resamples=300)["slices"]["variant=resolved"]
    rows = (scored.horizon == 1.0) & ((scored.label == 1) | (scored.tags["variant"] == "resolved"))
    expected = average_precision_score(scored.label[rows], scored.score[rows])
    assert part["ap"]["1.0"]["value"] == pytest.approx(expected)
    assert part["side"] == "negatives of this value against all positives"
    assert part["chance"]["mean"] == pytest.approx(2 / 3)
    assert part["counts"]["1.0"]["negative"] == 30
    assert part["ap"]["mean"]["low"] is not None


def test_a_slice_of_positives_and_one_of_both_classes() -> None:
    scored = made_up_scores(60)
    light = np.where(np.char.startswith(scored.video, "1"), "dark", "")
    scored = replace(scored, tags={**scored.tags, "light": light})
    summary = summarise(scored, oracle=None, num_resamples=300, slices=("variant", "light", "road"))
    rows = (scored.horizon == 0.5) & ((scored.label == 0) | (scored.tags["variant"] == "collision"))
    assert summary["slices"]["variant=collision"]["ap"]["0.5"]["value"] == pytest.approx(
        average_precision_score(scored.label[rows], scored.score[rows])
    )
    dark = summary["slices"]["light=dark"]
    assert dark["side"] == "positives and negatives of this value"
    assert dark["counts"]["0.5"]["positive"] == dark["counts"]["0.5"]["negative"] == 11
    assert "only 11 groups" in dark["ap"]["mean"]["reason"]  # too small to judge, and says so
    assert "light=" not in summary["slices"]
    assert summary["absent_slices"] == ["road"]


def test_missing_scores_are_counted_and_count_as_zero() -> None:
    scored = made_up_scores(30)
    score = np.where((scored.label == 1) & (scored.horizon == 1.5), np.nan, scored.score)
    summary = summarise(replace(scored, score=score), oracle=None, num_resamples=100)
    assert [count["missing"] for count in summary["counts"].values()] == [0, 0, 30]
    assert summary["ap"]["1.5"]["value"] == pytest.approx(0.5)  # all behind every negative
    assert summary["ap"]["0.5"]["value"] > 0.5


def test_a_horizon_of_one_class_is_none_with_a_reason() -> None:
    scored = made_up_scores(30)
    keep = (scored.horizon != 1.5) | (scored.label == 1)
    columns = {name: getattr(scored, name)[keep] for name in ("video", "group", "label", "horizon")}
    summary = summarise(
        Scored(**columns, score=scored.score[keep]), oracle=ORACLE, num_resamples=100
    )
    assert "30 positive and 0 negative" in summary["ap"]["1.5"]["reason"]
    assert summary["ap"]["mean"]["value"] is None
    assert summary["ap"]["0.5"]["low"] is not None
    assert summary["fraction_to_oracle"] == {"value": None, "low": None, "high": None}


def test_one_class_alone_does_not_crash() -> None:
    summary = summarise(Scored(["a"], ["g"], [1], [0.5], [0.3]), oracle=None, num_resamples=10)
    assert summary["ap"]["mean"]["value"] is None
    with pytest.raises(MetricError, match="no scored examples"):
        summarise(Scored([], [], [], [], []), oracle=None)


def test_one_group_has_values_but_no_interval() -> None:
    scored = made_up_scores(30)
    summary = summarise(
        replace(scored, group=["drive"] * len(scored)), oracle=None, num_resamples=100
    )
    assert summary["ap"]["mean"]["value"] > 0.5
    assert summary["ap"]["mean"]["low"] is None
    assert "only 1 group;" in summary["ap"]["mean"]["reason"]


def test_an_oracle_of_other_horizons_leaves_the_mean_open() -> None:
    summary = summarise(made_up_scores(30), oracle={"0.5": 0.9, "mean": 0.9}, num_resamples=100)
    assert summary["oracle"] == {"0.5": 0.9, "1.0": None, "1.5": None, "mean": None}
    assert summary["fraction_to_oracle"]["value"] is None


def test_an_oracle_in_another_form_is_refused_rather_than_overlooked() -> None:
    with pytest.raises(MetricError, match=r"no AP by horizon, only \['scores'\]"):
        summarise(made_up_scores(5), oracle={"scores": {"0.5": 0.9}}, num_resamples=10)


def test_fraction_to_oracle() -> None:
    assert fraction_to_oracle(0.77, 0.5, 0.95) == pytest.approx(0.6)  # docs/metrics.md
    assert fraction_to_oracle(0.4, 0.5, 1.0) < 0
    assert fraction_to_oracle(0.8, 0.5, 0.5) is None
    assert fraction_to_oracle(0.8, 0.5, None) is None


def test_seeds_are_averaged_and_spread() -> None:
    seeds = [made_up_scores(40, seed=seed) for seed in range(3)]
    combined = combine_seeds(seeds, oracle=ORACLE, num_resamples=500)
    single = [summarise(one, oracle=None, num_resamples=10)["ap"]["mean"]["value"] for one in seeds]
    mean = combined["ap"]["mean"]
    assert mean["seeds"] == pytest.approx(single)
    assert mean["value"] == pytest.approx(np.mean(single))
    assert mean["sd"] == pytest.approx(np.std(single, ddof=1))
    assert mean["low"] < mean["value"] < mean["high"]
    assert json.loads(json.dumps(combined)) == combined


def test_the_same_seed_three_times_is_that_seed() -> None:
    scored = made_up_scores(40)
    order = np.random.default_rng(0).permutation(len(scored))
    shuffled = Scored(
        *(getattr(scored, name)[order] for name in ("video", "group", "label", "horizon", "score")),
        tags={"variant": scored.tags["variant"][order]},
    )
    combined = combine_seeds([scored, shuffled, scored], oracle=None, num_resamples=300)
    alone = summarise(scored, oracle=None, num_resamples=300)
    assert combined["ap"]["mean"]["sd"] == pytest.approx(0, abs=1e-12)
    for end in ("value", "low", "high"):
        assert combined["ap"]["mean"][end] == pytest.approx(alone["ap"]["mean"][end])
    assert combine_seeds([scored], oracle=None, num_resamples=10)["ap"]["mean"]["sd"] is None


def test_seeds_of_different_examples_are_refused() -> None:
    with pytest.raises(MetricError, match="in one set of scores only"):
        combine_seeds([made_up_scores(20), made_up_scores(21)], oracle=None)
    with pytest.raises(MetricError, match="no seeds"):
        combine_seeds([], oracle=None)
