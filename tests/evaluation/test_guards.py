from collision.evaluation import guards
from collision.sampling.policy import SamplingPolicy


def test_whole_clips_are_marked():
    leaking = guards.leaking_policy(SamplingPolicy(whole_clip=True, allow_leak=True))
    assert leaking is not None and leaking.message.startswith("LEAKS")
    assert guards.leaking_policy(SamplingPolicy()) is None


def test_validation_that_is_too_good():
    test = {"value": 0.70, "low": 0.62, "high": 0.77}
    far = guards.validation_too_good(0.85, test)
    assert far is not None and far.name == "validation_far_above_test"
    assert "0.850" in far.message and "0.700" in far.message
    assert far.numbers == {"validation": 0.85, **test}
    assert guards.validation_too_good(0.76, test) is None  # within the interval
    saturated = guards.validation_too_good(0.99, {"value": 0.96, "low": 0.9, "high": 0.98})
    assert saturated is not None and saturated.name == "validation_saturated"
    assert guards.validation_too_good(0.7, {"value": None, "low": None, "high": None}) is None
    too_few = {"value": 0.7, "low": None, "high": None}
    assert guards.validation_too_good(0.85, too_few) is None


def test_a_missing_class_is_named_with_its_horizon_and_the_way_out():
    counts = {"0.5": {"positive": 4, "negative": 4}, "1.0": {"positive": 4, "negative": 0}}
    finding = guards.missing_classes(counts)
    assert finding is not None
    assert "1.0 s (4 positive, 0 negative)" in finding.message and "within=" in finding.message
    assert guards.missing_classes({"0.5": counts["0.5"]}) is None


def test_shared_groups_and_look_alikes_come_with_their_number():
    finding = guards.groups_in_several_splits({"drive": ["train", "test"]})
    assert finding is not None and "1 group(s)" in finding.message and "'drive'" in finding.message
    assert guards.groups_in_several_splits({}) is None
    finding = guards.near_duplicates_across_splits([("a", "b"), ("c", "d")])
    assert (
        finding is not None and "2 pair(s)" in finding.message and "'a' and 'b'" in finding.message
    )
    assert finding.numbers["examples"] == [["a", "b"], ["c", "d"]]
    assert guards.near_duplicates_across_splits([]) is None


def test_a_head_must_beat_its_shortcuts():
    difference = {"first": 0.74, "second": 0.70, "value": 0.04, "low": -0.02, "high": 0.10}
    finding = guards.no_better_than_shortcut("the first frame", difference)
    assert finding is not None
    for words in ("0.740", "0.700", "+0.040 [-0.020, +0.100]", "the first frame"):
        assert words in finding.message
    assert guards.no_better_than_shortcut("x", {**difference, "low": 0.01}) is None
    few = {**difference, "low": None, "high": None}
    assert guards.no_better_than_shortcut("x", few) is not None
    assert guards.no_better_than_shortcut("x", {**few, "value": 0.2}) is None


def test_found_keeps_what_was_found_as_plain_data():
    finding = guards.judged_on_validation("No labels")
    assert guards.found([None, finding]) == [finding]
    assert finding.as_dict()["name"] == "judged_on_validation"
