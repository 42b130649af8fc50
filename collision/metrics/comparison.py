"""Several runs on the same examples: each against the first, with p-values for all together.

A run is a recipe with one or several seeds. Its value is the mean of its seeds' ``nexar_map``; the
resamples draw groups and keep the seeds. Every run sees the same resamples, so what makes a clip
hard for all of them cancels out of a difference. A negative that lacks any run's score is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from collision.errors import MetricError
from collision.metrics.estimate import Bootstrap, Difference, Estimate, Plain, difference, estimate
from collision.metrics.horizons import AVERAGE_PRECISION, resampled
from collision.metrics.nexar import horizon_key
from collision.metrics.scored import Scored, ranked_rows, smaller_class
from collision.metrics.summary import lift_of


@dataclass(frozen=True)
class Comparison(Plain):
    """``nexar_map`` of runs, and every other run minus the reference, the first one.

    p-values are adjusted (Holm) over all differences, intervals are not. Counts are of the examples
    that are ranked. ``chance`` is the same for all: the mean share of positives; ``lift`` is each
    run's share of the way from there to 1.
    """

    reference: str
    examples: int
    groups: int
    horizons: list[str]
    chance: float
    runs: dict[str, Estimate]
    lift: dict[str, Estimate]
    differences: dict[str, Difference]
    bootstrap: Bootstrap


def compare(
    scored_by_run: Mapping[str, Sequence[Scored]], *, num_resamples: int = 10_000, seed: int = 0
) -> Comparison:
    """Set every run, given by the scores of its seeds, against the first one.

    MetricError: fewer than two runs, a run without scores, other examples than the reference's, or
    a horizon with one class.
    """
    aligned = _align(scored_by_run)
    reference, *others = aligned
    first = aligned[reference][0]
    ranked = ranked_rows([one for seeds in aligned.values() for one in seeds])
    bootstrap = Bootstrap(num_resamples, seed)
    horizons = np.unique(first.horizon)
    cells = [first.horizon == horizon for horizon in horizons]
    num_groups = min(smaller_class(first, rows & ranked) for rows in cells)
    values, samples = {}, {}
    for name, seeds in aligned.items():
        by_seed, by_resample = resampled(seeds, cells, ranked, AVERAGE_PRECISION, bootstrap)
        values[name], samples[name] = by_seed.mean(axis=1), by_resample.mean(axis=1)
    runs = {name: estimate(values[name], samples[name], num_groups) for name in aligned}
    mean = {name: float(np.mean(by_seed)) for name, by_seed in values.items()}
    differences = [
        difference(mean[name], mean[reference], samples[name] - samples[reference], num_groups)
        for name in others
    ]
    adjusted = holm_adjusted([entry.p_value for entry in differences])
    differences = [replace(one, p_adjusted=p) for one, p in zip(differences, adjusted, strict=True)]
    against = dict(zip(others, differences, strict=True))
    size = int(ranked.sum()), int(np.unique(first.group[ranked]).size)
    chance = float(np.mean([first.label[rows].mean() for rows in cells]))
    lift = {name: lift_of(one, chance) for name, one in runs.items()}
    about = reference, *size, list(map(horizon_key, horizons))
    return Comparison(*about, chance, runs, lift, against, bootstrap)


def holm_adjusted(p_values: Sequence[float | None]) -> list[float | None]:
    """Correct p-values for their number by Holm's step-down method (1979).

    The smallest is multiplied by their number, the next by one less, and so on; none may fall
    below a smaller one's, nor exceed 1. Rejecting where the result is at most .05 keeps the chance
    of any false rejection at .05 or less, whatever the tests have to do with each other. None, a
    test that could not be made, stays None and is not counted.
    """
    made = sorted((p_value, place) for place, p_value in enumerate(p_values) if p_value is not None)
    result: list[float | None] = [None] * len(p_values)
    smallest = 0.0
    for rank, (p_value, place) in enumerate(made):
        smallest = min(1.0, max(smallest, (len(made) - rank) * p_value))
        result[place] = smallest
    return result


def _align(scored_by_run: Mapping[str, Sequence[Scored]]) -> dict[str, list[Scored]]:
    if (count := len(scored_by_run)) < 2:
        raise MetricError(f"There is nothing to compare: {count} run(s). Give two or more.")
    if empty := [name for name, seeds in scored_by_run.items() if not seeds]:
        raise MetricError(f"Run {empty[0]!r} has no scores. Give those of at least one seed.")
    reference, *_ = scored_by_run
    first = scored_by_run[reference][0]
    aligned = {}
    for name, seeds in scored_by_run.items():
        try:
            aligned[name] = [one.aligned_to(first) for one in seeds]
        except MetricError as error:
            raise MetricError(f"Runs {reference!r} and {name!r} do not match. {error}") from None
    return aligned
