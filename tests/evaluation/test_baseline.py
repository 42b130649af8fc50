from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, logit

from collision.evaluation import guards
from collision.evaluation.baseline import added_variance, against_baseline
from collision.metrics.comparison import compare
from collision.metrics.scored import NEGATIVES_FROM
from collision.metrics.summary import summarise
from collision.report.headline import hardly_left
from tests.kit.scores import made_up_scores


def mixed_with(scored, other, share):
    return replace(scored, score=share * scored.score + (1 - share) * other.score)


def test_the_difference_is_paired_and_means_the_seeds():
    baseline = made_up_scores(seed=0, skill=1.0)
    better = replace(baseline, score=0.6 * baseline.score + 0.4 * baseline.label)
    heads = [better, mixed_with(better, baseline, 0.5)]
    found = against_baseline(baseline, heads, 300)
    peer = compare({"a": [baseline], "b": heads}, num_resamples=300)
    assert found.against.difference == peer.differences["b"] and found.within is None
    assert found.against.difference.low > 0
    assert found.as_json()["difference"]["value"] == peer.differences["b"].value
    assert guards.no_better_than_baseline(found.against) is None


def test_a_head_that_is_not_shown_better_is_told_with_the_number():
    baseline = made_up_scores(seed=0, skill=1.0)
    noise = np.random.default_rng(0).normal(0, 0.05, len(baseline))
    head = replace(baseline, score=np.clip(baseline.score + noise, 0, 1))
    found = against_baseline(baseline, [head], 300)
    finding = guards.no_better_than_baseline(found.against)
    assert finding.numbers["value"] == found.against.difference.value
    assert f"{found.against.baseline.value:.3f}" in finding.message
    assert "head=logistic" in finding.message
    assert guards.no_better_than_baseline(None) is None


def test_what_a_head_adds_to_its_start_is_a_share_of_the_variance():
    start = made_up_scores(seed=0, skill=1.0)
    odds = logit(start.score.clip(1e-6, 1 - 1e-6))
    odds = (odds - odds.mean()) / odds.std()
    own = np.random.default_rng(0).normal(size=len(odds))
    own -= odds * (own @ odds) / (odds @ odds) + own.mean()
    own /= own.std()

    def head(share):
        moved = np.sqrt(1 - share) * odds + np.sqrt(share) * own
        return replace(start, score=expit(3 * moved + 1))  # scale and offset change nothing

    begun = replace(start, score=expit(odds))
    assert added_variance(begun, [head(0)]) == pytest.approx(0, abs=1e-6)
    assert added_variance(begun, [head(0.2), head(0.4)]) == pytest.approx(0.3, abs=0.01)
    assert added_variance(replace(begun, score=np.full(len(odds), 0.5)), [head(0)]) is None
    assert against_baseline(begun, [head(0.2)], 50).added is None  # it starts elsewhere
    found = against_baseline(begun, [head(0.2)], 50, is_start=True)
    assert found.as_json()["added_variance"] == pytest.approx(0.2, abs=0.01)


def test_seeds_that_hardly_differ_are_explained_where_all_start_as_one_regression():
    start = made_up_scores(seed=0, skill=1.0)
    moved = replace(start, score=0.999 * start.score)
    found = against_baseline(start, [start, moved], 50, is_start=True)
    said = hardly_left(summarise(start, moved, num_resamples=50), found)
    assert "over 2 seeds" in said and f"{found.added:.2%} of the variance" in said
    assert "hardly left" in said
    far = hardly_left(summarise(start, moved, num_resamples=50), replace(found, added=0.4))
    assert "40.00% of the variance" in far and "hardly left" not in far
    other = made_up_scores(seed=4, skill=1.0)
    assert hardly_left(summarise(start, other, num_resamples=50), found) == ""
    assert hardly_left(summarise(start, num_resamples=50), found) == ""
    assert hardly_left(summarise(start, moved, num_resamples=50), replace(found, added=None)) == ""


def test_without_an_interval_the_head_must_be_far_better():
    baseline = made_up_scores(num_groups=6, seed=0, skill=0.0)
    perfect = replace(baseline, score=baseline.label.astype(float))
    close = replace(baseline, score=baseline.score + 1e-6 * baseline.label)
    far, near = (against_baseline(baseline, [head], 100).against for head in (perfect, close))
    assert far.difference.low is None
    assert guards.no_better_than_baseline(far) is None
    assert guards.no_better_than_baseline(near)


def test_cuts_within_clips_are_compared_apart():
    baseline = made_up_scores(seed=0, skill=1.0)
    kinds = np.where(baseline.label == 1, "", "crash videos").astype("<U20")
    normal = np.flatnonzero(baseline.label == 0)[::2]
    kinds[normal] = "normal videos"
    baseline = replace(baseline, tags={**baseline.tags, NEGATIVES_FROM: kinds})
    # Right on normal videos, as the baseline on all others: nothing is gained within clips.
    score = baseline.score.copy()
    score[normal] = 0.0
    found = against_baseline(baseline, [replace(baseline, score=score)], 200)
    assert found.against.difference.value > 0.01
    assert found.within.difference.value == 0
    assert [name for name, _ in found.parts] == ["", ", within clips"]
    assert found.as_json()["within_crash_videos"]["difference"]["value"] == 0


def test_a_horizon_of_one_class_has_no_comparison():
    baseline = made_up_scores(seed=0)
    kept = np.flatnonzero((baseline.label == 1) | (baseline.horizon == baseline.horizon[0]))
    found = against_baseline(baseline.take(kept), [baseline.take(kept)], 100)
    assert found.against is None and found.as_json() == {"head": "logistic"}
