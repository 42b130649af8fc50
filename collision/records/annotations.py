"""What readers of annotation files share: each line is read by itself, and no bad one is lost.

A reader gives a line's value or raises ``ValueError`` with what is wrong with it. All rejected
lines of a file are reported together, each with file and line number.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import logging
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from collision.errors import AnnotationError, ConfigError, Rejected
from collision.records.near import meant
from collision.types import Seconds

logger = logging.getLogger(__name__)
Line = TypeVar("Line")
Value = TypeVar("Value")

_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
# Excel writes and hides a first line `sep=;`; saved again it may be padded with separators.
_SEPARATOR_LINE = re.compile(r'"?sep=([^\w"])"?\1*\s*', re.IGNORECASE)
# What spreadsheets and pandas write where there is no value.
_NO_VALUE = {"", "nan", "na", "n/a", "#n/a", "<na>", "nat", "none", "null"}
_LABELS = {"1": 1, "1.0": 1, "true": 1, "yes": 1, "0": 0, "0.0": 0, "false": 0, "no": 0}
_CLOCK = re.compile(r"(?:(\d+):(?=[0-5]?\d:))?(\d+):([0-5]?\d(?:\.\d*)?)", re.ASCII)


def parse_lines(
    file: Path, lines: Iterable[tuple[int, Line]], parse: Callable[[Line], Value]
) -> dict[int, Value]:
    """Read lines by number, from 1; an AnnotationError holds all that ``parse`` rejected."""
    return dict(parse_each(file, lines, parse))


def parse_each(
    file: Path, lines: Iterable[tuple[int, Line]], parse: Callable[[Line], Value]
) -> list[tuple[int, Value]]:
    """Read as ``parse_lines`` does what may begin in one line."""
    values, rejected = [], []
    for number, line in lines:
        try:
            values.append((number, parse(line)))
        except ValueError as error:
            rejected.append(Rejected(file, number, str(error)))
    reject(rejected)
    return values


class ErrorCollector:
    """Reads several tables of a data set, and reports the bad lines of all of them together."""

    def __init__(self) -> None:
        self.rejected: list[Rejected] = []

    def try_read(self, reader: Callable[..., Value], *arguments: object, default: Any) -> Value:
        """Give what a reader reads, or ``default`` if it rejects lines; ``check`` reports them."""
        try:
            return reader(*arguments)
        except AnnotationError as error:
            if not error.rejected:
                raise
            self.rejected += error.rejected
            return default

    def check(self) -> None:
        """Stop with an AnnotationError if tables had bad lines: all of them."""
        reject(list(dict.fromkeys(self.rejected)))  # a table may be read for several others


def reject(rejected: Sequence[Rejected]) -> None:
    """Stop with an AnnotationError if there are rejected lines: all of them."""
    if rejected:
        raise AnnotationError.of(rejected)


def reject_repeated(file: Path, names: Iterable[tuple[int, str]]) -> None:
    """Stop if a file names something twice: an AnnotationError with every repeated line."""
    first: dict[str, int] = {}
    repeated = [
        Rejected(file, line, f"{name!r} is in line {first[name]} already")
        for line, name in names
        if name in first or first.setdefault(name, line) != line
    ]
    reject(repeated)


def read_text(file: Path) -> list[tuple[int, str]]:
    """Give the lines of a text file that hold something, with their numbers from 1."""
    # Not splitlines(): form feeds and the like end no line in an editor.
    lines = re.split("\r\n|\r|\n", decoded(file))
    return [(n, line.strip()) for n, line in enumerate(lines, start=1) if line.strip()]


def read_header(file: Path) -> list[str]:
    """Read the names of a CSV file's columns, stripped of blanks; none may come twice."""
    rows, _ = _csv_rows(file)
    header = rows[0][1] if rows else []
    while header and not header[-1]:  # a spreadsheet that once was wider
        header.pop()
    if twice := [name for name, count in Counter(header).items() if count > 1]:
        there = ", ".join(header)
        raise AnnotationError(f"{str(file)!r} has two columns {twice[0]!r}. All: {there}.")
    return header


def parse_csv(
    file: Path,
    required: Sequence[str],
    parse: Callable[[dict[str, str]], Value],
    key: Callable[[Value], str] | None = None,
) -> dict[int, Value]:
    """Read every line of a CSV file with a header; give values by line, from 1.

    Fields are separated by what parts the header into most: commas, semicolons or tabs, or by what
    a first line ``sep=;`` names. They are stripped of blanks. The number is of a line's first, if a
    quoted field runs over several. ``parse`` gives the value of a line's fields, or raises
    ``ValueError``; no two lines may have the same ``key``.

    Raises:
        AnnotationError: It is no such file, lacks a column or has it twice; or, all together, lines
            of the wrong length and those that ``parse`` rejected; or lines that repeat a key.
    """
    header = read_header(file)
    require_columns(file, header, required)
    rows, separator = _csv_rows(file)
    named = _SEPARATORS.get(separator, repr(separator))

    def value(row: list[str]) -> Value:
        if any(row[len(header) :]) or len(row) < len(header):
            reason = f"{len(row)} fields where the header has {len(header)}"
            raise ValueError(f"{reason}; quote those that contain {named}")
        return parse(dict(zip(header, row, strict=False)))

    values = parse_lines(file, rows[1:], value)
    if key is not None:
        reject_repeated(file, ((number, key(value)) for number, value in values.items()))
    return values


