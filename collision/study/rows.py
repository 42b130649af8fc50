"""A table as it was given: a CSV, or the trials of a search. Nothing in it is run.

R: rows.
"""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from collision.checks import user_path
from collision.errors import ConfigError
from collision.search.trials import DESIGN, DONE, SEARCH, Trial

NONE = "none"  # the bin of a number that plays no part in a run


_COSTS = ("num_parameters", "windows_per_second", "seconds")  # of a trial, which may be analysed


@dataclass(frozen=True)
class Table:
    """Columns of text by name, of equal length; ``where`` is what they are called in a sentence."""

    where: str
    columns: Mapping[str, Sequence[str]]

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """Read a CSV with a line of column names.

        ConfigError: no such file, no CSV, a name twice, or a line of another length.
        """
        path = user_path(path)
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                lines = [line for line in csv.reader(file, strict=True) if line]
        except FileNotFoundError:
            raise ConfigError(f"There is no file {str(path)!r}.") from None
        except (UnicodeDecodeError, csv.Error) as error:
            raise ConfigError(f"{path} is no CSV in UTF-8: {error}.") from None
        if len(lines) < 2:
            raise ConfigError(
                f"{path} holds no runs: a line of column names and one a run are needed."
            )
        header, *rows = lines
        if len(set(header)) < len(header):
            twice = next(name for name in header if header.count(name) > 1)
            raise ConfigError(f"{path} has more than one column {twice!r}: rename one.")
        for number, row in enumerate(rows, start=1):
            if len(row) != len(header):
                raise ConfigError(
                    f"Run {number} of {path} has {len(row)} values for {len(header)} columns: "
                    "mend it."
                )
        return cls(str(path), {name: [r[place] for r in rows] for place, name in enumerate(header)})

    @classmethod
    def of_trials(
        cls, trials: Iterable[Trial], where: str = "The search", stages: Sequence[str] = ()
    ) -> Self:
        """Give the finished trials, in the columns in which a search is exported.

        Trials that confirm the best are left out, unless ``stages`` names them: they were chosen
        for their scores. ConfigError: no trial is finished.
        """
        wanted = stages or (SEARCH, DESIGN)
        done = [(t, t.value) for t in trials if t.state == DONE and t.stage in wanted]
        if not done:
            raise ConfigError(f"{where} has no finished trial to analyse yet.")
        rows = [
            {
                "number": str(trial.number),
                "stage": trial.stage,
                "experiment": trial.experiment,
                "seed": str(trial.seed),
                **trial.point.values,
                "map": repr(float(value)),
                **{name: repr(float(score)) for name, score in trial.scores.items()},
                **{name: _known(getattr(trial, name)) for name in _COSTS},
                "proposer": trial.proposer,
                "parents": " ".join(map(str, trial.parents)),
            }
            for trial, value in done
            if value is not None
        ]
        names = dict.fromkeys(name for row in rows for name in row)
        return cls(where, {name: [row.get(name, "") for row in rows] for name in names})

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def text(self, name: str, *, empty: bool = False) -> np.ndarray:
        """Give a column ``[R]`` as text; ConfigError: there is none, or a value is ``empty``."""
        if name not in self.columns:
            there = ", ".join(self.columns)
            raise ConfigError(f"{self.where} has no column {name!r}. There are: {there}.")
        values = list(self.columns[name])
        if not empty and "" in values:
            line = values.index("") + 2
            raise ConfigError(
                f"{self.where} has an empty {name!r} in line {line}: name it or leave it."
            )
        return np.array(values, dtype=np.str_)

    def numbers(self, name: str, *, empty: bool = False) -> np.ndarray:
        """Give a column ``[R]`` as numbers; what may be ``empty`` is NaN there.

        ConfigError: there is none, or a value is no finite number.
        """
        texts = self.text(name, empty=True)
        values = np.full(len(texts), np.nan)
        for row, text in enumerate(texts):
            if empty and not text:
                continue
            with contextlib.suppress(ValueError):
                values[row] = float(text)
            if not np.isfinite(values[row]):
                raise ConfigError(
                    f"Run {row + 1} of {self.where} has {name}={str(text)!r}, which is no number: "
                    "a run that failed has no score; leave its line out and say so."
                )
        return values

    def binned(self, names: Iterable[str], count: int) -> Self:
        """Cut columns of numbers into ``count`` bins of about equally many runs, named by bounds.

        A run that lacks the number has a bin of its own, ``none``.
        """
        columns = dict(self.columns)
        for name in names:
            columns[name] = _binned(self.numbers(name, empty=True), count)
        return type(self)(self.where, columns)


def _binned(values: np.ndarray, count: int) -> list[str]:
    known = values[np.isfinite(values)]
    quantiles = np.linspace(0, 1, count + 1)
    edges = np.unique(np.quantile(known, quantiles)) if len(known) else np.zeros(0)
    names = [f"{low:.3g} to {high:.3g}" for low, high in zip(edges, edges[1:], strict=False)]
    names = names or [f"{edge:.3g}" for edge in edges]
    places = np.searchsorted(edges[1:-1], values, side="right")
    return [
        names[place] if np.isfinite(value) else NONE
        for place, value in zip(places, values, strict=True)
    ]


def _known(value: float | None) -> str:
    return "" if value is None else repr(value)
