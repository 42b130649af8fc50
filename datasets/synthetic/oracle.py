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

from collision.datasets.synthetic.plan import plan_scenes
from collision.datasets.synthetic.scene import Scene, draw_scene, play_of
from collision.datasets.synthetic.setting import Domain
from collision.datasets.synthetic.state import states
from collision.metrics.scored import Scored
from collision.metrics.summary import summarise

HORIZONS = (0.5, 1.0, 1.5)
NUM_TRAINING_SCENES = 600
_SEED_OFFSET = 1_000_003  # training scenes come from other seeds than any set's own
_HISTORY = np.array([-1.0, -0.5, -0.25, 0.0])  # seconds before the cut
_NUM_RESAMPLES = 1000


def score_oracle(
    scenes: Sequence[Scene], domain: Domain, families: Mapping[str, float], seed: int
) -> dict[str, Any]:
    """Train the oracle on state-only scenes and score it on the test split of ``scenes``.

    Args:
        scenes: The set to score.
        domain: From which the training scenes are drawn, too.
        families: Their shares.
        seed: Of the set.

    Returns:
        Under ``scores``, as ``collision.metrics.summary`` gives them, AP per horizon and their
        mean with intervals over groups: on ``all`` test clips, and with the negatives of one
        variant against all positives. Empty scores without a test split.
    """
    plan = plan_scenes(NUM_TRAINING_SCENES, {"train": 1.0}, families, seed)
    training = [draw_scene(item, seed + _SEED_OFFSET, domain, traffic=False) for item in plan]
    test = [scene for scene in scenes if scene.split == "test"]
    return {
        "horizons": list(HORIZONS),
        "trained_on": {
            "scenes": NUM_TRAINING_SCENES,
            "seed": seed + _SEED_OFFSET,
            "model": "scikit-learn ExtraTreesClassifier, one per horizon",
            "history": _HISTORY.tolist(),
        },
        "split": "test",
        "scores": _score(test, _predict(training, test)) if test else {},
    }


def _predict(training: Sequence[Scene], test: Sequence[Scene]) -> NDArray[np.float64]:
    """Probabilities ``[clips, horizons]`` of the test clips."""
    known, asked = _histories(training), _histories(test)
    labels = [clip.label for scene in training for clip in scene.clips]
    columns = []
    for horizon in range(len(HORIZONS)):
        model = ExtraTreesClassifier(100, min_samples_leaf=3, random_state=0)
        model.fit(known[:, horizon], labels)
        columns.append(model.predict_proba(asked[:, horizon])[:, 1])
    return np.stack(columns, axis=1)


def _histories(scenes: Sequence[Scene]) -> NDArray[np.float64]:
    """States up to every cut of every clip, ``[clips, horizons, times * columns]``."""
    rows = []
    for scene in scenes:
        times = scene.event_time - np.array(HORIZONS)[:, None] + _HISTORY
        times = np.maximum(times, 0.0).ravel()
        for clip in scene.clips:
            # The first column is the time: no clue, drawn alike for both labels.
            rows.append(states(play_of(scene, clip), times)[:, 1:].reshape(len(HORIZONS), -1))
    return np.array(rows)


def _score(test: Sequence[Scene], scores: NDArray[np.float64]) -> dict[str, Any]:
    clips = [(scene, clip) for scene in test for clip in scene.clips]
    repeats = len(HORIZONS)
    scored = Scored(
        video=np.repeat([clip.stem for _, clip in clips], repeats),
        group=np.repeat([str(scene.number) for scene, _ in clips], repeats),
        label=np.repeat([clip.label for _, clip in clips], repeats),
        horizon=np.tile(HORIZONS, len(clips)),
        score=scores.ravel(),
        tags={"negative": np.repeat(["" if c.label else c.variant for _, c in clips], repeats)},
    )
    summary = summarise(scored, num_resamples=_NUM_RESAMPLES, slices=("negative",)).as_json()
    parts = {"all": summary, **summary["slices"]}
    return {
        name.removeprefix("negative="): {key: part[key] for key in ("counts", "chance", "ap")}
        for name, part in parts.items()
    }
