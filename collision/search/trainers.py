"""What a worker calls to train a trial."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from collision.search.desk import Job, Outcome


class Trainer(Protocol):
    """Trains trials, in the process of a worker."""

    def __call__(self, job: Job) -> Outcome:
        """Train one; any exception is its failure."""
        ...


# Called in the worker's process, and sent there.
MakeTrainer = Callable[[], Trainer]
