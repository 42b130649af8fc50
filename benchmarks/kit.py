"""What benchmarks share: a target, and how it is told whether it is met."""

from __future__ import annotations

from dataclasses import dataclass

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
