"""What `predict` leaves in its output folder, and how it knows again what is finished.

    <name>.csv .jsonl .parquet .png .overlay.mp4     of each clip
    summary.csv alarms.csv predictions.html          of all clips of a call
    .predictions/<hash>.json                         what is known of a finished clip

Shapes: N moments.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from collision.checks import STRICT, typed
from collision.errors import CheckpointError, CollisionError, ConfigError
from collision.files import load_json, write_json, write_whole
from collision.metrics.alarms import Alarm, AlarmRule
from collision.prediction import Prediction, small_picture
from collision.types import Seconds

FOLDER = ".predictions"
FORMAT = 1
COLUMNS = ("time", "probability", "window")
SUMMARY = (
    *("name", "clip", "duration", "peak", "peak_probability", "threshold", "alarms"),
    *("first_alarm", "alarm_seconds", "event_time", "warned_before", "distance", "failure"),
)
ALARMS = ("name", "clip", "start", "peak", "end", "peak_probability", "event_time")


@dataclass(frozen=True)
class Finished:
    """A clip that was predicted, as it is kept.

    Attributes:
        source: Its path or address.
        key: Of its content, with its clock and stream.
        asked: Which predictor, and which moments.
        name: Of its files in the output folder.
        probabilities: None where nothing is seen.
        video: Facts of the file: ``codec``, ``pixels`` and ``kind``, its container's suffix.
        poster: A small WebP of its most dangerous moment, in base64; of earlier versions a JPEG.
        made: By kind of file, the options that it was made with.
    """

    __pydantic_config__ = STRICT

    source: str
    key: str
    asked: str
    name: str
    times: tuple[float, ...]
    probabilities: tuple[float | None, ...]
    from_part: tuple[bool, ...]
    first_time: Seconds
    duration: Seconds
    video: dict[str, str]
    poster: str
    threshold: float | None = None
    distance: float | None = None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    made: dict[str, str] = field(default_factory=dict)
    format: int = FORMAT

    def prediction(self, path: Path, event_time: Seconds | None, rule: AlarmRule) -> Prediction:
        """Give it as it was predicted; ``path`` is where the clip lies now."""
        return Prediction(
            path,
            np.array(self.times),
            np.array([np.nan if one is None else one for one in self.probabilities]),
            self.first_time,
            self.threshold,
            event_time,
            None,
            np.array(self.from_part, bool),
            self.distance,
            self.warnings,
            rule,
        )


def finished_of(prediction: Prediction, source: str, key: str, asked: str, name: str) -> Finished:
    """Keep what a prediction says."""
    index = prediction.index
    assert index is not None
    known = [None if np.isnan(one) else float(one) for one in prediction.probabilities]
    kind = "" if index.images else index.path.suffix.lower().lstrip(".")
    facts = {"codec": index.codec, "pixels": index.pixels, "kind": kind}
    # In base64 a frame of a road takes 7 kB so, and 12 as the JPEG of before.
    poster = small_picture(index, float(prediction.times[prediction.peak]), kind="WEBP")
    return Finished(
        source,
        key,
        asked,
        name,
        tuple(prediction.times.tolist()),
        tuple(known),
        tuple(prediction.from_part.tolist()),
        float(prediction.first_time),
        float(index.duration),
        facts,
        base64.b64encode(poster).decode("ascii"),
        prediction.threshold,
        prediction.distance,
        tuple(prediction.notes),
        tuple(prediction.warnings),
    )


class Shelf:
    """The output folder: what is finished in it, and which names are taken."""

    def __init__(self, output: Path):
        self.output, self.folder = output, output / FOLDER
        self.taken: dict[str, str] = {}
        for file in sorted(self.folder.glob("*.json")):
            if (found := _read(file)) is not None:
                self.taken.setdefault(found.name.casefold(), _hash(found.source, found.asked))

    def find(self, source: str, key: str, asked: str) -> Finished | None:
        """Give what is known of a clip, unless the file has changed since."""
        found = _read(self.folder / f"{_hash(source, asked)}.json")
        if found is None or (found.source, found.key, found.asked) != (source, key, asked):
            return None
        return found

    def keep(self, finished: Finished) -> None:
        """Note that a clip is finished, as far as ``made`` says."""
        self.folder.mkdir(parents=True, exist_ok=True)
        place = self.folder / f"{_hash(finished.source, finished.asked)}.json"
        write_json(place, asdict(finished))

    def name_for(self, name: str, source: str, asked: str) -> str:
        """Reserve a name below the folder: the wanted one, or with a number, nobody's files'."""
        own, count, free = _hash(source, asked), 1, name
        while self.taken.get(free.casefold(), own) != own or (
            free.casefold() not in self.taken and self._is_used(free)
        ):
            count += 1
            free = f"{name}-{count}"
        self.taken[free.casefold()] = own
        (self.output / free).parent.mkdir(parents=True, exist_ok=True)
        return free

    def file(self, finished: Finished, suffix: str) -> Path:
        """Give the place of one of a clip's files."""
        return self.output / f"{finished.name}{suffix}"

    def coded(self, finished: Finished, suffix: str) -> str:
        """Give one of a clip's files in base64; empty where it is not there."""
        file = self.file(finished, suffix)
        return base64.b64encode(file.read_bytes()).decode("ascii") if file.is_file() else ""

    def _is_used(self, name: str) -> bool:
        return any((self.output / f"{name}{s}").exists() for s in (".csv", ".jsonl", ".png"))


