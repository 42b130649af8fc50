"""AP against the number of training groups: `python -m benchmarks.learning_curves`.

Nested draws of the groups of `synthetic` that are not its test split; a fifth of each draw is
validation. Every head sees the same windows of the same draw and is scored on the same test splits,
those of `synthetic` and of `synthetic_night`. Heads are trained as `train.py` trains them by
default; further options are given as to `train.py`:

    python -m benchmarks.learning_curves head.dropout=0.1

Data and features are made where they are not there. A cell that is done is a line in the file
`--results` and is not computed again. At the end it prints a table and draws a picture.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from collision.commands._compose import options_for
from collision.config import part
from collision.errors import CollisionError
from collision.features.source import FeatureSource
from collision.features.workers import end_with_parent
from collision.learning.alignment import load_features
from collision.learning.asked import setup_of
from collision.learning.datamodule import FeatureDataset
from collision.learning.fit import Place, fit_head
from collision.learning.scoring import probabilities
from collision.metrics.comparison import compare
from collision.metrics.scored import Scored
from collision.option_groups import ExtractionOptions
from collision.options import TrainOptions
from collision.report.plots import INK, styled_figure
from collision.sampling.index import Selection, index_records
from collision.types import VideoRecord

HEADS = ("logistic", "linear", "gru", "transformer", "zipformer")
# Beyond the default set's groups: scenes of another seed, with their own test split.
LARGER = {"seed": 1, "num_scenes": 720, "splits": {"train": 32, "val": 2, "test": 11}}
TESTS = ("synthetic", "synthetic_night")
VAL_SHARE = 0.2


class Cell(NamedTuple):
    """One training. ``larger`` is which of the two sets its groups are drawn from."""

    backbone: str
    larger: bool
    groups: int
    draw: int
    head: str
    seed: int


def main() -> None:
    """Compute what is missing, then tell."""
    options = arguments()
    options.results.parent.mkdir(parents=True, exist_ok=True)
    done = {Cell(*row["cell"]) for row in rows_of(options.results)}
    wanted = [cell for cell in cells(options) if cell not in done]
    if wanted:
        for backbone, larger in sorted({(cell.backbone, cell.larger) for cell in wanted}):
            sets_of(options, backbone, larger, extract=True)
        fill(options, wanted, train)
    tell(options)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbones", nargs="*", default=["efficientnet_lite0", "optical_flow"])
    parser.add_argument("--heads", nargs="*", choices=HEADS, default=list(HEADS))
    parser.add_argument("--groups", nargs="*", type=int, default=[10, 20, 50, 100])
    parser.add_argument("--larger", nargs="*", type=int, default=[200, 500])
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=2, help="of every head but the solved one")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--results", type=Path, default=Path("runs/learning_curves.jsonl"))
    parser.add_argument("--picture", type=Path, default=Path("docs/images/learning_curves.png"))
    parser.add_argument("--cache", type=Path, default=Path("cache"))
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("options", nargs="*", help="as to train.py")
    return parser.parse_intermixed_args()


def cells(options: argparse.Namespace) -> Iterator[Cell]:
    """List what is to be trained, small sets first; of the larger set one draw, lite0 alone."""
    for backbone in options.backbones:
        sizes = [(n, False, options.draws) for n in options.groups]
        if backbone == "efficientnet_lite0":
            sizes += [(n, True, 1) for n in options.larger]
        for groups, larger, draws in sizes:
            for draw in range(draws):
                for head in options.heads:
                    for seed in range(1 if head == "logistic" else options.seeds):
                        yield Cell(backbone, larger, groups, draw, head, seed)


def fill(
    options: argparse.Namespace, wanted: Sequence[Any], train: Callable[..., dict[str, Any]]
) -> None:
    """Train in processes side by side, one thread each; a line is written as a cell is done."""
    with ProcessPoolExecutor(options.workers, initializer=_begin, initargs=(os.getpid(),)) as p:
        jobs = [p.submit(train, options, cell) for cell in wanted]
        with options.results.open("a", encoding="utf-8") as file:
            for job in track(as_completed(jobs), "Training", total=len(jobs)):
                file.write(json.dumps(job.result()) + "\n")
                file.flush()


def _begin(parent: int) -> None:
    torch.set_num_threads(1)
    threading.Thread(target=end_with_parent, args=(parent,), daemon=True).start()


def train(options: argparse.Namespace, cell: Cell) -> dict[str, Any]:
    """Train one cell; give its scores of each test split."""
    sets = sets_of(options, cell.backbone, cell.larger)
    given = train_options(options, cell.backbone, f"head={cell.head}", "trainer.accelerator=cpu")
    drawn = drawn_groups(sets["pool"], cell)
    data = {split: part_of(sets[f"pool_{split}"], names) for split, names in drawn.items()}
    setup = setup_of(given, given.sampling.build())
    begin = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder), cell.seed, Console(quiet=True))
        head = fit_head(setup, data, place)
    cpu = torch.device("cpu")
    scores = {
        name: probabilities(head.best, data, cpu).numpy().round(6).tolist()
        for name, data in sets.items()
        if name in TESTS
    }
    seconds = round(time.process_time() - begin, 1)
    about = {"rows": len(data["train"]), "step": head.best_step, "of": head.last_step}
    return {"cell": cell, **about, "val": head.best_value, "seconds": seconds, "scores": scores}


def train_options(options: argparse.Namespace, backbone: str, *more: str) -> TrainOptions:
    """Compose the options as the command line would."""
    folders = (f"data_root={options.data}", f"cache_root={options.cache}")
    return options_for("train", [f"backbone={backbone}", *folders, *more, *options.options])


def drawn_groups(pool: FeatureDataset, cell: Cell) -> dict[str, set[str]]:
    """Draw groups, nested over sizes, and a fifth of them for validation."""
    names = sorted({record.group for record in pool.records})
    order = np.random.default_rng(cell.draw).permutation(names)[: cell.groups]
    if len(order) < cell.groups:
        raise SystemExit(f"{cell.groups} groups are wanted, {len(names)} are there.")
    num_val = max(2, round(VAL_SHARE * cell.groups))
    return {"val": set(order[-num_val:]), "train": set(order[:-num_val])}


def part_of(data: FeatureDataset, groups: set[str]) -> FeatureDataset:
    """Take the examples of some groups."""
    kept = np.array([record.group in groups for record in data.records])
    number = np.cumsum(kept) - 1
    rows = kept[data.example_of.numpy()]
    return replace(
        data,
        window_index=data.window_index[rows],
        times=data.times[rows],
        example_of=torch.from_numpy(number[data.example_of.numpy()[rows]]),
        examples=[one for one, is_kept in zip(data.examples, kept, strict=True) if is_kept],
        records=[one for one, is_kept in zip(data.records, kept, strict=True) if is_kept],
    )


@lru_cache
def _loaded(
    backbone: str, larger: bool, data: Path, cache: Path, more: tuple[str, ...], extract: bool
) -> dict[str, FeatureDataset]:
    options = argparse.Namespace(data=data, cache=cache, options=more)
    given = train_options(options, backbone)
    policy = given.sampling.build()
    source = FeatureSource.of_part(given.backbone, cache, "32-true")

    def load(records: Sequence[VideoRecord], split: str) -> FeatureDataset:
        index = index_records("synthetic", records, policy, Selection((split,)))
        if extract:
            report = source.extract(source.requests(index, policy), ExtractionOptions())
            if report.signal is not None:
                raise SystemExit(f"stopped by signal {report.signal}")
        return load_features(index, source, policy, [])[split]

    own = given.dataset.changed(LARGER) if larger else given.dataset
    made = own.build()
    made.prepare()
    pool = [record for record in made.records() if record.split != "test"]
    found = {
        f"pool_{split}": load([replace(record, split=split) for record in pool], split)
        for split in ("train", "val")
    }
    found["synthetic"] = load(made.records(), "test")
    if not larger:
        night = part("dataset", "synthetic_night", root=str(data / "synthetic_night")).build()
        night.prepare(("test",))
        found["synthetic_night"] = load(night.records(), "test")
    return {**found, "pool": found["pool_train"]}


def sets_of(
    options: argparse.Namespace, backbone: str, larger: bool, extract: bool = False
) -> dict[str, FeatureDataset]:
    """Load the pool, as training and as validation examples, and the test splits."""
    where = options.data, options.cache, tuple(options.options)
    return _loaded(backbone, larger, *where, extract)


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Read the cells that are done."""
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def tell(options: argparse.Namespace) -> None:
    """Print the tables and draw the picture."""
    rows = rows_of(options.results)
    curves: dict[tuple[str, str], dict[str, dict[int, Any]]] = {}
    for backbone in dict.fromkeys(row["cell"][0] for row in rows):
        for test in TESTS:
            found = curve(options, [r for r in rows if r["cell"][0] == backbone], backbone, test)
            curves[backbone, test] = found
            print(f"\n{backbone}, tested on {test}\n")
            print_table(found)
    draw(curves, options.picture)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    spent = sum(row["seconds"] for row in rows)
    print(f"\ncommit {commit.stdout.strip()}, {spent / 60:.0f} minutes of processor time")


