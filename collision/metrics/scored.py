"""The scored examples of a split: a table in memory and as ``predictions.csv``.

A missing score is never good luck. A positive without one counts as 0, the worst rank there is. A
negative without one is left out and counted, since 0 would be a perfect rank; the scored negatives
stand for it, so that the share of positives, which is chance, stays as it is. (The Nexar benchmark
scores any missing id 0: ``summarise(..., nexar_rule=True)``.)
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from collision.errors import MetricError
from collision.metrics.estimate import Plain
from collision.metrics.nexar import round_horizons

COLUMNS = ("video", "group", "label", "horizon", "score")
NEGATIVES_FROM = "negatives_from"  # the tag that parts cuts of crash videos from normal videos


@dataclass(frozen=True)
class Scored:
    """Columns of equal length, one row per scored example.

    ``tags`` are columns of strings to slice by; an empty string means unknown.

    Raises:
        MetricError: Columns of different length, or values that they cannot hold.
    """

    video: np.ndarray
    group: np.ndarray  # source event or drive; intervals resample these
    label: np.ndarray  # 0 or 1
    horizon: np.ndarray  # seconds from the cut to the event or mock event
    score: np.ndarray  # probability of a collision; NaN: could not be scored
    tags: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        video, group = (np.asarray(ids, dtype=np.str_) for ids in (self.video, self.group))
        score, horizon = np.asarray(self.score, dtype=np.float64), round_horizons(self.horizon)
        values = (video, group, np.asarray(self.label), horizon, score)
        columns = dict(zip(COLUMNS, values, strict=True))
        tags = {name: np.asarray(values, dtype=np.str_) for name, values in self.tags.items()}
        _check_columns(columns, tags)
        columns["label"] = columns["label"].astype(np.int64)
        # The dataclass is frozen; this is its one chance to turn lists into arrays.
        for name, column in {**columns, "tags": tags}.items():
            object.__setattr__(self, name, column)

    def __len__(self) -> int:
        return len(self.video)

    @property
    def missing(self) -> np.ndarray:
        """``[N]`` bool: the examples that have no score."""
        return np.isnan(self.score)

    @property
    def judged_score(self) -> np.ndarray:
        """``[N]`` scores with 0 where one is missing; ``ranked_rows`` says which of them count."""
        return np.where(self.missing, 0.0, self.score)

    def take(self, rows: np.ndarray) -> Scored:
        """Give some rows, by ``[N]`` bool or by their numbers."""
        columns = {name: getattr(self, name)[rows] for name in COLUMNS}
        return Scored(**columns, tags={name: tag[rows] for name, tag in self.tags.items()})

    def aligned_to(self, other: Scored) -> Scored:
        """Give the same rows in the order of ``other``.

        MetricError: the two do not hold the same examples with the same labels and groups.
        """
        is_same = len(self) == len(other) and _keys(self) == _keys(other)
        order = range(len(self)) if is_same else _matching_order(self, other)
        own = self.take(np.array(order, dtype=np.int64))
        if (own.label != other.label).any() or (own.group != other.group).any():
            raise MetricError(
                "The same examples have different labels or groups in the two sets of scores. "
                "Compare scores of one and the same index."
            )
        return own

    def to_csv(self, path: Path | str) -> None:
        """Write one row an example; a missing score is an empty cell."""
        columns = [getattr(self, name).tolist() for name in COLUMNS[:-1]]
        scores = ["" if np.isnan(score) else score for score in self.score.tolist()]
        with Path(path).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow([*COLUMNS, *self.tags])
            writer.writerows(zip(*columns, scores, *self.tags.values(), strict=True))

    @classmethod
    def from_csv(cls, path: Path | str) -> Scored:
        """Read what ``to_csv`` wrote; columns it does not know are tags.

        MetricError: there is no such file, a column is missing, or a cell is not what its column
        says.
        """
        if not Path(path).is_file():
            raise MetricError(f"There is no file {str(path)!r}. Pass a predictions.csv of a run.")
        with Path(path).open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            header = reader.fieldnames or []
            if absent := [name for name in COLUMNS if name not in header]:
                raise MetricError(
                    f"{str(path)!r} has no column {', '.join(absent)}; it has {list(header)}. "
                    "Use a predictions.csv that `evaluate` or `train` wrote."
                )
            rows = list(reader)
        for line, row in enumerate(rows, start=2):
            if None in row or None in row.values():
                raise MetricError(
                    f"{str(path)!r}, row {line}: the number of cells differs from the header's "
                    f"{len(header)}. Mend the row or write the file again."
                )
        columns = {name: np.array([row[name] for row in rows], dtype=np.str_) for name in header}
        for name in ("label", "horizon", "score"):
            columns[name] = _numbers(path, name, columns[name].tolist())
        known = {name: columns.pop(name) for name in COLUMNS}
        return cls(**known, tags=columns)


def align(scored_by_seed: Sequence[Scored]) -> list[Scored]:
    """Put the scores of several seeds in the row order of the first.

    MetricError: there are no scores, or the seeds hold different examples.
    """
    if not scored_by_seed or not len(scored_by_seed[0]):
        raise MetricError("There are no scored examples. Look at the failures and the sampling.")
    return [one.aligned_to(scored_by_seed[0]) for one in scored_by_seed]


def ranked_rows(aligned: Sequence[Scored]) -> np.ndarray:
    """``[N]`` bool: the examples that are ranked, all but negatives that lack a seed's score."""
    return ~((aligned[0].label == 0) & np.any([one.missing for one in aligned], axis=0))


