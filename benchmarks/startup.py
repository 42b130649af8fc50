"""How long commands take to begin, beside `import torch`: `python -m benchmarks.startup`.

A refusal needs no model, so it should cost less than loading torch; a prediction whose features are
in the cache, little more. With `--run RUN --clip CLIP`, that prediction is timed, too. The commands
take turns, so that what else the machine does falls on all of them; shown is each median.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

PROGRAM = (sys.executable, "-m", "collision")
BARE = "import torch"


def commands(run: Path | None, clip: Path | None) -> dict[str, list[str]]:
    """Give what is timed by name: help, refusals, and a prediction where there is a run."""
    told = {
        BARE: [sys.executable, "-c", "import torch"],
        "--help": [*PROGRAM, "--help"],
        "train --help": [*PROGRAM, "train", "--help"],
        "train head=nope": [*PROGRAM, "train", "head=nope"],
        "train, no data set": [*PROGRAM, "train", "dataset=nexar", "data_root=nowhere"],
        "compare, no runs": [*PROGRAM, "compare", "nowhere", "nowhere2"],
        "predict, no checkpoint": [*PROGRAM, "predict", "no.mp4", "checkpoint=nowhere"],
    }
    if run:
        told["predict, no clip"] = [*PROGRAM, "predict", "no.mp4", f"checkpoint={run}"]
    if run and clip:
        output = f"output={tempfile.mkdtemp()}"
        told["predict, warm cache"] = [*PROGRAM, "predict", f"{clip}", f"checkpoint={run}", output]
    return told


def seconds_of(command: Sequence[str]) -> tuple[float, float]:
    """Run a command; give its seconds by the clock and of the processor."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    passed, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return passed, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, help="a run folder")
    parser.add_argument("--clip", type=Path, help="a clip for it")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()

    told = commands(options.run, options.clip)
    for command in told.values():  # into the caches of the disk and of features
        seconds_of(command)
    timed = {name: [] for name in told}
    for _ in range(options.rounds):
        for name, command in told.items():
            timed[name].append(seconds_of(command))
    middle = {
        name: tuple(map(statistics.median, zip(*rows, strict=True))) for name, rows in timed.items()
    }

    print(f"{options.rounds} rounds, {os.cpu_count()} cores; ratios to {BARE!r}")
    print(f"{'command':24} {'seconds':>8} {'ratio':>6} {'processor':>10} {'ratio':>6}")
    for name, (passed, used) in middle.items():
        ratios = passed / middle[BARE][0], used / middle[BARE][1]
        print(f"{name:24} {passed:8.2f} {ratios[0]:6.2f} {used:10.2f} {ratios[1]:6.2f}")


if __name__ == "__main__":
    main()
