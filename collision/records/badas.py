"""The BADAS consensus as an overlay: when ten people saw a collision coming, and whose it was.

Nexar published for the test clips of DAD, DADA-2000 and DoTA whether the camera's own car is
involved, and the times of alert and collision on which most of ten annotators agreed
(github.com/getnexar/BADAS-Open, folder ``annotation``; arXiv 2510.14876). One row a clip:

    id,batch,Event-type,Nexar-vehicle-involved,min_support,Time-of-alert,Time-of-collision,Diff,...

DoTA's file lacks the last column, ``article_category``. Times are seconds in the clip's own time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from collision.errors import ConfigError, DatasetNotFoundError
from collision.records.annotations import parse_csv, seconds, warn_once
from collision.types import Seconds, VideoRecord

COLUMNS = (
    *("id", "Event-type", "Nexar-vehicle-involved", "min_support"),
    *("Time-of-alert", "Time-of-collision"),
)
WHERE = "The files are in the folder annotation of github.com/getnexar/BADAS-Open."


@dataclass(frozen=True, slots=True)
class Consensus:
    """What the annotators said of one clip; the times are of alert and collision.

    Attributes:
        name: The clip's file without its suffix.
        event_type: ``Collision`` or ``Near-collision``.
        ego: ``yes`` if the camera's own car is involved, else ``no``.
        category: How the paper's table counts the clip, such as ``pos-ego``; may be empty.
    """

    name: str
    event_type: str
    ego: str
    support: int
    alert_time: Seconds | None
    event_time: Seconds | None
    category: str

    def tags(self) -> dict[str, str]:
        """Give what results can be sliced by."""
        tags = {"ego": self.ego, "event_type": self.event_type, "support": str(self.support)}
        return tags | ({"category": self.category} if self.category else {})


def read_consensus(file: Path) -> dict[int, Consensus]:
    """Read a consensus file: rows by line number, or an AnnotationError with all bad ones."""
    if not file.is_file():
        raise DatasetNotFoundError(file.absolute().parent, [file.name], WHERE)
    return parse_csv(file, COLUMNS, _consensus, key=lambda row: row.name)


def with_consensus(
    records: Sequence[VideoRecord], file: Path, name_of: Callable[[VideoRecord], str | None]
) -> list[VideoRecord]:
    """Give clips the consensus times and tags where the file has them; drop and move none.

    Both times replace a clip's own, if the file gives that of the collision; ``event_from`` is then
    ``consensus``. ``name_of`` says what the file calls a clip, without suffix, or None. A file of
    another set, none of whose clips is here, is a ConfigError.
    """
    rows = {row.name: row for row in read_consensus(file).values()}
    names = [name_of(record) for record in records]
    if rows and rows.keys().isdisjoint(names):
        raise ConfigError(
            f"dataset.badas={file}: none of its {len(rows)} clips, such as "
            f"{', '.join(list(rows)[:3])}, is in this data set. Name the file of this set, or "
            "leave badas out; it lists test clips."
        )
    if unused := sorted(rows.keys() - set(names)):
        some = ", ".join(unused[:3])
        count = f"{len(unused)} of its {len(rows)} clips"
        warn_once(f"{file}: {count} are not in this data set, such as {some}.")
    return [_overlaid(r, rows.get(n or "")) for r, n in zip(records, names, strict=True)]


def ego_clips(records: Sequence[VideoRecord]) -> list[VideoRecord]:
    """Keep the negatives, and the positives whose tag ``ego`` is ``yes``; ConfigError: none is."""
    kept = [r for r in records if r.label != 1 or r.tags.get("ego") == "yes"]
    if not any(r.label == 1 for r in kept):
        raise ConfigError(
            "dataset.ego_only=true: no clip here is known to involve the camera's own car. Name "
            f"the consensus file of this data set with dataset.badas=FILE. {WHERE}"
        )
    return kept


def _overlaid(record: VideoRecord, row: Consensus | None) -> VideoRecord:
    if row is None:
        return record
    tags = {**record.tags, **row.tags()}
    if row.event_time is None:
        return replace(record, tags=tags)
    tags["event_from"] = "consensus"
    return replace(record, event_time=row.event_time, alert_time=row.alert_time, tags=tags)


def _consensus(field: Mapping[str, str]) -> Consensus:
    name = PurePosixPath(field["id"]).stem
    if not name or "/" in field["id"]:
        raise ValueError(f"id {field['id']!r} is no name of a clip")
    event_type, ego, support = (field[column] for column in COLUMNS[1:4])
    if event_type not in ("Collision", "Near-collision"):
        raise ValueError(f"Event-type {event_type!r} is no Collision or Near-collision")
    if ego not in ("yes", "no"):
        raise ValueError(f"Nexar-vehicle-involved {ego!r} is neither yes nor no")
    if not (support.isascii() and support.isdigit()):
        raise ValueError(f"min_support {support!r} is no number of annotators")
    alert_time = seconds("Time-of-alert", field["Time-of-alert"])
    event_time = seconds("Time-of-collision", field["Time-of-collision"])
    if alert_time is not None and event_time is not None and alert_time > event_time:
        raise ValueError(f"Time-of-alert {alert_time:g} is after Time-of-collision {event_time:g}")
    category = field.get("article_category", "")
    return Consensus(name, event_type, ego, int(support), alert_time, event_time, category)
