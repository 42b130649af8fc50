from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from collision.errors import AnnotationError
from collision.records.check import records_of
from collision.types import UNLABELLED, VideoRecord

CRASH = VideoRecord("a", Path("a.mp4"), 1, "train", "a", event_time=3.0)
DRIVE = VideoRecord("b", Path("b.mp4"), 0, "test", "b", mock_event_time=0.0)


def dataset(*records):
    return SimpleNamespace(name="mine", records=lambda: list(records))


def test_sound_records_are_given_back():
    secret = replace(DRIVE, id="c", label=UNLABELLED, cut_horizon=0.5, mock_event_time=None)
    assert records_of(dataset(CRASH, DRIVE, secret)) == [CRASH, DRIVE, secret]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"id": "a"}, "'a' is the id of 2 videos"),
        ({"split": "testing"}, "'b': split is 'testing': give train, val, test"),
        ({"label": 2}, "'b': label is 2: give 0, 1 or -1"),
        ({"event_time": 2.0}, "'b': a negative has an event_time; its stand-in is mock_event_time"),
        ({"mock_event_time": -1.0}, "'b': mock_event_time is -1.0: give seconds, 0 or more"),
        ({"mock_event_time": float("nan")}, "mock_event_time is nan"),
    ],
)
def test_what_no_record_may_be_is_told_with_its_id(changes, words):
    with pytest.raises(AnnotationError) as raised:
        records_of(dataset(CRASH, replace(DRIVE, **changes)))
    assert words in str(raised.value) and "'mine'" in str(raised.value)


def test_many_faults_are_counted():
    wrong = [replace(DRIVE, id=str(number), label=7) for number in range(99)]
    with pytest.raises(AnnotationError, match=r"cannot be used \(99, of which the first are\)"):
        records_of(dataset(*wrong))
