from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from collision.errors import MetricError
from collision.metrics.estimate import Estimate
from collision.metrics.scored import Counts, Scored
from collision.metrics.summary import beside_chance, fraction_to_oracle, lift_of, summarise
from tests.kit.scores import HORIZONS, ORACLE, made_up_scores, nexar_ap


def test_numbers_of_a_summary_are_those_of_the_plain_functions() -> None:
    scored = made_up_scores(40)
    summary = summarise(scored, oracle=ORACLE, num_resamples=500)
    data = summary.as_json()
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    by_horizon = dict(zip(HORIZONS, nexar_ap(scored), strict=True))
    assert list(summary.ap) == ["0.5", "1.0", "1.5", "mean"]
    for horizon, value in by_horizon.items():
        assert summary.ap[str(horizon)].value == pytest.approx(value)
    mean = summary.ap["mean"]
    assert mean.value == pytest.approx(np.mean(nexar_ap(scored)))
    assert mean.low < mean.value < mean.high
    assert summary.chance == {"0.5": 0.5, "1.0": 0.5, "1.5": 0.5, "mean": 0.5}
    assert summary.oracle == pytest.approx({**ORACLE, "mean": 0.95})
    for end in ("value", "low", "high"):
        found = getattr(summary.fraction_to_oracle, end)
        assert found == pytest.approx((getattr(mean, end) - 0.5) / 0.45)
    assert summary.counts["0.5"] == Counts(40, 40, 40, 40, 0, 0, 0)


def test_a_mean_over_horizons_is_surer_than_one_horizon() -> None:
    ap = summarise(made_up_scores(60), num_resamples=1000).ap
    width = {key: entry.high - entry.low for key, entry in ap.items()}
    assert width["mean"] < min(width["0.5"], width["1.0"], width["1.5"])


def test_a_slice_of_negatives_is_judged_against_all_positives() -> None:
    scored = made_up_scores(60)
    part = summarise(scored, num_resamples=300).slices["variant=resolved"]
    rows = (scored.horizon == 1.0) & ((scored.label == 1) | (scored.tags["variant"] == "resolved"))
    expected = average_precision_score(scored.label[rows], scored.score[rows])
    assert part.ap["1.0"].value == pytest.approx(expected)
    assert part.side == "negatives of this value against all positives"
    assert part.chance["mean"] == pytest.approx(2 / 3)
    assert part.counts["1.0"].negative == 30
    assert part.ap["mean"].low is not None


def test_a_slice_of_positives_and_one_of_both_classes() -> None:
    scored = made_up_scores(60)
    light = np.where(np.char.startswith(scored.video, "1"), "dark", "")
    scored = replace(scored, tags={**scored.tags, "light": light})
    summary = summarise(scored, num_resamples=300, slices=("variant", "light", "road"))
    rows = (scored.horizon == 0.5) & ((scored.label == 0) | (scored.tags["variant"] == "collision"))
    assert summary.slices["variant=collision"].ap["0.5"].value == pytest.approx(
        average_precision_score(scored.label[rows], scored.score[rows])
    )
    dark = summary.slices["light=dark"]
    assert dark.side == "positives and negatives of this value"
    assert dark.counts["0.5"].positive == dark.counts["0.5"].negative == 11
    assert "only 11 groups" in dark.ap["mean"].reason  # too small to judge, and says so
    assert "light=" not in summary.slices
    assert summary.absent_slices == ["road"]


def test_missing_scores_are_counted_and_count_as_zero() -> None:
    scored = made_up_scores(30)
    score = np.where((scored.label == 1) & (scored.horizon == 1.5), np.nan, scored.score)
    summary = summarise(replace(scored, score=score), num_resamples=100)
    assert [count.missing for count in summary.counts.values()] == [0, 0, 30]
    assert summary.ap["1.5"].value == pytest.approx(0.5)  # all behind every negative
    assert summary.ap["0.5"].value > 0.5


