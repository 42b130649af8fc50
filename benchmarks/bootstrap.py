"""The vectorised bootstrap against a loop over scikit-learn: ``python -m benchmarks.bootstrap``.

Both judge the same resamples of a test set the size of Nexar's (1,344 clips at three horizons);
the loop is timed on a part of them.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from sklearn.metrics import average_precision_score

from collision.metrics.bootstrap import Ranking, resample


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=1344)
    parser.add_argument("--resamples", type=int, default=10_000)
    parser.add_argument("--loop-resamples", type=int, default=200)
    options = parser.parse_args()

    generator = np.random.default_rng(0)
    label = np.tile([0, 1], options.clips // 2)
    score = generator.normal(size=label.size) + label
    horizon = np.resize(np.repeat([0.5, 1.0, 1.5], 2), label.size)
    group = np.arange(label.size)
    tables = [np.flatnonzero(horizon == value) for value in np.unique(horizon)]

    start = time.perf_counter()
    rankings = [Ranking.of(label[rows], score[rows], group[rows]) for rows in tables]
    samples = resample(rankings, label.size, num_resamples=options.resamples, seed=0).mean(axis=1)
    vectorised = (time.perf_counter() - start) / options.resamples

    looped = np.empty(options.loop_resamples)
    start = time.perf_counter()
    for index in range(options.loop_resamples):
        weights = np.bincount(generator.integers(label.size, size=label.size), minlength=label.size)
        looped[index] = np.mean(
            [
                average_precision_score(label[rows], score[rows], sample_weight=weights[rows])
                for rows in tables
            ]
        )
    loop = (time.perf_counter() - start) / options.loop_resamples

    print(f"{label.size} clips, 3 horizons, mAP")
    print(f"vectorised: {options.resamples} resamples in {vectorised * options.resamples:.2f} s")
    print(f"loop over scikit-learn: {loop * options.resamples:.1f} s for as many")
    print(f"ratio: {loop / vectorised:.0f}")
    print(f"standard deviation of mAP: {np.nanstd(samples):.4f} and {np.std(looped):.4f}")


if __name__ == "__main__":
    main()
