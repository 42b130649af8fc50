"""Tree-structured Parzen estimator: Bergstra et al. 2011, as Optuna has it."""

from __future__ import annotations

from optuna.samplers import BaseSampler, TPESampler

from collision.errors import ConfigError
from collision.search.proposing import Quest, seed_of


class TPE:
    """Draws points that are more like the good ones so far than like the others.

    Args:
        num_startup: Points drawn by chance first.
        num_candidates: Of which the most promising is taken.
        multivariate: Look at dimensions together, those that occur in the same trials as a group.

    Raises:
        ConfigError: A number below 1.
    """

    def __init__(
        self, num_startup: int = 20, num_candidates: int = 24, multivariate: bool = True
    ) -> None:
        given = {"num_startup": num_startup, "num_candidates": num_candidates}
        for name, value in given.items():
            if value < 1:
                raise ConfigError(f"policy.{name}={value}: give 1 or more.")
        self.num_startup, self.num_candidates = num_startup, num_candidates
        self.multivariate = multivariate

    def sampler(self, quest: Quest) -> BaseSampler:
        """Keep away from what other workers try at the same time."""
        return TPESampler(
            n_startup_trials=self.num_startup,
            n_ei_candidates=self.num_candidates,
            multivariate=self.multivariate,
            group=self.multivariate,
            constant_liar=True,
            seed=seed_of(quest),
        )