def random_scores(seed: int, share: float) -> Scored:
    """Scores that know nothing; a share of the negatives has none."""
    generator = np.random.default_rng(seed)
    scored = made_up_scores(200, seed)
    score = generator.random(len(scored))
    unscored = (scored.label == 0) & (generator.random(len(scored)) < share)
    return replace(scored, score=np.where(unscored, np.nan, score))


@pytest.mark.parametrize("share", [0.25, 0.5, 0.8])
def test_random_scores_stay_at_chance_whatever_negatives_lack_a_score(share) -> None:
    """Scored 0, or only left out, they lift the AP of random scores far above chance."""
    found, by_rule = [], []
    for seed in range(12):
        scored = random_scores(seed, share)
        summary = summarise(scored, slices=(), num_resamples=1)
        assert summary.chance["mean"] == 0.5
        found.append(summary.ap["mean"].value)
        rule = summarise(scored, slices=(), num_resamples=1, nexar_rule=True)
        by_rule.append(rule.ap["mean"].value)
        assert rule.counts["0.5"].missing_negative == summary.counts["0.5"].missing_negative > 30
    # AP of random scores lies above chance in small samples: see docs/metrics.md.
    assert 0.49 < np.mean(found) < 0.53
    assert np.mean(by_rule) > 0.5 + share / 4


def test_scored_negatives_stand_for_those_that_one_seed_lacks() -> None:
    """It is as if there were two of each, where half are gone."""
    first, second = made_up_scores(40), made_up_scores(40, seed=1)
    gone = (first.label == 0) & np.isin(first.tags["variant"], ["harmless"])
    holed = replace(second, score=np.where(gone, np.nan, second.score))
    rows = np.concatenate([np.flatnonzero(~gone), np.flatnonzero((first.label == 0) & ~gone)])
    video = np.where(np.arange(rows.size) < (~gone).sum(), "", "again ")
    for seeds in ((first, holed), (holed, first)):
        found = summarise(*seeds, slices=(), num_resamples=50)
        assert found.counts["0.5"] == Counts(40, 40, 40, 20, 20, 0, 20)
        twice = [
            one.take(rows) for one in ((first, second) if seeds[0] is first else (second, first))
        ]
        twice = [replace(one, video=np.char.add(video, one.video)) for one in twice]
        expected = summarise(*twice, slices=(), num_resamples=50)
        for key, one in expected.ap.items():
            assert found.ap[key].seeds == pytest.approx(one.seeds)
            assert found.ap[key].interval == pytest.approx(one.interval)
        assert found.chance == expected.chance


def test_all_negatives_unscored_is_undefined_with_a_reason() -> None:
    scored = made_up_scores(30)
    scored = replace(scored, score=np.where(scored.label == 0, np.nan, scored.score))
    summary = summarise(scored, num_resamples=10)
    assert summary.ap["mean"].value is None
    assert "30 positive and 30 negative examples, none of them scored" in summary.ap["0.5"].reason
    assert summary.counts["0.5"] == Counts(30, 30, 30, 0, 30, 0, 30)
    by_rule = summarise(scored, num_resamples=10, nexar_rule=True)
    assert by_rule.ap["mean"].value == pytest.approx(1)  # the guard is there for this


def test_a_horizon_of_one_class_is_none_with_a_reason() -> None:
    scored = made_up_scores(30)
    keep = (scored.horizon != 1.5) | (scored.label == 1)
    columns = {name: getattr(scored, name)[keep] for name in ("video", "group", "label", "horizon")}
    summary = summarise(
        Scored(**columns, score=scored.score[keep]), oracle=ORACLE, num_resamples=100
    )
    assert "30 positive and 0 negative" in summary.ap["1.5"].reason
    assert summary.ap["mean"].value is None
    assert summary.ap["0.5"].low is not None
    assert summary.fraction_to_oracle == Estimate(None)


def test_one_class_alone_does_not_crash() -> None:
    summary = summarise(Scored(["a"], ["g"], [1], [0.5], [0.3]), num_resamples=10)
    assert summary.ap["mean"].value is None
    with pytest.raises(MetricError, match="no scored examples"):
        summarise(Scored([], [], [], [], []))


