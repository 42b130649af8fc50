"""What can be known: a model that is given the true state instead of pixels.

The share of negatives that have not yet parted from a collision bounds every model, so a score on
this data set means something only beside this one. The oracle sees the state at the cut and
shortly before it; it learns from scenes of other seeds that are simulated but never painted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.metrics import average_precision_score

from collision.datasets.synthetic.plan import plan_scenes
from collision.datasets.synthetic.scene import Scene, draw_scene, play_of
from collision.datasets.synthetic.setting import Domain
from collision.datasets.synthetic.state import states

HORIZONS = (0.5, 1.0, 1.5)
NUM_TRAINING_SCENES = 2000
_SEED_OFFSET = 1_000_003  # training scenes come from other seeds than any set's own
_HISTORY = np.array([-1.0, -0.5, -0.25, 0.0])  # seconds before the cut
_NUM_RESAMPLES = 500


def score_oracle(
    scenes: Sequence[Scene], domain: Domain, parameters: Mapping[str, Any]
) -> dict[str, Any]:
    """Train the oracle on state-only scenes and score it on the test split of ``scenes``.

    Args:
        scenes: The set to score.
        domain: From which the training scenes are drawn, too.
        parameters: ``families`` and ``seed`` of the set.

    Returns:
        AP per horizon and their mean with 95 % intervals over groups: on all test clips, and on
        the groups whose negative is of one variant. Empty scores without a test split.
    """
    test = [scene for scene in scenes if scene.split == "test"]
    plan = plan_scenes(
        NUM_TRAINING_SCENES, {"train": 1.0}, parameters["families"], parameters["seed"]
    )
    training = [draw_scene(item, parameters["seed"] + _SEED_OFFSET, domain) for item in plan]
    scores: dict[str, NDArray[np.float64]] = {}
    for horizon in HORIZONS:
        features, labels = _examples(training, horizon)
        model = ExtraTreesClassifier(200, min_samples_leaf=3, random_state=0)
        model.fit(features, labels)
        if test:
            scores[str(horizon)] = model.predict_proba(_examples(test, horizon)[0])[:, 1]
    labels = np.array([clip.label for scene in test for clip in scene.clips])
    negatives = [clip.variant for scene in test for clip in scene.clips if clip.label == 0]
    subsets = {"all": np.arange(len(test))}
    for variant in sorted(set(negatives)):
        subsets[variant] = np.array([i for i, name in enumerate(negatives) if name == variant])
    return {
        "horizons": list(HORIZONS),
        "trained_on": {
            "scenes": NUM_TRAINING_SCENES,
            "seed": parameters["seed"] + _SEED_OFFSET,
            "model": "scikit-learn ExtraTreesClassifier, one per horizon",
            "history": _HISTORY.tolist(),
        },
        "split": "test",
        "scores": {
            name: _score(groups, labels, scores) for name, groups in subsets.items() if len(groups)
        },
    }


def _examples(
    scenes: Sequence[Scene], horizon: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """States up to the cut of every clip, ``[clips, times * columns]``, and labels."""
    rows, labels = [], []
    for scene in scenes:
        times = np.maximum(scene.event_time - horizon + _HISTORY, 0.0)
        for clip in scene.clips:
            # The first column is the time: no clue, drawn alike for both labels.
            rows.append(states(play_of(scene, clip), times)[:, 1:].ravel())
            labels.append(clip.label)
    return np.array(rows), np.array(labels)


def _score(
    groups: NDArray[np.int64], labels: NDArray[np.int64], scores: Mapping[str, NDArray[np.float64]]
) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    draws = [groups, *(rng.choice(groups, len(groups)) for _ in range(_NUM_RESAMPLES))]
    table = np.array(
        [[_precision(draw, labels, values) for values in scores.values()] for draw in draws]
    )
    table = np.column_stack([table, table.mean(axis=1)])
    low, high = np.quantile(table[1:], (0.025, 0.975), axis=0)
    names = [*scores, "mean"]
    return {
        "groups": len(groups),
        "prevalence": 0.5,
        "ap": {
            name: {"value": float(value), "low": float(bottom), "high": float(top)}
            for name, value, bottom, top in zip(names, table[0], low, high, strict=True)
        },
    }


def _precision(
    groups: NDArray[np.int64], labels: NDArray[np.int64], scores: NDArray[np.float64]
) -> float:
    clips = (2 * groups[:, None] + np.arange(2)).ravel()  # two clips a scene, in order
    return float(average_precision_score(labels[clips], scores[clips]))