def curve(
    options: argparse.Namespace, rows: Sequence[Mapping[str, Any]], backbone: str, test: str
) -> dict[str, dict[int, Any]]:
    """Compare the heads with logistic at each size: by head and number of groups."""
    found: dict[str, dict[int, Any]] = {}
    for larger, groups in sorted({(row["cell"][1], row["cell"][2]) for row in rows}):
        here = [row for row in rows if row["cell"][1:3] == [larger, groups]]
        here = [row for row in here if test in row["scores"]]
        if not here:
            continue
        data = sets_of(options, backbone, larger)[test]
        by_head: dict[str, list[Scored]] = {}
        for row in here:
            by_head.setdefault(row["cell"][4], []).append(scored(data, row["scores"][test]))
        runs = {name: by_head[name] for name in HEADS if name in by_head}
        if "logistic" not in runs or len(runs) < 2:
            raise CollisionError("The table needs logistic and another head.")
        compared = compare(runs, num_resamples=2000)
        for name in runs:
            entry = compared.runs[name], compared.differences.get(name)
            found.setdefault(name, {})[groups] = entry
    return found


def scored(data: FeatureDataset, scores: Sequence[float]) -> Scored:
    """Put scores beside their examples."""
    examples = data.examples
    return Scored(
        video=np.array([example.video for example in examples]),
        group=np.array([record.group for record in data.records]),
        label=np.array([example.label for example in examples]),
        horizon=np.array([example.horizon for example in examples]),
        score=np.array(scores),
    )


