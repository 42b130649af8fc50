"""Made-up logs of runs whose truth is known."""

import itertools

import numpy as np

from collision.study.table import Runs


def factorial(sizes, seeds=3, *, rng=None, sd=0.01, effects=None, seed_sd=0.0, plant=None):
    """All combinations of factors ``sizes={name: levels}``, each with seeds that are paired.

    ``effects`` are added by level; ``plant`` maps a combination (levels by name) to what it gains.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    grid = np.array(list(itertools.product(*(range(n) for n in sizes.values()), range(seeds))))
    names = [*sizes]
    score = 0.6 + rng.normal(0, sd, len(grid)) + rng.normal(0, seed_sd, seeds)[grid[:, -1]]
    for name, effect in (effects or {}).items():
        score += np.asarray(effect)[grid[:, names.index(name)]]
    for where, gain in plant or []:
        score[np.all([grid[:, names.index(n)] == level for n, level in where.items()], axis=0)] += (
            gain
        )
    columns = {
        name: np.char.add(name[0], grid[:, place].astype(str)) for place, name in enumerate(names)
    }
    return Runs(columns, score, seed=grid[:, -1].astype(str))
