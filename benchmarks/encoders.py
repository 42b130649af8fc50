"""Does the encoder matter? Every head with every pooling: `python -m benchmarks.encoders`.

On the features of two backbones and on their fusion, trained as `train.py` does by default, with
several seeds; the solved `logistic` beside them. Trained on `synthetic` and tested on it and on
`synthetic_night`; with `--clips FILE` (a list of clips, as in docs/own_videos.md) also trained on
those, in 5 folds over groups, by cuts near the event against cuts of the same clips far from it.
Further options are given as to `train.py`.

Data and features are made where they are not there. A cell that is done is a line in the file
`--results` and is not computed again. At the end it prints tables: the mean mAP over seeds of each
cell, which share of its variance is the head's, the pooling's, and that of seeds, and differences
to `logistic`, paired over groups.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from rich.console import Console

from benchmarks.learning_curves import fill, rows_of, scored
from collision.commands._compose import options_for
from collision.config import names_of, part
from collision.errors import CollisionError
from collision.experiment import Experiment
from collision.learning.asked import setup_of, source_of
from collision.learning.datamodule import FeatureDataset
from collision.learning.fit import Place, fit_head
from collision.learning.scoring import probabilities
from collision.metrics.comparison import compare
from collision.metrics.nexar import average_precision
from collision.metrics.scored import Scored
from collision.options import TrainOptions
from collision.runs.provenance import git_state
from collision.sampling.index import Selection
from collision.types import SPLITS

FEATURES = {
    "efficientnet_lite0": ("backbone=efficientnet_lite0",),
    "optical_flow": ("backbone=optical_flow",),
    "fusion": ("backbone=fusion", "backbone.parts=[efficientnet_lite0,optical_flow]"),
}
HEADS = (
    *("linear", "attentive_probe", "gru", "lstm", "tcn", "transformer"),
    *("retnet", "bimamba", "hybrid", "zipformer"),
)
BASELINE = "logistic"
TESTS = {"synthetic": ("synthetic", "synthetic_night"), "clips": ("clips",)}


class Cell(NamedTuple):
    """One training, or of clips one for each fold."""

    data: str
    features: str
    head: str
    pooling: str
    seed: int


def main() -> None:
    """Compute what is missing, then tell."""
    options = arguments()
    options.results.parent.mkdir(parents=True, exist_ok=True)
    done = {Cell(*row["cell"]) for row in rows_of(options.results)}
    wanted = [] if options.tell else [cell for cell in cells(options) if cell not in done]
    if wanted:
        for data, features in dict.fromkeys((cell.data, cell.features) for cell in wanted):
            loaded(options, data, features, extract=True)
        fill(options, wanted, train)
    tell(options)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--features", nargs="*", choices=FEATURES, default=list(FEATURES))
    parser.add_argument("--heads", nargs="*", default=list(HEADS))
    parser.add_argument("--poolings", nargs="*", default=names_of("pooling"))
    parser.add_argument("--data", nargs="*", choices=TESTS, help="which; all there are")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--clips", type=Path, help="a CSV file")
    parser.add_argument("--event-column", default="event_time", help="of that file")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--results", type=Path, default=Path("runs/encoders.jsonl"))
    parser.add_argument("--tell", action="store_true", help="tell of what is done, train nothing")
    parser.add_argument("options", nargs="*", help="as to train.py")
    return parser.parse_intermixed_args()


def cells(options: argparse.Namespace) -> Iterator[Cell]:
    """List what is to be trained: seed by seed, so that a part of it is a whole table."""
    there = ["synthetic", *(["clips"] if options.clips else [])]
    datas = [name for name in there if name in (options.data or there)]
    for data in datas:
        for features in options.features:
            yield Cell(data, features, BASELINE, "last", 0)
    for seed in range(options.seeds):
        for data in datas:
            for features in options.features:
                for head in options.heads:
                    for pooling in options.poolings:
                        yield Cell(data, features, head, pooling, seed)


def train(options: argparse.Namespace, cell: Cell) -> dict[str, Any]:
    """Train one cell; give its scores of each test split."""
    folds, tests = loaded(options, cell.data, cell.features)
    given = train_options(
        options, cell.data, cell.features, f"head={cell.head}", f"pooling={cell.pooling}"
    )
    source, begin = source_of(given), time.process_time()
    scores: dict[str, list[float]] = {}
    for fold, held_out in zip(folds, tests, strict=True):
        setup = setup_of(given, given.sampling.build(), source=source)
        with tempfile.TemporaryDirectory() as folder:
            head = fit_head(setup, fold, Place(Path(folder), cell.seed, Console(quiet=True)))
        for name, data in held_out.items():
            found = probabilities(head.best, data, torch.device("cpu")).numpy().round(6).tolist()
            scores.setdefault(name, []).extend(found)
    return {"cell": cell, "seconds": round(time.process_time() - begin, 1), "scores": scores}


def train_options(
    options: argparse.Namespace, data: str, features: str, *more: str
) -> TrainOptions:
    """Compose the options as the command line would."""
    own: tuple[str, ...] = ()
    if data == "clips":
        column = f"dataset.columns.event_time={options.event_column}"
        own = ("dataset=manifest", f"dataset.csv={options.clips}", column, "sampling=within_clip")
    cpu = "trainer.accelerator=cpu"
    return options_for("train", [*FEATURES[features], *own, cpu, *more, *options.options])


def loaded(
    options: argparse.Namespace, data: str, features: str, extract: bool = False
) -> tuple[list[dict[str, FeatureDataset]], list[dict[str, FeatureDataset]]]:
    """Load what each fold learns from, and what it is tested on, by name."""
    clips = (str(options.clips), options.event_column)
    return _loaded(data, features, clips, tuple(options.options), extract)


@lru_cache
def _loaded(
    data: str, features: str, clips: tuple[str, str], more: tuple[str, ...], extract: bool
) -> tuple[list[dict[str, FeatureDataset]], list[dict[str, FeatureDataset]]]:
    about = argparse.Namespace(clips=clips[0], event_column=clips[1], options=more)
    given = train_options(about, data, features)
    num_folds = 5 if data == "clips" else None
    experiment = experiment_of(given, extract, num_folds)
    folds = [fold.data for fold in experiment.folds]
    tests = [{data: fold["test"]} for fold in folds]
    for name in TESTS[data][1:]:
        night = experiment_of(given, extract, None, dataset=name)
        tests[0][name] = night.folds[0].data["test"]
    return folds, tests


def experiment_of(
    given: TrainOptions, extract: bool, num_folds: int | None, dataset: str | None = None
) -> Experiment:
    """Load a data set's features, extracting what is missing if that is wanted."""
    made = part("dataset", dataset).build() if dataset else given.dataset.build()
    selection = Selection(("test",) if dataset else SPLITS, skip_missing=True)
    what = made, given.sampling.build(), source_of(given), selection
    experiment = Experiment.index(*what, num_folds)
    if extract:
        experiment.extract(given.extraction)
    experiment.load()
    return experiment


