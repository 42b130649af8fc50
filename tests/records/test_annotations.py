"""What all readers of annotation files share: every line is read or rejected by its number."""

import csv
import io
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collision.errors import AnnotationError, ConfigError, Rejected
from collision.records.annotations import (
    ErrorCollector,
    is_missing,
    parse_csv,
    parse_lines,
    path_below,
    read_header,
    read_json,
    read_text,
    reject,
    reject_repeated,
    seconds,
)

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=60)


def read_csv(file, required):
    return list(parse_csv(file, required, dict).items())


def written(folder: Path, data: str | bytes) -> Path:
    file = folder / "file"
    file.write_bytes(data.encode() if isinstance(data, str) else data)
    return file


def rejected(read: Any, *arguments: Any) -> list[tuple[int, str]]:
    with pytest.raises(AnnotationError) as caught:
        read(*arguments)
    return [(one.line, one.reason) for one in caught.value.rejected]


# Lines


def test_all_rejected_lines_are_reported(tmp_path: Path):
    file = tmp_path / "numbers.txt"
    lines = [(1, "1"), (2, "x"), (5, "2"), (9, "y")]
    with pytest.raises(AnnotationError) as caught:
        parse_lines(file, lines, int)
    assert [(one.file, one.line) for one in caught.value.rejected] == [(file, 2), (file, 9)]
    assert f"2 line(s) cannot be used:\n  {file}, line 2: " in str(caught.value)
    assert parse_lines(file, lines[::2], int) == {1: 1, 5: 2}


def test_only_value_errors_are_the_lines_fault(tmp_path: Path):
    with pytest.raises(ZeroDivisionError):
        parse_lines(tmp_path, [(1, 0)], lambda number: 1 / number)


def test_a_long_report_is_shortened(tmp_path: Path):
    lines = [Rejected(tmp_path / "a", line, "bad") for line in range(1, 31)]
    with pytest.raises(AnnotationError) as caught:
        reject(lines)
    assert "line 20: bad\n  ... and 10 more" in str(caught.value)
    assert caught.value.rejected == lines
    reject([])


def test_repeated_names(tmp_path: Path):
    names = [(2, "a"), (3, "b"), (4, "a"), (4, "c"), (7, "a")]
    assert rejected(reject_repeated, tmp_path, names) == [
        (4, "'a' is in line 2 already"),
        (7, "'a' is in line 2 already"),
    ]
    assert rejected(reject_repeated, tmp_path, [(2, "a"), (2, "a")])
    reject_repeated(tmp_path, names[:2])


# Text


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_of_text(tmp_path: Path, end: str):
    text = end.join([" one ", "", "  ", "two\x0cand\x85three", "\x1c"])
    assert read_text(written(tmp_path, text)) == [(1, "one"), (4, "two\x0cand\x85three")]


def test_a_byte_order_mark_is_no_text(tmp_path: Path):
    assert read_text(written(tmp_path, b"\xef\xbb\xbfone")) == [(1, "one")]
    assert read_header(written(tmp_path, b"\xef\xbb\xbfone,two")) == ["one", "two"]
    assert read_json(written(tmp_path, b"\xef\xbb\xbf[1]")) == [1]


@pytest.mark.parametrize("read", [read_text, read_json, read_header])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_not_text(tmp_path: Path, read: Any, mark: bytes, end: bytes):
    file = written(tmp_path, mark + end.join(["é".encode(), b"b", b"c \xff d", b"\xff"]))
    assert rejected(read, file) == [(3, "not UTF-8 text: byte 0xff; save it as UTF-8")]


def test_not_a_file(tmp_path: Path):
    for path in (tmp_path, tmp_path / "nope"):
        with pytest.raises(AnnotationError, match=re.escape(f"Cannot read {str(path)!r}: ")):
            read_text(path)


