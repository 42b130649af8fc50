"""The list of videos that gave no features, beside them; its first line names the columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from collision.errors import CollisionError, VideoDecodeError
from collision.features.digest import VideoDigests
from collision.features.store import FeatureStore
from collision.files import write_whole
from collision.types import Failure

FILE_NAME = "failures.csv"
_COLUMNS = ("video", "path", "reason", "digest")


@dataclass(frozen=True)
class RecordedFailure(Failure):
    """A failure of the list; ``digest`` is None in older lists, empty if the file did not open."""

    digest: str | None = None

    def is_of(self, digest: str) -> bool:
        """Whether the content that failed is this one: a mended file has another."""
        return self.digest is None or self.digest == digest


def read_failures(folder: Path) -> list[RecordedFailure]:
    """Read the list of a store's folder; empty where there is none, without damaged lines."""
    try:
        data = (folder / FILE_NAME).read_bytes().replace(b"\0", b"")
    except OSError:
        return []
    # File names may hold bytes that are no UTF-8.
    lines = io.StringIO(data.decode(errors="surrogateescape"), newline="")
    failures = []
    with suppress(csv.Error):  # what follows is tried again
        for row in csv.DictReader(lines):
            if row.keys() >= {*_COLUMNS[:3]} and None not in row.values():
                video, path, reason = (row[name] for name in _COLUMNS[:3])
                failures.append(RecordedFailure(video, Path(path), reason, row.get("digest")))
    return failures


def record_failures(
    store: FeatureStore,
    digests: VideoDigests,
    tried: Iterable[Path],
    failures: Sequence[Failure],
) -> None:
    """Replace what the list says about the videos just tried; other videos' lines stay."""
    settled = set(tried)
    new = [RecordedFailure(f.video, f.path, f.reason, _content(digests, f.path)) for f in failures]
    old = [failure for failure in read_failures(store.folder) if failure.path in settled]
    both = [{(f.video, f.path, f.reason) for f in failures} for failures in (old, new)]
    if both[0] == both[1] and {f.digest for f in old} - {None} <= {f.digest for f in new}:
        return
    with store.changing():
        kept = [old for old in read_failures(store.folder) if old.path not in settled]
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_COLUMNS)
        writer.writerows((f.video, f.path, f.reason, f.digest) for f in [*kept, *new])
        write_whole(store.folder / FILE_NAME, text.getvalue())


def _content(digests: VideoDigests, path: Path) -> str:
    try:
        return digests.digest(path)
    except VideoDecodeError:
        return ""


def distinct(failures: Iterable[Failure]) -> list[Failure]:
    """Keep the first failure of each video: one may fail when indexed and when decoded."""
    return list({failure.video: failure for failure in reversed(list(failures))}.values())[::-1]


def check_failures(failures: Sequence[Failure], skip: bool, where: str, console: Console) -> None:
    """Print which videos could not be read; without ``skip``, stop with a CollisionError."""
    if not failures:
        return
    first = "\n".join(f"  {failure.path}: {failure.reason}" for failure in failures[:5])
    more = f"\n  and {len(failures) - 5} more" if len(failures) > 5 else ""
    text = f"{len(failures)} video(s) could not be read:\n{first}{more}\nAll of them: {where}"
    if not skip:
        raise CollisionError(
            f"{text}\nMend or remove them, or go on without them: skip_failures=true "
            "(they are counted; positives among them count as missed, negatives are left out)."
        )
    console.print(text, style="yellow", markup=False, highlight=False)