def require_columns(
    file: Path, header: Sequence[str], required: Iterable[str], remedy: str = ""
) -> None:
    """Stop at the first column that is not there: an AnnotationError with those that there are.

    Where semicolons or tabs may separate fields, too, that is said in place of ``remedy``.
    """
    absent = [name for name in required if name not in header]
    if not absent:
        return
    for separator, name in _SEPARATORS.items():
        if any(separator in column for column in header):
            remedy = f" If its fields are separated by {name}: save it with commas alone."
    there = ", ".join(header) or "none"
    raise AnnotationError(f"{str(file)!r} has no column {absent[0]!r}. It has: {there}.{remedy}")


def _csv_rows(file: Path) -> tuple[list[tuple[int, list[str]]], str]:
    """Give the rows that hold something, with their lines, and what separates their fields."""
    text = decoded(file)
    lines = (line for line in re.split("\r\n|\r|\n", text) if line.strip(' ,;\t"'))
    first = next(lines, "")
    named = _SEPARATOR_LINE.fullmatch(first)
    separator = named[1] if named else max(_SEPARATORS, key=lambda one: _num_fields(first, one))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows = []
    begins = 1
    try:
        for row in reader:
            rows.append((begins, [field.strip() for field in row]))
            begins = reader.line_num + 1
    except csv.Error as error:
        raise AnnotationError.of([Rejected(file, begins, str(error))]) from error
    filled = [(number, row) for number, row in rows if any(row)]
    return filled[1:] if named else filled, separator


def _num_fields(line: str, separator: str) -> int:
    try:
        return len(next(csv.reader([line], delimiter=separator, strict=True), []))
    except csv.Error:
        return 0


def decoded(file: Path) -> str:
    """Read a text file: UTF-8, or UTF-16 with its mark; AnnotationError if it is neither."""
    try:
        data = file.read_bytes()
    except OSError as error:  # a folder of that name, for instance
        raise AnnotationError(f"Cannot read {str(file)!r}: {error.strerror}.") from error
    # Excel begins its files with a byte order mark; its "Unicode text" is UTF-16.
    is_wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if is_wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        # Counted in what was decoded: of UTF-8 without the mark, as `start` is.
        before = error.object[: error.start].decode(error.encoding, errors="replace")
        number = len(re.split("\r\n|\r|\n", before))
        reason = f"not {error.encoding.upper()} text: byte {error.object[error.start]:#04x}"
        raise AnnotationError.of([Rejected(file, number, f"{reason}; save it as UTF-8")]) from error


def read_json(file: Path) -> Any:
    """Read a JSON file; AnnotationError if it is none."""
    try:
        return json.loads(decoded(file))
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"{str(file)!r} is not JSON: {error}.") from error


def seconds(name: str, text: str) -> Seconds | None:
    """Read a time: seconds, ``mm:ss`` or ``hh:mm:ss``, with decimals; None if there is no value.

    ValueError: it is something else.
    """
    if is_missing(text):
        return None
    try:
        if "_" in text:  # float() takes 1_5 for 15
            raise ValueError
        if clock := _CLOCK.fullmatch(text):
            value = 3600.0 * int(clock[1] or 0) + 60.0 * int(clock[2]) + float(clock[3])
        else:
            value = float(text)
    except (ValueError, OverflowError):
        point = text.replace(",", ".")
        is_comma = re.fullmatch(r"[\d:]*\.\d+", point) and point != text
        hint = f": write a point, {point}" if is_comma else ""
        raise ValueError(f"{name} {text!r} is not a number of seconds{hint}") from None
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} {text!r} is not a time in the video")
    return value


def is_missing(text: str) -> bool:
    """Whether a field is empty, or holds what spreadsheets and pandas write for that."""
    return text.casefold() in _NO_VALUE


def binary(name: str, text: str) -> int:
    """Read a label as 0 or 1, from numbers or words; ValueError: it is something else."""
    if text.casefold() not in _LABELS:
        raise ValueError(f"{name} {text!r} is neither 0 nor 1")
    return _LABELS[text.casefold()]


def path_below(root: Path, text: str, allow_links: bool = False) -> Path:
    """Find a file or folder below the root: under the name of the table, if that is a link.

    A name that differs from that on the disk in case or Unicode form, lacks the suffix or has
    backslashes is found where only one file can be meant.

    Raises:
        ValueError: It is no path, names a place elsewhere, or may mean several files.
        ConfigError: It is a link that leads elsewhere, and those are not allowed.
    """
    if not text:
        raise ValueError("no video is named")
    root = root.resolve()
    try:
        path = meant(root, text)
        target = path.resolve()
    except (OSError, RuntimeError) as error:
        raise ValueError(f"video {text!r} is no path: {error}") from error
    if not path.is_relative_to(root) and target.is_relative_to(root):
        path = target  # an absolute path, by way of a link to the root
    if not path.is_relative_to(root) or root in (path, target):
        raise ValueError(f"video {text!r} lies outside the root {str(root)!r}")
    if allow_links or target.is_relative_to(root):
        return path
    raise ConfigError(
        f"{str(path)!r} is a link to {str(target)!r}, outside the data set's folder. Take such "
        "links with dataset.allow_links=true, or, if this is the cache of a hub, download the "
        "files themselves: hf download ... --local-dir FOLDER."
    )


@cache  # a data set is indexed several times in one run
def warn_once(message: str) -> None:
    """Log a warning, unless it was logged before."""
    logger.warning(message)
