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

from collision.datasets.synthetic.scene import Clip, Scene, draw_scene, plan_scenes
from collision.datasets.synthetic.setting import Domain
from collision.datasets.synthetic.traffic import states
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

    Those are drawn from the same ``domain``, with the same shares of ``families``.

    Returns:
        Under ``scores``, as ``collision.metrics.summary`` gives them, AP per horizon and their
        mean with intervals over groups: on ``all`` test clips, and with the negatives of one
        variant against all positives. Empty scores without a test split.
    """
    plan = plan_scenes(NUM_TRAINING_SCENES, {"train": 1.0}, families, seed)
    training = [draw_scene(item, seed + _SEED_OFFSET, domain, traffic=False) for item in plan]
    test = [(scene, clip) for scene in scenes if scene.split == "test" for clip in scene.clips]
    known = [(scene, clip) for scene in training for clip in scene.clips]
    return {
        "horizons": list(HORIZONS),
        "trained_on": {
            "scenes": NUM_TRAINING_SCENES,
            "seed": seed + _SEED_OFFSET,
            "model": "scikit-learn ExtraTreesClassifier, one per horizon",
            "history": _HISTORY.tolist(),
        },
        "split": "test",
        "scores": _score(test, known) if test else {},
    }


_Clips = Sequence[tuple[Scene, Clip]]


def _score(test: _Clips, known: _Clips) -> dict[str, Any]:
    scores, labels = np.empty((len(test), len(HORIZONS))), [clip.label for _, clip in known]
    for column, horizon in enumerate(HORIZONS):
        model = ExtraTreesClassifier(100, min_samples_leaf=3, random_state=0)
        model.fit(_histories(known, horizon), labels)
        scores[:, column] = model.predict_proba(_histories(test, horizon))[:, 1]
    repeats = len(HORIZONS)
    scored = Scored(
        video=np.repeat([clip.stem for _, clip in test], repeats),
        group=np.repeat([str(scene.number) for scene, _ in test], repeats),
        label=np.repeat([clip.label for _, clip in test], repeats),
        horizon=np.tile(HORIZONS, len(test)),
        score=scores.ravel(),
        tags={"negative": np.repeat(["" if c.label else c.variant for _, c in test], repeats)},
    )
    summary = summarise(scored, num_resamples=_NUM_RESAMPLES, slices=("negative",)).as_json()
    parts = {"all": summary, **summary["slices"]}
    return {
        name.removeprefix("negative="): {key: part[key] for key in ("counts", "chance", "ap")}
        for name, part in parts.items()
    }


def _histories(clips: _Clips, horizon: float) -> NDArray[np.float64]:
    """States up to the cut of every clip, ``[clips, columns * times]``."""
    rows = []
    for scene, clip in clips:
        columns = states(clip.play, np.maximum(scene.event_time - horizon + _HISTORY, 0.0))
        del columns["time"]  # no clue, drawn alike for both labels
        rows.append(np.concatenate(list(columns.values())))
    return np.array(rows)
