from types import SimpleNamespace

import numpy as np

from collision.evaluation.scores import curves_of
from collision.sampling.index import DataIndex
from collision.types import UNLABELLED, Example, VideoRecord


def test_a_positive_that_cannot_be_read_counts_as_missed_along_its_length_too():
    records = [
        VideoRecord("read", "a.mp4", 1, "test", "a", cut_horizon=0.5),
        VideoRecord("broken", "b.mp4", 1, "test", "b", cut_horizon=0.5),
        VideoRecord("secret", "c.mp4", UNLABELLED, "test", "c", cut_horizon=0.0),
    ]
    index = DataIndex("cut", {r.id: r for r in records}, {}, durations={"read": 9.5})
    data = SimpleNamespace(examples=[Example("read", 9.5, 1, 0.5)])
    curves = curves_of(data, np.array([0.7]), index, "test")
    assert [(c.video, c.event_time, c.times.tolist()) for c in curves] == [
        ("read", 10.0, [9.5]),
        ("broken", 0.5, []),
    ]
