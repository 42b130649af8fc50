"""All sections of a report, from one table: those for which columns are named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from collision.errors import ConfigError
from collision.study import (
    balance,
    efficiency,
    kinds,
    leaks,
    lineage,
    mixed,
    rankings,
    surrogate,
    variety,
)
from collision.study.analysis import Analysis, analyse
from collision.study.report import sections_of
from collision.study.resampling import Correction
from collision.study.rows import Table
from collision.study.section import Section
from collision.study.table import Parts, Runs, runs_from


@dataclass(frozen=True)
class Further:
    """Columns that further sections need, and how they are made; see configs/study.yaml."""

    numbers: Sequence[str] = ()
    bins: int = 4
    architecture: Sequence[str] = ()
    random: Sequence[str] = ()
    across: Sequence[str] = ()
    scores: Sequence[str] = ()
    test: str | None = None
    number: str | None = None
    parents: str | None = None
    importance: bool = True
    ceiling: float = 1.0
    num_resamples: int = 2000
    correction: Correction = field(default="holm")


def report_of(table: Table, parts: Parts, further: Further) -> tuple[Analysis, list[Section]]:
    """Analyse a table: the analysis of effects, and everything there is to show.

    ``numbers`` are cut into bins and are factors too. ConfigError: see the parts.
    """
    if (further.parents is None) != (further.number is None):
        raise ConfigError(
            "number= and parents= go together: which run is which, and made of which."
        )
    if further.random:
        mixed.check_installed()
    names = [*parts.factors, *(n for n in further.numbers if n not in parts.factors)]
    runs = runs_from(table.binned(further.numbers, further.bins), replace(parts, factors=names))
    analysis = analyse(
        runs,
        parts.score,
        num_resamples=further.num_resamples,
        ceiling=further.ceiling,
        correction=further.correction,
    )
    first, *rest = sections_of(analysis)
    sections = [first, *_of_effects(runs, analysis, further), *rest]
    if further.random:
        columns = {name: table.text(name) for name in further.random}
        sections.append(mixed.section_of(mixed.mixed(runs, columns)))
    if further.importance:
        numbers = {name: table.numbers(name, empty=True) for name in further.numbers}
        sections.append(surrogate.section_of(surrogate.importance(runs, numbers)))
    if further.across or further.scores:
        contexts = _contexts(runs, table, parts.score, further)
        sections.append(rankings.section_of(rankings.rankings(contexts, further.correction)))
    if further.architecture and runs.order is not None:
        varied = variety.variety(runs, further.architecture)
        sections += [variety.section_of(varied)] if varied else []
    sections += _of_lineage(runs, table, further)
    test = None if further.test is None else table.numbers(further.test)
    found = leaks.leaks(runs, test, further.ceiling)
    # What may void everything else stands first.
    place = 0 if found.flags or found.saturated else len(sections)
    sections.insert(place, leaks.section_of(found, parts.score))
    return analysis, sections


def _of_effects(runs: Runs, analysis: Analysis, further: Further) -> list[Section]:
    found = []
    if further.architecture:
        judged = kinds.kinds_of(runs, further.architecture, further.num_resamples)
        found += [kinds.section_of(judged)] if judged else []
    even = balance.balanced(runs, analysis.anova)
    return found + ([balance.section_of(even)] if even else [])


def _contexts(runs: Runs, table: Table, score: str, further: Further) -> dict[str, Runs]:
    if further.across and further.scores:
        raise ConfigError("across= and scores= are two ways to name contexts: give one of them.")
    if further.across:
        # Within a context its own column is one value.
        free = {n: c for n, c in runs.blocks.items() if n not in further.across}
        factors = {n: c for n, c in runs.factors.items() if n not in further.across}
        if not factors:
            raise ConfigError("across= names all factors: none is left to rank.")
        rest = replace(runs, blocks=free, factors=factors)
        return rankings.split_by(rest, {name: table.text(name) for name in further.across})
    names = dict.fromkeys([score, *further.scores])
    if len(names) < 2:
        raise ConfigError(f"scores=[{score}] is the score itself: name further ones.")
    return rankings.rescored(runs, {name: table.numbers(name) for name in names})


def _of_lineage(runs: Runs, table: Table, further: Further) -> list[Section]:
    parted = tree = None
    if runs.proposer is not None:
        parted = lineage.specialisation(runs.cells, runs.proposer)
    if further.parents is not None and further.number is not None:
        number = table.numbers(further.number)
        if (number % 1).any():
            raise ConfigError(f"number={further.number}: the numbers of runs must be whole.")
        parents = lineage.parents_of(list(map(str, table.text(further.parents, empty=True))))
        tree = lineage.genealogy(list(map(int, number)), parents, runs.score)
    return [lineage.section_of(parted, tree)] if parted or tree else []


def report_of_policies(
    table: Table,
    parts: Parts,
    policy: str | None,
    repeat: str | None,
    optimum: float | None,
    correction: Correction,
) -> list[Section]:
    """Compare policies over repeated studies. ConfigError: a column is not named, or not there."""
    for name, column in (("policy", policy), ("repeat", repeat), ("order", parts.order)):
        if column is None:
            raise ConfigError(f"{name}= is needed: name the column. See: collision study --help")
    score = table.numbers(parts.score)
    policies, repeats = (table.text(str(name)) for name in (policy, repeat))
    if len(np.unique(policies)) < 2:
        raise ConfigError(f"policy={policy}: one policy alone cannot be compared.")
    order = table.numbers(str(parts.order))
    found = efficiency.efficiency(
        policies, repeats, order, score, optimum=optimum, correction=correction
    )
    return [efficiency.section_of(found, parts.score)]