def stand_in_weights(label: np.ndarray, ranked: np.ndarray) -> np.ndarray:
    """Weights of the ranked examples of ``[N]``: scored negatives stand for those left out."""
    negative = label == 0
    weight = negative.sum() / max(1, (negative & ranked).sum())
    return np.where(label[ranked] == 0, weight, 1.0)


@dataclass(frozen=True)
class Counts(Plain):
    """How many examples, or videos, of both classes a number rests on."""

    positive: int
    negative: int
    positive_groups: int
    negative_groups: int  # of those that are not left out
    missing: int  # all without a score
    missing_positive: int  # of the seed that lacks most
    missing_negative: int  # of any seed

    @classmethod
    def of(
        cls,
        label: np.ndarray,
        group: np.ndarray,
        missing: np.ndarray,
        rows: np.ndarray,
        ranked: np.ndarray,
    ) -> Counts:
        """Count some rows of ``[N]`` labels and groups; ``missing`` is bool ``[seeds, N]``."""
        positive, negative = rows & (label == 1), rows & (label == 0)
        missing_positive = int((missing & positive).sum(axis=1).max())
        missing_negative = int((missing.any(axis=0) & negative).sum())
        sizes = int(positive.sum()), int(negative.sum())
        groups = np.unique(group[positive]).size, np.unique(group[negative & ranked]).size
        unscored = missing_positive + missing_negative
        return cls(*sizes, *groups, unscored, missing_positive, missing_negative)

    @property
    def smaller_class(self) -> int:
        """Groups of the class that has fewer."""
        return min(self.positive_groups, self.negative_groups)


def smaller_class(scored: Scored, rows: np.ndarray) -> int:
    """Groups of the class that has fewer of them, among some ``[N]`` rows."""
    return min(np.unique(scored.group[rows & (scored.label == label)]).size for label in (0, 1))


def _numbers(path: Path | str, column: str, cells: Sequence[str]) -> np.ndarray:
    """Read a column of numbers; a score alone may be missing."""
    values = []
    for line, text in enumerate(cells, start=2):
        cell = text.strip()
        try:
            values.append(np.nan if column == "score" and not cell else float(cell))
        except ValueError:
            raise MetricError(
                f"{str(path)!r}, row {line}: {column} is {cell!r}, which is no number. "
                "Mend the cell or write the file again."
            ) from None
    return np.array(values, dtype=np.float64)


def check_tags(tags: Iterable[str], columns: Iterable[str]) -> None:
    """Refuse tags that are called like another column of their file, by a ``MetricError``."""
    if clash := sorted(set(tags) & set(columns)):
        raise MetricError(
            f"A tag cannot be called {', '.join(clash)}: its file has a column of that name. "
            "Rename the tag in the data set's index."
        )


def _check_columns(columns: Mapping[str, np.ndarray], tags: Mapping[str, np.ndarray]) -> None:
    check_tags(tags, COLUMNS)
    shapes = {name: values.shape for name, values in {**columns, **tags}.items()}
    if set(shapes.values()) != {(columns["video"].size,)}:
        raise MetricError(
            f"The columns of scored examples differ in shape: {shapes}. Give one value a row."
        )
    if wrong := sorted(set(columns["label"].tolist()) - {0, 1}):
        raise MetricError(f"Labels must be 0 or 1, got {wrong[:5]}.")
    score = columns["score"]
    outside = score[~np.isnan(score) & ((score < 0) | (score > 1))]
    if outside.size:
        raise MetricError(
            f"{outside.size} scores lie outside 0..1, for example {outside[0]:g}. "
            "Give probabilities: the sigmoid of the logits."
        )


def _keys(scored: Scored) -> list[tuple[str, float]]:
    return list(zip(scored.video.tolist(), scored.horizon.tolist(), strict=True))


def _matching_order(scored: Scored, other: Scored) -> list[int]:
    wanted = _keys(other)
    row_of = {key: row for row, key in enumerate(_keys(scored))}
    if len(row_of) < len(scored) or len(set(wanted)) < len(wanted):
        raise MetricError(
            "A video has several scores at one horizon, so the two sets of scores cannot be "
            "matched row by row. Keep one row for each video and horizon."
        )
    if only_one := set(row_of) ^ set(wanted):
        video, horizon = min(only_one)
        raise MetricError(
            f"{len(only_one)} examples are in one set of scores only, for example {video!r} at "
            f"{horizon:g} s. Compare scores of the same split of the same data set."
        )
    return [row_of[key] for key in wanted]
