"""Which columns of a search play which part, where nobody has said."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from collision.errors import ConfigError
from collision.options import StudyOptions
from collision.search.trials import DESIGN, Trial
from collision.study.rows import Table

# Dimensions that say what is trained; others say how.
ARCHITECTURE = ("backbone", "fusion", "head", "pooling")


def of_search(
    options: StudyOptions, trials: Sequence[Trial], name: str
) -> tuple[StudyOptions, Table]:
    """Give the table of a search's finished trials, with options that fit its columns.

    What the options name stays. Factors are the dimensions of the cells that were varied, numbers
    the ranges within them; a choice within cells, which not every trial has, is left out. The test
    splits of a design are contexts, in which rankings may differ.

    ConfigError: no trial is finished, or nothing was varied.
    """
    table = Table.of_trials(trials, f"The search {name}")
    cells = dict.fromkeys(key for trial in trials for key in trial.point.cell)
    within = dict.fromkeys(key for trial in trials for key in trial.point.within)
    factors = [key for key in cells if _varied(table, key)]
    numbers = [key for key in within if _is_number(table, key) and _varied(table, key)]
    if not options.factors and not factors and not numbers:
        raise ConfigError(f"The search {name} has varied nothing yet: there is nothing to compare.")
    factors = list(options.factors) or factors
    numbers = list(options.numbers) or numbers
    architecture = [key for key in factors if key.split(".")[0] in ARCHITECTURE]
    if len(architecture) == len({*factors, *numbers}):
        architecture = []
    played = {*factors, *numbers, *options.blocks}
    seed = options.seed or (None if "seed" in played else "seed")
    if all(trial.stage == DESIGN for trial in trials):  # nobody proposed; no order means anything
        tests = sorted({name for trial in trials for name in trial.scores})
        found = replace(
            options,
            factors=tuple(factors),
            numbers=tuple(numbers),
            architecture=options.architecture or tuple(architecture),
            seed=seed,
            scores=options.scores or tuple(tests if len(tests) > 1 else ()),
        )
        return found, table
    several = _varied(table, "proposer")
    found = replace(
        options,
        factors=tuple(factors),
        numbers=tuple(numbers),
        architecture=options.architecture or tuple(architecture),
        seed=seed,
        order=options.order or "number",
        number=options.number or "number",
        parents=options.parents or "parents",
        proposer=options.proposer or ("proposer" if several else None),
    )
    return found, table


def _varied(table: Table, name: str) -> bool:
    return name in table.columns and len({text for text in table.columns[name] if text}) > 1


def _is_number(table: Table, name: str) -> bool:
    with contextlib.suppress(ConfigError):
        return bool(np.isfinite(table.numbers(name, empty=True)).any())
    return False
