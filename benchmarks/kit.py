"""What benchmarks share: a target, how it is told whether it is met, and what bounds it if not."""

from __future__ import annotations

import cProfile
import io
import os
import pstats
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np


@dataclass(frozen=True)
class Target:
    """A ratio, measured several times, that is to be at least (or at most) so large."""

    name: str
    ratios: np.ndarray
    least: float | None = None
    most: float | None = None

    @property
    def is_met(self) -> bool:
        """Whether the median holds."""
        middle = float(np.median(self.ratios))
        return (self.least or 0) <= middle <= (self.most or np.inf)

    @property
    def row(self) -> str:
        """A row of the table."""
        wanted = f"≥ {self.least:g}" if self.least is not None else f"≤ {self.most:g}"
        low, middle, high = np.percentile(self.ratios, [0, 50, 100])
        spread = f"{low:.2f} to {high:.2f}"
        met = "yes" if self.is_met else "**no**"
        return f"| {self.name} | {wanted} | {middle:.2f} | {spread} | {len(self.ratios)} | {met} |"


def print_targets(targets: list[Target]) -> None:
    """Print a Markdown table."""
    print(
        "\n| ratio | target | median | spread | runs | met |\n| --- | --- | --- | --- | --- | --- |"
    )
    for target in targets:
        print(target.row)


@dataclass
class Spent:
    """Seconds of clock, and of processors in this process and in its children that have ended.

    As a context it measures; ``+`` adds.
    """

    clock: float = 0.0
    own: float = 0.0
    children: float = 0.0

    def __enter__(self) -> Self:
        self._begin = self._now()
        return self

    def __exit__(self, *_: object) -> None:
        self.clock, self.own, self.children = (
            now - begin for now, begin in zip(self._now(), self._begin, strict=True)
        )

    def __add__(self, other: Spent) -> Spent:
        sums = self.clock + other.clock, self.own + other.own, self.children + other.children
        return Spent(*sums)

    @staticmethod
    def _now() -> tuple[float, float, float]:
        times = os.times()
        return time.perf_counter(), times[0] + times[1], times[2] + times[3]

    def words(self, count: int, of: str) -> str:
        """Say what one of so many took, and how busy the cores were."""
        cores = len(os.sched_getaffinity(0))
        own, children = (1e3 * some / count for some in (self.own, self.children))
        busy = (self.own + self.children) / self.clock / cores
        return (
            f"{own + children:.1f} ms of processor time a {of}, {children:.1f} in the processes "
            f"that it starts; {busy:.0%} of {cores} cores"
        )


def print_profile(name: str, work: Callable[[], object], most: int = 10) -> None:
    """Print where the time of this thread goes: functions first that take longest themselves."""
    work()
    with cProfile.Profile() as found:
        work()
    text = io.StringIO()
    stats = pstats.Stats(found, stream=text).strip_dirs()
    for order, count in (("tottime", most), ("cumulative", 2 * most)):
        stats.sort_stats(order).print_stats(count)
    lines = (line.rstrip() for line in text.getvalue().splitlines())
    kept = [line for line in lines if line and "List reduced" not in line]
    print(f"\nWhere the time goes: {name} (under a profiler, which slows what is called often)")
    print("\n".join(kept), flush=True)
