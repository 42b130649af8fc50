"""Why made-up examples have no frames, and what made-up times look like."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

from collision.audit.missing import (
    BEFORE,
    BEYOND,
    FOUND,
    HOLE,
    SHORT,
    UNREADABLE,
    Clock,
    Missing,
    Reasons,
    count_missing,
    guess_units,
    why_unseen,
)
from collision.errors import CollisionError, VideoDecodeError
from collision.sampling.index import Selection, index_records
from collision.sampling.policy import SamplingPolicy
from collision.types import UNLABELLED, Example
from tests.kit.audit import made_up_facts, made_up_record
from tests.kit.backbone import TinyBackbone

# From 0.2 to 6 s at 10 frames/s, but for what lies between 2 and 4 s.
TIMES = np.array([time for time in np.arange(2, 60) / 10 if not 2 < time < 4])
FILE = made_up_facts(0, frame_times=TIMES, duration=6.0)


@pytest.mark.parametrize(
    ("end_time", "expected"),
    [
        (0.1, BEFORE),
        (0.5, SHORT),
        (0.7, FOUND),
        (2.1, FOUND),  # the frame at 2.0 s is still shown
        (3.0, HOLE),
        (4.2, HOLE),  # its window begins within
        (4.5, FOUND),
        (6.0, FOUND),
        (6.1, BEYOND),
    ],
)
def test_a_window_of_half_a_second(end_time, expected):
    assert why_unseen(FILE, end_time, np.array([end_time]), 6, 10.0) == expected


def test_one_of_several_windows_is_enough():
    ends = np.array([5.0, 6.2])
    assert why_unseen(FILE, 6.2, ends, 6, 10.0) == FOUND
    assert why_unseen(FILE, 6.2, ends[1:], 6, 10.0) == BEYOND
    # No window fits into how far back may be looked.
    assert why_unseen(FILE, 1.0, np.array([-1.0]), 6, 10.0) == SHORT


def crashes(times):
    return [made_up_record(n, 1, event_time=float(t)) for n, t in enumerate(times)]


FILES = {f"v{n}": made_up_facts(n) for n in range(40)}  # of 6 s at 10 frames/s
SECONDS = np.linspace(2, 5.5, 12)


@pytest.mark.parametrize(
    ("times", "words"),
    [
        (SECONDS, None),
        ([*SECONDS, 7, 60, 70], None),  # a few slips
        (SECONDS * 10, "12 of 12 positives' event times lie beyond .* look like frame numbers"),
        ([1, 2, *SECONDS[4:] * 10], "8 of 10 .* look like frame numbers .divide by the frame rate"),
        (SECONDS * 1000, "12 of 12 .* look like milliseconds .divide by 1000"),
        (SECONDS + 20_000, None),  # of a longer recording: no unit makes it fit
        ([45, 46], None),  # too few to tell
    ],
)
def test_units(times, words):
    said = guess_units(crashes(times), FILES)
    assert len(said) == (words is not None)
    if words:
        assert re.search(words, said[0])


def test_units_of_negatives_and_of_files_that_cannot_be_read():
    normal = [made_up_record(n, 0, mock_event_time=4000.0) for n in range(3)]
    (said,) = guess_units(normal, FILES)
    assert said.startswith("3 of 3 negatives' event times") and "milliseconds" in said
    mixed = crashes([*SECONDS[:3] * 10, *SECONDS[3:]])
    unread = dict.fromkeys([f"v{n}" for n in range(3, 12)])
    assert guess_units(mixed, FILES) == []
    (said,) = guess_units(mixed, FILES | unread)
    assert said.startswith("3 of 3 positives'")


def test_what_should_be_there_is_listed_with_what_cannot_be():
    records = [
        made_up_record(0, 1, split="train", event_time=0.6),
        made_up_record(1, 0, split="train", mock_event_time=None),
        made_up_record(2, 1, split="test", event_time=1.2),
        made_up_record(3, 0, split="test", mock_event_time=None),
        made_up_record(4, UNLABELLED, split="test", mock_event_time=None, cut_horizon=0.0),
    ]
    policy = SamplingPolicy(hard_negatives=0)
    index = index_records("set", records, policy, Selection(("train", "test")), lambda _: ({}, []))
    ends = [round(e.end_time, 6) for e in index.examples["train"]]
    assert ends == [0.35, 0.1]
    # Four cuts of the crash; all six of the file whose length is not known.
    assert [e.video for e in index.lost["train"]] == ["v0"] * 4 + ["v1"] * 6
    assert [e.video for e in index.lost["test"]] == ["v2"] + ["v3"] * 3 + ["v4"]
    assert len(index.wanted["test"]) == 7


def test_a_crash_that_begins_after_its_far_cut_is_counted_whole():
    records = [made_up_record(0, 1, event_time=1.9), made_up_record(1, 1), made_up_record(2, 0)]
    policy = SamplingPolicy(within=(0.5, 2.0))
    index = index_records("set", records, policy, Selection(("test",)), lambda _: ({}, []))
    assert {e.video for e in index.lost["test"]} == {"v0"}
    # The far cut of v1 has no frames, so that its near one is not judged either.
    missing = count_missing(
        index.wanted, lambda e: HOLE if e.hard_negative or e.end_time < 0 else FOUND, policy
    )
    counts = missing.as_json()["test"]
    assert counts["positive"]["wanted"] == 2 and counts["positive"]["left"] == 0
    assert counts["negative"]["wanted"] == 3 and counts["negative"]["left"] == 1
    with pytest.raises(CollisionError, match=r"No positive example .* 0.5 s before the event"):
        missing.check("test")


def counted(*examples):
    """Count ``(label, horizon, reason)``."""
    reasons = {Example(str(n), 1.0, *one[:2]): one[2] for n, one in enumerate(examples)}
    return count_missing({"train": reasons, "test": reasons}, reasons.__getitem__, SamplingPolicy())


def test_what_is_refused():
    some = counted((1, 0.5, FOUND), (1, 0.5, HOLE), (0, 0.5, FOUND), (UNLABELLED, 0.0, UNREADABLE))
    some.check("train", "val", "test")
    assert some.as_json()["test"]["unlabelled"]["left"] == 0
    horizon = counted((1, 0.5, FOUND), (1, 1.5, SHORT), (1, 1.5, SHORT), (1, 1.5, BEYOND))
    horizon.check("train")  # is not judged by horizon
    with pytest.raises(CollisionError) as error:
        horizon.check("train", "test")
    assert str(error.value) == (
        "No positive example is left in the test split 1.5 s before the event: all 3 are without "
        "frames (2 before the first whole window, 1 event beyond the end). Give longer videos, or "
        "train with other sampling.horizons or shorter windows."
    )
    with pytest.raises(CollisionError, match="No negative example is left in the train split: all"):
        counted((1, 0.5, FOUND), (0, 0.5, UNREADABLE), (0, 1.5, UNREADABLE)).check("train")
    Missing().check("train", "val", "test")


def test_of_files_that_were_looked_at_little_is_kept():
    """Of 100,000 files, all frames would take gigabytes."""
    looked = []

    def index(path, *_):
        looked.append(path)
        if path.name == "v2.mp4":
            raise VideoDecodeError(path, "torn")
        return FILES[path.stem]

    parts = [SimpleNamespace(spec=TinyBackbone().spec)]
    source = SimpleNamespace(looks=SimpleNamespace(index=index), parts=parts)
    records = {f"v{n}": made_up_record(n, 1) for n in range(4)}
    reasons = Reasons(source, SamplingPolicy(), records, ["v3"])
    cuts = [Example(f"v{n}", end, 1, 0.5) for n in range(4) for end in (2.0, 3.0, 9.0)]
    found = [reasons(example) for example in cuts]
    assert found == [FOUND, FOUND, BEYOND] * 2 + [UNREADABLE] * 6
    assert len(looked) == 3
    assert reasons.files == {"v0": Clock(6.0, 10.0), "v1": Clock(6.0, 10.0), "v2": None, "v3": None}
