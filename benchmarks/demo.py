"""What the second `make demo` costs beside another commit: python -m benchmarks.demo OTHER

OTHER is a checkout of it whose own `make .venv/.ready` was run. Both run what `make demo` runs,
each with the packages, the data and the features of its own folder; the first run of each makes
these and does not count. Then both in turn, so often as --runs says: user time of the process and
of all that it starts. Scores of different recipes differ; this compares what a user waits for.

At the end a run of ours under a profiler says where the time goes.
"""

from __future__ import annotations

import argparse
import os
import pstats
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.kit import Spent, Target, print_targets

MOST = 0.4
COMMAND = ["train.py", "evaluate_on=[synthetic_night]"]
_ROOT = Path(__file__).parent.parent


def demo(folder: Path, *before: str) -> float:
    """Run it in a checkout; give its user time. What it prints is kept from sight.

    CalledProcessError: it failed.
    """
    python = folder / ".venv" / "bin" / "python"
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    begin = os.times().children_user
    subprocess.run(
        [python, *before, *COMMAND], cwd=folder, env=environment, check=True, capture_output=True
    )
    return os.times().children_user - begin


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("other", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args(arguments)
    if not (given.other / ".venv" / "bin" / "python").exists():
        parser.error(f"{str(given.other)!r} has no .venv: run `make .venv/.ready` there")
    for folder in (given.other, _ROOT):
        with Spent() as first:
            demo(folder)
        print(f"{folder.name}, the first run: {first.clock:.0f} s", flush=True)
    rows = np.array([[demo(given.other), demo(_ROOT)] for _ in range(given.runs)])
    other, ours = np.median(rows, axis=0)
    print(f"the second run, user time: {other:.1f} s, ours {ours:.1f} s")
    with tempfile.TemporaryDirectory() as kept:
        file = f"{kept}/profile"
        demo(_ROOT, "-m", "cProfile", "-o", file)
        print("\nWhere the time goes in ours, under a profiler:", flush=True)
        stats = pstats.Stats(file, stream=sys.stdout).strip_dirs()
        stats.sort_stats("tottime").print_stats(15)
        stats.sort_stats("cumulative").print_stats(60)
    print_targets([Target("second demo: ours / the other", rows[:, 1] / rows[:, 0], most=MOST)])


if __name__ == "__main__":
    main()
