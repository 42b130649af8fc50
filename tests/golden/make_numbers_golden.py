"""Made-up scores and the numbers that they gave before the numbers had types: ``numbers.json``.

    python -m tests.golden.make_numbers_golden

writes the file anew; do so only where a number is meant to change, and say why in the commit. It
was first written at commit 78283ae, from the dictionaries that ``judge`` gave then.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from collision.evaluation.numbers import judge, judge_curves
from collision.metrics.comparison import compare
from collision.metrics.curves import Curve
from collision.metrics.scored import Scored
from tests.kit.curves import made_up_curves
from tests.kit.scores import ORACLE, made_up_scores

GOLDEN = Path(__file__).with_name("numbers.json")
THRESHOLDS = (0.35, 0.5, 0.65)
NUM_RESAMPLES = 150


def scores(num_groups: int, seed: int, missing: int = 3) -> Scored:
    """Scores with ties; some positives have none."""
    scored = made_up_scores(num_groups, seed=seed)
    score = np.round(scored.score, 1)
    score[np.flatnonzero(scored.label == 1)[:missing]] = np.nan
    return replace(scored, score=score)


def one_class(scored: Scored) -> Scored:
    """The farthest horizon has positives alone."""
    return replace(scored, label=np.where(scored.horizon == 1.5, 1, scored.label))


def within_clips(scored: Scored) -> Scored:
    """Half of the negatives come from crash videos."""
    crash = np.char.endswith(scored.video, "resolved")
    kind = np.where(scored.label == 1, "", np.where(crash, "crash videos", "normal videos"))
    return replace(scored, tags={**scored.tags, "negatives_from": kind})


def curves(num_groups: int, seed: int) -> list[Curve]:
    """Scores over time, with ties; a positive has none."""
    made = [
        replace(one, scores=np.round(one.scores, 2)) for one in made_up_curves(num_groups, seed)
    ]
    return [replace(made[0], times=[], scores=[]), *made[1:]]


def numbers() -> dict[str, Any]:
    """All numbers of some cases, as plain data."""
    seeds = [scores(24, seed) for seed in range(3)]
    few = [one_class(scores(6, 5, missing=0))]
    runs = {name: [scores(24, 10 * k + s) for s in range(k + 1)] for k, name in enumerate("abc")}
    along = [curves(24, seed) for seed in range(2)]
    return {
        "seeds": _judge(seeds, seeds[::-1], ORACLE),
        "one_class": _judge(few, None, {"0.5": 0.9}),
        "mixed": _judge([one_class(seeds[0])], None, None),
        "within": _judge([within_clips(seeds[0])], None, None),
        "curves": _curves(along),
        "positive_curves": _curves([[one for one in along[0] if one.label]]),
        "compare": _compare(runs),
        "compare_few": _compare({"a": [scores(6, 1)], "b": [scores(6, 2)]}),
    }


def _judge(best: Any, last: Any, oracle: Any) -> dict[str, Any]:
    return judge(
        best, last, oracle=oracle, num_resamples=NUM_RESAMPLES, thresholds=THRESHOLDS
    ).as_json()


def _curves(along: Any) -> dict[str, Any]:
    return judge_curves(along, THRESHOLDS, NUM_RESAMPLES).as_json()


def _compare(runs: Any) -> dict[str, Any]:
    return compare(runs, num_resamples=NUM_RESAMPLES).as_json()


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(numbers()) + "\n")