def print_table(found: Mapping[str, Mapping[int, Any]]) -> None:
    """Print mAP by head and size, and below it the difference to logistic with its interval."""
    sizes = list(found["logistic"])
    print("| head | " + " | ".join(f"{size} groups" for size in sizes) + " |")
    print("|---" * (len(sizes) + 1) + "|")
    for name, by_size in found.items():
        cells = []
        for size in sizes:
            value, difference = by_size[size]
            text = f"{value.value:.3f}"
            if difference is not None:
                low, high = difference.low, difference.high
                interval = "" if low is None else f" [{low:+.3f}, {high:+.3f}]"
                text += f" ({difference.value:+.3f}{interval})"
            elif value.low is not None:
                text += f" [{value.low:.3f}, {value.high:.3f}]"
            cells.append(text)
        print(f"| {name} | " + " | ".join(cells) + " |")


def draw(curves: Mapping[tuple[str, str], Mapping[str, Mapping[int, Any]]], path: Path) -> None:
    """Draw a curve for each head, a panel for each backbone and test split."""
    backbones = list(dict.fromkeys(backbone for backbone, _ in curves))
    with styled_figure(path, 4.6 * len(TESTS), 3.4 * len(backbones)) as figure:
        panels = figure.subplots(len(backbones), len(TESTS), squeeze=False, sharey="row")
        for (backbone, test), found in curves.items():
            axes = panels[backbones.index(backbone)][TESTS.index(test)]
            for name, by_size in found.items():
                values = [value.value for value, _ in by_size.values()]
                style = {"lw": 2.5, "color": INK} if name == "logistic" else {"lw": 1.5}
                axes.plot(list(by_size), values, "o-", ms=3, label=name, **style)
            axes.set(
                xscale="log", xlabel="training groups", ylabel="mAP", title=f"{backbone}: {test}"
            )
            sizes = list(found.get("logistic", {}))
            axes.set_xticks(sizes, map(str, sizes))
            axes.minorticks_off()
        panels[0][0].legend(fontsize=8)


if __name__ == "__main__":
    sys.exit(main())
