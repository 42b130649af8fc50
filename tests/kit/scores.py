"""Made-up scores of scenes that are played in variants, as in the synthetic data set."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import average_precision_score

from collision.metrics.scored import Scored

HORIZONS = (0.5, 1.0, 1.5)
ORACLE = {"0.5": 0.98, "1.0": 0.95, "1.5": 0.92}


def made_up_scores(num_groups: int = 40, seed: int = 0, skill: float = 1.5) -> Scored:
    """Each group has a positive and a negative; skill is the distance between their means."""
    generator = np.random.default_rng(seed)
    rows = []
    for group in range(num_groups):
        variants = ("collision", "resolved") if group % 2 else ("near_collision", "harmless")
        for label, variant in zip((1, 0), variants, strict=True):
            for horizon in HORIZONS:
                logit = generator.normal() + skill * (label - 0.5) * (2 - horizon)
                score = 1 / (1 + np.exp(-logit))
                rows.append((f"{group}_{variant}", f"scene{group}", label, horizon, score, variant))
    video, group, label, horizon, score, variant = map(np.array, zip(*rows, strict=True))
    return Scored(video, group, label, horizon, score, {"variant": variant})


def nexar_ap(scored: Scored) -> list[float]:
    """AP of each horizon by scikit-learn; their mean is ``nexar_map``."""
    own = [scored.horizon == horizon for horizon in np.unique(scored.horizon)]
    return [average_precision_score(scored.label[rows], scored.score[rows]) for rows in own]
