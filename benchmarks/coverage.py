"""How often a 95 % interval of AP holds the true AP: `python -m benchmarks.coverage`.

Sets of groups with one positive and one negative each; scores come from two normal distributions,
so the true AP is known from a very large set. The table in docs/metrics.md is from here. Takes
half a minute.
"""

import numpy as np

from collision.metrics.bootstrap import Ranking, resample
from collision.metrics.estimate import LEVEL, estimate
from collision.metrics.nexar import average_precision

DISTANCES = (0.0, 0.95, 2.5)  # of the means, in standard deviations
NUM_GROUPS = (20, 60)
NUM_SETS, NUM_RESAMPLES, NUM_LARGE = 1000, 1000, 2_000_000


def main() -> None:
    """Print the share of intervals that hold the true AP, by percentiles and by ours."""
    print("true AP  groups  percentiles  logit")
    for distance in DISTANCES:
        true = true_ap(distance)
        for num_groups in NUM_GROUPS:
            percentiles, logit = coverage(distance, num_groups, true)
            print(f"{true:>7.3f}{num_groups:>8}{percentiles:>13.2f}{logit:>7.2f}", flush=True)


def draw(distance: float, num_groups: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels and scores, ``[2 * num_groups]``: positives first."""
    scores = np.random.default_rng(seed).normal(size=2 * num_groups)
    labels = np.repeat([1, 0], num_groups)
    return labels, scores + distance * labels


def true_ap(distance: float) -> float:
    return average_precision(*draw(distance, NUM_LARGE, seed=10**6))


def coverage(distance: float, num_groups: int, true: float) -> tuple[float, float]:
    """Shares of sets whose interval holds the true AP; a perfect ranking has none of ours."""
    held = []
    for seed in range(NUM_SETS):
        labels, scores = draw(distance, num_groups, seed)
        ranking = Ranking.of(labels, scores, np.tile(np.arange(num_groups), 2))
        samples = resample([ranking], num_groups, num_resamples=NUM_RESAMPLES, seed=seed)[:, 0]
        low, high = np.nanquantile(samples, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
        ours = estimate([average_precision(labels, scores)], samples, num_groups).interval
        by_logit = ours[0] <= true <= ours[1] if ours else np.nan
        held.append((low <= true <= high, by_logit))
    return tuple(np.nanmean(np.array(held, dtype=float), axis=0))  # type: ignore[return-value]


if __name__ == "__main__":
    main()
