"""Policies by look-up: `python -m benchmarks.policies DESIGN`, the name of a finished design.

A design (`collision study design=factorial`) has trained every cell of a space with several seeds.
So a search in it costs nothing but a look: each policy searches `--repeats` times for `--budget`
trials, and is given the validation mAP of one seed of the cell that it proposes. A cell that is
proposed again has another seed. What is counted is not that number, which flatters the best of
many, but what the cell with the highest mean so far has in the mean of all its seeds on `--score`:
validation, or a test split that no policy sees.

It prints a table, and writes one with a line a trial for `collision study policies`. `agent` is
a rule that stands for a person or a model: it changes one choice of the best cell so far to one
that was not tried there; TPE proposes every other trial.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna import Study
from optuna.samplers import BaseSampler, TPESampler
from optuna.study import StudyDirection
from optuna.trial import TrialState
from rich.console import Console
from rich.progress import track

from collision.config import part
from collision.search.folder import read_begun
from collision.search.proposing import OwnSampler, Proposal, Quest, suggested
from collision.search.reading import trials_of
from collision.search.space import Space
from collision.search.storage import open_storage, study_there
from collision.search.trials import DONE, Trial

POLICIES = ("random", "qmc", "tpe", "cmaes", "map_elites", "agent")
Cell = tuple[str, ...]
Look = Mapping[Cell, Mapping[int, tuple[float, float]]]  # by cell and seed: seen, and what counts


class Agent(OwnSampler):
    """The rule; see above."""

    def __init__(self, quest: Quest):
        super().__init__(quest)
        self._rng = np.random.default_rng(quest.seed)
        self._tpe = TPESampler(seed=quest.seed)

    def sample_relative(self, study: Study, trial: Any, search_space: Any) -> dict[str, Any]:
        """Let TPE choose every other trial."""
        if trial.number % 2 == 0:
            return {}
        return super().sample_relative(study, trial, search_space)

    def sample_independent(self, study: Study, trial: Any, name: str, distribution: Any) -> Any:  # type: ignore[override]
        """Ask TPE."""
        return self._tpe.sample_independent(study, trial, name, distribution)

    def propose(self, study: Study, number: int) -> Proposal:
        """Change one choice of the best cell so far."""
        cells = self.quest.space.cells
        tried = {tuple(t.params[d.key] for d in cells): t.value for t in finished(study)}
        best = max(tried, key=lambda cell: tried[cell] or 0.0) if tried else None
        values = {d.key: d.choices[int(self._rng.integers(len(d.choices)))].name for d in cells}
        if best is not None:
            near = [
                {d.key: own for d, own in zip(cells, best, strict=True)} | {one.key: choice.name}
                for one in cells
                for choice in one.choices
            ]
            fresh = [v for v in near if tuple(v[d.key] for d in cells) not in tried]
            values = fresh[int(self._rng.integers(len(fresh)))] if fresh else values
        return Proposal(values, "agent")


def finished(study: Study) -> list[optuna.trial.FrozenTrial]:
    """Give the trials with a score."""
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def sampler_of(name: str, quest: Quest) -> BaseSampler:
    """Give a policy with its own defaults."""
    if name == "agent":
        return Agent(quest)
    sampler: BaseSampler = part("policy", name).build().sampler(quest)
    return sampler


def table_of(trials: Sequence[Trial], score: str) -> dict[Cell, dict[int, tuple[float, float]]]:
    """Give validation mAP and the score that counts, by cell and seed."""
    table: dict[Cell, dict[int, tuple[float, float]]] = defaultdict(dict)
    for trial in trials:
        if trial.state == DONE and trial.value is not None:
            counts = trial.value if score == "map" else trial.scores[score]
            table[tuple(trial.point.cell.values())][trial.seed] = trial.value, counts
    return dict(table)


def searched(
    name: str,
    space: Space,
    table: Mapping[Cell, Mapping[int, tuple[float, float]]],
    budget: int,
    seed: int,
) -> list[tuple[float, float]]:
    """Search once; give what was seen of each trial, and what the best cell so far is worth."""
    rng = np.random.default_rng(seed)
    study = optuna.create_study(
        direction="maximize",
        sampler=sampler_of(
            name, Quest(space, [StudyDirection.MAXIMIZE], seed, 0, Path(), budget=budget)
        ),
    )
    seen: dict[Cell, list[float]] = defaultdict(list)
    rows = []
    for _ in range(budget):
        trial = study.ask()
        cell = tuple(suggested(space, trial).cell.values())
        seeds = list(rng.permutation(sorted(table[cell])))
        value = table[cell][seeds[len(seen[cell]) % len(seeds)]][0]
        seen[cell].append(value)
        study.tell(trial, value)
        best = max(seen, key=lambda one: float(np.mean(seen[one])))
        rows.append((value, float(np.mean([counts for _, counts in table[best].values()]))))
    return rows


def main() -> None:
    """Search by look-up."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("design", help="its name")
    parser.add_argument("--runs-root", type=Path, default=Path("runs"))
    parser.add_argument("--policies", nargs="*", choices=POLICIES, default=list(POLICIES))
    parser.add_argument("--budget", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--score", default="map", help="what counts: map, or test/NAME")
    parser.add_argument("--output", type=Path, default=Path("runs/policies.csv"))
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    begun = read_begun(options.runs_root, options.design)
    study = study_there(open_storage(begun.storage, begun.folder), begun.name)
    table = table_of(trials_of(study, begun.space), options.score)
    space = Space(begun.space.name, "", begun.space.cells)
    if len(table) < space.size:
        sys.exit(f"{len(table)} of {space.size} cells are trained: end the design first.")
    optimum = max(float(np.mean([counts for _, counts in own.values()])) for own in table.values())
    options.output.parent.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=True)
    with options.output.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("policy", "repeat", "trial", "seen", "score"))
        for name in options.policies:
            begin = time.process_time()
            for repeat in track(range(options.repeats), name, console=console, transient=True):
                rows = searched(name, space, table, options.budget, repeat)
                writer.writerows((name, repeat, n, *row) for n, row in enumerate(rows))
            spent = (time.process_time() - begin) / options.repeats / options.budget
            print(f"{name}: {spent * 1000:.1f} ms of processor time a trial")
    tell(options.output, optimum)
    print(
        f"By what they saw: collision study policies {options.output} policy=policy repeat=repeat "
        "order=trial score=seen"
    )


def tell(file: Path, optimum: float) -> None:
    """Print what the best cell so far is worth after some trials: mean and 95 % over repeats."""
    worth: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    with file.open(newline="") as rows:
        for row in csv.DictReader(rows):
            worth[row["policy"]][int(row["trial"]) + 1].append(float(row["score"]))
    last = max(next(iter(worth.values())))
    shown = sorted({max(1, last // 10), max(1, last // 3), last})
    print("| policy | " + " | ".join(f"after {n}" for n in shown) + " |")
    print("|---" * (len(shown) + 1) + "|")
    for name, by_trial in worth.items():
        cells = []
        for n in shown:
            values = np.array(by_trial[n])
            error = 1.96 * values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
            mean = values.mean()
            cells.append(f"{mean:.4f} [{mean - error:.4f}, {mean + error:.4f}]")
        print(f"| {name} | {' | '.join(cells)} |")
    print(f"the best of all cells: {optimum:.4f}")


if __name__ == "__main__":
    main()
