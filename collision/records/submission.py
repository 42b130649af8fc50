"""Scores in the form in which the owners of a secret test set take them: id, score."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from collision.errors import MetricError
from collision.files import write_whole
from collision.types import VideoRecord


def write_scores(
    path: Path,
    records: Sequence[VideoRecord],
    spelling: Mapping[str, str],
    scores: Mapping[str, float],
) -> None:
    """Write a line for each id that the owners list; a clip without a score gets 0.

    Scores of videos that are no test clips are left out; if there are no others, nothing is
    written.

    Args:
        path: The CSV file to write.
        records: Of the whole set; those with a ``cut_horizon`` are its test clips.
        spelling: What the owners call a clip, by the last part of its id.
        scores: Probability of a collision by record id; MetricError where that cannot be.
    """
    stem_of = {r.id: r.id.rpartition("/")[2] for r in records if r.cut_horizon is not None}
    if unknown := sorted(set(scores) - {record.id for record in records}):
        raise MetricError(
            f"{len(unknown)} score(s) of ids that are not in the data set, such as {unknown[:3]}. "
            f"Test clips are called like {list(stem_of)[:3]}."
        )
    if not set(scores) & set(stem_of):
        return
    if wrong := [name for name, score in scores.items() if not 0 <= score <= 1]:  # or nan
        raise MetricError(f"The score of {wrong[0]!r} is {scores[wrong[0]]!r}: give a probability.")
    score_of = {stem: float(scores.get(name, 0.0)) for name, stem in stem_of.items()}
    ids = {stem: stem for stem in stem_of.values()} | dict(spelling)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "score"])
    writer.writerows([ids[stem], score_of.get(stem, 0.0)] for stem in ids)
    write_whole(path, text.getvalue())
