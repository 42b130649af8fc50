"""What the trials of a search come to: which experiment is best and how much of that is luck, which
are on the front of several objectives, what failed, and what was made from what.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from collision.metrics.luck import expected_best
from collision.search.space import Point
from collision.search.trials import CONFIRM, DONE, FAILED, RUNNING, WAITING, Trial, lost_ones

# Objectives: what they are of a trial; of these alone, less is better.
MEASURES = {
    "map": "value",
    "parameters": "num_parameters",
    "windows_per_second": "windows_per_second",
}
LESS_IS_BETTER = ("parameters",)
# A share of the trials that have one and the same best score, which tells them apart no more.
SATURATED, FEWEST_FOR_SATURATION = 0.05, 40
MANY_FAILURES = 0.1


def score_of(trial: Trial) -> float | None:
    """Give mAP on validation of a trial that is done; None: it has none."""
    known = trial.state == DONE and trial.value is not None and math.isfinite(trial.value)
    return trial.value if known else None


def objective_of(trial: Trial, name: str) -> float | None:
    """Give an objective of a trial by its name, as it is measured; None: it is not known."""
    value = getattr(trial, MEASURES[name])
    return float(value) if value is not None and math.isfinite(value) else None


@dataclass(frozen=True)
class TriedExperiment:
    """The trials of one experiment that have a score; they differ in their seeds.

    Attributes:
        searched: Those that the search saw: the luckiest were looked for.
        fresh: Those with fresh seeds, after it was chosen; no luck in them.
    """

    key: str
    searched: tuple[Trial, ...]
    fresh: tuple[Trial, ...]

    @property
    def point(self) -> Point:
        """What was trained."""
        return self.trials[0].point

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All of them."""
        return (*self.searched, *self.fresh)

    @cached_property
    def search_score(self) -> float | None:
        """Mean over the seeds that the search saw."""
        return _mean(self.searched)

    @cached_property
    def fresh_score(self) -> float | None:
        """Mean over the fresh seeds."""
        return _mean(self.fresh)

    @property
    def score(self) -> float:
        """The mean of the fresh seeds where there are some, else of those that the search saw."""
        score = self.fresh_score if self.fresh else self.search_score
        assert score is not None, "an experiment has trials"
        return score

    @property
    def judged(self) -> tuple[Trial, ...]:
        """Those behind ``score``."""
        return self.fresh or self.searched


@dataclass(frozen=True)
class Spread:
    """The sd between seeds of one experiment, over all with several; its degrees of freedom."""

    sd: float
    df: int


@dataclass(frozen=True)
class Failures:
    """Trials that failed of one cause, but for numbers in it: the first's words stand for all."""

    cause: str
    trials: tuple[Trial, ...]


@dataclass(frozen=True)
class Proposals:
    """What one proposer asked for.

    Attributes:
        scores: Of those that are done.
        made_from_others: How many name trials that they were made from.
        better: How many of these, being done, beat the best of them; of ``compared``.
    """

    proposer: str
    trials: tuple[Trial, ...]
    scores: tuple[float, ...]
    made_from_others: int
    better: int
    compared: int


