"""How near the heads come to the best possible AP, on made features whose best AP is known.

    python -m benchmarks.made_features --results made.jsonl

The setting of arXiv 2603.15916, without videos: some thousand cuts of [8, 1024] features, half of
them positive. Features are white noise (sd 1) and 16 factors in random directions that move all
steps of a video together and, less, each step by itself. A rule says what a class does to factors:

- level: positives are higher along ``a`` in the last three steps;
- change: positives rise along ``a`` to where negatives are all the time, so the last step has the
  same distribution in both classes (the mean of a difference being a difference of means, earlier
  steps can't have that, too);
- order: a bump along ``a`` and one along ``b``, neither in the first nor in the last step;
  positives have ``a`` first, negatives ``b``. The last step, the first, and the mean over steps
  have the same joint distribution in both classes: no rule on those can tell.

Classes are mixtures of normal distributions, so the likelihood ratio is exact, and nothing has a
higher AP than it. A cell of the table is (AP - chance) / (best AP - chance) on the test set, which
every seed draws anew, the mean and sd over seeds. ``--train 4000 8000`` shows how many cuts a head
needs. Heads and training are what ``train.py`` does by
default; options after ``--set`` are its overrides. ``last_step`` is ``head=logistic`` on the last
step alone.

Results are kept in a file, a JSON line a cell: the same command goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from hashlib import sha256
from itertools import combinations
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from scipy.special import logsumexp

from collision.commands._compose import options_for
from collision.devices import threads_at_most
from collision.learning.asked import setup_of
from collision.learning.datamodule import FeatureDataset
from collision.learning.fit import Place, TrainingSetup, fit_head
from collision.learning.scoring import probabilities
from collision.metrics.nexar import average_precision
from collision.types import Example, VideoRecord
from tests.kit.heads import HEADS, is_large

LAST_STEP = "last_step"
NUM_FACTORS = 16
STEP_SD, OFFSET_SD = 2.0, 3.0  # of a factor: from step to step, and from video to video
# In units of a factor; each puts the best AP at .92 to .93 with 8 steps.
HEIGHTS = {"level": 2.9, "change": 4.1, "order": 3.9}
SECONDS_A_STEP, HORIZON, CHANCE = 0.25, 1.0, 0.5


@dataclass(frozen=True)
class Sizes:
    """Cuts of each split, each of a video of its own; shape of their features."""

    train: int = 4000
    val: int = 1000
    test: int = 4000
    steps: int = 8
    feature_dim: int = 1024


@dataclass(frozen=True)
class Cell:
    """One training."""

    rule: str
    head: str
    seed: int
    sizes: Sizes
    overrides: tuple[str, ...] = ()

    def setup(self) -> TrainingSetup:
        return setup_with("logistic" if self.head == LAST_STEP else self.head, self.overrides)

    def key(self) -> dict[str, Any]:
        """Give what a finished cell is known by; another default makes it another cell."""
        setup = sha256(repr(self.setup()).encode()).hexdigest()[:12]
        own = {"rule": self.rule, "head": self.head, "seed": self.seed, "setup": setup}
        return own | asdict(self.sizes) | {"overrides": list(self.overrides)}


@cache
def setup_with(head: str, overrides: tuple[str, ...]) -> TrainingSetup:
    options = options_for("train", [f"head={head}", *overrides])
    return setup_of(options, options.sampling.build())


def patterns(rule: str, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Give the equally likely means of factors a and b, of positives and negatives: [P, L, 2]."""
    positive = np.zeros((1, steps, 2))
    if rule == "level":
        positive[:, -3:, 0] = 1
    elif rule == "change":
        positive[:, :, 0] = np.linspace(-1, 0, steps)
    else:
        pairs = list(combinations(range(1, steps - 1), 2))
        positive = np.zeros((len(pairs), steps, 2))
        for row, (first, second) in zip(positive, pairs, strict=True):
            row[first, 0] = row[second, 1] = 1
    negative = positive[:, :, ::-1] if rule == "order" else np.zeros_like(positive)
    return HEIGHTS[rule] * positive, HEIGHTS[rule] * negative


