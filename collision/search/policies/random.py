"""Points drawn by chance."""

from __future__ import annotations

from optuna.samplers import BaseSampler, RandomSampler

from collision.search.proposing import Quest, seed_of


class Random:
    """Draws every choice by chance: each cell as likely as any other."""

    def sampler(self, quest: Quest) -> BaseSampler:
        """Draw as this worker, and go on differently when it comes back."""
        return RandomSampler(seed=seed_of(quest))