def tell(options: argparse.Namespace) -> None:
    """Print a table for each test split and kind of features."""
    rows = [row for row in rows_of(options.results) if row["cell"][0] != "clips" or options.clips]
    for data, features in dict.fromkeys(tuple(row["cell"][:2]) for row in rows):
        here = [row for row in rows if tuple(row["cell"][:2]) == (data, features)]
        _, tests = loaded(options, data, features)
        for name in TESTS[data]:
            print(f"\n{features}, tested on {name}\n")
            print_table(here, name, tests)
    spent = sum(row["seconds"] for row in rows)
    print(f"\ncommit {str(git_state()['commit'])[:7]}, {spent / 60:.0f} minutes of processor time")


def print_table(
    rows: Sequence[Mapping[str, Any]], test: str, tests: Sequence[Mapping[str, FeatureDataset]]
) -> None:
    """Print mAP by head and pooling, its analysis of variance, and differences to logistic."""
    runs: dict[tuple[str, str], list[Scored]] = {}
    for row in rows:
        runs.setdefault(tuple(row["cell"][2:4]), []).append(
            joined(tests, test, row["scores"][test])
        )
    baseline = (BASELINE, "last")
    if baseline not in runs or len(runs) < 2:
        raise CollisionError("The table needs logistic and another head.")
    cells = [cell for cell in runs if cell != baseline]
    maps = {cell: [value_of(one) for one in runs[cell]] for cell in runs}
    means = {cell: float(np.mean(maps[cell])) for cell in cells}
    heads = list(dict.fromkeys(head for head, _ in cells))
    poolings = list(dict.fromkeys(pooling for _, pooling in cells))
    print("| head | " + " | ".join(poolings) + " | mean |")
    print("|---" * (len(poolings) + 2) + "|")
    for head in heads:
        of_head = [means[head, pooling] for pooling in poolings if (head, pooling) in means]
        shown = [f"{means.get((head, pooling), np.nan):.3f}" for pooling in poolings]
        print(f"| {head} | {' | '.join(shown)} | {np.mean(of_head):.3f} |")
    of_pooling = [np.mean([means[c] for c in cells if c[1] == p]) for p in poolings]
    print(
        f"| mean | {' | '.join(f'{one:.3f}' for one in of_pooling)} | {np.mean(of_pooling):.3f} |"
    )
    best, worst = max(cells, key=means.__getitem__), min(cells, key=means.__getitem__)
    typical = min(cells, key=lambda cell: abs(means[cell] - np.median(list(means.values()))))
    named = {"logistic": runs[baseline]}
    named |= {
        f"{what}: {'-'.join(c)}": runs[c]
        for what, c in zip(("best", "median", "worst"), (best, typical, worst), strict=True)
    }
    compared = compare(named, num_resamples=2000)
    print(f"\n{shares(maps, heads, poolings)}\n")
    for name, one in compared.runs.items():
        print(f"- {name}: {interval(one)}{difference(compared.differences.get(name))}")