def test_one_group_has_values_but_no_interval() -> None:
    scored = made_up_scores(30)
    summary = summarise(replace(scored, group=["drive"] * len(scored)), num_resamples=100)
    assert summary.ap["mean"].value > 0.5
    assert summary.ap["mean"].low is None
    assert "only 1 group;" in summary.ap["mean"].reason


def test_an_oracle_of_other_horizons_leaves_the_mean_open() -> None:
    summary = summarise(made_up_scores(30), oracle={"0.5": 0.9, "mean": 0.9}, num_resamples=100)
    assert summary.oracle == {"0.5": 0.9, "1.0": None, "1.5": None, "mean": None}
    assert summary.fraction_to_oracle.value is None


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
    combined = summarise(*seeds, oracle=ORACLE, num_resamples=500)
    single = [summarise(one, num_resamples=10).ap["mean"].value for one in seeds]
    mean = combined.ap["mean"]
    assert mean.seeds == pytest.approx(single)
    assert mean.value == pytest.approx(np.mean(single))
    assert mean.sd == pytest.approx(np.std(single, ddof=1))
    assert mean.low < mean.value < mean.high


def test_the_same_seed_three_times_is_that_seed() -> None:
    scored = made_up_scores(40)
    order = np.random.default_rng(0).permutation(len(scored))
    shuffled = Scored(
        *(getattr(scored, name)[order] for name in ("video", "group", "label", "horizon", "score")),
        tags={"variant": scored.tags["variant"][order]},
    )
    combined = summarise(scored, shuffled, scored, num_resamples=300)
    alone = summarise(scored, num_resamples=300)
    assert combined.ap["mean"].sd == pytest.approx(0, abs=1e-12)
    for end in ("value", "low", "high"):
        expected = getattr(alone.ap["mean"], end)
        assert getattr(combined.ap["mean"], end) == pytest.approx(expected)
    assert alone.ap["mean"].sd is None


def test_seeds_of_different_examples_are_refused() -> None:
    with pytest.raises(MetricError, match="in one set of scores only"):
        summarise(made_up_scores(20), made_up_scores(21))
    with pytest.raises(MetricError, match="no scored examples"):
        summarise()


def test_lift_is_the_share_of_the_way_from_chance_to_one() -> None:
    seeds = [made_up_scores(40, seed=seed) for seed in range(2)]
    summary = summarise(*seeds, num_resamples=200)
    for key, ap in summary.ap.items():
        lift = summary.lift[key]
        for end in ("value", "low", "high"):
            assert getattr(lift, end) == pytest.approx((getattr(ap, end) - 0.5) / 0.5)
        assert lift.sd == pytest.approx(np.std(lift.seeds, ddof=1))
    assert summary.as_json()["lift"]["mean"]["value"] == summary.lift["mean"].value


def test_lift_of_the_worked_example() -> None:
    """docs/metrics.md: .884 where chance is .846."""
    lift = lift_of(Estimate(0.884, 0.77, 0.95), 0.846)
    assert (lift.value, lift.low, lift.high) == pytest.approx((0.247, -0.494, 0.675), abs=1e-3)
    text = beside_chance(Estimate(0.884), 0.846)
    assert text == "0.884 (chance 0.846, lift 25%)"
    assert beside_chance(Estimate(0.8, 0.7, 0.9), 0.5) == (
        "0.800 [0.700, 0.900] (chance 0.500, lift 60% [40%, 80%])"
    )


def test_without_an_ap_there_is_a_reason_and_no_lift() -> None:
    scored = made_up_scores(10)
    alone = summarise(replace(scored, label=np.ones(len(scored))), num_resamples=9)
    assert alone.lift["mean"].value is None
    assert alone.headline.startswith("no mAP: average precision is not defined")
    assert summarise(scored, num_resamples=9).headline.startswith("mAP 0.")