@dataclass(frozen=True)
class Outcome:
    """What all trials come to.

    Attributes:
        experiments: Those with a score: confirmed ones first, then by what the search saw.
    """

    trials: tuple[Trial, ...]
    experiments: tuple[TriedExperiment, ...]

    @classmethod
    def of(cls, trials: Iterable[Trial]) -> Outcome:
        """Sort trials into experiments."""
        listed = tuple(sorted(trials, key=lambda trial: trial.number))
        found: dict[str, list[Trial]] = defaultdict(list)
        for trial in listed:
            if score_of(trial) is not None:
                found[trial.experiment].append(trial)
        experiments = []
        for key, own in found.items():
            searched = tuple(trial for trial in own if trial.stage != CONFIRM)
            fresh = tuple(trial for trial in own if trial.stage == CONFIRM)
            experiments.append(TriedExperiment(key, searched, fresh))
        experiments.sort(key=lambda one: (not one.fresh, -one.score))
        return cls(listed, tuple(experiments))

    def count(self, state: str) -> int:
        """Count the trials in a state."""
        return sum(trial.state == state for trial in self.trials)

    @cached_property
    def lost(self) -> tuple[Trial, ...]:
        """The trials that a lost worker left and that were asked again."""
        return tuple(lost_ones(self.trials))

    @cached_property
    def failed(self) -> tuple[Trial, ...]:
        """The trials that failed, without ``lost``."""
        lost = {trial.number for trial in self.lost}
        return tuple(t for t in self.trials if t.state == FAILED and t.number not in lost)

    @cached_property
    def began(self) -> float | None:
        """When the first trial began, in Unix time; None: not noted."""
        return min((t.started for t in self.trials if t.started is not None), default=None)

    @cached_property
    def searched(self) -> tuple[Trial, ...]:
        """The trials with a score that are no confirmation."""
        return tuple(t for t in self.trials if t.stage != CONFIRM and score_of(t) is not None)

    @property
    def running(self) -> bool:
        """Whether a trial waits or runs, or was left so by workers that are gone."""
        return any(trial.state in (WAITING, RUNNING) for trial in self.trials)

    @property
    def confirming(self) -> bool:
        """Whether that is so of a confirmation."""
        open_states = (WAITING, RUNNING)
        return any(t.stage == CONFIRM and t.state in open_states for t in self.trials)

    @property
    def confirmed(self) -> tuple[TriedExperiment, ...]:
        """The experiments with fresh seeds, the best first."""
        return tuple(one for one in self.experiments if one.fresh)

    @property
    def winner(self) -> TriedExperiment | None:
        """The best by fresh seeds alone; None: nothing is confirmed, or not all of it yet."""
        return self.confirmed[0] if self.confirmed and not self.confirming else None

    @property
    def leader(self) -> TriedExperiment | None:
        """The best by what the search saw, which luck has helped."""
        seen = [one for one in self.experiments if one.search_score is not None]
        return max(seen, key=lambda one: one.search_score or -math.inf, default=None)

    @property
    def num_searched(self) -> int:
        """Count the experiments among which the best was looked for."""
        return sum(bool(experiment.searched) for experiment in self.experiments)

    @cached_property
    def spread(self) -> Spread | None:
        """The sd between seeds; None: no experiment has two of a kind.

        Fresh seeds of one and those that the search saw are two groups, as their means differ.
        """
        squares, df = 0.0, 0
        for experiment in self.experiments:
            for group in (experiment.searched, experiment.fresh):
                scores = list({trial.seed: float(trial.value or 0) for trial in group}.values())
                if len(scores) > 1:
                    squares += float(np.var(scores)) * len(scores)
                    df += len(scores) - 1
        return Spread(math.sqrt(squares / df), df) if df else None

    @property
    def luck(self) -> float | None:
        """How far the best of as many equal ones would lie above their mean; None: not known."""
        if self.spread is None or not self.num_searched:
            return None
        return expected_best(self.num_searched) * self.spread.sd

    def front(self, objectives: Sequence[str]) -> tuple[TriedExperiment, ...]:
        """Give the experiments that no other one beats in all objectives, the best mAP first."""
        rows, experiments = [], []
        for experiment in self.experiments:
            values = [value_of(experiment, name) for name in objectives]
            if None not in values:
                signs = [-1 if name in LESS_IS_BETTER else 1 for name in objectives]
                rows.append([s * float(v or 0) for s, v in zip(signs, values, strict=True)])
                experiments.append(experiment)
        kept = not_dominated(np.array(rows).reshape(len(experiments), len(objectives)))
        return tuple(sorted((experiments[i] for i in kept), key=lambda one: -one.score))

    def failures(self) -> list[Failures]:
        """Group the failed trials by cause, the most frequent first."""
        groups: dict[str, list[Trial]] = defaultdict(list)
        for trial in self.failed:
            groups[re.sub(r"\d+(\.\d+)?", "0", trial.cause)].append(trial)
        found = [
            Failures(own[0].cause or "no cause was noted", tuple(own)) for own in groups.values()
        ]
        return sorted(found, key=lambda one: -len(one.trials))

    def retried(self) -> tuple[int, int]:
        """Count the failed trials that were tried again, and those of which one came through."""
        lost = {trial.number for trial in self.lost}
        by_number = {t.number: t for t in self.trials if t.number not in lost}
        again, through = set(), set()
        for trial in self.trials:
            first = trial
            while first.retry_of in by_number and first.retry_of < first.number:
                first = by_number[first.retry_of]
            if first is not trial:
                again.add(first.number)
                through |= {first.number} if trial.state == DONE else set()
        return len(again), len(through)

    def proposals(self) -> list[Proposals]:
        """Sort the trials that were asked for by who asked; the most first."""
        scores = {
            trial.number: score for trial in self.trials if (score := score_of(trial)) is not None
        }
        groups: dict[str, list[Trial]] = defaultdict(list)
        for trial in self.trials:
            if trial.stage != CONFIRM:
                groups[trial.proposer].append(trial)
        found = []
        for proposer, own in groups.items():
            gains = [
                scores[trial.number] - max(known)
                for trial in own
                if trial.number in scores
                and (known := [scores[p] for p in trial.parents if p in scores])
            ]
            reached = tuple(scores[trial.number] for trial in own if trial.number in scores)
            made, better = sum(bool(t.parents) for t in own), sum(gain > 0 for gain in gains)
            found.append(Proposals(proposer, tuple(own), reached, made, better, len(gains)))
        return sorted(found, key=lambda one: -len(one.trials))

    def line_of(self, experiment: TriedExperiment) -> list[Trial]:
        """Give its descent: its first trial, the best of that one's parents, and so on."""
        by_number = {trial.number: trial for trial in self.trials}
        line = [experiment.searched[0] if experiment.searched else experiment.trials[0]]
        while True:
            parents = [
                by_number[p] for p in line[-1].parents if p in by_number and p < line[-1].number
            ]
            if not parents:
                return line
            line.append(max(parents, key=lambda one: (score_of(one) or -math.inf, -one.number)))

    def deepest(self) -> int:
        """Count the generations of the longest descent; 0: no trial was made from others."""
        depth: dict[int, int] = {}
        for trial in self.trials:
            before = (depth[p] + 1 for p in trial.parents if p in depth)
            depth[trial.number] = max(before, default=0)
        return max(depth.values(), default=0)

    def tied(self) -> int:
        """Count the trials that share the best score of the search, exactly."""
        scores = Counter(float(trial.value or 0) for trial in self.searched)
        return scores[max(scores)] if scores else 0

    def warnings(self) -> list[str]:
        """Say what a reader must know before believing the numbers."""
        said = []
        finished, failed, tied = self.count(DONE), len(self.failed), self.tied()
        if len(self.searched) >= FEWEST_FOR_SATURATION and tied > SATURATED * len(self.searched):
            said.append(
                f"Saturated: {tied} of {len(self.searched)} trials share the best score exactly. "
                "Validation tells them apart no more; the best of them is one by chance."
            )
        if failed > MANY_FAILURES * (finished + failed):
            said.append(
                f"{failed} of {finished + failed} trials failed. What they would have reached is "
                "not known: a choice that fails often is judged by its luckier half."
            )
        if finished and not self.running and not self.confirmed:
            said.append(
                "Nothing is confirmed: every score is of the seeds that the search chose by. Train "
                "the best again with fresh seeds before calling it best."
            )
        if self.winner:
            fewest = len(self.winner.fresh)
            most = max(len(experiment.fresh) for experiment in self.confirmed)
            if fewest < most:
                said.append(f"The winner has {fewest} fresh seeds, others have {most}.")
        return said


