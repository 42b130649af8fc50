from collision.evaluation import guards
from collision.metrics.estimate import Difference, Estimate
from collision.metrics.scored import Counts
from collision.sampling.policy import SamplingPolicy


def counts(positive=40, negative=40, missing_positive=0, missing_negative=0):
    missing = missing_positive + missing_negative
    return Counts(positive, negative, 40, 40, missing, missing_positive, missing_negative)


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
    finding = guards.worse_than_base_rate(Estimate(0.40, 0.33, 0.47), 0.13)
    assert finding is not None and "0.400 [0.330, 0.470]" in finding.message
    assert guards.worse_than_base_rate(Estimate(0.40, 0.33, 0.47), 0.35) is None
    assert guards.worse_than_base_rate(Estimate(0.40, reason="few"), 0.13) is None


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
