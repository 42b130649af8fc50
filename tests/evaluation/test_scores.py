from pathlib import Path
from types import SimpleNamespace

import numpy as np

from collision.evaluation.scores import curves_of, scored_examples
from collision.metrics.curves import curves_to_csv
from collision.sampling.index import DataIndex
from collision.sampling.policy import SamplingPolicy
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


def test_a_tag_called_like_a_column_of_the_scores_is_left_out_of_them(tmp_path):
    """A list keeps the column ``event_time`` where another one is mapped to that name."""
    tags = {"event_time": "3.0", "score": "7", "weather": "rain"}
    index = DataIndex(
        "d", {"a": VideoRecord("a", Path("a.mp4"), 1, "test", "a", 4.0, tags=tags)}, {}
    )
    example = Example("a", 3.0, 1, 1.0)
    data = SimpleNamespace(examples=[example], records=index.records.values(), dropped=[])

    (curve,) = curves_of(data, np.array([0.5]), index, "test")
    curves_to_csv([curve], tmp_path / "curves.csv")
    policy = SamplingPolicy(horizons=(1.0,))
    scored = scored_examples(data, np.array([0.5]), index, "test", policy)

    assert curve.tags == {"weather": "rain"}
    assert {name: list(values) for name, values in scored.tags.items()} == {"weather": ["rain"]}
