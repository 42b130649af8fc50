"""How varied architecture and tuning were that was tried, apart: the study's two entropies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from collision.report.tables import Grid, number
from collision.study.kinds import ARCHITECTURE, TUNING
from collision.study.section import Section
from collision.study.table import Runs, combination
from collision.study.tried import LogFit, Trajectory, entropy_over_time, fit_log


@dataclass(frozen=True)
class Varied:
    """Entropy over time of what some factors were, and the line through it."""

    what: str
    factors: tuple[str, ...]
    combinations: int
    entropy: Trajectory
    line: LogFit


def variety(runs: Runs, architecture: Sequence[str]) -> list[Varied]:
    """Follow the architecture's part and the rest; empty for fewer than 100 runs."""
    runs = runs.in_order()
    tuning = [name for name in runs.factors if name not in architecture]
    found = []
    for what, names in ((ARCHITECTURE, list(architecture)), (TUNING, tuning)):
        cells = combination([runs.factors[name] for name in names], len(runs))
        entropy = entropy_over_time(cells)
        if len(entropy.runs) < 2 or not names:
            return []
        count = int(cells.max()) + 1
        found.append(Varied(what, tuple(names), count, entropy, fit_log(entropy)))
    return found


def section_of(parts: Sequence[Varied]) -> Section:
    """Show both beside each other."""
    rows = []
    for one in parts:
        ends = number(float(one.entropy.value[0])), number(float(one.entropy.value[-1]))
        slope = f"{-one.line.k:+.3f}"
        own = [one.what, ", ".join(one.factors), str(one.combinations), *ends, slope]
        rows.append([*own, number(one.line.r_squared)])
    header = [
        "part",
        "factors",
        "combinations",
        "first\nwindow",
        "last",
        "bits for\nln(runs)",
        "R2",
    ]
    first, second = parts
    words = (
        f"Entropy of {first.what} and of {second.what} in a sliding window: which of the two was "
        "varied, and whether ever more (a slope above 0) or ever less. The "
        f"{len(first.entropy.runs)} windows overlap, so no interval is given; early ones are "
        "shorter, which alone keeps them lower."
    )
    grid = Grid("Variety of architecture and tuning", header, rows)
    return Section("variety", "Variety of what was tried", [words], list(parts), [grid])
