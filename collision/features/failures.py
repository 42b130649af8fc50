"""The list of videos that gave no features, kept beside the features."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from collision.features.clips import Failure
from collision.features.store import FeatureStore

FILE_NAME = "failures.csv"
_COLUMNS = ("video", "path", "reason")


def read_failures(folder: Path) -> list[Failure]:
    """Read the list of a store's folder; empty where there is none."""
    file = folder / FILE_NAME
    if not file.exists():
        return []
    # File names may hold bytes that are no UTF-8.
    with file.open(newline="", encoding="utf-8", errors="surrogateescape") as lines:
        rows = csv.DictReader(lines)
        return [Failure(row["video"], Path(row["path"]), row["reason"]) for row in rows]


def record_failures(
    store: FeatureStore, tried: Iterable[Path], failures: Sequence[Failure]
) -> None:
    """Replace what the list says about the videos just tried; other videos' lines stay."""
    settled = set(tried)
    if not failures and not any(old.path in settled for old in read_failures(store.folder)):
        return  # a cache that is complete may be read-only
    with store.lock():
        before = read_failures(store.folder)
        kept = [failure for failure in before if failure.path not in settled]
        after = [*kept, *failures]
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_COLUMNS)
        writer.writerows((failure.video, failure.path, failure.reason) for failure in after)
        store.write_text(FILE_NAME, text.getvalue())
