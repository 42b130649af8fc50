"""The list of videos that gave no features, kept beside the features."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console

from collision.errors import CollisionError
from collision.features.store import FeatureStore
from collision.types import Failure

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


def distinct(failures: Iterable[Failure]) -> list[Failure]:
    """Keep the first failure of each video: one may fail when indexed and when decoded."""
    return list({failure.video: failure for failure in reversed(list(failures))}.values())[::-1]


def check_failures(failures: Sequence[Failure], skip: bool, where: Path, console: Console) -> None:
    """Tell of videos that could not be read; stop unless the user chose to go on without them.

    Raises:
        CollisionError: There are some and ``skip`` is false.
    """
    if not failures:
        return
    first = "\n".join(f"  {failure.path}: {failure.reason}" for failure in failures[:5])
    more = f"\n  and {len(failures) - 5} more" if len(failures) > 5 else ""
    text = f"{len(failures)} video(s) could not be read:\n{first}{more}\nAll of them: {where}"
    if not skip:
        raise CollisionError(
            f"{text}\nMend or remove them, or go on without them: skip_failures=true "
            "(they are counted in the report, and score 0 on a test split)."
        )
    console.print(text, style="yellow", markup=False, highlight=False)