@given(text=TEXT)
def test_text_keeps_what_stands_on_each_line(tmp_path_factory: pytest.TempPathFactory, text: str):
    lines = read_text(written(tmp_path_factory.getbasetemp(), text))
    expected = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    assert lines == [(n, line.strip()) for n, line in enumerate(expected, 1) if line.strip()]


# CSV


def test_csv(tmp_path: Path):
    file = written(tmp_path, 'id , note\r\n 1 ,"a, b"\r\n\r\n,\r\n"2","c ""d"""\r\n')
    assert read_header(file) == ["id", "note"]
    assert read_csv(file, ["note"]) == [
        (2, {"id": "1", "note": "a, b"}),
        (5, {"id": "2", "note": 'c "d"'}),
    ]


def test_a_field_over_several_lines_counts_from_its_first(tmp_path: Path):
    file = written(tmp_path, 'id,note\n1,"a\nb\nc"\n2\n3,d\n')
    assert rejected(read_csv, file, ["id"]) == [
        (5, "1 fields where the header has 2; quote those that contain commas")
    ]
    file = written(tmp_path, 'id,note\n1,"a\nb\nc"\n3,d\n')
    assert [number for number, _ in read_csv(file, [])] == [2, 5]


@pytest.mark.parametrize(
    ("text", "line"), [('a,b\n1,2\n"3,4\n5,6\n', 3), ('a,b\n1,2\n"3"x,4\n', 3), ('"a\n', 1)]
)
def test_quotes_that_do_not_fit(tmp_path: Path, text: str, line: int):
    assert [number for number, _ in rejected(read_csv, written(tmp_path, text), [])] == [line]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no column 'id'. It has: none."),
        ("\n1\n", "has no column 'id'. It has: 1."),
        ("ID,b\n", "has no column 'id'. It has: ID, b."),
        ("id;b,c\n", "It has: id;b, c. If its fields are separated by semicolons: save it with"),
        ("id\tb,c\n", "If its fields are separated by tabs: save it with commas alone."),
        ("id,b, id\n", "has two columns 'id'. All: id, b, id."),
    ],
)
def test_headers(tmp_path: Path, text: str, message: str):
    with pytest.raises(AnnotationError, match=re.escape(message)):
        read_csv(written(tmp_path, text), ["id"])


def test_lines_of_the_wrong_length_and_wrong_lines_are_reported_together(tmp_path: Path):
    file = written(tmp_path, "id,note\n1,a\nx,b\n3\n4,c\n")
    assert [line for line, _ in rejected(parse_csv, file, ["id"], lambda f: int(f["id"]))] == [3, 4]


@given(rows=st.lists(st.lists(TEXT, min_size=2, max_size=2), max_size=5))
def test_what_was_written_is_read(tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]):
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows([["a", "b"], *rows])
    file = written(tmp_path_factory.getbasetemp(), buffer.getvalue())
    expected = [{"a": a.strip(), "b": b.strip()} for a, b in rows if a.strip() or b.strip()]
    assert [fields for _, fields in read_csv(file, ["a"])] == expected


@given(data=st.binary(max_size=60) | st.text('a,"\n\r é', max_size=40).map(str.encode))
def test_any_bytes_are_read_or_rejected(tmp_path_factory: pytest.TempPathFactory, data: bytes):
    file = written(tmp_path_factory.getbasetemp(), b"a,b\n1,2\n" + data)
    try:
        lines = read_csv(file, ["a"])
    except AnnotationError as error:
        assert all(one.file == file and one.line >= 2 for one in error.rejected)
        assert error.rejected
        return
    assert lines and all(set(fields) == {"a", "b"} for _, fields in lines)


# JSON


@pytest.mark.parametrize("text", ["", "{", "[1,]", "[" * 100_000, "nul"])
def test_no_json(tmp_path: Path, text: str):
    with pytest.raises(AnnotationError, match="is not JSON"):
        read_json(written(tmp_path, text))


