"""Judged videos that a head has learned from are counted, also by heads of earlier versions."""

from types import SimpleNamespace

import pytest

from collision.evaluation.evaluation import _learned_from_judged
from collision.learning.predictor import LearnedFrom, Origin, Predictor

PARTS = {f"v{n}": f"parts of {n}" for n in range(4)}
WHOLE = {f"v{n}": f"whole of {n}" for n in range(4)}


def evaluation_of(learned_from, asked):
    """Of videos v0 to v3, by a head that learned from others' groups."""

    def digests(whole=False):
        asked.append(whole)
        return WHOLE if whole else PARTS

    origin = Origin(dataset="other", learned_from=learned_from)
    head = SimpleNamespace(predictor=Predictor(None, {}, None, None, origin=origin))
    records = {v: SimpleNamespace(id=v, group=v, split="test") for v in PARTS}
    fold = SimpleNamespace(index=SimpleNamespace(records=records))
    experiment = SimpleNamespace(digests=digests, folds=[fold])
    return SimpleNamespace(experiment=experiment, split="test", heads={0: [head]}, name="own")


NONE = {"train": (), "val": ()}
SEEN = {"train": ("whole of 1", "whole of 2", "parts of 1", "parts of 3"), "val": ()}


@pytest.mark.parametrize(
    ("learned_from", "count"),
    [
        (LearnedFrom(NONE, SEEN), 2),
        (LearnedFrom(NONE, NONE, SEEN), 2),
        (LearnedFrom(NONE, SEEN, SEEN), 3),
    ],
    ids=["today's", "an earlier one", "one that began from an earlier one"],
)
def test_each_head_is_asked_by_the_digests_that_it_knows(learned_from, count):
    asked = []
    finding = _learned_from_judged(evaluation_of(learned_from, asked))
    assert finding.numbers["seen"] == {"train": count}
    # Files are read whole only where a head knows nothing else.
    assert (True in asked) == bool(learned_from.whole_digests)
