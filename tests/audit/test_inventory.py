"""Counts, distributions, groups and faults of made-up records."""

import pytest

from collision.audit.inventory import (
    count_kinds,
    count_tags,
    count_videos,
    describe_groups,
    find_faults,
    measure,
    quantiles,
)
from collision.types import UNLABELLED
from tests.kit.audit import made_up_facts, made_up_record


def test_counts():
    records = [
        made_up_record(0, 1, split="train", group="a"),
        made_up_record(1, 0, split="train", group="a"),
        made_up_record(2, UNLABELLED, cut_horizon=0.0, mock_event_time=None),
    ]
    assert count_videos(records) == {
        "train": {"positive": 1, "negative": 1, "unlabelled": 0, "videos": 2, "groups": 1},
        "test": {"positive": 0, "negative": 0, "unlabelled": 1, "videos": 1, "groups": 1},
    }


def test_tags_with_many_values_are_summed_up():
    records = [
        made_up_record(
            n, n % 2, tags={"weather": "Rain" if n % 4 else "Clear", "note": str(n // 3)}
        )
        for n in range(90)
    ]
    tags = count_tags(records)
    assert tags["weather"] == {
        "Rain": {"positive": 45, "negative": 22},
        "Clear": {"negative": 23},
    }
    assert len(tags["note"]) == 6
    assert sum(tags["note"]["25 other values"].values()) == 75


def test_a_tag_that_names_videos_is_not_listed():
    tags = [{"sha256": f"{n:x}", "source": f"{max(n, 1)}.mp4"} for n in range(30)]
    found = count_tags(made_up_record(n, n % 2, tags=tags[n]) for n in range(30))
    assert found["sha256"] == {"all different": {"positive": 15, "negative": 15}}
    assert list(found["source"]) == ["29 different values"]
    few = count_tags(made_up_record(n, 0, tags=tags[n]) for n in range(3))
    assert list(few["sha256"]) == ["0", "1", "2"]


def test_kinds_and_measures():
    records = [made_up_record(0, 1, alert_time=3.0), made_up_record(1, 0)]
    facts = {"v0": made_up_facts(0), "v1": made_up_facts(1, fps=12.5, codec="mpeg4")}
    kinds = count_kinds(records, facts)
    assert kinds["codec"] == {"h264": {"positive": 1}, "mpeg4": {"negative": 1}}
    assert set(kinds["frames/s"]) == {"10", "12.5"}
    measures = measure(records, facts, {"v0": 5.0, "v1": 2.4})
    assert measures["duration [s]"]["positive"] == pytest.approx([6.0])
    assert measures["anchor / duration"]["negative"] == pytest.approx([0.5])
    assert measures["alert to event [s]"]["positive"] == pytest.approx([2.0])
    assert "negative" not in measures["alert [s]"]
    assert measures["kB/s"]["positive"] == pytest.approx(facts["v0"].frame_bytes.sum() / 6000)
    assert quantiles(measures["duration [s]"]["negative"])["median"] == pytest.approx(4.8)


def test_groups_in_several_splits():
    records = [
        made_up_record(0, 1, split="train", group="a"),
        made_up_record(1, 1, split="test", group="a"),
        made_up_record(2, 1, split="test", group="b"),
    ]
    groups = describe_groups(records)
    assert groups["number"] == 2 and groups["largest"] == {"a": 2, "b": 1}
    assert groups["in several splits"] == {"a": ["train", "test"]}


def test_faults():
    records = [
        made_up_record(0, 1, event_time=7.0),  # the video is 6 s long
        made_up_record(1, 1, event_time=1.0),
        made_up_record(2, 1, event_time=4.0, alert_time=4.5),
        made_up_record(3, 1, event_time=None),
        made_up_record(4, 1),
        made_up_record(5, 0),
    ]
    facts = {record.id: made_up_facts(0) for record in records}
    anchor_of = {r.id: r.event_time or r.mock_event_time or 5.0 for r in records}
    faults = find_faults(records, facts, anchor_of, (0.5, 1.0, 1.5))
    assert [fault["video"] for fault in faults] == ["v0", "v1", "v2", "v3"]
    for fault, word in zip(faults, ("beyond", "1.5 s before", "after", "without"), strict=True):
        assert word in fault["fault"]