# Times


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("0", 0),
        ("12.50", 12.5),
        ("1e1", 10),
        ("-0", 0),
        ("0:05.187", 5.187),
        ("90:00", 5400),
        ("01:02:03.5", 3723.5),
        ("NaN", None),
        ("N/A", None),
    ],
)
def test_times(text: str, value: float | None):
    assert seconds("event", text) == value


@pytest.mark.parametrize(
    "text",
    [
        "-1",
        "inf",
        "-nan",
        "1e999",
        "soon",
        "1,5",
        "1_5",
        "0x1",
        "1 2",
        "1:60",
        "1:60:00",
        ":5",
        "0:0:1:5",
    ],
)
def test_no_times(text: str):
    with pytest.raises(ValueError, match=f"event '{re.escape(text)}' is not a"):
        seconds("event", text)


@pytest.mark.parametrize(("text", "point"), [("5,187", "5.187"), ("00:01:05,5", "00:01:05.5")])
def test_a_decimal_comma_is_told_with_what_to_write(text: str, point: str):
    with pytest.raises(ValueError, match=f"seconds: write a point, {re.escape(point)}"):
        seconds("event", text)


@given(text=TEXT | st.floats().map(repr))
def test_any_text_is_a_time_or_not(text: str):
    try:
        value = seconds("event", text)
    except ValueError as error:
        assert str(error).startswith("event ")
        return
    assert (value is None and is_missing(text)) or (value is not None and 0 <= value < float("inf"))


# Paths


def test_paths(tmp_path: Path):
    root = (tmp_path / "root").resolve()
    (root / "sub").mkdir(parents=True)
    (root / "inside").symlink_to(root / "sub")
    (root / "outside").symlink_to(tmp_path)
    assert path_below(root, "sub/../a.mp4") == root / "a.mp4"
    assert path_below(root, str(root / "a.mp4")) == root / "a.mp4"
    assert path_below(root, "inside/a.mp4") == root / "inside/a.mp4"  # under the table's name
    (tmp_path / "link").symlink_to(root)
    assert path_below(tmp_path / "link", str(tmp_path / "link/a.mp4")) == root / "a.mp4"
    for text in ("..", ".", "/etc/passwd", "../root2/a", "outside/../../a", "sub/../.."):
        with pytest.raises(ValueError, match="lies outside the root"):
            path_below(root, text)
        with pytest.raises(ValueError, match="lies outside the root"):
            path_below(root, text, allow_links=True)
    with pytest.raises(ConfigError, match=r"is a link to .*allow_links=true.*--local-dir"):
        path_below(root, "outside/a.mp4")
    assert path_below(root, "outside/a.mp4", allow_links=True) == root / "outside/a.mp4"
    with pytest.raises(ValueError, match="no video is named"):
        path_below(root, "")
    with pytest.raises(ValueError, match="is no path"):
        path_below(root, "a\0b")


@given(text=st.text("ab./\0~", max_size=12))
def test_no_path_leaves_the_root(tmp_path_factory: pytest.TempPathFactory, text: str):
    root = tmp_path_factory.getbasetemp().resolve()
    try:
        path = path_below(root, text)
    except ValueError:
        return
    assert path.is_relative_to(root) and path != root


def test_bad_lines_of_several_tables_are_told_together(tmp_path):
    def read(file):
        return parse_lines(file, read_text(file), int)

    contents = {"a.txt": "1\nx\n", "b.txt": "2\n3\n", "c.txt": "y\n4\n"}
    for name, text in contents.items():
        (tmp_path / name).write_text(text)
    tables = ErrorCollector()
    values = [tables.try_read(read, tmp_path / name, default={}) for name in [*contents, "a.txt"]]
    assert values == [{}, {1: 2, 2: 3}, {}, {}]
    with pytest.raises(AnnotationError) as caught:
        tables.check()
    assert [(one.file.name, one.line) for one in caught.value.rejected] == [
        ("a.txt", 2),
        ("c.txt", 1),
    ]
    tables = ErrorCollector()
    tables.try_read(read, tmp_path / "b.txt", default={})
    tables.check()
