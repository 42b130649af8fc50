"""No table loses text, in a pipe or in a narrow terminal."""

import io
import re

import pytest
from rich.console import Console
from rich.text import Text

from collision.report.fitting import Fitted

NAMES = [f"2026-01-31_12-00-0{n}_synthetic_efficientnet_lite0_zipformer" for n in range(3)]
HEADER = [
    "run",
    "mAP\n[95 % interval]",
    "parameters",
    "windows/s",
    "seconds\neach",
    "by",
    "p",
]
ROWS = [
    [name, ".844 [.801, .890]", "1,197,249", "123,790", "1,234.5", "map_elites", f".00{n}"]
    for n, name in enumerate(NAMES)
]
TABLE = Fitted("Against [red]the others[/red]", HEADER, ROWS)


def printed(table, width):
    console = Console(width=width, file=io.StringIO())
    console.print(table)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [30, 40, 60, 80, 120, 10_000])
def test_nothing_is_cut_off_and_no_number_is_broken(width):
    text = printed(TABLE, width)
    assert "…" not in text and max(map(len, text.splitlines())) <= width
    words = set(text.split())
    for row in ROWS:
        assert {word for cell in row[1:] for word in cell.split()} <= words
    for name in HEADER:
        assert set(name.split()) <= words
    if width >= TABLE.natural_width:
        assert all(name in text for name in NAMES)
    # What is broken is whole when it is put together.
    first = "".join(re.sub(r" .*", "", line[1:]) for line in text.splitlines())
    assert all(name in first for name in NAMES)


def test_a_table_that_fits_is_as_wide_as_it_needs():
    whole = printed(TABLE, 10_000)
    assert max(len(line.rstrip()) for line in whole.splitlines()) <= TABLE.natural_width
    assert printed(TABLE, TABLE.natural_width) == whole
    assert printed(TABLE, TABLE.natural_width - 1) != whole
    assert whole.count("run ") == 1 and printed(TABLE, 30).count("run ") > 1


def test_text_of_files_is_no_markup_and_tables_stand_among_other_text():
    console = Console(width=80, file=io.StringIO())
    console.print(Text("before"), TABLE)
    assert "[red]the others[/red]" in console.file.getvalue()


def test_an_empty_table_has_its_headings():
    assert "mAP" in printed(Fitted("", HEADER, []), 80)
