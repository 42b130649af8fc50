from dataclasses import replace

import numpy as np

from collision.evaluation import guards
from collision.evaluation.baseline import against_baseline
from collision.metrics.comparison import compare
from collision.metrics.scored import NEGATIVES_FROM
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
