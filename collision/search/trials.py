"""The trials of a search as its policies, its status, its page and its analysis read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from collision.search.space import Point

WAITING, RUNNING, DONE, FAILED = "waiting", "running", "done", "failed"
# What a trial is for: a policy asked; one of the best is confirmed; a design lists it.
SEARCH, CONFIRM, DESIGN = "search", "confirm", "design"


@dataclass(frozen=True)
class Trial:
    """One training of a search: a point of the space with a seed.

    Attributes:
        number: In the order in which trials were asked, from 0.
        value: mAP on validation.
        scores: Further scores by name, such as ``test/synthetic_night``; of a design alone.
        num_parameters: Of the head.
        windows_per_second: That the head scores.
        seconds: That training took.
        overhead: Seconds that the trial took beyond training.
        started: Unix time; so ``ended``.
        owner: The worker that leased it.
        cause: Why it failed.
        lost: Whether it failed as its worker was lost or stopped, by no fault of its own.
        proposer: Who proposed the point: a policy's name, or an agent's.
        parents: Numbers of the trials that the point was made from.
        retry_of: The number of the failed trial that it repeats.
    """

    number: int
    state: Literal["waiting", "running", "done", "failed"]
    stage: Literal["search", "confirm", "design"]
    point: Point
    seed: int
    value: float | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    num_parameters: int | None = None
    windows_per_second: float | None = None
    seconds: float | None = None
    overhead: float | None = None
    started: float | None = None
    ended: float | None = None
    owner: str = ""
    cause: str = ""
    lost: bool = False
    proposer: str = ""
    parents: tuple[int, ...] = ()
    retry_of: int | None = None

    @property
    def experiment(self) -> str:
        """Name the experiment; its trials differ in their seeds alone."""
        return self.point.key


def lost_ones(trials: Sequence[Trial]) -> list[Trial]:
    """Give those that a lost worker left and that were asked again: they are no failures.

    One that has cost too many workers is not asked again, and stays a failure.
    """
    again = {trial.retry_of for trial in trials}
    return [trial for trial in trials if trial.lost and trial.number in again]
