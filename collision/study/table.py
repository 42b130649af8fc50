"""A table of runs: what was chosen in each, and the score that came of it.

R: runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from collision.errors import ConfigError
from collision.search.trials import Trial
from collision.study.rows import Table


@dataclass(frozen=True)
class Runs:
    """Columns of equal length, one row per run.

    Attributes:
        factors: By name ``[R]`` text: what was chosen. Each has at least two levels.
        score: ``[R]``; all finite.
        blocks: By name ``[R]`` text: what is no choice but moves scores, such as the data set.
        seed: ``[R]`` text; None: not known which runs differ by their seed alone.
        order: ``[R]``, when a run was tried; None: not known.
        proposer: ``[R]`` text: who asked for a run; None: not known.

    Raises:
        ConfigError: Columns of different length, fewer than three runs, a factor with one level, or
            a score that is no number.
    """

    factors: Mapping[str, np.ndarray]
    score: np.ndarray
    blocks: Mapping[str, np.ndarray] = field(default_factory=dict)
    seed: np.ndarray | None = None
    order: np.ndarray | None = None
    proposer: np.ndarray | None = None

    def __post_init__(self) -> None:
        score = np.asarray(self.score, dtype=np.float64)
        texts = {
            kind: {name: np.asarray(values, dtype=np.str_) for name, values in columns.items()}
            for kind, columns in (("factors", self.factors), ("blocks", self.blocks))
        }
        others = {
            name: None if column is None else np.asarray(column, dtype=kind)
            for name, column, kind in (
                ("seed", self.seed, np.str_),
                ("order", self.order, np.float64),
                ("proposer", self.proposer, np.str_),
            )
        }
        given = [column for column in others.values() if column is not None]
        columns = [*texts["factors"].values(), *texts["blocks"].values(), *given]
        if any(column.shape != score.shape for column in columns) or score.ndim != 1:
            raise ConfigError("The columns of a table of runs must be of one length.")
        _check(texts["factors"], score)
        _check_blocks(texts["blocks"], len(score))
        # The dataclass is frozen; this is its one chance to turn lists into arrays.
        for name, column in {"score": score, **texts, **others}.items():
            object.__setattr__(self, name, column)

    def __len__(self) -> int:
        return len(self.score)

    @property
    def cells(self) -> np.ndarray:
        """``[R]`` numbers: the combination of factors (not of blocks) of each run."""
        return combination(self.factors.values(), len(self))

    @property
    def strata(self) -> np.ndarray:
        """``[R]`` numbers: the combination of blocks of each run."""
        return combination(self.blocks.values(), len(self))

    def in_order(self) -> Runs:
        """Give the runs in the order in which they were tried; as they stand if none is known."""
        if self.order is None:
            return self
        rows = np.argsort(self.order, kind="stable")
        return replace(
            self,
            factors={name: column[rows] for name, column in self.factors.items()},
            blocks={name: column[rows] for name, column in self.blocks.items()},
            score=self.score[rows],
            order=self.order[rows],
            **{
                name: None if column is None else column[rows]
                for name, column in (("seed", self.seed), ("proposer", self.proposer))
            },
        )


def combination(columns: Iterable[np.ndarray], length: int) -> np.ndarray:
    """Number the combinations of some ``[R]`` columns: ``[R]`` int; all 0 where there are none."""
    codes = np.zeros(length, dtype=np.int64)
    for column in columns:
        _, own = np.unique(column, return_inverse=True)
        _, codes = np.unique(codes * (own.max(initial=0) + 1) + own, return_inverse=True)
    return codes


def read_runs(
    path: Path | str,
    factors: Sequence[str],
    score: str,
    *,
    blocks: Sequence[str] = (),
    seed: str | None = None,
    order: str | None = None,
    proposer: str | None = None,
) -> Runs:
    """Read a CSV with a line of column names; nothing in it is interpreted but numbers.

    See ``runs_from``. ConfigError: also no such file, or a line of another length.
    """
    parts = Parts(factors, score, blocks, seed, order, proposer)
    return runs_from(Table.read(path), parts)


def runs_of(trials: Iterable[Trial], parts: Parts, where: str = "The search") -> Runs:
    """Take the finished trials of a search; see ``Table.of_trials`` and ``runs_from``."""
    return runs_from(Table.of_trials(trials, where), parts)


@dataclass(frozen=True)
class Parts:
    """Which columns of a table play which part in ``Runs``.

    ``seed`` may be one of ``blocks``: then every seed stands for the same split or the same draw in
    all cells.
    """

    factors: Sequence[str]
    score: str
    blocks: Sequence[str] = ()
    seed: str | None = None
    order: str | None = None
    proposer: str | None = None


def runs_from(table: Table, parts: Parts) -> Runs:
    """Take runs from a table.

    Raises:
        ConfigError: No such column, a column with two parts to play, and what ``Runs`` refuses.
    """
    blocks, seed, order, proposer = parts.blocks, parts.seed, parts.order, parts.proposer
    others = [name for name in (seed, order, proposer) if name is not None]
    _check_parts(
        parts.factors, [parts.score, *blocks, *(name for name in others if name not in blocks)]
    )
    return Runs(
        factors={name: table.text(name) for name in parts.factors},
        score=table.numbers(parts.score),
        blocks={name: table.text(name) for name in blocks},
        seed=None if seed is None else table.text(seed, empty=True),
        order=None if order is None else table.numbers(order),
        proposer=None if proposer is None else table.text(proposer, empty=True),
    )


def _check_parts(factors: Sequence[str], others: Sequence[str]) -> None:
    if not factors:
        raise ConfigError(
            "factors=[] leaves nothing to analyse: name columns, as in factors=[head]."
        )
    names = [*factors, *others]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise ConfigError(f"The column {twice[0]!r} can play one part only: it is named twice.")


def _check(factors: Mapping[str, np.ndarray], score: np.ndarray) -> None:
    if len(score) < 3:
        raise ConfigError(f"{len(score)} runs are too few to analyse: at least 3 are needed.")
    if not np.isfinite(score).all():
        raise ConfigError("A score is no finite number: leave that run out and say so.")
    for name, column in factors.items():
        levels = np.unique(column)
        if len(levels) < 2:
            raise ConfigError(
                f"The factor {name!r} has one level, {str(levels[0])!r}: it cannot be compared; "
                "leave it out."
            )


def _check_blocks(blocks: Mapping[str, np.ndarray], length: int) -> None:
    if blocks and np.bincount(combination(blocks.values(), length)).max() < 2:
        raise ConfigError(
            f"Every run has a block of its own by {', '.join(blocks)}: that leaves nothing to "
            "shuffle. Give blocks of several runs, or none."
        )