def _read(file: Path) -> Finished | None:
    try:
        found: Finished = typed(Finished, load_json(file), where="it", error=CheckpointError)
    except (OSError, ValueError, CollisionError):  # not there, damaged, or of another version
        return None
    is_whole = len(found.times) == len(found.probabilities) == len(found.from_part) > 0
    parts = Path(found.name).parts
    is_below = ".." not in parts and not Path(found.name).is_absolute()
    return found if is_whole and is_below and found.format == FORMAT else None


def _hash(*texts: str) -> str:
    joined = "\0".join(texts).encode(errors="surrogateescape")
    return hashlib.sha256(joined).hexdigest()[:24]


@dataclass(frozen=True)
class Outcome:
    """What became of one clip: what is known of it, or why it failed."""

    name: str
    source: str
    finished: Finished | None = None
    prediction: Prediction | None = None
    failure: str = ""
    player: str = ""  # the video that the page plays, relative to it
    is_new: bool = False  # whether anything had to be made
    given: str = ""  # as the user named it

    def failed(self, reason: str) -> Outcome:
        """Add why it failed, after all or later."""
        return replace(self, failure=reason)


def suffix(kind: str) -> str:
    """Give the suffix of a kind of file."""
    known = {"overlay": ".overlay.mp4", "small": ".small.mp4", "look": ".heat.jpg"}
    return known.get(kind, ".heat.safetensors" if kind == "heat" else f".{kind}")


def write_curve(prediction: Prediction, target: Path, kind: str) -> None:
    """Write the curve as ``csv``, ``jsonl`` (JSON lines) or ``parquet``.

    ``window`` is ``whole``, ``part`` where the beginning of the file or a hole left less to see,
    and, as the probability then, empty (null) where nothing is seen.
    """
    columns = (prediction.times, prediction.probabilities, prediction.from_part)
    rows = [
        (round(float(t), 6), None, None)
        if np.isnan(p)
        else (round(float(t), 6), round(float(p), 6), "part" if is_part else "whole")
        for t, p, is_part in zip(*columns, strict=True)
    ]
    if kind == "csv":
        table = [
            [f"{t:.3f}", "" if p is None else f"{p:.6f}", window or ""] for t, p, window in rows
        ]
        write_whole(target, as_csv([COLUMNS, *table]))
    elif kind == "jsonl":
        lines = [json.dumps(dict(zip(COLUMNS, row, strict=True))) for row in rows]
        write_whole(target, "".join(f"{line}\n" for line in lines))
    else:
        _write_parquet(rows, target)


def _write_parquet(rows: Sequence[tuple[Any, ...]], target: Path) -> None:
    pyarrow, parquet = load_parquet()
    kinds = (pyarrow.float64(), pyarrow.float64(), pyarrow.string())
    schema = pyarrow.schema(list(zip(COLUMNS, kinds, strict=True)))
    columns = [list(column) for column in zip(*rows, strict=True)]
    table = pyarrow.table(dict(zip(COLUMNS, columns, strict=True)), schema=schema)
    sink = io.BytesIO()
    parquet.write_table(table, sink)
    write_whole(target, sink.getvalue())


def load_parquet() -> tuple[Any, Any]:
    """Load what writes Parquet; ConfigError where it is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError:
        raise ConfigError(
            "formats=[parquet] needs pyarrow, which is not installed: `uv sync --extra parquet`, "
            "or take formats=[csv]."
        ) from None
    return pyarrow, parquet


def as_csv(rows: Iterable[Sequence[Any]]) -> str:
    """Write rows; None is an empty field."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def write_tables(outcomes: Sequence[Outcome], output: Path) -> None:
    """Write ``summary.csv``, a line a clip, and ``alarms.csv``, a line an alarm."""
    rows = [_summary(outcome) for outcome in outcomes]
    write_whole(output / "summary.csv", as_csv([SUMMARY, *rows]))
    alarms = [
        [
            *_who(one),
            *(f"{t:.3f}" for t in (alarm.start, alarm.peak, alarm.end)),
            f"{alarm.score:.6f}",
            _seconds(one.prediction.event_time),
        ]
        for one in outcomes
        if one.prediction is not None
        for alarm in one.prediction.alarms
    ]
    write_whole(output / "alarms.csv", as_csv([ALARMS, *alarms]))


def _who(outcome: Outcome) -> list[str]:
    return [outcome.name, outcome.source]


def _summary(outcome: Outcome) -> list[str]:
    said, kept = outcome.prediction, outcome.finished
    if said is None or kept is None:
        return [*_who(outcome), *[""] * (len(SUMMARY) - 3), outcome.failure]
    alarms = said.alarms
    return [
        *_who(outcome),
        _seconds(kept.duration),
        _seconds(float(said.times[said.peak])),
        f"{said.probabilities[said.peak]:.6f}",
        "" if said.threshold is None else f"{said.threshold:.6f}",
        "" if said.threshold is None else str(len(alarms)),
        _seconds(alarms[0].start if alarms else None),
        "" if said.threshold is None else _seconds(sum(alarm.length for alarm in alarms)),
        _seconds(said.event_time),
        _seconds(warned_before(alarms, said.event_time)),
        "" if said.distance is None else f"{said.distance:.3f}",
        outcome.failure,
    ]


def warned_before(alarms: Sequence[Alarm], event_time: Seconds | None) -> Seconds | None:
    """Give how long before the event the first alarm began; None where none did by then."""
    if event_time is None or not alarms or alarms[0].start >= event_time:
        return None
    return event_time - alarms[0].start


def _seconds(value: Seconds | None) -> str:
    return "" if value is None else f"{value:.3f}"
