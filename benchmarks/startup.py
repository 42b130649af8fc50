"""How long commands take to begin, beside `import torch`: `python -m benchmarks.startup`.

A refusal needs no model, so it should cost less than loading torch; a prediction whose features are
in the cache, little more. That is of a clip of 10 s by a small head trained for it, or of
`--run RUN --clip CLIP`. The commands take turns, so that what else the machine does falls on all.
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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.kit import Target, print_targets
from tests.kit.video import numbered_frames, write_video

PROGRAM = (sys.executable, "-m", "collision")
BARE, PREDICTION = "import torch", "predict, warm cache"
MOST_SECONDS, MOST_OF_BARE = 1.5, 3.5


class Timed(NamedTuple):
    """A command, and the exit code that it is to give."""

    command: list[str]
    code: int = 0


def commands(run: Path, clip: Path, folder: Path) -> dict[str, Timed]:
    """Give what is timed by name: help, refusals, and a prediction."""
    roots = [f"cache_root={folder / 'cache'}", f"output={folder / 'predictions'}"]
    return {
        BARE: Timed([sys.executable, "-c", "import torch"]),
        "--help": Timed([*PROGRAM, "--help"]),
        "train --help": Timed([*PROGRAM, "train", "--help"]),
        "train head=nope": Timed([*PROGRAM, "train", "head=nope"], 2),
        "train, no data set": Timed([*PROGRAM, "train", "dataset=nexar", "data_root=nowhere"], 2),
        "compare, no runs": Timed([*PROGRAM, "compare", "nowhere", "nowhere2"], 2),
        "predict, no checkpoint": Timed([*PROGRAM, "predict", "no.mp4", "checkpoint=nowhere"], 2),
        "predict, no clip": Timed([*PROGRAM, "predict", "no.mp4", f"checkpoint={run}"], 2),
        PREDICTION: Timed([*PROGRAM, "predict", str(clip), f"checkpoint={run}", *roots]),
    }


def seconds_of(timed: Timed) -> tuple[float, float]:
    """Run a command; give its seconds by the clock and of the processor."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    code = subprocess.run(timed.command, **quiet).returncode
    passed, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if code != timed.code:
        raise SystemExit(f"{' '.join(timed.command)}: exit code {code}, not {timed.code}")
    return passed, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def made_run(folder: Path) -> Path:
    """Train a small head on painted scenes; give its run folder."""
    roots = [f"{name}_root={folder / name}" for name in ("data", "cache", "runs")]
    small = ["dataset.num_scenes=14", "trainer.max_steps=20", "num_resamples=100", "audit=false"]
    command = [*PROGRAM, "train", *roots, *small]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return folder / "runs" / "latest"


def targets_of(timed: Mapping[str, Sequence[tuple[float, float]]]) -> list[Target]:
    """Hold refusals to seconds, and a prediction to the time that torch takes to load."""
    bare = np.array([passed for passed, _ in timed[BARE]])
    targets = []
    for name, rows in timed.items():
        passed = np.array([one for one, _ in rows])
        if name == PREDICTION:
            targets.append(Target(f"{name} / {BARE}", passed / bare, most=MOST_OF_BARE))
        elif name != BARE:
            targets.append(Target(f"seconds of {name}", passed, most=MOST_SECONDS))
    return targets


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, help="a run folder, instead of a small one made for it")
    parser.add_argument("--clip", type=Path, help="a clip, instead of one of 10 s")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = options.run or made_run(Path(folder))
        clip = options.clip
        if clip is None:
            clip = write_video(Path(folder) / "clip.mp4", numbered_frames(200))  # 10 s
        told = commands(run, clip, Path(folder))
        for command in told.values():  # into the caches of the disk and of features
            seconds_of(command)
        timed: dict[str, list[tuple[float, float]]] = {name: [] for name in told}
        for _ in range(options.rounds):
            for name, command in told.items():
                timed[name].append(seconds_of(command))
    print(f"{options.rounds} rounds, {os.cpu_count()} cores")
    print(f"{'command':24} {'seconds':>8} {'processor':>10}")
    for name, rows in timed.items():
        passed, used = map(statistics.median, zip(*rows, strict=True))
        print(f"{name:24} {passed:8.2f} {used:10.2f}")
    print_targets(targets_of(timed))


if __name__ == "__main__":
    main()
