"""What readers of annotation files share: each line is read by itself, and no bad one is lost.

A reader gives a line's value or raises ``ValueError`` with what is wrong with it. All rejected
lines of a file are reported together, each with file and line number.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from collision.errors import AnnotationError, ConfigError, Rejected
from collision.types import Seconds

logger = logging.getLogger(__name__)
Line = TypeVar("Line")
Value = TypeVar("Value")


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
    """Give the lines of a UTF-8 file that hold something, with their numbers from 1."""
    # Not splitlines(): form feeds and the like end no line in an editor.
    lines = re.split("\r\n|\r|\n", _decoded(file))
    return [(n, line.strip()) for n, line in enumerate(lines, start=1) if line.strip()]


def read_header(file: Path) -> list[str]:
    """Read the names of a CSV file's columns, stripped of blanks; none may come twice."""
    rows = _csv_rows(file)
    header = rows[0][1] if rows else []
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
    """Read every line of a UTF-8 CSV file with a header; give values by line, from 1.

    Fields are stripped of blanks. The number is of a line's first, if a quoted field runs over
    several. ``parse`` gives the value of a line's fields, or raises ``ValueError``; no two lines
    may have the same ``key``.

    Raises:
        AnnotationError: It is no such file, lacks a column or has it twice; or, all together, lines
            of the wrong length and those that ``parse`` rejected; or lines that repeat a key.
    """
    header = read_header(file)
    require_columns(file, header, required)

    def value(row: list[str]) -> Value:
        if len(row) != len(header):
            reason = f"{len(row)} fields where the header has {len(header)}"
            raise ValueError(f"{reason}; quote those that contain a comma")
        return parse(dict(zip(header, row, strict=True)))

    lines = [(number, row) for number, row in _csv_rows(file)[1:] if any(row)]
    values = parse_lines(file, lines, value)
    if key is not None:
        reject_repeated(file, ((number, key(value)) for number, value in values.items()))
    return values


def require_columns(
    file: Path, header: Sequence[str], required: Iterable[str], remedy: str = ""
) -> None:
    """Stop at the first column that is not there: an AnnotationError with those that there are.

    Where a spreadsheet separated by semicolons or tabs, that is said in place of ``remedy``.
    """
    absent = [name for name in required if name not in header]
    if not absent:
        return
    for name, separator in (("semicolons", ";"), ("tabs", "\t")):
        if any(separator in column for column in header):
            remedy = f" Its fields are separated by {name}: save it with commas."
    there = ", ".join(header) or "none"
    raise AnnotationError(f"{str(file)!r} has no column {absent[0]!r}. It has: {there}.{remedy}")


def _csv_rows(file: Path) -> list[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(_decoded(file), newline=""), strict=True)
    rows = []
    begins = 1
    try:
        for row in reader:
            rows.append((begins, [field.strip() for field in row]))
            begins = reader.line_num + 1
    except csv.Error as error:
        raise AnnotationError.of([Rejected(file, begins, str(error))]) from error
    return rows


def _decoded(file: Path) -> str:
    try:
        data = file.read_bytes()
    except OSError as error:  # a folder of that name, for instance
        raise AnnotationError(f"Cannot read {str(file)!r}: {error.strerror}.") from error
    try:
        return data.decode("utf-8-sig")  # Excel begins its files with a byte order mark
    except UnicodeDecodeError as error:
        # Counted in what was decoded: without the mark, as `start` is.
        before = error.object[: error.start].decode()
        number = len(re.split("\r\n|\r|\n", before))
        reason = f"not UTF-8 text: byte {error.object[error.start]:#04x}; save it as UTF-8"
        raise AnnotationError.of([Rejected(file, number, reason)]) from error


def read_json(file: Path) -> Any:
    """Read a JSON file; AnnotationError if it is none."""
    try:
        return json.loads(_decoded(file))
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"{str(file)!r} is not JSON: {error}.") from error


def seconds(name: str, text: str) -> Seconds | None:
    """Read a time; an empty field is none, and what is no time a ValueError."""
    if not text:
        return None
    try:
        if "_" in text:  # float() takes 1_5 for 15
            raise ValueError
        value = float(text)
    except ValueError:
        raise ValueError(f"{name} {text!r} is not a number of seconds") from None
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} {text!r} is not a time in the video")
    return value


def path_below(root: Path, text: str, follow_links: bool = False) -> Path:
    """Find a file or folder below the root, which may be a link itself.

    Raises:
        ValueError: It is no path, or names a place elsewhere.
        ConfigError: It is a link that leads elsewhere, and those are not followed.
    """
    if not text:
        raise ValueError("no video is named")
    root = root.resolve()
    try:
        named, path = Path(os.path.normpath(root / text)), (root / text).resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise ValueError(f"video {text!r} is no path: {error}") from error
    if path.is_relative_to(root) and path != root:
        return path
    if not named.is_relative_to(root) or named == root or path == root:
        raise ValueError(f"video {text!r} lies outside the root {str(root)!r}")
    if follow_links:
        return named
    raise ConfigError(
        f"{str(root / text)!r} is a link to {str(path)!r}, outside the data set's folder: such "
        "links are followed with dataset.follow_links=true."
    )


@cache  # a data set is indexed several times in one run
def warn_once(message: str) -> None:
    """Log a warning, unless it was logged before."""
    logger.warning(message)