def log_likelihood_ratio(factors: np.ndarray, rule: str) -> np.ndarray:
    """Score [N] by the log of p(factors | positive) / p(factors | negative), [N, L, 2].

    The other directions have the same distribution in both classes, whatever a and b are.
    """
    steps = factors.shape[1]
    precision = np.linalg.inv(STEP_SD**2 * np.eye(steps) + OFFSET_SD**2)
    logs = []
    for means in patterns(rule, steps):
        weighted = np.einsum("plk,lm->pmk", means, precision)
        power = np.einsum("pmk,pmk->p", weighted, means) / 2
        logs.append(logsumexp(np.einsum("pmk,nmk->np", weighted, factors) - power, axis=1))
    return logs[0] - logs[1]  # both have as many patterns


def make(rule: str, num: int, sizes: Sizes, seed: int, split: int) -> tuple[FeatureDataset, float]:
    """Draw a split, and the AP of its likelihood ratio; a seed's splits share the directions."""
    random = np.random.default_rng(seed).normal(size=(sizes.feature_dim, NUM_FACTORS))
    axes = np.linalg.qr(random).Q.astype(np.float32)
    generator = np.random.default_rng([seed, split])
    labels = np.arange(num) % 2
    shape = (num, sizes.steps, NUM_FACTORS)
    # The white noise below adds 1 to the variance of every direction.
    factors = generator.normal(0, np.sqrt(STEP_SD**2 - 1), shape)
    factors += generator.normal(0, OFFSET_SD, (num, 1, NUM_FACTORS))
    positive, negative = patterns(rule, sizes.steps)
    chosen = generator.integers(len(positive), size=num)
    means = np.where(labels[:, None, None] == 1, positive[chosen], negative[chosen])
    factors[:, :, :2] += means  # of a and b, the others carry no event
    features = generator.standard_normal((*shape[:2], sizes.feature_dim), np.float32)
    features += factors.astype(np.float32) @ axes.T
    seen = (features @ axes[:, :2]).astype(np.float64)
    best = average_precision(labels, log_likelihood_ratio(seen, rule))
    return dataset(features, labels), best


def dataset(features: np.ndarray, labels: np.ndarray) -> FeatureDataset:
    """Take features [N, L, D], each an example of its own video."""
    num, steps, feature_dim = features.shape
    bank = torch.zeros(num + 1, steps, feature_dim, dtype=torch.float16)
    bank[:-1] = torch.from_numpy(features)
    names = [str(number) for number in range(num)]
    kinds = list(zip(names, labels.tolist(), strict=True))
    return FeatureDataset(
        bank=bank,
        window_index=torch.arange(num)[:, None],
        times=(SECONDS_A_STEP * torch.arange(1.0 - steps, 1.0)).expand(num, -1),
        example_of=torch.arange(num),
        examples=[Example(name, 10.0, label, HORIZON) for name, label in kinds],
        records=[VideoRecord(n, Path(f"{n}.mp4"), label, "train", n) for n, label in kinds],
    )


def last_step(data: FeatureDataset) -> FeatureDataset:
    return replace(data, bank=data.bank[:, -1:], times=data.times[:, -1:])


def finished(cell: Cell) -> dict[str, Any]:
    """Train and score one cell, with one thread."""
    made = {
        name: make(cell.rule, getattr(cell.sizes, name), cell.sizes, cell.seed, number)
        for number, name in enumerate(("train", "val", "test"))
    }
    data = {name: one[0] for name, one in made.items()}
    if cell.head == LAST_STEP:
        data = {name: last_step(one) for name, one in data.items()}
    begin, begin_processor = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder, threads_at_most(1):
        place = Place(Path(folder), cell.seed, Console(quiet=True, force_terminal=False))
        trained = fit_head(cell.setup(), data, place)
        scores = probabilities(trained.best, data["test"], torch.device("cpu"))
    best = {name: made[name][1] for name in ("val", "test")}
    ap = average_precision(data["test"].labels, scores)
    return cell.key() | {
        "ap": ap,
        "best_ap": best["test"],
        "ratio": (ap - CHANCE) / (best["test"] - CHANCE),
        "val_ratio": (trained.best_value - CHANCE) / (best["val"] - CHANCE),
        "selected_step": trained.best_step,
        "last_step": trained.last_step,
        "seconds": time.perf_counter() - begin,
        "processor_seconds": time.process_time() - begin_processor,
    }


