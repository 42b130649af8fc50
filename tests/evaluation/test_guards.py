from dataclasses import replace

import numpy as np
import pytest

from collision.evaluation import guards
from collision.evaluation.distances import Distances
from collision.metrics.calibration import calibration
from collision.metrics.estimate import Difference, Estimate
from collision.metrics.nexar import area_under_roc
from collision.metrics.scored import Counts
from collision.metrics.threshold import OperatingPoint
from collision.option_groups import ThresholdOptions
from collision.sampling.policy import SamplingPolicy
from tests.kit.scores import made_up_scores


def counts(positive=40, negative=40, missing_positive=0, missing_negative=0):
    missing = missing_positive + missing_negative
    return Counts(positive, negative, 40, 40, missing, missing_positive, missing_negative)


def noisy(num_groups, seed):
    """Sure of itself and wrong half the time."""
    scored = made_up_scores(num_groups)
    generator = np.random.default_rng(seed)
    return replace(scored, score=generator.choice([0.02, 0.98], len(scored)))


def difference(first, low=None, high=None):
    return Difference(first - 0.70, low, high, first=first, second=0.70)


def test_whole_clips_are_marked():
    leaking = guards.leaking_policy(SamplingPolicy(whole_clip=True, allow_leak=True))
    assert leaking is not None and leaking.message.startswith("LEAKS")
    assert guards.leaking_policy(SamplingPolicy()) is None


def test_validation_that_is_too_good():
    test = Estimate(0.70, 0.62, 0.77)
    far = guards.validation_too_good(0.85, test)
    assert far is not None and far.name == "validation_far_above_test"
    assert "0.850" in far.message and "0.700" in far.message
    assert far.numbers == {"validation": 0.85, "value": 0.70, "low": 0.62, "high": 0.77}
    assert guards.validation_too_good(0.76, test) is None  # within the interval
    saturated = guards.validation_too_good(0.99, Estimate(0.96, 0.9, 0.98))
    assert saturated is not None and saturated.name == "validation_saturated"
    assert guards.validation_too_good(0.7, Estimate(None, reason="no class")) is None
    assert guards.validation_too_good(None, test) is None
    assert guards.validation_too_good(0.85, Estimate(0.7, reason="too few groups")) is None


def test_a_missing_class_is_named_with_its_horizon_and_the_way_out():
    finding = guards.missing_classes({"0.5": counts(4, 4), "1.0": counts(4, 0)})
    assert finding is not None
    assert "1.0 s (4 positive, 0 negative)" in finding.message and "within=" in finding.message
    assert guards.missing_classes({"0.5": counts(4, 4)}) is None


def test_unscored_examples_of_one_class_are_told():
    even = {"0.5": counts(missing_positive=8, missing_negative=8)}
    assert guards.unscored_classes(even) is None
    finding = guards.unscored_classes({"0.5": counts(), "1.0": counts(missing_negative=20)})
    assert finding is not None and finding.name == "unscored_classes"
    assert "0 of 80 positives and 20 of 80 negatives" in finding.message
    assert finding.numbers["shares"] == {"positive": 0.0, "negative": 0.25}


def test_shared_groups_and_look_alikes_come_with_their_number():
    finding = guards.groups_in_several_splits({"drive": ["train", "test"]})
    assert finding is not None and "1 group(s)" in finding.message and "'drive'" in finding.message
    assert guards.groups_in_several_splits({}) is None
    finding = guards.near_duplicates_across_splits([("a", "b"), ("c", "d")])
    assert finding is not None
    assert "2 pair(s)" in finding.message and "'a' and 'b'" in finding.message
    assert finding.numbers["examples"] == [["a", "b"], ["c", "d"]]
    assert guards.near_duplicates_across_splits([]) is None


def test_what_was_learned_from_is_told_with_its_number():
    finding = guards.learned_from_judged({"train": 20, "val": 3}, 40)
    assert finding is not None and "23 of the 40 videos" in finding.message
    assert "20 in train and 3 in val" in finding.message
    assert guards.learned_from_judged({}, 40) is None


def test_splits_that_flatter():
    assert guards.judged_on("test") is None
    assert "weights were chosen" in guards.judged_on("val").message
    assert "labels are secret" in guards.judged_on("val", is_test_secret=True).message
    assert guards.judged_on("train").name == "judged_on_training"


def test_unknown_groups():
    assert guards.unknown_groups("") is None
    finding = guards.unknown_groups("the map of source events is missing.")
    assert "too narrow" in finding.message and "the map" in finding.message


def test_probabilities_that_a_constant_beats():
    wrong = calibration(noisy(60, seed=1), num_resamples=300)
    finding = guards.worse_than_base_rate(wrong)
    assert finding is not None and f"{wrong.over_base_rate.low:+.3f}" in finding.message
    assert "mean nothing on these videos" in finding.message
    assert guards.worse_than_base_rate(calibration(made_up_scores(60), num_resamples=300)) is None


