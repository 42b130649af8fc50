"""How long a head is trained: in optimizer steps, which follow from the size of the set."""

from __future__ import annotations

import math
from dataclasses import dataclass

from collision.option_groups import TrainerOptions

# An epoch is 2 steps of 50 cuts and 2,000 of 500,000: neither length nor patience can be in epochs.
SMALLEST_BATCH, LARGEST_BATCH = 64, 256
# Passes over the set: so many up to 1,000 rows, then with the root of their number up to 40,
# unless that is fewer or more steps than those below.
FEWEST_PASSES, MOST_PASSES, FEWEST_UP_TO = 10, 40, 1_000
FEWEST_STEPS, MOST_STEPS = 60, 10_000


@dataclass(frozen=True)
class Schedule:
    """The length of a training.

    Attributes:
        batch_size: Examples a step.
        interval: Steps between two validations.
        num_intervals: After so many it ends.
    """

    batch_size: int
    interval: int
    num_intervals: int

    @property
    def total(self) -> int:
        """Steps of the whole training."""
        return self.interval * self.num_intervals


def schedule_of(options: TrainerOptions, num_rows: int) -> Schedule:
    """Settle what the options leave open from the number of training rows.

    The batch grows with the root of the set, to a power of two; the steps are rounded up to whole
    validation intervals. How these were found: docs/small_sets.md.
    """
    batch_size = options.batch_size
    if batch_size is None:
        wanted = 2 ** round(math.log2(math.sqrt(max(1, num_rows))))
        batch_size = min(max(wanted, SMALLEST_BATCH), LARGEST_BATCH)
    steps = options.max_steps
    if options.passes is not None:
        steps = math.ceil(options.passes * num_rows / batch_size)
    elif steps is None:
        passes = FEWEST_PASSES * max(1.0, math.sqrt(num_rows / FEWEST_UP_TO))
        wanted = math.ceil(min(passes, MOST_PASSES) * num_rows / batch_size)
        steps = min(max(wanted, FEWEST_STEPS), MOST_STEPS)
    interval = math.ceil(steps / options.validations)
    return Schedule(batch_size, interval, math.ceil(steps / interval))