def rows_of(cells: list[Cell], path: Path | None, workers: int) -> list[dict[str, Any]]:
    """Give the results of all cells, in the order of the cells; those in the file are read."""
    wanted = [cell.key() for cell in cells]
    there = [json.loads(line) for line in path.read_text().splitlines()] if is_file(path) else []
    rows = [next((row for row in there if key.items() <= row.items()), None) for key in wanted]
    left = [number for number, row in enumerate(rows) if row is None]
    begin = time.perf_counter()
    for count, row in enumerate(results([cells[number] for number in left], workers), 1):
        rows[next(n for n in left if wanted[n].items() <= row.items())] = row
        if path:
            with path.open("a") as file:
                file.write(json.dumps(row) + "\n")
        ahead = (time.perf_counter() - begin) / count * (len(left) - count) / 60
        print(f"{count} of {len(left)}, {ahead:.0f} min left", file=sys.stderr, flush=True)
    return [row for row in rows if row is not None]


def is_file(path: Path | None) -> bool:
    return path is not None and path.is_file()


def results(cells: list[Cell], workers: int) -> Iterator[dict[str, Any]]:
    """Give results as they come; with one worker in this process."""
    if workers == 1 or not cells:
        yield from map(finished, cells)
        return
    limit = partial(torch.set_num_threads, 1)
    with get_context("spawn").Pool(min(workers, len(cells)), limit) as pool:
        yield from pool.imap_unordered(finished, cells)


def table(rows: list[dict[str, Any]], heads: Iterable[str]) -> str:
    """Lay out mean and sd over seeds in Markdown: a row a rule and size, a column a head."""
    heads = list(heads)
    heading = f"| rule | training cuts | best AP | {' | '.join(heads)} |"
    lines = [heading, "| --- " * (len(heads) + 3) + "|"]
    for rule, train in dict.fromkeys((row["rule"], row["train"]) for row in rows):
        own = [row for row in rows if (row["rule"], row["train"]) == (rule, train)]
        best = {row["seed"]: row["best_ap"] for row in own}
        fields = [rule, str(train), f"{np.mean(list(best.values())):.3f}"]
        for head in heads:
            ratios = [row["ratio"] for row in own if row["head"] == head]
            sd = f" ± {np.std(ratios, ddof=1):.3f}" if len(ratios) > 1 else ""
            fields.append(f"{np.mean(ratios):.3f}{sd}")
        lines.append(f"| {' | '.join(fields)} |")
    for train in dict.fromkeys(row["train"] for row in rows):
        own = [row for row in rows if row["train"] == train]
        times = [np.mean([row["seconds"] for row in own if row["head"] == h]) for h in heads]
        seconds = " | ".join(f"{mean:.0f} s" for mean in times)
        lines.append(f"| time a cell | {train} | | {seconds} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    trained = [name for name in HEADS if not is_large(name)]
    heads = [LAST_STEP, *trained]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--heads", nargs="+", choices=heads, default=heads)
    parser.add_argument("--rules", nargs="+", choices=list(HEIGHTS), default=list(HEIGHTS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--results", type=Path, help="a file of JSON lines: goes on where it ended")
    parser.add_argument("--workers", type=int, default=2, help="processes, of one thread each")
    what = f"cuts of train ({Sizes.train}); several, to see how many a head needs"
    parser.add_argument("--train", type=int, nargs="+", default=[Sizes.train], help=what)
    for name, value in asdict(Sizes()).items():
        if name == "train":
            continue
        what = "of a cut" if name in ("steps", "feature_dim") else f"cuts of {name}"
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=int, default=value, help=f"{what} ({value})")
    parser.add_argument("--set", nargs="+", default=[], help="overrides of train.py")
    options = parser.parse_args(arguments)
    if min(options.train) < 2:
        parser.error(f"--train {min(options.train)}: a cut of each class is needed, so 2 or more")
    given = {name: getattr(options, name) for name in asdict(Sizes())}
    cells = [
        Cell(rule, head, seed, Sizes(**{**given, "train": train}), tuple(options.set))
        for seed in range(options.seeds)
        for rule in options.rules
        for train in dict.fromkeys(options.train)
        for head in options.heads
    ]
    print(table(rows_of(cells, options.results, options.workers), options.heads))


if __name__ == "__main__":
    main()