def test_a_small_set_that_a_constant_beats_is_told_with_its_size():
    few = calibration(noisy(8, seed=1), num_resamples=300)
    assert few.over_base_rate.interval is None
    finding = guards.worse_than_base_rate(few)
    assert finding is not None and "8 groups, too few" in finding.message
    good = calibration(made_up_scores(8, skill=4), num_resamples=300)
    assert guards.worse_than_base_rate(good) is None
    one_class = replace(made_up_scores(8), label=np.ones(48, dtype=int))
    assert guards.worse_than_base_rate(calibration(one_class, num_resamples=9)) is None


def test_an_order_that_is_not_shown_to_be_better_than_chance():
    of_counts = {"0.5": counts()}
    told = guards.no_better_than_chance(Estimate(0.55, 0.46, 0.64), of_counts, "mAP .9 (chance .8)")
    assert told is not None and told.message.endswith("chance: mAP .9 (chance .8).")
    assert "0.550 [0.460, 0.640]" in told.message
    assert guards.no_better_than_chance(Estimate(0.65, 0.55, 0.74), of_counts, "") is None
    assert guards.no_better_than_chance(Estimate(None, reason="one class"), of_counts, "") is None


def test_a_small_set_is_held_against_random_orders():
    """22 and 8 groups: random orders of as many reach .737 in one of 40 cases."""
    of_counts = {"0.5": Counts(22, 8, 22, 8, 0, 0, 0)}
    told = guards.no_better_than_chance(Estimate(0.515, reason="few"), of_counts, "mAP .884")
    assert told is not None and "one in forty has 0.737 or more" in told.message
    assert guards.no_better_than_chance(Estimate(0.75, reason="few"), of_counts, "") is None
    generator = np.random.default_rng(0)
    labels = np.array([1] * 22 + [0] * 8)
    random = [area_under_roc(labels, generator.random(30)) for _ in range(4000)]
    assert np.mean(np.array(random) > 0.737) == pytest.approx(0.025, abs=0.007)


def test_videos_unlike_the_training():
    told = guards.unlike_training(Distances(30, 30, 0.9, 0.05, 1e-9, 3.2))
    assert told is not None and "27 of 30 videos (90%)" in told.message
    assert "where 5% of videos like them" in told.message and "3.20" in told.message
    assert told.numbers["p_value"] == 1e-9
    assert guards.unlike_training(Distances(30, 30, 0.1, 0.05, 0.2, 0.7)) is None
    assert guards.unlike_training(None) is None


def test_painted_scenes_and_footage():
    told = guards.painted_meets_footage(True, False)
    assert told is not None and "painted scenes alone" in told.message
    assert guards.painted_meets_footage(True, True) is None
    assert guards.painted_meets_footage(False, False) is None
    assert guards.painted_meets_footage(None, False) is None  # of an earlier version


def test_a_head_must_beat_its_shortcuts():
    finding = guards.no_better_than_shortcut("x", difference(0.74, -0.02, 0.10))
    assert finding is not None
    for words in ("0.740", "0.700", "+0.040 [-0.020, +0.100]", "knows x alone"):
        assert words in finding.message
    assert guards.no_better_than_shortcut("x", difference(0.74, 0.01, 0.10)) is None
    assert guards.no_better_than_shortcut("x", difference(0.74)) is not None
    assert guards.no_better_than_shortcut("x", difference(0.9)) is None


def test_found_keeps_what_was_found_as_plain_data():
    finding = guards.judged_on("val")
    assert guards.found([None, finding]) == [finding]
    assert finding.as_json()["name"] == "judged_on_validation"


def point(precision=0.9, rate=0.1):
    return OperatingPoint(0.5, precision, 0.5, rate, 0.6)


def test_a_wish_for_the_threshold_that_no_head_grants_is_told_once():
    wanted = ThresholdOptions()  # a false-alarm rate of .1
    assert guards.threshold_not_reached([point(), point(rate=0.05), None], wanted) is None
    some = [point(rate=0.25), point(), point(rate=0.5)]
    finding = guards.threshold_not_reached(some, wanted, "folds")
    assert finding.message.startswith("In 2 of 3 folds no threshold has a false-alarm rate of 0.1")
    assert "a rate of 0.250 to 0.500" in finding.message
    assert "threshold.false_alarm_rate=RATE allows more" in finding.message
    one = guards.threshold_not_reached([point(precision=0.6)], ThresholdOptions(precision=0.8))
    assert one.message.startswith("No threshold has a precision of 0.8")
    assert "a precision of 0.600. threshold.precision=SHARE" in one.message
    assert guards.threshold_not_reached([point()], ThresholdOptions(precision=0.8)) is None
