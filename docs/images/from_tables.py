"""Draw compare.png, learning_curves.png and scale.png anew, from the tables of results.

python docs/images/from_tables.py

What was measured stands in RESULTS.md and benchmarks/RESULTS.md; only the look is of today.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))  # for benchmarks

from benchmarks import learning_curves, scale  # noqa: E402
from collision.metrics.estimate import Estimate  # noqa: E402
from collision.report.comparison import forest  # noqa: E402

_NUMBER = r"[+-]?\d*\.\d+"


def tables(file: str, heading: str) -> list[list[list[str]]]:
    """Give the tables under a heading as rows of cells, the header first."""
    text = (ROOT / file).read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2]
    found: list[list[list[str]]] = [[]]
    for line in text.partition("\n## ")[0].splitlines():
        if line.startswith("|"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            found[-1] += [] if set("".join(cells)) <= set("-: ") else [cells]
        elif found[-1]:
            found.append([])
    return [table for table in found if table]


def compare() -> None:
    """Draw the differences between sampling policies."""
    (_, *rows), *_ = tables("RESULTS.md", "Sampling policies on synthetic")
    differences = {}
    for name, _, _, difference, _ in rows:
        if numbers := re.findall(_NUMBER, difference):
            value, low, high = map(float, numbers)
            differences["sampling=" + name.strip("`")] = Estimate(value, low, high)
    told: Any = SimpleNamespace(differences=differences, reference="sampling=nexar")
    forest(told, HERE / "compare.png")


def curves() -> None:
    """Draw the learning curves; a table for each backbone and test split, in that order."""
    own = tables("RESULTS.md", "Learning curves")
    names = [(b, t) for b in ("efficientnet_lite0", "optical_flow") for t in learning_curves.TESTS]
    found = {}
    for key, (header, *rows) in zip(names, own[: len(names)], strict=True):
        sizes = [int(cell.split()[0]) for cell in header[1:]]
        found[key] = {
            head: {
                size: (Estimate(float(re.findall(_NUMBER, cell)[0])), None)
                for size, cell in zip(sizes, cells, strict=True)
            }
            for head, *cells in rows
        }
    learning_curves.draw(found, HERE / "learning_curves.png")


def growth() -> None:
    """Draw time and memory against the number of videos."""
    (_, *rows), *_ = tables("benchmarks/RESULTS.md", "scale")
    found: dict[str, dict[int, dict[str, float]]] = {}
    for stage, videos, _, processor, _, memory, _ in rows:
        of_size = {"processor": float(processor), "MB": float(memory)}
        found.setdefault(stage, {})[int(videos.replace(",", ""))] = of_size
    scale.draw(found, HERE / "scale.png")


if __name__ == "__main__":
    compare()
    curves()
    growth()