def joined(
    tests: Sequence[Mapping[str, FeatureDataset]], test: str, scores: Sequence[float]
) -> Scored:
    """Put the scores of all folds beside their examples."""
    parts, first = [], 0
    for fold in tests:
        count = len(fold[test].examples)
        parts.append(scored(fold[test], scores[first : first + count]))
        first += count
    names = ("video", "group", "label", "horizon", "score")
    return Scored(**{n: np.concatenate([getattr(one, n) for one in parts]) for n in names})


def value_of(one: Scored) -> float:
    """Give the mAP of one seed."""
    cells = [one.horizon == horizon for horizon in np.unique(one.horizon)]
    return float(np.mean([average_precision(one.label[c], one.score[c]) for c in cells]))


def shares(
    maps: Mapping[tuple[str, str], Sequence[float]], heads: Sequence[str], poolings: Sequence[str]
) -> str:
    """Say which share of the variance of mAP over all trainings each factor has (eta squared)."""
    count = min(len(maps[head, pooling]) for head in heads for pooling in poolings)
    table = np.array([[maps[head, pooling][:count] for pooling in poolings] for head in heads])
    total = ((table - table.mean()) ** 2).sum()
    by_cell = table.mean(axis=2, keepdims=True)
    by_head, by_pooling = table.mean(axis=(1, 2)), table.mean(axis=(0, 2))
    of_head = table[0].size * ((by_head - table.mean()) ** 2).sum() / total
    of_pooling = table[:, 0].size * ((by_pooling - table.mean()) ** 2).sum() / total
    of_cell = count * ((by_cell - table.mean()) ** 2).sum() / total
    sd = table.std(axis=2, ddof=1).mean() if count > 1 else float("nan")
    return (
        f"Share of the variance: head {of_head:.2f}, pooling {of_pooling:.2f}, both together "
        f"beyond that {of_cell - of_head - of_pooling:.2f}, seeds {1 - of_cell:.2f} ({count} "
        f"seeds; sd over seeds {sd:.3f}, over heads' means {by_head.std(ddof=1):.3f}, over "
        f"poolings' means {by_pooling.std(ddof=1):.3f})."
    )


def interval(one: Any) -> str:
    """Write an estimate with its interval."""
    return f"{one.value:.3f}" + (f" [{one.low:.3f}, {one.high:.3f}]" if one.low is not None else "")


def difference(one: Any) -> str:
    """Write a difference to logistic, if there is one."""
    if one is None:
        return ""
    known = f" [{one.low:+.3f}, {one.high:+.3f}]" if one.low is not None else ""
    return f", minus logistic {one.value:+.3f}{known}"


if __name__ == "__main__":
    sys.exit(main())