def value_of(experiment: TriedExperiment, objective: str) -> float | None:
    """Give an objective: the mean over the trials behind the score that have it."""
    if objective == "map":
        return experiment.score
    values = [v for trial in experiment.judged if (v := objective_of(trial, objective)) is not None]
    return float(np.mean(values)) if values else None


def not_dominated(rows: np.ndarray) -> list[int]:
    """Give the places of ``[N, K]`` rows that no other equals or beats in all K; more is better."""
    kept: list[int] = []
    for place in np.lexsort(-rows.T[::-1]) if len(rows) else ():
        others = rows[kept]
        beaten = (others >= rows[place]).all(axis=1) & (others > rows[place]).any(axis=1)
        if not beaten.any():
            kept.append(int(place))
    return kept


def hours(trials: Sequence[Trial]) -> tuple[float, float]:
    """Give hours from the first start to the last end, and hours of all trials together."""
    starts = [trial.started for trial in trials if trial.started is not None]
    ends = [trial.ended for trial in trials if trial.ended is not None]
    wall = max(ends) - min(starts) if starts and ends else 0.0
    spent = sum((trial.seconds or 0.0) + (trial.overhead or 0.0) for trial in trials)
    return max(0.0, wall) / 3600, spent / 3600


def _mean(trials: Sequence[Trial]) -> float | None:
    return float(np.mean([trial.value for trial in trials])) if trials else None
